#include <algorithm>
#include <type_traits>

#include "core/parallel.h"
#include "ops/distinct.h"
#include "ops/vectors.h"

// A result has N columns, of which kVec at a time, a block, make a vector: a table of a field has one vector per
// distinct id, one cache line in fp32. Look-ups are done for a group of fields at a time, whose tables lie in cache
// together.

namespace kdef::ops::cpu {
namespace {

// Look-ups that are done together: in so many rows of tables at most, unless one alone has more.
constexpr size_t kTogether = 8;
constexpr int64_t kRowsTogether = 8192;
// The blocks are shared out in so many parts backward, of which each has its own sums for the gradient of the rows.
constexpr int64_t kShares = 8;

// The look-ups [first, end).
struct Group {
  size_t first, end;
};

// Rows of the tables of a look-up: of its members, and of their combinations.
int64_t table_rows(const DistinctIds& distinct, const Lookup& lookup) {
  int64_t rows = lookup.parts.empty() ? 0 : lookup.count;
  for (const size_t f : lookup.members) rows += distinct.first[f + 1] - distinct.first[f];
  return rows;
}

std::vector<Group> groups_of(const DistinctIds& distinct) {
  std::vector<Group> groups;
  int64_t rows = 0;
  for (size_t l = 0; l < distinct.lookups.size(); ++l) {
    const int64_t own = table_rows(distinct, distinct.lookups[l]);
    if (groups.empty() || groups.back().end - groups.back().first == kTogether || rows + own > kRowsTogether) {
      groups.push_back({l, l});
      rows = 0;
    }
    groups.back().end = l + 1;
    rows += own;
  }
  return groups;
}

// Rows of tables that every group has room in, for batches of this size.
int64_t room_for(const DistinctIds& distinct) {
  int64_t rows = std::max(kRowsTogether, distinct.index.shape()[1]);
  for (const Lookup& lookup : distinct.lookups) rows = std::max(rows, table_rows(distinct, lookup));
  return rows;
}

// weight[j0 + j, column + k] as w[k][j], zero beyond the last row.
template <class T>
void load_lanes(const T* weight, int64_t rows, int64_t stride, int64_t j0, int64_t column, int64_t d, Vec<T>* w) {
  for (int64_t k = 0; k < d; ++k) {
    for (int64_t j = 0; j < kVec; ++j) w[k][j] = j0 + j < rows ? weight[(j0 + j) * stride + column + k] : T(0);
  }
}

// Calls fn with std::integral_constant<int64_t, n> for an n of 1 .. kTogether.
template <int64_t N = kTogether, class Fn>
void with_constant(int64_t n, Fn&& fn) {
  if constexpr (N > 1) {
    if (n < N) return with_constant<N - 1>(n, fn);
  }
  fn(std::integral_constant<int64_t, N>());
}

// The loops below are functions of their own, not to be inlined: their vectors then stay in registers.

// to[u] (+)= sum over k < count of x[u, k] w[k], rows of x `stride` apart. An addition waits for the one before it: so
// many rows side by side.
template <bool kAdd, class T>
[[gnu::noinline]] void multiply(const T* x, int64_t rows, int64_t stride, const Vec<T>* w, int64_t count, Vec<T>* to) {
  const auto all = [=](const auto n) {
    Vec<T> own[kVec];
    for (int64_t k = 0; k < n; ++k) own[k] = w[k];
    const auto some = [=, &own](int64_t u, const auto together) {
      Vec<T> sums[together];
      for (int64_t i = 0; i < together; ++i) sums[i] = kAdd ? to[u + i] : Vec<T>{};
      for (int64_t k = 0; k < n; ++k) {
        for (int64_t i = 0; i < together; ++i) sums[i] += x[(u + i) * stride + k] * own[k];
      }
      for (int64_t i = 0; i < together; ++i) to[u + i] = sums[i];
    };
    int64_t u = 0;
    for (; u + 8 <= rows; u += 8) some(u, std::integral_constant<int64_t, 8>());
    for (; u < rows; ++u) some(u, std::integral_constant<int64_t, 1>());
  };
  // The usual count is a constant.
  if (count == kVec) {
    all(std::integral_constant<int64_t, kVec>());
  } else {
    all(count);
  }
}

// to[k] = sum over u of x[u, k] y[u] for k < count.
template <class T>
[[gnu::noinline]] void sum_products(const T* x, int64_t rows, int64_t stride, const Vec<T>* y, int64_t count,
                                    Vec<T>* to) {
  const auto sum = [=](const auto n) {
    Vec<T> own[kVec] = {};
    for (int64_t u = 0; u < rows; ++u) {
      for (int64_t k = 0; k < n; ++k) own[k] += x[u * stride + k] * y[u];
    }
    for (int64_t k = 0; k < n; ++k) to[k] = own[k];
  };
  if (count == kVec) {
    sum(std::integral_constant<int64_t, kVec>());
  } else {
    sum(count);
  }
}

// What a group's look-ups read or write: a table each, and per row of the batch its place there.
template <class T>
struct Places {
  Vec<T>* table[kTogether];
  const int32_t* index[kTogether];
};

// sums[b] += the rows' vectors of N tables.
template <int64_t N, class T>
[[gnu::noinline]] void gather(const Places<T>& from, int64_t rows, Vec<T>* sums) {
  const Places<T> own = from;
  for (int64_t b = 0; b < rows; ++b) {
    Vec<T> sum = sums[b];
    for (int64_t l = 0; l < N; ++l) sum += own.table[l][own.index[l][b]];
    sums[b] = sum;
  }
}

// The rows' vectors of N tables += values[b].
template <int64_t N, class T>
[[gnu::noinline]] void scatter(const Vec<T>* values, int64_t rows, const Places<T>& to) {
  const Places<T> own = to;
  for (int64_t b = 0; b < rows; ++b) {
    const Vec<T> value = values[b];
    for (int64_t l = 0; l < N; ++l) own.table[l][own.index[l][b]] += value;
  }
}

// The tables of a group for one block of columns, one behind the other from `room` on.
template <class T>
class GroupTables {
 public:
  GroupTables(const DistinctIds& distinct, const Group& group, Vec<T>* room)
      : distinct_(distinct), group_(group), begin_(room), end_(room) {
    const auto take = [&](int64_t rows) {
      Vec<T>* from = end_;
      end_ += rows;
      return from;
    };
    for (size_t l = group.first; l < group.end; ++l) {
      const Lookup& lookup = distinct.lookups[l];
      for (const size_t f : lookup.members) tables_.push_back(take(distinct.first[f + 1] - distinct.first[f]));
      places_.table[l - group.first] = lookup.parts.empty() ? tables_.back() : take(lookup.count);
      places_.index[l - group.first] = lookup.index.data<int32_t>();
    }
  }

