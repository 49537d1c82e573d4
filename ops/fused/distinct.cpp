#include "ops/fused/distinct.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>

#include "core/base/parallel.h"
#include "core/tensor/launch.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace kdef::ops {

const OpInfo kEmbedDistinctInfo{"embed_distinct", "y_u = table_f[id_u] for the distinct ids of each field",
                                "dtable_f[id_u] = dy_u (row 0: none)"};
const OpInfo kDistinctLinearInfo{"distinct_linear", "y_b = sum_f r[index_bf] W_f^T + x_b W_x^T + bias",
                                 "s_uf = sum of dy_b over index_bf = u, dr_u = s_uf W_f, dW_f = s_f^T r_f; "
                                 "dx = dy W_x, dW_x = dy^T x, dbias = sum over rows of dy",
                                 true};

DistinctLimits DistinctLimits::for_batch(int64_t rows) {
  return {64 * rows, 3 * rows / 4, std::min<int64_t>(1024, rows / 8)};
}

namespace {

// The ids of one field in a batch.
struct Column {
  std::vector<int32_t> found;  // distinct, ascending
  std::vector<int32_t> at;     // per row, its place there
};

// Finds the distinct ids in a table of `size` rows, and returns whether there are at most `max_count`. One bit per row
// of the table sorts them.
bool find_distinct(const std::vector<int32_t>& ids, int64_t size, int64_t max_count, Column& column) {
  thread_local std::vector<uint64_t> seen;
  thread_local std::vector<int32_t> place;
  seen.assign(static_cast<size_t>(divide_up(size, 64)), 0);
  for (const int32_t id : ids) seen[static_cast<size_t>(id) / 64] |= uint64_t{1} << id % 64;
  int64_t count = 0;
  for (const uint64_t bits : seen) count += std::popcount(bits);
  if (count > max_count) return false;
  if (static_cast<int64_t>(place.size()) < size) place.resize(static_cast<size_t>(size));
  column.found.reserve(static_cast<size_t>(count));
  for (size_t word = 0; word < seen.size(); ++word) {
    for (uint64_t bits = seen[word]; bits != 0; bits &= bits - 1) {
      const size_t id = word * 64 + static_cast<size_t>(std::countr_zero(bits));
      place[id] = static_cast<int32_t>(column.found.size());
      column.found.push_back(static_cast<int32_t>(id));
    }
  }
  column.at.resize(ids.size());
  for (size_t b = 0; b < ids.size(); ++b) column.at[b] = place[static_cast<size_t>(ids[b])];
  return true;
}

// Makes one look-up for several fields.
void combine(const DistinctIds& distinct, int64_t possible, Lookup& lookup) {
  const int64_t rows = distinct.index.shape()[1];
  std::vector<int32_t> place(static_cast<size_t>(possible), -1);
  std::vector<std::vector<int32_t>> parts(lookup.members.size());
  lookup.index = Tensor::empty({rows}, DType::i32);
  for (int64_t b = 0; b < rows; ++b) {
    int64_t combination = 0;
    for (const size_t f : lookup.members) {
      combination = combination * (distinct.first[f + 1] - distinct.first[f]) +
                    distinct.index.data<int32_t>()[static_cast<int64_t>(f) * rows + b];
    }
    int32_t& found = place[static_cast<size_t>(combination)];
    if (found < 0) {
      found = static_cast<int32_t>(lookup.count++);
      for (size_t m = 0; m < parts.size(); ++m) {
        parts[m].push_back(distinct.index.data<int32_t>()[static_cast<int64_t>(lookup.members[m]) * rows + b]);
      }
    }
    lookup.index.data<int32_t>()[b] = found;
  }
  for (const auto& part : parts) lookup.parts.push_back(Tensor::from(part, {lookup.count}));
}

// Fields are assigned in descending order of their numbers of ids. A field joins the first look-up whose combinations
// stay within the limit.
std::vector<Lookup> share_lookups(const DistinctIds& distinct, int64_t max_combinations) {
  const auto count = [&](size_t f) { return distinct.first[f + 1] - distinct.first[f]; };
  std::vector<size_t> order(distinct.fields.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return count(a) > count(b); });
  std::vector<Lookup> lookups;
  std::vector<int64_t> possible;
  for (const size_t f : order) {
    size_t l = 0;
    while (l < lookups.size() && possible[l] * count(f) > max_combinations) ++l;
    if (l == lookups.size()) {
      lookups.emplace_back();
      possible.push_back(1);
    }
    lookups[l].members.push_back(f);
    possible[l] *= count(f);
  }
  parallel_for(static_cast<int64_t>(lookups.size()), 1, [&](int64_t l, int64_t) {
    Lookup& lookup = lookups[static_cast<size_t>(l)];
    if (lookup.members.size() > 1) return combine(distinct, possible[static_cast<size_t>(l)], lookup);
    lookup.count = possible[static_cast<size_t>(l)];
    const int64_t rows = distinct.index.shape()[1];
    lookup.index = distinct.index.rows(static_cast<int64_t>(lookup.members[0]), 1).alias({rows});
  });
  std::stable_sort(lookups.begin(), lookups.end(), [](const Lookup& a, const Lookup& b) { return a.count < b.count; });
  return lookups;
}

}  // namespace

