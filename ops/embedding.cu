#include <algorithm>
#include <bit>

#include "core/base/integers.h"
#include "core/cuda/launch.cuh"
#include "ops/device/sort.h"
#include "ops/device/tiles.cuh"
#include "ops/embedding.h"
#include "ops/embedding_functors.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::fault;
using kdef::cuda::Fault;
using kdef::cuda::for_each;
using kdef::cuda::for_warps;
using kdef::cuda::kDescribed;
using kdef::cuda::partition_point;
using kdef::cuda::report_id;
using kdef::cuda::Warp;

// Returns the id. An id outside its table is reported, and 0 is returned in its place.
template <class I>
KDEF_DEVICE int64_t checked(I id, int64_t position, int64_t rows, Fault* found) {
  if (id >= 0 && id < rows) return id;
  report_id(found, id, position, rows);
  return 0;
}

template <class T, class I>
struct Gather {
  const T* table;
  const I* ids;
  T* y;
  int64_t rows, d;
  Fault* found;
  KDEF_DEVICE void operator()(int64_t i) const { y[i] = table[checked(ids[i / d], i / d, rows, found) * d + i % d]; }
};

// One thread computes one dimension of one row.
template <class T, class I>
struct Pool {
  const T* x;
  const I* ids;
  T* y;
  int64_t length, d;
  bool average;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t b = i / d, j = i % d;
    const I* id = ids + b * length;
    T total = 0;
    for (int64_t l = 0; l < length; ++l) {
      if (id[l] != 0) total += x[(b * length + l) * d + j];
    }
    y[i] = average ? total * average_factor<T>(count_ids(id, length)) : total;
  }
};

template <class T, class I>
struct PoolBackward {
  const T* dy;
  const I* ids;
  T* dx;
  int64_t length, d;
  bool average;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t b = i / d, j = i % d;
    const I* id = ids + b * length;
    const T g = average ? average_factor<T>(count_ids(id, length)) * dy[i] : dy[i];
    for (int64_t l = 0; l < length; ++l) dx[(b * length + l) * d + j] = id[l] == 0 ? T(0) : g;
  }
};

// One thread computes V elements of y. A launch serves the fields that `field` describes.
template <class T, int V>
struct EmbedForward {
  const int32_t* ids;
  const T* values;
  T* y;
  int64_t columns, numerics, width, d;  // width: numbers in a row of y
  Fault* found;
  int64_t count;
  struct Field {
    const T* table;
    int64_t rows, at;  // at: the field's first number in a row of y
    int32_t column, ids;
    EmbedField::Kind kind;
  } field[kDescribed];

  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t packs = d / V, entry = i / packs, j = (i - entry * packs) * V, b = entry / count;
    const Field& f = field[entry - b * count];
    T* to = y + b * width + f.at + j;
    if (f.kind == EmbedField::Kind::numeric) {
      const T value = values[b * numerics + f.column];
      Pack<T, V> e = load<V>(f.table + j);
      for (int k = 0; k < V; ++k) e[k] *= value;
      return store<V>(e, to);
    }
    const int64_t position = b * columns + f.column;
    const int32_t* id = ids + position;
    if (f.kind == EmbedField::Kind::id) {
      return store<V>(load<V>(f.table + checked(id[0], position, f.rows, found) * d + j), to);
    }
    Pack<T, V> total = {};
    for (int64_t l = 0; l < f.ids; ++l) {
      if (id[l] == 0) continue;
      const Pack<T, V> e = load<V>(f.table + checked(id[l], position + l, f.rows, found) * d + j);
      for (int k = 0; k < V; ++k) total[k] += e[k];
    }
    if (f.kind == EmbedField::Kind::average) {
      const T factor = average_factor<T>(count_ids(id, f.ids));
      for (int k = 0; k < V; ++k) total[k] *= factor;
    }
    store<V>(total, to);
  }
};