  /// Calls fn(position of the field, its table) for the fields of the group.
  template <class Fn>
  void for_fields(Fn&& fn) const {
    size_t t = 0;
    for (size_t l = group_.first; l < group_.end; ++l) {
      for (const size_t f : distinct_.lookups[l].members) fn(f, tables_[t++]);
    }
  }
  /// Adds up the fields' tables for combinations.
  void combine() const {
    for_parts([](Vec<T>* sums, const Vec<T>* part, const int32_t* of, int64_t count, bool first) {
      for (int64_t c = 0; c < count; ++c) sums[c] = first ? part[of[c]] : sums[c] + part[of[c]];
    });
  }
  /// The gradient of combine().
  void spread() const {
    for_parts([](const Vec<T>* sums, Vec<T>* part, const int32_t* of, int64_t count, bool) {
      for (int64_t c = 0; c < count; ++c) part[of[c]] += sums[c];
    });
  }
  void clear() const { std::fill(begin_, end_, Vec<T>{}); }
  const Places<T>& places() const { return places_; }
  int64_t lookups() const { return static_cast<int64_t>(group_.end - group_.first); }

 private:
  // Calls fn(combinations, table of a member, its place per combination, combinations, whether it is the first member).
  template <class Fn>
  void for_parts(Fn&& fn) const {
    size_t t = 0;
    for (size_t l = group_.first; l < group_.end; ++l) {
      const Lookup& lookup = distinct_.lookups[l];
      for (size_t m = 0; m < lookup.parts.size(); ++m) {
        fn(places_.table[l - group_.first], tables_[t + m], lookup.parts[m].data<int32_t>(), lookup.count, m == 0);
      }
      t += lookup.members.size();
    }
  }

