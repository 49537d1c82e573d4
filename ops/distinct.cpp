#include "ops/distinct.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/parallel.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "ops/vectors.h"

namespace kdef::ops {

const OpInfo kEmbedDistinctInfo{"embed_distinct", "y_u = table_f[id_u] for the distinct ids of each field",
                                "dtable_f[id_u] = dy_u (row 0: none)"};
const OpInfo kDistinctLinearInfo{"distinct_linear", "y_b = sum_f r[index_bf] W_f^T + x_b W_x^T + bias",
                                 "s_uf = sum of dy_b over index_bf = u, dr_u = s_uf W_f, dW_f = s_f^T r_f; "
                                 "dx = dy W_x, dW_x = dy^T x, dbias = sum over rows of dy"};

DistinctLimits DistinctLimits::for_batch(int64_t rows, GemmPrecision precision) {
  return precision == GemmPrecision::bf16 ? DistinctLimits{64 * rows, rows / 4, 12288}
                                          : DistinctLimits{64 * rows, rows / 3, 18432};
}

namespace {

// Ids of one column in order of their first row, at most `most` (false: there are more), and per row its place there.
bool collect(const int32_t* ids, int64_t rows, int64_t stride, int64_t most, std::vector<int32_t>& place,
             std::vector<int32_t>& found, std::vector<int32_t>& at) {
  bool fits = true;
  for (int64_t b = 0; b < rows && fits; ++b) {
    const int32_t id = ids[b * stride];
    int32_t& p = place[static_cast<size_t>(id)];
    if (p < 0) {
      fits = static_cast<int64_t>(found.size()) < most;
      if (!fits) continue;
      p = static_cast<int32_t>(found.size());
      found.push_back(id);
    }
    at[static_cast<size_t>(b)] = p;
  }
  for (int32_t id : found) place[static_cast<size_t>(id)] = -1;
  return fits;
}

}  // namespace

DistinctIds distinct_ids(const Tensor& ids, const std::vector<EmbedField>& fields,
                         const std::vector<int64_t>& table_rows, const DistinctLimits& limits) {
  const int64_t rows = ids.shape()[0], columns = ids.shape()[1];
  const Tensor on_host = ids.to(kCpu);
  const int32_t* all = on_host.data<int32_t>();
  struct Column {
    std::vector<int32_t> ids, at;
    bool fits = false;
  };
  std::vector<Column> found(fields.size());
  parallel_for(static_cast<int64_t>(fields.size()), 1, [&](int64_t first, int64_t last) {
    // Per id its place among those found, or -1; collect() leaves it as it was.
    thread_local std::vector<int32_t> place;
    for (int64_t f = first; f < last; ++f) {
      const EmbedField& field = fields[static_cast<size_t>(f)];
      const int64_t size = table_rows[static_cast<size_t>(field.table)];
      if (field.kind != EmbedField::Kind::id || size > limits.most_rows) continue;
      for (int64_t b = 0; b < rows; ++b) {
        const int32_t id = all[b * columns + field.column];
        KDEF_CHECK(id >= 0 && id < size, "distinct_ids: id ", id, " in row ", b, " of the batch, field ", f,
                   ", is outside its table of ", size, " rows");
      }
      if (static_cast<int64_t>(place.size()) < size) place.resize(static_cast<size_t>(size), -1);
      Column& column = found[static_cast<size_t>(f)];
      column.at.resize(static_cast<size_t>(rows));
      column.fits = collect(all + field.column, rows, columns, limits.most_ids, place, column.ids, column.at);
    }
  });

  std::vector<size_t> order;
  for (size_t f = 0; f < fields.size(); ++f) {
    if (found[f].fits) order.push_back(f);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return found[a].ids.size() < found[b].ids.size(); });
  DistinctIds out;
  int64_t total = 0;
  for (size_t f : order) {
    const int64_t n = static_cast<int64_t>(found[f].ids.size());
    if (total + n > limits.most_total) break;
    total += n;
    out.fields.push_back(f);
  }
  std::sort(out.fields.begin(), out.fields.end());
  const int64_t chosen = static_cast<int64_t>(out.fields.size());
  for (size_t f = 0; f < fields.size(); ++f) {
    const int64_t size = table_rows[static_cast<size_t>(fields[f].table)];
    if (fields[f].kind == EmbedField::Kind::id && size <= limits.most_rows) out.most += std::min(size, limits.most_ids);
  }
  out.most = std::min(out.most, limits.most_total);
  out.ids = Tensor::empty({out.most}, DType::i64).rows(0, total);
  out.index = Tensor::empty({rows, chosen}, DType::i32);
  out.first.assign(1, 0);
  for (size_t f : out.fields) out.first.push_back(out.first.back() + static_cast<int64_t>(found[f].ids.size()));
  parallel_for(chosen, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Column& column = found[out.fields[static_cast<size_t>(i)]];
      std::vector<int32_t> sorted = column.ids, rank(column.ids.size());
      std::sort(sorted.begin(), sorted.end());
      const int64_t first = out.first[static_cast<size_t>(i)];
      for (size_t u = 0; u < sorted.size(); ++u) {
        out.ids.data<int64_t>()[first + static_cast<int64_t>(u)] = sorted[u];
        const auto at = std::lower_bound(sorted.begin(), sorted.end(), column.ids[u]);
        rank[u] = static_cast<int32_t>(first + (at - sorted.begin()));
      }
      int32_t* index = out.index.data<int32_t>() + i;
      for (int64_t b = 0; b < rows; ++b) {
        index[b * chosen] = rank[static_cast<size_t>(column.at[static_cast<size_t>(b)])];
      }
    }
  });
  for (int64_t i = 0; i < chosen; ++i) {
    const int64_t first = out.first[static_cast<size_t>(i)];
    out.padding.push_back(first < out.first[static_cast<size_t>(i) + 1] && out.ids.data<int64_t>()[first] == 0);
  }
  out.ids = out.ids.to(ids.device());
  out.index = out.index.to(ids.device());
  return out;
}