// Gradients by rows. Every id of the batch is an entry: a key that names table and row, and the row of dy that it
// contributes. The entries of a table are neighbours, before and after they are sorted by key.

// The entries of a table, before and after sorting.
struct Segment {
  int64_t begin, end;
  int64_t out, capacity;  // the first of the table's rows in the result, and their number
  uint32_t first_key;     // the key of id 0
};

// Lists the ids of the fields that `field` describes, and the factors of their rows of dy. One thread lists one row of
// one field.
template <class T>
struct ListFields {
  const int32_t* ids;
  uint32_t* keys;
  int32_t* sources;
  T* factors;  // one per row of dy; null where all are 1
  int64_t columns, batch, fields;
  struct Field {
    int64_t rows, begin;  // begin: the field's first entry
    uint32_t first_key;
    int32_t number, column, ids;
    bool average;
  } field[kDescribed];

  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t b = i % batch;
    const Field& f = field[i / batch];
    const int32_t* id = ids + b * columns + f.column;
    const int64_t source = b * fields + f.number, first = f.begin + b * f.ids;
    if (factors != nullptr) factors[source] = f.average ? average_factor<T>(count_ids(id, f.ids)) : T(1);
    for (int64_t l = 0; l < f.ids; ++l) {
      // The forward pass has reported ids outside their table.
      const bool inside = id[l] >= 0 && id[l] < f.rows;
      keys[first + l] = f.first_key + static_cast<uint32_t>(inside ? id[l] : 0);
      sources[first + l] = static_cast<int32_t>(source);
    }
  }
};

template <class I>
struct ListIds {
  const I* ids;
  uint32_t* keys;
  int32_t* sources;
  int64_t rows;
  KDEF_DEVICE void operator()(int64_t i) const {
    const bool inside = ids[i] >= 0 && ids[i] < rows;
    keys[i] = static_cast<uint32_t>(inside ? ids[i] : 0);
    sources[i] = static_cast<int32_t>(i);
  }
};

// The sorted entries of the tables that `segment` describes. The tables are neighbours.
struct SortedEntries {
  const uint32_t* keys;
  bool padding;  // id 0 gets no gradient
  int64_t count;
  Segment segment[kDescribed];

  // An entry belongs to the last table that begins at or before it.
  KDEF_DEVICE int64_t table_of(int64_t entry) const {
    return partition_point(0, count, [&](int64_t t) { return segment[t].begin <= entry; }) - 1;
  }
  KDEF_DEVICE bool skipped(int64_t entry, int64_t table) const {
    return padding && keys[entry] == segment[table].first_key;
  }
  // Whether the entry is the first of its id, and the id gets a gradient.
  KDEF_DEVICE bool is_head(int64_t entry, int64_t table) const {
    return !skipped(entry, table) && (entry == 0 || keys[entry] != keys[entry - 1]);
  }
};

struct FindHeads {
  SortedEntries entries;
  int32_t* heads;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t entry = entries.segment[0].begin + i;
    heads[entry] = entries.is_head(entry, entries.table_of(entry));
  }
};

// Finds the row of the result that each entry adds to (-1: none), and writes the result's ids. ranks[e] is the number
// of heads among the entries 0 to e.
struct FindRows {
  SortedEntries entries;
  const int32_t* ranks;
  int32_t* rows;
  int64_t* ids;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t entry = entries.segment[0].begin + i, table = entries.table_of(entry);
    const Segment& s = entries.segment[table];
    const int64_t before = s.begin > 0 ? ranks[s.begin - 1] : 0, distinct = ranks[s.end - 1] - before;
    const int64_t row = s.out + ranks[entry] - before - 1;
    rows[entry] = entries.skipped(entry, table) ? -1 : static_cast<int32_t>(row);
    if (entries.is_head(entry, table)) ids[row] = static_cast<int64_t>(entries.keys[entry] - s.first_key);
    const int64_t place = entry - s.begin;
    if (place >= distinct && place < s.capacity) ids[s.out + place] = kNoRow;
  }
};

