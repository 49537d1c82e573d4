#include "ops/embedding.h"

#include <algorithm>
#include <cstring>

#include "core/base/parallel.h"
#include "core/tensor/launch.h"
#include "ops/embedding_functors.h"

namespace kdef::ops {

const OpInfo kEmbeddingInfo{"embedding", "y_b = table[id_b]",
                            "dtable[r] = sum of dy_b over id_b = r (row 0: none if padding)"};
const OpInfo kPoolInfo{"pool_sequence", "y = c sum over l with id_l != 0 of x_l, c = 1 or 1/count",
                       "dx_l = c dy [id_l != 0]"};
const OpInfo kEmbedFieldsInfo{"embed_fields", "y[b, f] = pooled table_f[ids[b, f]], or value[b, f] w_f",
                              "dtable_f[r] = sum of c dy[b, f] over ids r; dw_f = sum_b value[b, f] dy[b, f]"};

namespace cpu {

namespace {

// One id of a batch and the number of the row of dy that it contributes, times `scale`.
template <class T>
struct Entry {
  uint32_t id;
  uint32_t row;
  T scale;
};

// Stable LSD radix sort by id.
template <class T>
void sort_by_id(std::vector<Entry<T>>& entries, std::vector<Entry<T>>& buffer, int64_t ids) {
  constexpr int kBits = 11;
  constexpr size_t kBuckets = size_t{1} << kBits;
  buffer.resize(entries.size());
  for (int shift = 0; shift == 0 || (ids - 1) >> shift > 0; shift += kBits) {
    size_t counts[kBuckets] = {};
    for (const auto& e : entries) ++counts[(e.id >> shift) & (kBuckets - 1)];
    size_t at = 0;
    for (size_t& c : counts) {
      const size_t n = c;
      c = at;
      at += n;
    }
    for (const auto& e : entries) buffer[counts[(e.id >> shift) & (kBuckets - 1)]++] = e;
    entries.swap(buffer);
  }
}

// Adds scale * dy[row] over the entries of each id, in the order of the entries. dy has rows of d numbers, `stride`
// apart. Memory for `capacity` rows is reserved whatever the number of distinct ids is, so that steps of one shape ask
// for the same memory.
template <class T>
RowGradient sum_entries(std::vector<Entry<T>>& entries, int64_t capacity, int64_t ids, const T* dy, int64_t stride,
                        int64_t d) {
  std::vector<Entry<T>> buffer;
  sort_by_id(entries, buffer, ids);
  int64_t distinct = 0;
  for (size_t i = 0; i < entries.size(); ++i) distinct += i == 0 || entries[i].id != entries[i - 1].id;
  capacity = std::min(capacity, ids);
  RowGradient out{Tensor::empty({capacity}, DType::i64).rows(0, distinct),
                  Tensor::empty({capacity, d}, dtype_of<T>).rows(0, distinct)};
  int64_t* id = out.ids.data<int64_t>();
  T* values = out.values.data<T>();
  int64_t u = -1;
  for (size_t i = 0; i < entries.size(); ++i) {
    const T* from = dy + entries[i].row * stride;
    const T c = entries[i].scale;
    if (i == 0 || entries[i].id != entries[i - 1].id) {
      id[++u] = entries[i].id;
      for (int64_t j = 0; j < d; ++j) values[u * d + j] = c * from[j];
    } else {
      for (int64_t j = 0; j < d; ++j) values[u * d + j] += c * from[j];
    }
  }
  return out;
}

}  // namespace

void gather_rows(const Tensor& table, const Tensor& ids, const Tensor& y) {
  const int64_t d = table.shape()[1], rows = table.shape()[0];
  const size_t unit = static_cast<size_t>(d) * size_of(table.dtype());
  for_index(ids.dtype(), "embedding", [&]<class I>() {
    const I* id = ids.data<I>();
    parallel_for(ids.numel(), 1024, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        KDEF_CHECK(id[i] >= 0 && id[i] < rows, "embedding: id ", id[i], " at position ", i, " is outside the table of ",
                   rows, " rows");
        std::memcpy(y.raw() + static_cast<size_t>(i) * unit, table.raw() + static_cast<size_t>(id[i]) * unit, unit);
      }
    });
  });
}