DistinctIds distinct_ids(const Tensor& ids, const std::vector<EmbedField>& fields,
                         const std::vector<int64_t>& table_rows, const DistinctLimits& limits) {
  const int64_t rows = ids.shape()[0], columns = ids.shape()[1];
  const Tensor on_host = ids.to(kCpu);
  const int32_t* all = on_host.data<int32_t>();
  const auto size_of = [&](size_t f) { return table_rows[static_cast<size_t>(fields[f].table)]; };
  const auto allowed = [&](size_t f) {
    return fields[f].kind == EmbedField::Kind::id && size_of(f) <= limits.max_rows;
  };
  std::vector<std::optional<Column>> found(fields.size());
  parallel_for(static_cast<int64_t>(fields.size()), 1, [&](int64_t first, int64_t) {
    const size_t f = static_cast<size_t>(first);
    if (!allowed(f)) return;
    std::vector<int32_t> own(static_cast<size_t>(rows));
    for (int64_t b = 0; b < rows; ++b) {
      const int32_t id = all[b * columns + fields[f].column];
      KDEF_CHECK(id >= 0 && id < size_of(f), "distinct_ids: id ", id, " in row ", b, " of the batch, field ", f,
                 ", is outside its table of ", size_of(f), " rows");
      own[static_cast<size_t>(b)] = id;
    }
    Column column;
    if (find_distinct(own, size_of(f), limits.max_ids, column)) found[f] = std::move(column);
  });

  DistinctIds out;
  out.first.assign(1, 0);
  for (size_t f = 0; f < fields.size(); ++f) {
    if (allowed(f)) out.capacity += std::min({size_of(f), limits.max_ids, rows});
    if (!found[f]) continue;
    out.fields.push_back(f);
    out.first.push_back(out.first.back() + static_cast<int64_t>(found[f]->found.size()));
    out.padding.push_back(!found[f]->found.empty() && found[f]->found[0] == 0);
  }
  const int64_t chosen = static_cast<int64_t>(out.fields.size());
  out.ids = Tensor::empty({out.capacity}, DType::i64).rows(0, out.first.back());
  out.index = Tensor::empty({chosen, rows}, DType::i32);
  parallel_for(chosen, 1, [&](int64_t i, int64_t) {
    const Column& column = *found[out.fields[static_cast<size_t>(i)]];
    std::copy(column.found.begin(), column.found.end(), out.ids.data<int64_t>() + out.first[static_cast<size_t>(i)]);
    std::copy(column.at.begin(), column.at.end(), out.index.data<int32_t>() + i * rows);
  });
  if (ids.device().is_cpu()) out.lookups = share_lookups(out, limits.max_combinations);
  out.ids = out.ids.to(ids.device());
  out.index = out.index.to(ids.device());
  return out;
}

Tensor embed_distinct(const std::vector<Tensor>& tables, const std::vector<EmbedField>& fields,
                      const DistinctIds& distinct) {
  KDEF_CHECK(!distinct.fields.empty(), "embed_distinct: no field is chosen");
  // A chosen field's table gives D; the table of a numeric field has another shape.
  const int64_t d = tables[static_cast<size_t>(fields[distinct.fields[0]].table)].shape()[1];
  const int64_t total = distinct.ids.shape()[0];
  Tensor y = Tensor::empty({distinct.capacity, d}, tables[0].dtype(), tables[0].device()).rows(0, total);
  std::vector<size_t> table_of;
  for (size_t i = 0; i < distinct.fields.size(); ++i) {
    table_of.push_back(static_cast<size_t>(fields[distinct.fields[i]].table));
    const Tensor& table = tables[table_of.back()];
    KDEF_CHECK(table.rank() == 2 && table.shape()[1] == d, "embed_distinct: tables of different dimensions");
    const int64_t first = distinct.first[i], count = distinct.first[i + 1] - first;
    KDEF_LAUNCH(y.device(), gather_rows, table, distinct.ids.rows(first, count), y.rows(first, count));
  }
  std::vector<Tensor> inputs = tables;
  inputs.push_back(distinct.ids);
  return record(
      kEmbedDistinctInfo, y, inputs, {},
      [=, count = tables.size()](const BackwardContext& c, const Tensor& dy) {
        std::vector<Gradient> grads(count);
        for (size_t i = 0; i < table_of.size(); ++i) {
          if (!c.needs[table_of[i]]) continue;
          const int64_t first = distinct.first[i] + distinct.padding[i], end = distinct.first[i + 1];
          if (first == end) continue;
          grads[table_of[i]].add(RowGradient{distinct.ids.rows(first, end - first), dy.rows(first, end - first)});
        }
        return grads;
      },
      {{"tables", std::vector<int64_t>(table_of.begin(), table_of.end())}, {"first", distinct.first}});
}