// The number of sorted entries that a thread adds up one after the other.
constexpr int64_t kRun = 32;

// One thread adds up one dimension of a tile of kRun sorted entries. Where a tile begins within the entries of a row,
// the sum of its entries of that row goes to `carries`. All other sums go to their row.
template <class T>
struct SumRuns {
  const int32_t *rows, *sources;
  const T *dy, *factors;
  T *values, *carries;
  int64_t n, d;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t tile = i / d, j = i % d, begin = tile * kRun, end = begin + kRun < n ? begin + kRun : n;
    T* to = begin > 0 && rows[begin] == rows[begin - 1] ? &carries[i] : nullptr;
    int32_t row = rows[begin];
    T total = 0;
    for (int64_t e = begin;; ++e) {
      if (e == end || rows[e] != row) {
        if (row >= 0) *(to != nullptr ? to : &values[row * d + j]) = total;
        if (e == end) return;
        to = nullptr;
        row = rows[e];
        total = 0;
      }
      if (row < 0) continue;
      const int64_t source = sources[e];
      const T g = dy[source * d + j];
      total += factors != nullptr ? factors[source] * g : g;
    }
  }
};

// Adds the carries of the rows whose entries begin in a tile and continue in later tiles. One warp serves one tile; its
// lanes share the later tiles.
template <class T>
struct AddCarries {
  const int32_t* rows;
  const T* carries;
  T* values;
  int64_t n, d;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t tile) const {
    const int64_t begin = tile * kRun, last = begin + kRun - 1;
    if (last >= n - 1) return;
    const int32_t row = rows[last];
    const bool begins_before = begin > 0 && rows[begin] == row && rows[begin - 1] == row;
    if (row < 0 || rows[last + 1] != row || begins_before) return;
    for (int64_t j = 0; j < d; ++j) {
      double total = 0;
      for (int64_t t = tile + 1 + lane.id(); t * kRun < n && rows[t * kRun] == row; t += lane.size()) {
        total += static_cast<double>(carries[t * d + j]);
      }
      total = lane.sum(total);
      if (lane.id() == 0) values[row * d + j] = static_cast<T>(static_cast<double>(values[row * d + j]) + total);
    }
  }
};

uint32_t* keys_of(const Tensor& t) { return reinterpret_cast<uint32_t*>(t.data<int32_t>()); }

// Makes the gradients of all tables from their entries: the `keys`, which are less than `max_key`, and the `sources`,
// which name rows of dy.
template <class T>
std::vector<RowGradient> sum_entries(Tensor keys, Tensor sources, const std::vector<Segment>& segments, int64_t max_key,
                                     bool padding, const T* dy, const T* factors, int64_t d) {
  const int64_t n = keys.numel();
  const Device device = keys.device();
  sort_pairs(keys, sources, std::max(1, static_cast<int>(std::bit_width(static_cast<uint64_t>(max_key - 1)))));

  const int64_t total = segments.back().out + segments.back().capacity;
  const Tensor ids = Tensor::empty({total}, DType::i64, device);
  const Tensor heads = Tensor::empty({n}, DType::i32, device), ranks = Tensor::empty_like(heads);
  const auto described = [&](auto&& launch) {
    for (size_t first = 0; first < segments.size(); first += kDescribed) {
      const size_t count = std::min<size_t>(kDescribed, segments.size() - first);
      SortedEntries entries{keys_of(keys), padding, static_cast<int64_t>(count), {}};
      std::copy_n(segments.begin() + static_cast<int64_t>(first), count, entries.segment);
      launch(segments[first + count - 1].end - segments[first].begin, entries);
    }
  };
  described([&](int64_t size, const SortedEntries& entries) {
    for_each(size, FindHeads{entries, heads.data<int32_t>()});
  });
  prefix_sum(heads, ranks);
  const Tensor& rows = heads;  // the heads are counted
  described([&](int64_t size, const SortedEntries& entries) {
    for_each(size, FindRows{entries, ranks.data<int32_t>(), rows.data<int32_t>(), ids.data<int64_t>()});
  });

  const Tensor values = Tensor::empty({total, d}, dtype_of<T>, device);
  const int64_t tiles = divide_up(n, kRun);
  const Tensor carries = Tensor::empty({tiles, d}, dtype_of<T>, device);
  for_each(tiles * d, SumRuns<T>{rows.data<int32_t>(), sources.data<int32_t>(), dy, factors, values.data<T>(),
                                 carries.data<T>(), n, d});
  for_warps(tiles, AddCarries<T>{rows.data<int32_t>(), carries.data<T>(), values.data<T>(), n, d});

  std::vector<RowGradient> gradients;
  for (const Segment& s : segments) gradients.push_back({ids.rows(s.out, s.capacity), values.rows(s.out, s.capacity)});
  return gradients;
}