RowGradient sum_by_id(const Tensor& ids, const Tensor& dy, int64_t rows, bool padding) {
  return for_float(dy.dtype(), "embedding", [&]<class T>() {
    std::vector<Entry<T>> entries;
    for_index(ids.dtype(), "embedding", [&]<class I>() {
      const I* id = ids.data<I>();
      for (int64_t i = 0; i < ids.numel(); ++i) {
        if (padding && id[i] == 0) continue;
        entries.push_back({static_cast<uint32_t>(id[i]), static_cast<uint32_t>(i), T(1)});
      }
    });
    const int64_t d = dy.shape().back();
    return sum_entries(entries, ids.numel(), rows, dy.data<T>(), d, d);
  });
}

void pool_forward(const Tensor& x, const Tensor& ids, bool average, const Tensor& y) {
  const int64_t length = x.shape()[1], d = x.shape()[2];
  for_float(x.dtype(), "pool_sequence", [&]<class T>() {
    for_index(ids.dtype(), "pool_sequence", [&]<class I>() {
      const T* in = x.data<T>();
      const I* id = ids.data<I>();
      T* out = y.data<T>();
      parallel_for(x.shape()[0], 256, [=](int64_t first, int64_t last) {
        for (int64_t b = first; b < last; ++b) {
          T* to = out + b * d;
          std::fill_n(to, d, T(0));
          for (int64_t l = 0; l < length; ++l) {
            if (id[b * length + l] == 0) continue;
            for (int64_t j = 0; j < d; ++j) to[j] += in[(b * length + l) * d + j];
          }
          const int64_t n = count_ids(id + b * length, length);
          if (average && n > 1) {
            for (int64_t j = 0; j < d; ++j) to[j] *= average_factor<T>(n);
          }
        }
      });
    });
  });
}

void pool_backward(const Tensor& dy, const Tensor& ids, bool average, const Tensor& dx) {
  const int64_t length = dx.shape()[1], d = dx.shape()[2];
  for_float(dy.dtype(), "pool_sequence", [&]<class T>() {
    for_index(ids.dtype(), "pool_sequence", [&]<class I>() {
      const T* g = dy.data<T>();
      const I* id = ids.data<I>();
      T* out = dx.data<T>();
      parallel_for(dx.shape()[0], 256, [=](int64_t first, int64_t last) {
        for (int64_t b = first; b < last; ++b) {
          const int64_t n = count_ids(id + b * length, length);
          const T c = average ? average_factor<T>(n) : T(1);
          for (int64_t l = 0; l < length; ++l) {
            const T scale = id[b * length + l] == 0 ? T(0) : c;
            for (int64_t j = 0; j < d; ++j) out[(b * length + l) * d + j] = scale * g[b * d + j];
          }
        }
      });
    });
  });
}

void embed_forward(const std::vector<Tensor>& tables, const Tensor& ids, const Tensor& values,
                   const std::vector<EmbedField>& fields, const Tensor& y) {
  const int64_t rows = y.shape()[0], f_count = y.shape()[1], d = y.shape()[2];
  const int64_t columns = ids.defined() ? ids.shape()[1] : 0, numerics = values.defined() ? values.shape()[1] : 0;
  for_float(y.dtype(), "embed_fields", [&]<class T>() {
    const int32_t* all = ids.defined() ? ids.data<int32_t>() : nullptr;
    const T* value = values.defined() ? values.data<T>() : nullptr;
    T* out = y.data<T>();
    std::vector<const T*> data;
    for (const Tensor& t : tables) data.push_back(t.data<T>());
    parallel_for(rows, 256, [&](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; ++b) {
        for (int64_t f = 0; f < f_count; ++f) {
          const EmbedField& field = fields[static_cast<size_t>(f)];
          const T* table = data[static_cast<size_t>(field.table)];
          T* to = out + (b * f_count + f) * d;
          if (field.kind == EmbedField::Kind::numeric) {
            const T v = value[b * numerics + field.column];
            for (int64_t j = 0; j < d; ++j) to[j] = v * table[j];
            continue;
          }
          const int32_t* id = all + b * columns + field.column;
          const int64_t size = tables[static_cast<size_t>(field.table)].shape()[0];
          for (int64_t l = 0; l < field.count; ++l) {
            KDEF_CHECK(id[l] >= 0 && id[l] < size, "embed_fields: id ", id[l], " in row ", b, " of the batch, field ",
                       f, ", is outside its table of ", size, " rows");
          }
          if (field.kind == EmbedField::Kind::id) {
            const T* from = table + id[0] * d;
            for (int64_t j = 0; j < d; ++j) to[j] = from[j];
            continue;
          }
          for (int64_t j = 0; j < d; ++j) to[j] = T(0);
          for (int64_t l = 0; l < field.count; ++l) {
            if (id[l] == 0) continue;
            const T* from = table + id[l] * d;
            for (int64_t j = 0; j < d; ++j) to[j] += from[j];
          }
          const int64_t n = count_ids(id, field.count);
          if (field.kind == EmbedField::Kind::average && n > 1) {
            for (int64_t j = 0; j < d; ++j) to[j] *= average_factor<T>(n);
          }
        }
      }
    });
  });
}

