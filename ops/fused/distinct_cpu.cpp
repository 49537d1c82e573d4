#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/base/parallel.h"
#include "ops/device/vectors.h"
#include "ops/fused/distinct.h"
#include "ops/gemm/route.h"

// The N columns of the result are computed in blocks of kVec columns. For one block, a field has a table with one
// vector of kVec numbers per distinct id: one cache line in fp32. Look-ups are done for one group of fields at a time;
// the tables of a group fit in cache together.

namespace kdef::ops::cpu {
namespace {

// The maximum number of look-ups in one group, and of rows in their tables. (A single look-up may have more rows.)
constexpr size_t kTogether = 8;
constexpr int64_t kRowsTogether = 8192;
// The number of blocks of columns that one sweep over dy copies: their numbers lie side by side in a row of dy.
constexpr int64_t kAhead = 2;
// In the backward pass, the blocks are divided among this many shares. Each share has its own sums for the gradient of
// the rows.
constexpr int64_t kShares = 6;

// The look-ups [first, end).
struct Group {
  size_t first, end;
};

// The number of table rows of a look-up: those of its members, and those of their combinations.
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

// Table rows for which memory is reserved: enough for every group, and alike for batches of one size.
int64_t rows_reserved_for(const DistinctIds& distinct) {
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

// to[j, k] = w[k][j] for j < rows and k < d. The rows of `to` are `stride` apart.
template <class T>
void store_lanes(const Vec<T>* w, int64_t rows, int64_t d, int64_t stride, T* to) {
  for (int64_t j = 0; j < rows; ++j) {
    for (int64_t k = 0; k < d; ++k) to[j * stride + k] = w[k][j];
  }
}

// Calls fn with std::integral_constant<int64_t, n>, for n from 1 to kTogether, so that fn can use n as a constant. (The
// parameters named `together` and `n` below receive such constants.)
template <int64_t N = kTogether, class Fn>
void with_constant(int64_t n, Fn&& fn) {
  if constexpr (N > 1) {
    if (n < N) return with_constant<N - 1>(n, fn);
  }
  fn(std::integral_constant<int64_t, N>());
}

// Calls some(first row, number of rows) for eight rows at a time, and then for the remaining rows one by one.
template <class Fn>
void in_eights(int64_t rows, const Fn& some) {
  int64_t u = 0;
  for (; u + 8 <= rows; u += 8) some(u, std::integral_constant<int64_t, 8>());
  for (; u < rows; ++u) some(u, std::integral_constant<int64_t, 1>());
}

// The loops below are functions that must not be inlined: only then do their vectors stay in registers.

// to[u] (+)= sum over k < count of x[u, k] w[k]. The rows of x are `stride` apart. An addition waits for the one before
// it in the same sum; eight rows are computed side by side to fill the wait.
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
    in_eights(rows, some);
  };
  // The compiler unrolls the loop for the usual count.
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

// The same two loops for operands in bf16, with kVec numbers k. The processor multiplies bf16 numbers in pairs; an
// int32_t holds one pair.
#if defined(__AVX512BF16__)
constexpr bool kHasBf16Pairs = true;
using Pairs = __m512i;

__m512 packed(const Vec<float>& v) { return reinterpret_cast<__m512>(v); }

// Element j is the pair of a[j] and b[j].
Pairs pairs(const Vec<float>& a, const Vec<float>& b) {
  const auto rounded = [](const Vec<float>& v) {
    return _mm512_maskz_cvtepu16_epi32(0xFFFF, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(packed(v))));
  };
  return _mm512_or_si512(rounded(a), _mm512_maskz_slli_epi32(0xFFFF, rounded(b), 16));
}
void store_both(const Pairs& v, int32_t* to) { std::memcpy(to, &v, sizeof v); }
// Pairs of neighbours.
void store_pairs(const Vec<float>& v, int32_t* to) {
  const __m256bh rounded = _mm512_cvtneps_pbh(packed(v));
  std::memcpy(to, &rounded, sizeof rounded);
}
void add_pairs(Vec<float>& sum, int32_t a, const Pairs& b) {
  sum = reinterpret_cast<Vec<float>>(
      _mm512_dpbf16_ps(packed(sum), reinterpret_cast<__m512bh>(_mm512_set1_epi32(a)), reinterpret_cast<__m512bh>(b)));
}
#else
constexpr bool kHasBf16Pairs = false;
using Pairs = Vec<int32_t>;
Pairs pairs(const Vec<float>&, const Vec<float>&) {
  throw Error("distinct_linear: this build has no AVX512-BF16 instructions");
}
void store_both(const Pairs&, int32_t*) {}
void store_pairs(const Vec<float>&, int32_t*) {}
void add_pairs(Vec<float>&, int32_t, const Pairs&) {}
#endif
constexpr int64_t kPairs = kVec / 2;

// Rounds rows of kVec numbers to bf16, and stores each row as kPairs pairs of neighbours.
[[gnu::noinline]] void round_rows(const float* x, int64_t rows, int32_t* to) {
  for (int64_t u = 0; u < rows; ++u) store_pairs(load(x + u * kVec), to + u * kPairs);
}
// Rounds rows to bf16, and stores the pairs of one row and the next: kVec pairs for two rows. An odd last row is paired
// with zeros.
void pair_rows(const float* x, int64_t rows, int32_t* to) {
  for (int64_t u = 0; u < rows; u += 2) {
    const Vec<float> next = u + 1 < rows ? load(x + (u + 1) * kVec) : Vec<float>{};
    store_both(pairs(load(x + u * kVec), next), to + u / 2 * kVec);
  }
}

// x is as round_rows() makes it.
template <bool kAdd>
[[gnu::noinline]] void multiply_rounded(const int32_t* x, int64_t rows, const Vec<float>* w, Vec<float>* to) {
  Pairs own[kPairs];
  for (int64_t k = 0; k < kPairs; ++k) own[k] = pairs(w[2 * k], w[2 * k + 1]);
  const auto some = [=, &own](int64_t u, const auto together) {
    Vec<float> sums[together];
    for (int64_t i = 0; i < together; ++i) sums[i] = kAdd ? to[u + i] : Vec<float>{};
    for (int64_t k = 0; k < kPairs; ++k) {
      for (int64_t i = 0; i < together; ++i) add_pairs(sums[i], x[(u + i) * kPairs + k], own[k]);
    }
    for (int64_t i = 0; i < together; ++i) to[u + i] = sums[i];
  };
  in_eights(rows, some);
}

// x is as pair_rows() makes it.
[[gnu::noinline]] void sum_products_rounded(const int32_t* x, int64_t rows, const Vec<float>* y, Vec<float>* to) {
  Vec<float> own[kVec] = {};
  for (int64_t u = 0; u < rows; u += 2) {
    const Pairs both = pairs(y[u], u + 1 < rows ? y[u + 1] : Vec<float>{});
    for (int64_t k = 0; k < kVec; ++k) add_pairs(own[k], x[u / 2 * kVec + k], both);
  }
  for (int64_t k = 0; k < kVec; ++k) to[k] = own[k];
}

// The tables that the look-ups of a group read or write, and for each table the place of every row of the batch.
template <class T>
struct Places {
  Vec<T>* table[kTogether];
  const int32_t* index[kTogether];
};

// Calls put(b, start(b) + the sum of row b's vectors in N tables) for every row b of the batch.
template <int64_t N, class T, class Start, class Put>
[[gnu::noinline]] void gather(const Places<T>& from, int64_t rows, const Start start, const Put put) {
  const Places<T> own = from;
  for (int64_t b = 0; b < rows; ++b) {
    Vec<T> sum = start(b);
    for (int64_t l = 0; l < N; ++l) sum += own.table[l][own.index[l][b]];
    put(b, sum);
  }
}

// The numbers of a row in one block.
template <class U>
struct Piece {
  U numbers[kVec];
};

// pieces[i rows + b] = the numbers of row b of dy in block i of N, zero beyond the `columns` that are left in dy.
// `sums` gets the sums of these numbers over the rows.
template <int64_t N, class T, class U>
[[gnu::noinline]] void take_blocks(const U* dy, int64_t rows, int64_t stride, int64_t columns, Piece<U>* pieces,
                                   double (*sums)[kVec]) {
  for (int64_t first = 0; first < rows; first += kRowPart) {
    Vec<T> part[N] = {};
    for (int64_t b = first; b < std::min(rows, first + kRowPart); ++b) {
      for (int64_t i = 0; i < N; ++i) {
        Piece<U>& piece = pieces[i * rows + b];
        const U* from = dy + b * stride + i * kVec;
        if ((i + 1) * kVec <= columns) {
          std::memcpy(&piece, from, sizeof piece);
        } else {
          piece = {};
          std::copy_n(from, columns - i * kVec, piece.numbers);
        }
        part[i] += load_operands(piece.numbers);
      }
    }
    for (int64_t i = 0; i < N; ++i) {
      for (int64_t j = 0; j < kVec; ++j) sums[i][j] += static_cast<double>(part[i][j]);
    }
  }
}

// Adds values[b] to row b's vector in each of N tables, for every row b of the batch.
template <int64_t N, class T, class U>
[[gnu::noinline]] void scatter(const Piece<U>* values, int64_t rows, const Places<T>& to) {
  const Places<T> own = to;
  for (int64_t b = 0; b < rows; ++b) {
    const Vec<T> value = load_operands(values[b].numbers);
    for (int64_t l = 0; l < N; ++l) own.table[l][own.index[l][b]] += value;
  }
}

// The tables of a group for one block of columns, one after the other in `memory`.
template <class T>
class GroupTables {
 public:
  GroupTables(const DistinctIds& distinct, const Group& group, Vec<T>* memory)
      : distinct_(distinct), group_(group), begin_(memory) {
    for (size_t l = group.first; l < group.end; ++l) {
      const Lookup& lookup = distinct.lookups[l];
      for (const size_t f : lookup.members) {
        fields_.push_back(rows_);
        rows_ += distinct.first[f + 1] - distinct.first[f];
      }
      places_.table[l - group.first] = begin_ + (lookup.parts.empty() ? fields_.back() : rows_);
      places_.index[l - group.first] = lookup.index.data<int32_t>();
      if (!lookup.parts.empty()) rows_ += lookup.count;
    }
  }