namespace cpu {

namespace {

// Columns of y are worked on kVec at a time: a table of partial products [U, kVec] of the chosen fields stays in
// cache. An addition waits for the one before it: so many independent sums run side by side.
constexpr int64_t kTogether = 4;
template <int64_t N>
using Constant = std::integral_constant<int64_t, N>;

// weight[j0 + j, column + k] as w[k][j], zero beyond the last row.
template <class T>
void load_lanes(const T* weight, int64_t rows, int64_t stride, int64_t j0, int64_t column, int64_t d, Vec<T>* w) {
  for (int64_t k = 0; k < d; ++k) {
    for (int64_t j = 0; j < kVec; ++j) w[k][j] = j0 + j < rows ? weight[(j0 + j) * stride + column + k] : T(0);
  }
}

// to[u] += sum over k < count of x[u, k] w[k], rows of x `stride` apart. The usual count is a constant of its own, so
// that w stays in registers.
template <class T>
void add_products(const T* x, int64_t rows, int64_t stride, const Vec<T>* w, int64_t count, Vec<T>* to) {
  const auto add = [=](const auto n) {
    Vec<T> own[kVec];
    for (int64_t k = 0; k < n; ++k) own[k] = w[k];
    const auto add_rows = [=, &own](int64_t u, const auto together) {
      Vec<T> sums[together];
      for (int64_t i = 0; i < together; ++i) sums[i] = to[u + i];
      for (int64_t k = 0; k < n; ++k) {
        for (int64_t i = 0; i < together; ++i) sums[i] += x[(u + i) * stride + k] * own[k];
      }
      for (int64_t i = 0; i < together; ++i) to[u + i] = sums[i];
    };
    int64_t u = 0;
    for (; u + kTogether <= rows; u += kTogether) add_rows(u, Constant<kTogether>());
    for (; u < rows; ++u) add_rows(u, Constant<1>());
  };
  if (count == kVec) {
    add(Constant<kVec>());
  } else {
    add(count);
  }
}

// to[k] = sum over u of x[u, k] y[u] for k < count.
template <class T>
void sum_products(const T* x, int64_t rows, int64_t stride, const Vec<T>* y, int64_t count, Vec<T>* to) {
  const auto sum = [=](const auto n) {
    Vec<T> own[kVec] = {};
    for (int64_t u = 0; u < rows; ++u) {
      for (int64_t k = 0; k < n; ++k) own[k] += x[u * stride + k] * y[u];
    }
    for (int64_t k = 0; k < n; ++k) to[k] = own[k];
  };
  if (count == kVec) {
    sum(Constant<kVec>());
  } else {
    sum(count);
  }
}

}  // namespace

void distinct_forward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& y) {
  for_float(y.dtype(), "distinct_linear", [&]<class T>() {
    using V = Vec<T>;
    const int64_t batch = y.shape()[0], n = y.shape()[1], d = rows.shape()[1], total = rows.shape()[0];
    const int64_t chosen = static_cast<int64_t>(distinct.fields.size()), width = weight.shape()[1];
    const T *r = rows.data<T>(), *w = weight.data<T>();
    const int32_t* index = distinct.index.data<int32_t>();
    T* out = y.data<T>();
    parallel_for(divide_up(n, kVec), 1, [&](int64_t first, int64_t last) {
      const Tensor scratch = Tensor::empty({(distinct.most + d) * kVec}, y.dtype());
      V *table = reinterpret_cast<V*>(scratch.data<T>()), *lanes = table + total;
      for (int64_t block = first; block < last; ++block) {
        const int64_t j0 = block * kVec, live = std::min(kVec, n - j0);
        for (int64_t f = 0; f < chosen; ++f) {
          load_lanes(w, n, width, j0, static_cast<int64_t>(distinct.fields[static_cast<size_t>(f)]) * d, d, lanes);
          const int64_t from = distinct.first[static_cast<size_t>(f)], end = distinct.first[static_cast<size_t>(f) + 1];
          std::fill(table + from, table + end, V{});
          for (int64_t k0 = 0; k0 < d; k0 += kVec) {
            add_products(r + from * d + k0, end - from, d, lanes + k0, std::min(kVec, d - k0), table + from);
          }
        }
        const auto add_rows = [=](int64_t b, const auto together) {
          V sums[together];
          const int32_t* at = index + b * chosen;
          for (int64_t i = 0; i < together; ++i) sums[i] = load(out + (b + i) * n + j0, live);
          for (int64_t f = 0; f < chosen; ++f) {
            for (int64_t i = 0; i < together; ++i) sums[i] += table[at[i * chosen + f]];
          }
          for (int64_t i = 0; i < together; ++i) store(sums[i], live, out + (b + i) * n + j0);
        };
        int64_t b = 0;
        for (; b + kTogether <= batch; b += kTogether) add_rows(b, Constant<kTogether>());
        for (; b < batch; ++b) add_rows(b, Constant<1>());
      }
    });
  });
}