void check_limits(int64_t entries, int64_t rows, int64_t sources) {
  KDEF_CHECK(entries < int64_t{1} << 31 && sources < int64_t{1} << 31 && rows <= int64_t{1} << 32,
             "embedding: a batch of ", entries, " ids into ", rows,
             " rows of tables; on CUDA less than 2^31 ids and rows of the result, and at most 2^32 rows of tables");
}

// Numeric fields: dw_j = sum_b value_b dy_bj. One thread adds up kRowPart rows of the batch for one dimension of one
// field.
template <class T>
struct NumericParts {
  const T *values, *dy;
  double* partial;  // [fields in `field`, parts, d]
  int64_t batch, numerics, width, d, parts;
  struct Field {
    int64_t at;  // the field's first number in a row of dy
    int32_t column;
  } field[kDescribed];
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % d;
    const Part part(i / d % parts, batch);
    const Field& f = field[i / d / parts];
    double total = 0;
    for (int64_t b = part.begin; b < part.end; ++b) {
      total += static_cast<double>(values[b * numerics + f.column]) * static_cast<double>(dy[b * width + f.at + j]);
    }
    partial[i] = total;
  }
};

// Adds the gradients of the numeric fields among `wanted` to the gradients of their tables.
template <class T>
void add_numeric(const std::vector<size_t>& wanted, const Tensor& values, const std::vector<EmbedField>& fields,
                 const Tensor& dy, std::vector<Gradient>& gradients) {
  const int64_t batch = dy.shape()[0], d = dy.shape()[2], parts = parts_of(batch);
  for (size_t first = 0; first < wanted.size(); first += kDescribed) {
    const int64_t count = std::min<int64_t>(kDescribed, static_cast<int64_t>(wanted.size() - first));
    const Tensor partial = Tensor::empty({count, parts, d}, DType::f64, dy.device());
    const Tensor dw = Tensor::empty({count * d, 1}, dy.dtype(), dy.device());
    NumericParts<T> kernel{values.data<T>(),
                           dy.data<T>(),
                           partial.data<double>(),
                           batch,
                           values.shape()[1],
                           dy.shape()[1] * d,
                           d,
                           parts,
                           {}};
    for (int64_t i = 0; i < count; ++i) {
      const size_t f = wanted[first + static_cast<size_t>(i)];
      kernel.field[i] = {static_cast<int64_t>(f) * d, static_cast<int32_t>(fields[f].column)};
    }
    for_each(count * parts * d, kernel);
    for_each(count * d, AddParts<T>{partial.data<double>(), dw.data<T>(), d, parts, 1.0});
    for (int64_t i = 0; i < count; ++i) {
      const EmbedField& field = fields[wanted[first + static_cast<size_t>(i)]];
      gradients[static_cast<size_t>(field.table)].add(dw.rows(i * d, d));
    }
  }
}