  /// Calls fn(position of the field, its table) for the fields of the group.
  template <class Fn>
  void for_fields(Fn&& fn) const {
    size_t t = 0;
    for (size_t l = group_.first; l < group_.end; ++l) {
      for (const size_t f : distinct_.lookups[l].members) fn(f, begin_ + fields_[t++]);
    }
  }
  /// Adds up the fields' tables for combinations.
  void combine() const {
    for_shared([](Vec<T>* sums, int64_t count, const std::vector<Member>& members) {
      const auto [first, of_first] = members[0];
      const auto [second, of_second] = members[1];
      for (int64_t c = 0; c < count; ++c) sums[c] = first[of_first[c]] + second[of_second[c]];
      for (size_t m = 2; m < members.size(); ++m) {
        const auto [table, of] = members[m];
        for (int64_t c = 0; c < count; ++c) sums[c] += table[of[c]];
      }
    });
  }
  /// The gradient of combine().
  void spread() const {
    for_shared([](const Vec<T>* sums, int64_t count, const std::vector<Member>& members) {
      for (const auto [table, of] : members) {
        for (int64_t c = 0; c < count; ++c) table[of[c]] += sums[c];
      }
    });
  }
  void clear() const { std::fill_n(begin_, rows_, Vec<T>{}); }
  const Places<T>& places() const { return places_; }
  int64_t lookups() const { return static_cast<int64_t>(group_.end - group_.first); }