void distinct_backward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& dy,
                       const Tensor& drows, const Tensor& dweight) {
  for_float(dy.dtype(), "distinct_linear", [&]<class T>() {
    using V = Vec<T>;
    const int64_t batch = dy.shape()[0], n = dy.shape()[1], d = rows.shape()[1], total = rows.shape()[0];
    const int64_t chosen = static_cast<int64_t>(distinct.fields.size()), width = weight.shape()[1];
    const int64_t blocks = divide_up(n, kVec);
    const T *r = rows.data<T>(), *w = weight.data<T>(), *g = dy.data<T>();
    const int32_t* index = distinct.index.data<int32_t>();
    // The sums s of dy by id, block by block of its columns.
    const Tensor sums = Tensor::empty({blocks, distinct.most, kVec}, dy.dtype());
    V* s = reinterpret_cast<V*>(sums.data<T>());
    parallel_for(blocks, 1, [&](int64_t first, int64_t last) {
      const Tensor scratch = Tensor::empty({d * kVec}, dy.dtype());
      V* dw = reinterpret_cast<V*>(scratch.data<T>());
      for (int64_t block = first; block < last; ++block) {
        const int64_t j0 = block * kVec, live = std::min(kVec, n - j0);
        V* table = s + block * total;
        std::fill_n(table, total, V{});
        for (int64_t b = 0; b < batch; ++b) {
          const V v = load(g + b * n + j0, live);
          const int32_t* at = index + b * chosen;
          for (int64_t f = 0; f < chosen; ++f) table[at[f]] += v;
        }
        if (!dweight.defined()) continue;
        for (int64_t f = 0; f < chosen; ++f) {
          const int64_t from = distinct.first[static_cast<size_t>(f)], end = distinct.first[static_cast<size_t>(f) + 1];
          for (int64_t k0 = 0; k0 < d; k0 += kVec) {
            sum_products(r + from * d + k0, end - from, d, table + from, std::min(kVec, d - k0), dw + k0);
          }
          T* to = dweight.data<T>() + static_cast<int64_t>(distinct.fields[static_cast<size_t>(f)]) * d;
          for (int64_t j = 0; j < live; ++j) {
            for (int64_t k = 0; k < d; ++k) to[(j0 + j) * width + k] = dw[k][j];
          }
        }
      }
    });
    if (!drows.defined()) return;
    // dr_u = s_u W_f, a part of the rows at a time whose sums lie in cache.
    struct Part {
      size_t field;
      int64_t from, end;
    };
    constexpr int64_t kRows = 64;
    std::vector<Part> parts;
    for (size_t f = 0; f < distinct.fields.size(); ++f) {
      for (int64_t u = distinct.first[f]; u < distinct.first[f + 1]; u += kRows) {
        parts.push_back({distinct.fields[f], u, std::min(u + kRows, distinct.first[f + 1])});
      }
    }
    T* out = drows.data<T>();
    parallel_for(static_cast<int64_t>(parts.size()), 4, [&](int64_t first, int64_t last) {
      for (int64_t p = first; p < last; ++p) {
        const auto [field, from, end] = parts[static_cast<size_t>(p)];
        for (int64_t k0 = 0; k0 < d; k0 += kVec) {
          const int64_t live = std::min(kVec, d - k0);
          const T* columns = w + static_cast<int64_t>(field) * d + k0;
          V row_sums[kRows] = {}, wf[kVec];
          for (int64_t block = 0; block < blocks; ++block) {
            const int64_t j0 = block * kVec, in_block = std::min(kVec, n - j0);
            for (int64_t j = 0; j < in_block; ++j) wf[j] = load(columns + (j0 + j) * width, live);
            const T* sums_of_block = reinterpret_cast<const T*>(s + block * total + from);
            add_products(sums_of_block, end - from, kVec, wf, in_block, row_sums);
          }
          for (int64_t u = from; u < end; ++u) store(row_sums[u - from], live, out + u * d + k0);
        }
      }
    });
  });
}

}  // namespace cpu