// Adds the gradients of the fields of ids among `wanted`, which is sorted by table, to the gradients of their tables.
template <class T>
void add_rows(const std::vector<size_t>& wanted, const std::vector<Shape>& tables, const Tensor& ids,
              const std::vector<EmbedField>& fields, const Tensor& dy, std::vector<Gradient>& gradients) {
  if (wanted.empty() || dy.numel() == 0) return;
  const int64_t batch = dy.shape()[0], f_count = dy.shape()[1], d = dy.shape()[2];
  std::vector<Segment> segments;
  std::vector<size_t> table_of;  // of each segment
  std::vector<typename ListFields<T>::Field> described;
  int64_t entries = 0, keys_used = 0, out = 0;
  bool average = false;
  for (const size_t number : wanted) {
    const EmbedField& field = fields[number];
    const size_t table = static_cast<size_t>(field.table);
    const int64_t rows = tables[table][0];
    if (table_of.empty() || table_of.back() != table) {
      if (!segments.empty()) out += segments.back().capacity;
      segments.push_back({entries, entries, out, 0, static_cast<uint32_t>(keys_used)});
      table_of.push_back(table);
      keys_used += rows;
    }
    Segment& s = segments.back();
    described.push_back({rows, entries, s.first_key, static_cast<int32_t>(number), static_cast<int32_t>(field.column),
                         static_cast<int32_t>(field.count), field.kind == EmbedField::Kind::average});
    entries += batch * field.count;
    s.end = entries;
    s.capacity = std::min(entries - s.begin, rows);
    average = average || field.kind == EmbedField::Kind::average;
  }
  check_limits(entries, keys_used, batch * f_count);

  const Tensor keys = Tensor::empty({entries}, DType::i32, dy.device()), sources = Tensor::empty_like(keys);
  const Tensor factors = average ? Tensor::empty({batch * f_count}, dy.dtype(), dy.device()) : Tensor();
  T* const factor = average ? factors.data<T>() : nullptr;
  for (size_t first = 0; first < described.size(); first += kDescribed) {
    const size_t count = std::min<size_t>(kDescribed, described.size() - first);
    ListFields<T> kernel{
        ids.data<int32_t>(), keys_of(keys), sources.data<int32_t>(), factor, ids.shape()[1], batch, f_count, {}};
    std::copy_n(described.begin() + static_cast<int64_t>(first), count, kernel.field);
    for_each(static_cast<int64_t>(count) * batch, kernel);
  }
  std::vector<RowGradient> found = sum_entries<T>(keys, sources, segments, keys_used, true, dy.data<T>(), factor, d);
  for (size_t s = 0; s < found.size(); ++s) gradients[table_of[s]].add(std::move(found[s]));
}

}  // namespace

void gather_rows(const Tensor& table, const Tensor& ids, const Tensor& y) {
  for_float(table.dtype(), "embedding", [&]<class T>() {
    for_index(ids.dtype(), "embedding", [&]<class I>() {
      for_each(y.numel(),
               Gather<T, I>{table.data<T>(), ids.data<I>(), y.data<T>(), table.shape()[0], table.shape()[1], fault()});
    });
  });
}

RowGradient sum_by_id(const Tensor& ids, const Tensor& dy, int64_t rows, bool padding) {
  const int64_t n = ids.numel(), d = dy.shape().back();
  return for_float(dy.dtype(), "embedding", [&]<class T>() -> RowGradient {
    if (n == 0) {
      return {Tensor::empty({0}, DType::i64, dy.device()), Tensor::empty({0, d}, dy.dtype(), dy.device())};
    }
    check_limits(n, rows, n);
    const Tensor keys = Tensor::empty({n}, DType::i32, dy.device()), sources = Tensor::empty_like(keys);
    for_index(ids.dtype(), "embedding", [&]<class I>() {
      for_each(n, ListIds<I>{ids.data<I>(), keys_of(keys), sources.data<int32_t>(), rows});
    });
    const std::vector<Segment> all{{0, n, 0, std::min(n, rows), 0}};
    return sum_entries<T>(keys, sources, all, rows, padding, dy.data<T>(), nullptr, d)[0];
  });
}