 private:
  // A field that shares a look-up: its table, and which row of the table belongs to each combination.
  struct Member {
    Vec<T>* table;
    const int32_t* of;
  };
  // Calls fn(combinations, their number, members) for each look-up that two or more fields share.
  template <class Fn>
  void for_shared(Fn&& fn) const {
    size_t t = 0;
    std::vector<Member> members;
    for (size_t l = group_.first; l < group_.end; ++l) {
      const Lookup& lookup = distinct_.lookups[l];
      members.clear();
      for (size_t m = 0; m < lookup.parts.size(); ++m) {
        members.push_back({begin_ + fields_[t + m], lookup.parts[m].data<int32_t>()});
      }
      if (!members.empty()) fn(places_.table[l - group_.first], lookup.count, members);
      t += lookup.members.size();
    }
  }

  const DistinctIds& distinct_;
  Group group_;
  Vec<T>* begin_;
  int64_t rows_ = 0;
  std::vector<int64_t> fields_;  // where their tables begin
  Places<T> places_;
};

template <class T>
Vec<T>* vectors(const Tensor& t) {
  return reinterpret_cast<Vec<T>*>(t.data<T>());
}

// The products of a field, for one block of columns.
template <class T>
class FieldProducts {
 public:
  /// rows [U, D]; `rounded` as rounds() says.
  FieldProducts(const Tensor& rows, const DistinctIds& distinct, bool rounded)
      : rows_(rows.data<T>()), d_(rows.shape()[1]), distinct_(distinct), rounded_(rounded) {}