Tensor embed_distinct(const std::vector<Tensor>& tables, const std::vector<EmbedField>& fields,
                      const DistinctIds& distinct) {
  KDEF_CHECK(!distinct.fields.empty(), "embed_distinct: no field is chosen");
  // Not of any table: that of a numeric field is no table of rows.
  const int64_t d = tables[static_cast<size_t>(fields[distinct.fields[0]].table)].shape()[1];
  const int64_t total = distinct.ids.shape()[0];
  Tensor y = Tensor::empty({distinct.most, d}, tables[0].dtype(), tables[0].device()).rows(0, total);
  std::vector<size_t> table_of;
  for (size_t i = 0; i < distinct.fields.size(); ++i) {
    table_of.push_back(static_cast<size_t>(fields[distinct.fields[i]].table));
    const Tensor& table = tables[table_of.back()];
    KDEF_CHECK(table.rank() == 2 && table.shape()[1] == d, "embed_distinct: tables of different dimensions");
    const int64_t first = distinct.first[i], count = distinct.first[i + 1] - first;
    KDEF_LAUNCH(y.device(), gather_rows, table, distinct.ids.rows(first, count), y.rows(first, count));
  }
  const size_t inputs = tables.size();
  return record(kEmbedDistinctInfo, y, tables, {}, [=](const BackwardContext& c, const Tensor& dy) {
    std::vector<Gradient> grads(inputs);
    for (size_t i = 0; i < table_of.size(); ++i) {
      if (!c.needs[table_of[i]]) continue;
      const int64_t first = distinct.first[i] + distinct.padding[i], end = distinct.first[i + 1];
      if (first == end) continue;
      grads[table_of[i]].add(RowGradient{distinct.ids.rows(first, end - first), dy.rows(first, end - first)});
    }
    return grads;
  });
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
  const int64_t n = weight.shape()[0], d = rows.shape()[1], batch = distinct.index.shape()[0];
  const int64_t others = fields - static_cast<int64_t>(distinct.fields.size());
  KDEF_CHECK(weight.shape()[1] == fields * d && rows.dtype() == weight.dtype(), "distinct_linear: rows ",
             describe(rows), " of ", fields, " fields do not fit weight ", describe(weight));
  KDEF_CHECK(others == 0 ? !dense.defined() : dense.shape() == (Shape{batch, others * d}), "distinct_linear: ", others,
             " fields are not chosen, but the numbers for them are ", dense.defined() ? describe(dense) : "missing");
  KDEF_CHECK(bias.shape() == Shape{n}, "distinct_linear: bias ", describe(bias), " does not fit weight ",
             weight.shape());
  const auto packed_weight = [=](const Tensor& from) {
    const Tensor packed = Tensor::empty({n, others * d}, from.dtype(), from.device());
    copy_other_columns(distinct, fields, from, packed, true);
    return packed;
  };
  Tensor y;
  {
    const NoGrad no_grad;
    if (others > 0) {
      y = linear(dense.detach(), packed_weight(weight), bias.detach());
    } else {
      y = Tensor::empty({batch, n}, rows.dtype(), rows.device());
      KDEF_LAUNCH(y.device(), spread, bias, y, 1, batch, n, 1.0);
    }
  }
  KDEF_LAUNCH(y.device(), distinct_forward, rows, distinct, weight, y);
  return record(
      kDistinctLinearInfo, y, {rows, dense, weight, bias}, {rows, dense, weight},
      [=](const BackwardContext& c, const Tensor& dy) {
        const Tensor &sr = c.saved[0], &sx = c.saved[1], &sw = c.saved[2];
        std::vector<Gradient> grads(4);
        const Tensor drows = c.needs[0]
                                 ? Tensor::empty({distinct.most, d}, dy.dtype(), dy.device()).rows(0, sr.shape()[0])
                                 : Tensor(),
                     dweight = c.needs[2] ? Tensor::empty_like(sw) : Tensor();
        KDEF_LAUNCH(dy.device(), distinct_backward, sr, distinct, sw, dy, drows, dweight);
        if (others > 0) {
          if (c.needs[1]) grads[1] = matmul(dy, packed_weight(sw));
          if (c.needs[2]) copy_other_columns(distinct, fields, dweight, matmul(dy, sx.detach(), true, false), false);
        }
        if (c.needs[0]) grads[0] = drows;
        if (c.needs[2]) grads[2] = dweight;
        if (c.needs[3]) grads[3] = sum(dy, 0);
        return grads;
      });
}

}  // namespace kdef::ops