void pool_forward(const Tensor& x, const Tensor& ids, bool average, const Tensor& y) {
  for_float(x.dtype(), "pool_sequence", [&]<class T>() {
    for_index(ids.dtype(), "pool_sequence", [&]<class I>() {
      for_each(y.numel(), Pool<T, I>{x.data<T>(), ids.data<I>(), y.data<T>(), x.shape()[1], x.shape()[2], average});
    });
  });
}

void pool_backward(const Tensor& dy, const Tensor& ids, bool average, const Tensor& dx) {
  for_float(dy.dtype(), "pool_sequence", [&]<class T>() {
    for_index(ids.dtype(), "pool_sequence", [&]<class I>() {
      for_each(dy.numel(),
               PoolBackward<T, I>{dy.data<T>(), ids.data<I>(), dx.data<T>(), dx.shape()[1], dx.shape()[2], average});
    });
  });
}

void embed_forward(const std::vector<Tensor>& tables, const Tensor& ids, const Tensor& values,
                   const std::vector<EmbedField>& fields, const Tensor& y) {
  const int64_t d = y.shape()[2];
  bool aligned = true;
  for (const Tensor& table : tables) aligned = aligned && reinterpret_cast<uintptr_t>(table.raw()) % 16 == 0;
  with_vectors(aligned ? d : 1, {y.raw()}, [&]<int V>() {
    for_float(y.dtype(), "embed_fields", [&]<class T>() {
      for (size_t first = 0; first < fields.size(); first += kDescribed) {
        const int64_t count = std::min<int64_t>(kDescribed, static_cast<int64_t>(fields.size() - first));
        EmbedForward<T, V> kernel{ids.defined() ? ids.data<int32_t>() : nullptr,
                                  values.defined() ? values.data<T>() : nullptr,
                                  y.data<T>(),
                                  ids.defined() ? ids.shape()[1] : 0,
                                  values.defined() ? values.shape()[1] : 0,
                                  y.shape()[1] * d,
                                  d,
                                  fault(),
                                  count,
                                  {}};
        for (int64_t i = 0; i < count; ++i) {
          const int64_t f = static_cast<int64_t>(first) + i;
          const EmbedField& field = fields[static_cast<size_t>(f)];
          const Tensor& table = tables[static_cast<size_t>(field.table)];
          kernel.field[i] = {table.data<T>(),
                             table.shape()[0],
                             f * d,
                             static_cast<int32_t>(field.column),
                             static_cast<int32_t>(field.count),
                             field.kind};
        }
        for_each(y.shape()[0] * count * (d / V), kernel);
      }
    });
  });
}

std::vector<Gradient> embed_backward(const std::vector<Shape>& tables, const std::vector<bool>& needs,
                                     const Tensor& ids, const Tensor& values, const std::vector<EmbedField>& fields,
                                     const Tensor& dy) {
  std::vector<size_t> numeric, by_id;
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!needs[static_cast<size_t>(fields[f].table)]) continue;
    (fields[f].kind == EmbedField::Kind::numeric ? numeric : by_id).push_back(f);
  }
  std::stable_sort(by_id.begin(), by_id.end(), [&](size_t a, size_t b) { return fields[a].table < fields[b].table; });
  std::vector<Gradient> gradients(tables.size());
  for_float(dy.dtype(), "embed_fields", [&]<class T>() {
    add_numeric<T>(numeric, values, fields, dy, gradients);
    add_rows<T>(by_id, tables, ids, fields, dy, gradients);
  });
  return gradients;
}

}  // namespace kdef::ops::cuda