  const DistinctIds& distinct_;
  Group group_;
  Vec<T>*begin_, *end_;
  std::vector<Vec<T>*> tables_;
  Places<T> places_;
};

template <class T>
Vec<T>* vectors(const Tensor& t) {
  return reinterpret_cast<Vec<T>*>(t.data<T>());
}

}  // namespace

void distinct_forward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& bias,
                      const Tensor& y) {
  for_float(y.dtype(), "distinct_linear", [&]<class T>() {
    using V = Vec<T>;
    const int64_t batch = y.shape()[0], n = y.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
    const T *r = rows.data<T>(), *w = weight.data<T>();
    T* out = y.data<T>();
    const std::vector<Group> groups = groups_of(distinct);
    const int64_t room = room_for(distinct);
    parallel_for(divide_up(n, kVec), 1, [&](int64_t block, int64_t) {
      const int64_t j0 = block * kVec, live = std::min(kVec, n - j0);
      const Tensor scratch = Tensor::empty({(batch + d + room) * kVec}, y.dtype());
      V *sums = vectors<T>(scratch), *lanes = sums + batch, *tables = lanes + d;
      if (bias.defined()) {
        std::fill_n(sums, batch, load(bias.data<T>() + j0, live));
      } else {
        for (int64_t b = 0; b < batch; ++b) sums[b] = load(out + b * n + j0, live);
      }
      for (const Group& group : groups) {
        const GroupTables<T> of(distinct, group, tables);
        of.for_fields([&](size_t f, V* table) {
          const int64_t first = distinct.first[f], count = distinct.first[f + 1] - first;
          load_lanes(w, n, width, j0, static_cast<int64_t>(distinct.fields[f]) * d, d, lanes);
          multiply<false>(r + first * d, count, d, lanes, std::min(kVec, d), table);
          for (int64_t k0 = kVec; k0 < d; k0 += kVec) {
            multiply<true>(r + first * d + k0, count, d, lanes + k0, std::min(kVec, d - k0), table);
          }
        });
        of.combine();
        with_constant(of.lookups(), [&](const auto lookups) { gather<lookups>(of.places(), batch, sums); });
      }
      for (int64_t b = 0; b < batch; ++b) store(sums[b], live, out + b * n + j0);
    });
  });
}

void distinct_backward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& dy,
                       const Tensor& drows, const Tensor& dweight) {
  for_float(dy.dtype(), "distinct_linear", [&]<class T>() {
    using V = Vec<T>;
    const int64_t batch = dy.shape()[0], n = dy.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
    const int64_t blocks = divide_up(n, kVec), parts = divide_up(d, kVec), shares = std::min(kShares, blocks);
    const T *r = rows.data<T>(), *w = weight.data<T>(), *g = dy.data<T>();
    const std::vector<Group> groups = groups_of(distinct);
    const int64_t room = room_for(distinct);
    // What each share of the blocks adds to drows, in vectors of its columns.
    const Tensor row_sums =
        drows.defined() ? Tensor::empty({shares, parts, distinct.most, kVec}, dy.dtype()) : Tensor();
    parallel_for(shares, 1, [&](int64_t share, int64_t) {
      const Tensor scratch = Tensor::empty({(batch + std::max(d, kVec) + room) * kVec}, dy.dtype());
      V *values = vectors<T>(scratch), *lanes = values + batch, *tables = lanes + std::max(d, kVec);
      const int64_t begin = share * blocks / shares, end = (share + 1) * blocks / shares;
      for (int64_t block = begin; block < end; ++block) {
        const int64_t j0 = block * kVec, live = std::min(kVec, n - j0);
        for (int64_t b = 0; b < batch; ++b) values[b] = load(g + b * n + j0, live);
        for (const Group& group : groups) {
          // s: the sums of dy by id.
          const GroupTables<T> of(distinct, group, tables);
          of.clear();
          with_constant(of.lookups(), [&](const auto lookups) { scatter<lookups>(values, batch, of.places()); });
          of.spread();
          of.for_fields([&](size_t f, const V* table) {
            const int64_t first = distinct.first[f], count = distinct.first[f + 1] - first;
            const int64_t column = static_cast<int64_t>(distinct.fields[f]) * d;
            if (dweight.defined()) {  // dW_f = s^T r
              for (int64_t k0 = 0; k0 < d; k0 += kVec) {
                sum_products(r + first * d + k0, count, d, table, std::min(kVec, d - k0), lanes + k0);
              }
              T* to = dweight.data<T>() + j0 * width + column;
              for (int64_t j = 0; j < live; ++j) {
                for (int64_t k = 0; k < d; ++k) to[j * width + k] = lanes[k][j];
              }
            }
            for (int64_t part = 0; part < (drows.defined() ? parts : 0); ++part) {  // dr = s W_f
              const T* columns = w + j0 * width + column + part * kVec;
              for (int64_t j = 0; j < live; ++j) lanes[j] = load(columns + j * width, d - part * kVec);
              (block == begin
                   ? multiply<false, T>
                   : multiply<true, T>)(reinterpret_cast<const T*>(table), count, kVec, lanes, live,
                                        vectors<T>(row_sums) + (share * parts + part) * distinct.most + first);
            }
          });
        }
      }
    });
    if (!drows.defined()) return;
    T* out = drows.data<T>();
    parallel_for(rows.shape()[0], 512, [&](int64_t first, int64_t last) {
      for (int64_t part = 0; part < parts; ++part) {
        const V* from = vectors<T>(row_sums) + part * distinct.most;
        for (int64_t u = first; u < last; ++u) {
          V sum = from[u];
          for (int64_t share = 1; share < shares; ++share) sum += from[share * parts * distinct.most + u];
          store(sum, std::min(kVec, d - part * kVec), out + u * d + part * kVec);
        }
      }
    });
  });
}

}  // namespace kdef::ops::cpu