  /// table[u] = sum over k of r[u, k] w[k]
  void table(size_t f, const Vec<T>* w, Vec<T>* table) const {
    if constexpr (std::is_same_v<T, float>) {
      if (rounded_) return multiply_rounded<false>(rounded_rows_.data() + first(f) * kPairs, count(f), w, table);
    }
    multiply<false>(rows(f), count(f), d_, w, std::min(kVec, d_), table);
    for (int64_t k = kVec; k < d_; k += kVec) {
      multiply<true>(rows(f) + k, count(f), d_, w + k, std::min(kVec, d_ - k), table);
    }
  }
  /// dw[k] = sum over u of r[u, k] s[u]
  void weight_gradient(size_t f, const Vec<T>* s, Vec<T>* dw) const {
    if constexpr (std::is_same_v<T, float>) {
      if (rounded_) return sum_products_rounded(paired_rows_.data() + paired(f), count(f), s, dw);
    }
    for (int64_t k = 0; k < d_; k += kVec) {
      sum_products(rows(f) + k, count(f), d_, s, std::min(kVec, d_ - k), dw + k);
    }
  }
  /// dr[u] = sum over j of s[u][j] w[j]; with `add`, the sum is added to dr[u]
  void rows_gradient(size_t f, const Vec<T>* s, const Vec<T>* w, bool add, Vec<T>* dr) const {
    const T* numbers = reinterpret_cast<const T*>(s);
    if constexpr (std::is_same_v<T, float>) {
      if (rounded_) {
        thread_local std::vector<int32_t> of_s;
        if (static_cast<int64_t>(of_s.size()) < count(f) * kPairs) of_s.resize(static_cast<size_t>(count(f) * kPairs));
        round_rows(numbers, count(f), of_s.data());
        return (add ? multiply_rounded<true> : multiply_rounded<false>)(of_s.data(), count(f), w, dr);
      }
    }
    (add ? multiply<true, T> : multiply<false, T>)(numbers, count(f), kVec, w, kVec, dr);
  }

  /// To be called before table() or weight_gradient() respectively.
  void round_for_tables() {
    if constexpr (std::is_same_v<T, float>) {
      if (!rounded_) return;
      rounded_rows_.resize(static_cast<size_t>(distinct_.first.back() * kPairs));
      round_rows(rows_, distinct_.first.back(), rounded_rows_.data());
    }
  }
  void round_for_weight_gradient() {
    if constexpr (std::is_same_v<T, float>) {
      if (!rounded_) return;
      paired_rows_.resize(static_cast<size_t>(paired(distinct_.fields.size())));
      for (size_t f = 0; f < distinct_.fields.size(); ++f)
        pair_rows(rows(f), count(f), paired_rows_.data() + paired(f));
    }
  }

 private:
  int64_t first(size_t f) const { return distinct_.first[f]; }
  int64_t count(size_t f) const { return distinct_.first[f + 1] - distinct_.first[f]; }
  const T* rows(size_t f) const { return rows_ + first(f) * d_; }
  // Where the pairs of rows of field f begin: a field may have an odd number of rows.
  int64_t paired(size_t f) const { return (first(f) / 2 + static_cast<int64_t>(f)) * kVec; }