std::vector<Gradient> embed_backward(const std::vector<Shape>& tables, const std::vector<bool>& needs,
                                     const Tensor& ids, const Tensor& values, const std::vector<EmbedField>& fields,
                                     const Tensor& dy) {
  const int64_t rows = dy.shape()[0], f_count = dy.shape()[1], d = dy.shape()[2];
  const int64_t columns = ids.defined() ? ids.shape()[1] : 0, numerics = values.defined() ? values.shape()[1] : 0;
  // The gradients of the fields are computed in parallel, and then added to their tables in the order of the fields.
  std::vector<Gradient> parts(fields.size());
  for_float(dy.dtype(), "embed_fields", [&]<class T>() {
    const T* g = dy.data<T>();
    parallel_for(f_count, 1, [&](int64_t first, int64_t last) {
      for (int64_t f = first; f < last; ++f) {
        const EmbedField& field = fields[static_cast<size_t>(f)];
        if (!needs[static_cast<size_t>(field.table)]) continue;
        const T* from = g + f * d;
        if (field.kind == EmbedField::Kind::numeric) {
          const T* value = values.data<T>() + field.column;
          std::vector<double> sums(static_cast<size_t>(d));
          for (int64_t b = 0; b < rows; ++b) {
            for (int64_t j = 0; j < d; ++j) {
              sums[static_cast<size_t>(j)] +=
                  static_cast<double>(value[b * numerics]) * static_cast<double>(from[b * f_count * d + j]);
            }
          }
          Tensor dw = Tensor::empty({d, 1}, dy.dtype());
          for (int64_t j = 0; j < d; ++j) dw.data<T>()[j] = static_cast<T>(sums[static_cast<size_t>(j)]);
          parts[static_cast<size_t>(f)] = dw;
          continue;
        }
        std::vector<Entry<T>> entries;
        entries.reserve(static_cast<size_t>(rows * field.count));
        const int32_t* all = ids.data<int32_t>() + field.column;
        for (int64_t b = 0; b < rows; ++b) {
          const int32_t* id = all + b * columns;
          const int64_t n = field.kind == EmbedField::Kind::average ? count_ids(id, field.count) : 1;
          const T scale = average_factor<T>(n);
          for (int64_t l = 0; l < field.count; ++l) {
            if (id[l] != 0) entries.push_back({static_cast<uint32_t>(id[l]), static_cast<uint32_t>(b), scale});
          }
        }
        parts[static_cast<size_t>(f)] =
            sum_entries(entries, rows * field.count, tables[static_cast<size_t>(field.table)][0], from, f_count * d, d);
      }
    });
  });
  std::vector<Gradient> grads(tables.size());
  for (size_t f = 0; f < fields.size(); ++f) {
    if (parts[f].defined()) grads[static_cast<size_t>(fields[f].table)].add(parts[f]);
  }
  return grads;
}

}  // namespace cpu