namespace {

// Copies the columns of the fields that are not chosen between weight [N, F D] and packed [N, (F - chosen) D].
void copy_other_columns(const DistinctIds& distinct, int64_t fields, const Tensor& weight, const Tensor& packed,
                        bool pack) {
  const int64_t n = weight.shape()[0], d = weight.shape()[1] / fields, others = packed.shape()[1] / d;
  int64_t to = 0;
  size_t next = 0;
  for (int64_t f = 0; f < fields; ++f) {
    if (next < distinct.fields.size() && distinct.fields[next] == static_cast<size_t>(f)) {
      ++next;
      continue;
    }
    if (pack)
      KDEF_LAUNCH(weight.device(), copy_slab, weight, packed, n, d, fields, f, others, to, 1);
    else
      KDEF_LAUNCH(weight.device(), copy_slab, packed, weight, n, d, others, to, fields, f, 1);
    ++to;
  }
}

}  // namespace

Tensor distinct_linear(const Tensor& rows, const Tensor& dense, const DistinctIds& distinct, int64_t fields,
                       const Tensor& weight, const Tensor& bias) {
  const int64_t n = weight.shape()[0], d = rows.shape()[1], batch = distinct.index.shape()[1];
  const int64_t others = fields - static_cast<int64_t>(distinct.fields.size());
  KDEF_CHECK(weight.shape()[1] == fields * d && rows.dtype() == weight.dtype(), "distinct_linear: rows ",
             describe(rows), " of ", fields, " fields do not fit weight ", describe(weight));
  KDEF_CHECK(others == 0 ? !dense.defined() : dense.shape() == (Shape{batch, others * d}), "distinct_linear: ", others,
             " fields are not chosen, but the numbers for them are ", dense.defined() ? describe(dense) : "missing");
  KDEF_CHECK(n > 0 && (!bias.defined() || bias.shape() == Shape{n}), "distinct_linear: bias ", describe(bias),
             " does not fit weight ", weight.shape());
  const auto packed_weight = [=](const Tensor& from) {
    const Tensor packed = Tensor::empty({n, others * d}, from.dtype(), from.device());
    copy_other_columns(distinct, fields, from, packed, true);
    return packed;
  };
  Tensor y;
  if (others > 0) {
    const NoGrad no_grad;
    y = linear(dense.detach(), packed_weight(weight), bias.defined() ? bias.detach() : bias);
  } else {
    y = Tensor::empty({batch, n}, rows.dtype(), rows.device());
  }
  const Tensor start = others > 0 ? Tensor() : bias.defined() ? bias : Tensor::zeros({n}, y.dtype(), y.device());
  KDEF_LAUNCH(y.device(), distinct_forward, rows, distinct, weight, start, y);
  return record(
      kDistinctLinearInfo, y, {rows, dense, weight, bias, distinct.index}, {rows, dense, weight},
      [=](const BackwardContext& c, const Tensor& dy) {
        const Tensor &sr = c.saved[0], &sx = c.saved[1], &sw = c.saved[2];
        std::vector<Gradient> grads(4);
        const Tensor drows = c.needs[0]
                                 ? Tensor::empty({distinct.capacity, d}, sw.dtype(), dy.device()).rows(0, sr.shape()[0])
                                 : Tensor(),
                     dweight = c.needs[2] ? Tensor::empty_like(sw) : Tensor(),
                     dbias = c.needs[3] ? Tensor::empty({n}, sw.dtype(), dy.device()) : Tensor();
        KDEF_LAUNCH(dy.device(), distinct_backward, sr, distinct, sw, dy, drows, dweight, dbias);
        if (others > 0 && (c.needs[1] || c.needs[2])) {
          const Tensor numbers = dy.to(sw.dtype());
          if (c.needs[1]) grads[1] = matmul(numbers, packed_weight(sw));
          if (c.needs[2]) {
            copy_other_columns(distinct, fields, dweight, matmul(numbers, sx.detach(), true, false), false);
          }
        }
        if (c.needs[0]) grads[0] = drows;
        if (c.needs[2]) grads[2] = dweight;
        if (c.needs[3]) grads[3] = dbias;
        return grads;
      },
      {{"fields", fields},
       {"chosen", std::vector<int64_t>(distinct.fields.begin(), distinct.fields.end())},
       {"first", distinct.first},
       {"operands", y.device().is_cpu() && cpu::rounds_distinct(batch, weight, d) ? "bf16" : name_of(y.dtype())}});
}

}  // namespace kdef::ops