  const T* rows_;
  int64_t d_;
  const DistinctIds& distinct_;
  bool rounded_;
  std::vector<int32_t> rounded_rows_, paired_rows_;  // as round_rows() and pair_rows() make them
};

}  // namespace

bool rounds_distinct(int64_t batch, const Tensor& weight, int64_t d) {
  Gemm g;
  g.m = batch;
  g.n = weight.shape()[0];
  g.k = d;
  return kHasBf16Pairs && d == kVec && route(g, weight).precision == GemmPrecision::bf16;
}

void distinct_forward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& bias,
                      const Tensor& y) {
  for_float(y.dtype(), "distinct_linear", [&]<class T>() {
    using V = Vec<T>;
    const int64_t batch = y.shape()[0], n = y.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
    const T* w = weight.data<T>();
    T* out = y.data<T>();
    const std::vector<Group> groups = groups_of(distinct);
    KDEF_CHECK(!groups.empty(), "distinct_linear: the batch's ids were found for another device than the CPU");
    const int64_t reserved = rows_reserved_for(distinct);
    FieldProducts<T> products(rows, distinct, rounds_distinct(batch, weight, d));
    products.round_for_tables();
    parallel_for(divide_up(n, kVec), 1, [&](int64_t block, int64_t) {
      const int64_t j0 = block * kVec, live = std::min(kVec, n - j0);
      const Tensor scratch = Tensor::empty({(batch + d + reserved) * kVec}, y.dtype());
      V *sums = vectors<T>(scratch), *lanes = sums + batch, *tables = lanes + d;
      const V start = bias.defined() ? load(bias.data<T>() + j0, live) : V{};
      if (!bias.defined()) {
        for (int64_t b = 0; b < batch; ++b) sums[b] = load(out + b * n + j0, live);
      }
      const auto from_bias = [start](int64_t) { return start; };
      const auto from_sums = [sums](int64_t b) { return sums[b]; };
      const auto to_sums = [sums](int64_t b, const V& sum) { sums[b] = sum; };
      const auto to_result = [to = out + j0, n](int64_t b, const V& sum) { stream(sum, to + b * n); };
      const bool streams = rows_can_stream(out, n);
      for (const Group& group : groups) {
        const GroupTables<T> of(distinct, group, tables);
        of.for_fields([&](size_t f, V* table) {
          load_lanes(w, n, width, j0, static_cast<int64_t>(distinct.fields[f]) * d, d, lanes);
          products.table(f, lanes, table);
        });
        of.combine();
        with_constant(of.lookups(), [&](const auto lookups) {
          const auto add = [&](const auto& from) {
            if (streams && &group == &groups.back())
              gather<lookups>(of.places(), batch, from, to_result);
            else
              gather<lookups>(of.places(), batch, from, to_sums);
          };
          if (bias.defined() && &group == &groups.front())
            add(from_bias);
          else
            add(from_sums);
        });
      }
      if (streams) return end_streams();
      for (int64_t b = 0; b < batch; ++b) store(sums[b], live, out + b * n + j0);
    });
  });
}