Tensor embedding(const Tensor& table, const Tensor& ids, bool padding) {
  KDEF_CHECK(table.rank() == 2, "embedding: the table must be [R, D], got ", describe(table));
  KDEF_CHECK(ids.numel() < int64_t{1} << 32 && table.shape()[0] < int64_t{1} << 32,
             "embedding: 2^32 ids or rows at most");
  Shape s = ids.shape();
  s.push_back(table.shape()[1]);
  Tensor y = Tensor::empty(s, table.dtype(), table.device());
  KDEF_LAUNCH(table.device(), gather_rows, table, ids, y);
  const int64_t rows = table.shape()[0];
  return record(kEmbeddingInfo, y, {table, ids}, {ids},
                [=](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  return {KDEF_LAUNCH(dy.device(), sum_by_id, c.saved[0], dy, rows, padding)};
                },
                {{"padding", padding}});
}

Tensor pool_sequence(const Tensor& x, const Tensor& ids, PoolMode mode) {
  KDEF_CHECK(x.rank() == 3 && ids.shape() == (Shape{x.shape()[0], x.shape()[1]}), "pool_sequence: ", describe(x),
             " needs ids of its first two sizes, got ", describe(ids));
  Tensor y = Tensor::empty({x.shape()[0], x.shape()[2]}, x.dtype(), x.device());
  const bool average = mode == PoolMode::average;
  KDEF_LAUNCH(x.device(), pool_forward, x, ids, average, y);
  const Shape before = x.shape();
  return record(kPoolInfo, y, {x, ids}, {ids},
                [=](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  Tensor dx = Tensor::empty(before, dy.dtype(), dy.device());
                  KDEF_LAUNCH(dy.device(), pool_backward, dy, c.saved[0], average, dx);
                  return {dx};
                },
                {{"mode", average ? "average" : "sum"}});
}

Attributes field_attributes(const std::vector<EmbedField>& fields) {
  if (!attributes_wanted()) return {};
  std::vector<std::string> kinds;
  std::vector<int64_t> tables, columns, counts;
  for (const EmbedField& field : fields) {
    kinds.push_back(field.kind == EmbedField::Kind::id        ? "id"
                    : field.kind == EmbedField::Kind::average ? "average"
                    : field.kind == EmbedField::Kind::sum     ? "sum"
                                                              : "numeric");
    tables.push_back(field.table);
    columns.push_back(field.column);
    counts.push_back(field.count);
  }
  return {{"kinds", kinds}, {"tables", tables}, {"columns", columns}, {"counts", counts}};
}

Tensor embed_fields(const std::vector<Tensor>& tables, const Tensor& ids, const Tensor& values,
                    const std::vector<EmbedField>& fields) {
  KDEF_CHECK(!tables.empty() && !fields.empty(), "embed_fields: no tables or no fields");
  std::vector<Shape> shapes;
  int64_t d = 0;
  for (const EmbedField& field : fields) {
    KDEF_CHECK(field.table >= 0 && static_cast<size_t>(field.table) < tables.size(), "embed_fields: no table ",
               field.table);
    const Tensor& t = tables[static_cast<size_t>(field.table)];
    const bool numeric = field.kind == EmbedField::Kind::numeric;
    const Tensor& input = numeric ? values : ids;
    KDEF_CHECK(
        input.defined() && input.rank() == 2 && field.column >= 0 && field.column + field.count <= input.shape()[1],
        "embed_fields: columns [", field.column, ", ", field.column + field.count, ") are outside ",
        numeric ? "the values " : "the ids ", describe(input));
    const int64_t width = t.shape()[numeric ? 0 : 1];
    KDEF_CHECK(d == 0 || d == width, "embed_fields: tables of different dimensions ", d, " and ", width);
    d = width;
  }
  for (const Tensor& t : tables) shapes.push_back(t.shape());
  const int64_t rows = ids.defined() ? ids.shape()[0] : values.shape()[0];
  Tensor y = Tensor::empty({rows, static_cast<int64_t>(fields.size()), d}, tables[0].dtype(), tables[0].device());
  KDEF_LAUNCH(y.device(), embed_forward, tables, ids, values, fields, y);
  std::vector<Tensor> inputs = tables;
  inputs.insert(inputs.end(), {ids, values});
  return record(
      kEmbedFieldsInfo, y, std::move(inputs), {ids, values},
      [=](const BackwardContext& c, const Tensor& dy) {
        return KDEF_LAUNCH(dy.device(), embed_backward, shapes, c.needs, c.saved[0], c.saved[1], fields, dy);
      },
      field_attributes(fields));
}

}  // namespace kdef::ops