namespace {

// drows [U, D] = the sums of all shares, in the order of the shares; row_sums [shares, parts of D, rows, kVec].
template <class T>
void add_shares(const Tensor& row_sums, const Tensor& drows) {
  const int64_t shares = row_sums.shape()[0], parts = row_sums.shape()[1], capacity = row_sums.shape()[2],
                d = drows.shape()[1];
  T* out = drows.data<T>();
  constexpr int64_t kRowsPerPiece = 512;  // enough work for one thread to hide the cost of handing it out
  parallel_for(drows.shape()[0], kRowsPerPiece, [&](int64_t first, int64_t last) {
    for (int64_t part = 0; part < parts; ++part) {
      const Vec<T>* from = vectors<T>(row_sums) + part * capacity;
      for (int64_t u = first; u < last; ++u) {
        Vec<T> sum = from[u];
        for (int64_t share = 1; share < shares; ++share) sum += from[share * parts * capacity + u];
        store(sum, std::min(kVec, d - part * kVec), out + u * d + part * kVec);
      }
    }
  });
}

// U is the type of dy.
template <class T, class U>
void backward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& dy,
              const Tensor& drows, const Tensor& dweight, const Tensor& dbias) {
  using V = Vec<T>;
  const int64_t batch = dy.shape()[0], n = dy.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
  const int64_t blocks = divide_up(n, kVec), parts = divide_up(d, kVec), shares = std::min(kShares, blocks);
  const T* w = weight.data<T>();
  const U* g = dy.data<U>();
  const std::vector<Group> groups = groups_of(distinct);
  const int64_t reserved = rows_reserved_for(distinct);
  FieldProducts<T> products(rows, distinct, rounds_distinct(batch, weight, d));
  products.round_for_weight_gradient();
  // What each share of the blocks adds to drows, in vectors of its columns.
  const Tensor row_sums =
      drows.defined() ? Tensor::empty({shares, parts, distinct.capacity, kVec}, weight.dtype()) : Tensor();
  parallel_for(shares, 1, [&](int64_t share, int64_t) {
    const Tensor scratch = Tensor::empty({(std::max(d, kVec) + reserved) * kVec}, weight.dtype()),
                 taken = Tensor::empty({kAhead * batch * kVec}, dy.dtype());
    // lanes: vectors of the gradient of the weight, then of the weight.
    V *lanes = vectors<T>(scratch), *tables = lanes + std::max(d, kVec);
    Piece<U>* pieces = reinterpret_cast<Piece<U>*>(taken.data<U>());
    const auto add_block = [&](const Piece<U>* values, int64_t j0, int64_t live, bool add) {
      for (const Group& group : groups) {
        // s: the sums of dy by id.
        const GroupTables<T> of(distinct, group, tables);
        of.clear();
        with_constant(of.lookups(), [&](const auto lookups) { scatter<lookups>(values, batch, of.places()); });
        of.spread();
        of.for_fields([&](size_t f, const V* table) {
          const int64_t column = static_cast<int64_t>(distinct.fields[f]) * d;
          if (dweight.defined()) {  // dW_f = s^T r
            products.weight_gradient(f, table, lanes);
            store_lanes(lanes, live, d, width, dweight.data<T>() + j0 * width + column);
          }
          for (int64_t part = 0; part < (drows.defined() ? parts : 0); ++part) {  // dr = s W_f
            const T* columns = w + j0 * width + column + part * kVec;
            for (int64_t j = 0; j < kVec; ++j) lanes[j] = j < live ? load(columns + j * width, d - part * kVec) : V{};
            products.rows_gradient(
                f, table, lanes, add,
                vectors<T>(row_sums) + (share * parts + part) * distinct.capacity + distinct.first[f]);
          }
        });
      }
    };
    const int64_t begin = share * blocks / shares, end = (share + 1) * blocks / shares;
    for (int64_t first = begin; first < end; first += kAhead) {
      double sums[kAhead][kVec] = {};
      with_constant<kAhead>(std::min(kAhead, end - first), [&](const auto count) {
        take_blocks<count, T>(g + first * kVec, batch, n, n - first * kVec, pieces, sums);
      });
      for (int64_t block = first; block < std::min(end, first + kAhead); ++block) {
        const int64_t j0 = block * kVec, live = std::min(kVec, n - j0);
        if (dbias.defined()) std::copy_n(sums[block - first], live, dbias.data<T>() + j0);
        add_block(pieces + (block - first) * batch, j0, live, block > begin);
      }
    }
  });
  if (drows.defined()) add_shares<T>(row_sums, drows);
}

}  // namespace

void distinct_backward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& dy,
                       const Tensor& drows, const Tensor& dweight, const Tensor& dbias) {
  if (dy.dtype() == DType::bf16) return backward<float, BFloat16>(rows, distinct, weight, dy, drows, dweight, dbias);
  for_float(dy.dtype(), "distinct_linear",
            [&]<class T>() { backward<T, T>(rows, distinct, weight, dy, drows, dweight, dbias); });
}

}  // namespace kdef::ops::cpu
