// The kernels of packed products for vectors of KDEF_LANES floats. This source is compiled once per instruction set,
// each time into namespace KDEF_SET by a file that defines
//   KDEF_SET, KDEF_LANES, KDEF_VECTORS, KDEF_ROWS: a tile of the result is at most KDEF_ROWS rows by KDEF_VECTORS
//   vectors, which with a row of weights fit into the registers;
//   KDEF_MULTIPLY_ADD, where the processors of the set have it: a b + c, rounded once;
//   KDEF_WIDEN_UINT16(p), KDEF_WIDEN_INT8(p): KDEF_LANES numbers from there on as 32-bit integers;
//   KDEF_ADD_PAIRS(sum, a, b), KDEF_ROUND_TO_BF16(v), where the processors of the set have them: sum + a0 b0 + a1 b1 in
//   every lane, of pairs of bf16; the numbers of a vector as bf16.
// It includes nothing that defines functions: a linker would keep one copy of an inline function, and that might be the
// one for a processor that is not there.
//
// The order of a number's sums is that of the inputs, one after the other, whatever the tile. So the rows beside a row
// do not matter, nor how the inputs are cut into blocks: a sum is kept in y between blocks, in the same precision.
#include <stdint.h>

#include "ops/serve/packed_kernels.h"

// Loops over a tile must be unrolled, or its sums are not in registers.
#if defined(__clang__)
#define KDEF_UNROLL _Pragma("unroll")
#else
#define KDEF_UNROLL _Pragma("GCC unroll 8")
#endif

namespace kdef::ops::serve::KDEF_SET {
namespace {

constexpr int64_t kLanes = KDEF_LANES;
constexpr int kVectors = KDEF_VECTORS, kRows = KDEF_ROWS;
// Inputs of a block: the weights of a panel's block stay in the first cache while the rows pass.
constexpr int64_t kDepth = 8192 / (KDEF_LANES * KDEF_VECTORS);
// The inputs of which a single row's zeros are looked for at once.
constexpr int64_t kSparse = 1024;

typedef float Vec __attribute__((vector_size(KDEF_LANES * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(KDEF_LANES * sizeof(int32_t))));
typedef float Unaligned __attribute__((vector_size(KDEF_LANES * sizeof(float)), aligned(4), may_alias));

inline Vec load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(const Vec& v, float* to) { *reinterpret_cast<Unaligned*>(to) = v; }
// The first n lanes.
inline Vec load(const float* from, int64_t n) {
  if (n == kLanes) return load(from);
  Vec v = {};
  for (int64_t j = 0; j < n; ++j) v[j] = from[j];
  return v;
}
inline void store(const Vec& v, int64_t n, float* to) {
  if (n == kLanes) return store(v, to);
  for (int64_t j = 0; j < n; ++j) to[j] = v[j];
}
// a b + c. Where there are two ways to round it, the compiler must not choose: it may choose otherwise in another tile.
inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
#ifdef KDEF_MULTIPLY_ADD
  return KDEF_MULTIPLY_ADD(a, b, c);
#else
  return a * b + c;
#endif
}
inline Vec all_lanes(float x) { return x - Vec{}; }
// NaN stays NaN.
inline Vec relu(const Vec& v) { return v < 0.0f ? Vec{} : v; }

// How a vector of constants is read, of which each was kept as a Number, and how it is multiplied by an Input.
struct Widened {
  typedef float Input;
  static bool is_zero(float x) { return x == 0.0f; }
  static Vec start(const Vec& sum) { return sum; }
  static Vec lanes_of(float x) { return all_lanes(x); }
  static Vec add(const Vec& x, const Vec& weight, const Vec& sum) { return multiply_add(x, weight, sum); }
};
struct Float : Widened {
  typedef float Number;
  static constexpr bool kScaled = false;
  static Vec load(const float* from) { return KDEF_SET::load(from); }
};
struct BFloat16 : Widened {
  typedef uint16_t Number;
  static constexpr bool kScaled = false;
  // The upper halves of the floats.
  static Vec load(const uint16_t* from) { return (Vec)((Ints)KDEF_WIDEN_UINT16(from) << 16); }
};
struct Int8 : Widened {
  typedef int8_t Number;
  static constexpr bool kScaled = true;
  static Vec load(const int8_t* from) { return __builtin_convertvector((Ints)KDEF_WIDEN_INT8(from), Vec); }
};
#ifdef KDEF_ADD_PAIRS
// Two inputs, and their weights for every output, as pairs of bf16. The instruction takes numbers below 2^-126 for 0
// and gives 0 for them, so a sum starts with one: then pairs of zeros may be left out.
struct Pairs {
  typedef uint32_t Number, Input;
  static constexpr bool kScaled = false;
  static bool is_zero(uint32_t x) { return (x & 0x7FFF7FFFu) == 0; }
  static Vec start(const Vec& sum) { return KDEF_ADD_PAIRS(sum, Vec{}, Vec{}); }
  static Vec lanes_of(uint32_t x) { return (Vec)(static_cast<int32_t>(x) - Ints{}); }
  static Vec add(const Vec& x, const Vec& weight, const Vec& sum) { return KDEF_ADD_PAIRS(sum, weight, x); }
  static Vec load(const uint32_t* from) { return KDEF_SET::load(reinterpret_cast<const float*>(from)); }
};
#endif
// The numbers of a cache line.
template <class S>
constexpr int64_t kLineOf = 64 / static_cast<int64_t>(sizeof(typename S::Number));

// One panel of the product, for inputs [0, depth) of x and weights that start there.
template <class S>
struct Panel {
  typedef typename S::Number Number;
  const typename S::Input* x;
  int64_t ldx, depth;
  const Number* weight;
  const float* scales;
  const float* bias;
  float* y;
  int64_t ldy;
  int64_t last;  // numbers of the last vector
  bool add, relu;
  // Weights that are needed after this panel, and are brought from the third cache into the second meanwhile.
  const Number *ahead, *ahead_end;

  // Vector v of the weights of an input. A scaled weight is rounded to a float, so that it is one number whatever it is
  // multiplied by.
  Vec weights(const Number* from, int v) const {
    if constexpr (S::kScaled) return S::load(from + v * kLanes) * load(scales + v * kLanes);
    return S::load(from + v * kLanes);
  }
};

// R rows by V vectors.
template <class S, int V, int R>
void tile(const Panel<S>& given) {
  const Panel<S> p = given;  // a copy, which stores to y cannot change
  Vec sums[R][V];
  KDEF_UNROLL for (int r = 0; r < R; ++r) {
    KDEF_UNROLL for (int v = 0; v < V; ++v) {
      const int64_t n = v + 1 < V ? kLanes : p.last;
      sums[r][v] = S::start(p.add ? load(p.y + r * p.ldy + v * kLanes, n) : load(p.bias + v * kLanes));
    }
  }
  // A tile of fewer rows than others may be the only one of its panel.
  constexpr int64_t kLine = kLineOf<S>;
  constexpr int kLines = R < kRows && V * kLanes > kLine ? V * kLanes / kLine : 2;
  const typename S::Number *weight = p.weight, *ahead = p.ahead;
  for (int64_t i = 0; i < p.depth; ++i, weight += V * kLanes) {
    if (ahead < p.ahead_end) {
      KDEF_UNROLL for (int l = 0; l < kLines; ++l) __builtin_prefetch(ahead + l * kLine, 0, 2);
      ahead += kLines * kLine;
    }
    Vec w[V];
    KDEF_UNROLL for (int v = 0; v < V; ++v) w[v] = p.weights(weight, v);
    KDEF_UNROLL for (int r = 0; r < R; ++r) {
      const Vec x = S::lanes_of(p.x[r * p.ldx + i]);
      KDEF_UNROLL for (int v = 0; v < V; ++v) sums[r][v] = S::add(x, w[v], sums[r][v]);
    }
  }
  if (p.relu) {
    KDEF_UNROLL for (int r = 0; r < R; ++r) { KDEF_UNROLL for (int v = 0; v < V; ++v) sums[r][v] = relu(sums[r][v]); }
  }
  KDEF_UNROLL for (int r = 0; r < R; ++r) {
    KDEF_UNROLL for (int v = 0; v < V; ++v) {
      store(sums[r][v], v + 1 < V ? kLanes : p.last, p.y + r * p.ldy + v * kLanes);
    }
  }
}

// Calls tile<S, V, R> for r rows, which are at most R.
template <class S, int V, int R>
void rows_of_tile(const Panel<S>& p, int64_t r) {
  if constexpr (R > 1) {
    if (r < R) return rows_of_tile<S, V, R - 1>(p, r);
  }
  tile<S, V, R>(p);
}

// All rows of a panel, in tiles of nearly equal height.
template <class S, int V>
void panel_rows(Panel<S> p, int64_t rows) {
  const int64_t tiles = (rows + kRows - 1) / kRows;
  // Every tile brings its part of what is needed next.
  const typename S::Number *ahead = p.ahead, *end = p.ahead_end;
  const int64_t part = (end - ahead + tiles - 1) / tiles;
  for (int64_t t = 0; t < tiles; ++t) {
    p.ahead = ahead + t * part;
    p.ahead_end = t + 1 < tiles ? p.ahead + part : end;
    const int64_t r = rows / tiles + (t < rows % tiles ? 1 : 0);
    rows_of_tile<S, V, kRows>(p, r);
    p.x += r * p.ldx;
    p.y += r * p.ldy;
  }
}

// One row, of which only the inputs that are not zero are given: their places and values.
template <class S>
struct NotZero {
  int32_t place[kSparse];
  typename S::Input value[kSparse];
  int64_t count;
};

template <class S, int V>
void panel_of_not_zero(const Panel<S>& p, const NotZero<S>& x) {
  Vec sums[V];
  for (int v = 0; v < V; ++v) {
    sums[v] = S::start(p.add ? load(p.y + v * kLanes, v + 1 < V ? kLanes : p.last) : load(p.bias + v * kLanes));
  }
  for (int64_t i = 0; i < x.count; ++i) {
    const int64_t at = x.place[i] * (V * kLanes);
    const typename S::Number *weight = p.weight + at, *ahead = p.ahead + at;
    if (ahead < p.ahead_end) {
      KDEF_UNROLL for (int v = 0; v < V; ++v) {
        if (v * kLanes % kLineOf<S> == 0) __builtin_prefetch(ahead + v * kLanes, 0, 2);
      }
    }
    const Vec value = S::lanes_of(x.value[i]);
    for (int v = 0; v < V; ++v) sums[v] = S::add(value, p.weights(weight, v), sums[v]);
  }
  for (int v = 0; v < V; ++v) {
    store(p.relu ? relu(sums[v]) : sums[v], v + 1 < V ? kLanes : p.last, p.y + v * kLanes);
  }
}

// Calls fn.template run<V>() for V = `vectors`, which is at most N.
template <int N, class Fn>
void with_vectors(int64_t vectors, const Fn& fn) {
  if constexpr (N > 1) {
    if (vectors < N) return with_vectors<N - 1>(vectors, fn);
  }
  fn.template operator()<N>();
}

// Calls fn.template operator()<V>(panel) for every panel of the product and its inputs [first, first + depth) of `in`,
// which `x` has, with rows `ldx` apart.
template <class S, class Fn>
void for_each_panel(const Product& p, int64_t in, const typename S::Input* x, int64_t ldx, int64_t first, int64_t depth,
                    const Fn& fn) {
  const int64_t vectors = (p.out + kLanes - 1) / kLanes, panels = (vectors + kVectors - 1) / kVectors;
  int64_t before = 0;  // vectors
  for (int64_t i = 0; i < panels; ++i) {
    const int64_t count = vectors / panels + (i < vectors % panels ? 1 : 0), column = before * kLanes;
    Panel<S> panel;
    panel.x = x;
    panel.ldx = ldx;
    panel.depth = depth;
    const auto* weight = static_cast<const typename S::Number*>(p.weight);
    panel.weight = weight + column * in + first * count * kLanes;
    panel.scales = p.scales + (S::kScaled ? column : 0);
    panel.bias = p.bias + column;
    panel.y = p.y + column;
    panel.ldy = p.ldy;
    panel.last = i + 1 < panels || p.out % kLanes == 0 ? kLanes : p.out % kLanes;
    panel.add = p.add || first > 0;
    panel.relu = p.relu && first + depth == in;
    // The next panel, or at the end the first one of the next inputs.
    const int64_t after = before + count;
    const bool turns = i + 1 == panels;
    const int64_t next = turns ? vectors / panels + (vectors % panels > 0 ? 1 : 0)
                               : vectors / panels + (i + 1 < vectors % panels ? 1 : 0);
    const int64_t from = turns ? first + depth : first, left = in - from;
    panel.ahead = weight + (turns ? 0 : after * kLanes * in) + from * next * kLanes;
    panel.ahead_end = panel.ahead + (left < depth ? left : depth) * next * kLanes;
    with_vectors<kVectors>(count, [&]<int V>() { fn.template operator()<V>(panel); });
    before += count;
  }
}

// A row's inputs [first, first + depth), in blocks that `read` gives.
template <class S, class Read>
void product_of_row(const Product& p, int64_t in, const Read& read) {
  NotZero<S> x;
  for (int64_t first = 0; first == 0 || first < in; first += kSparse) {
    const int64_t depth = in - first < kSparse ? in - first : kSparse;
    const typename S::Input* values = read(first, depth);
    x.count = 0;
    for (int64_t i = 0; i < depth; ++i) {
      x.place[x.count] = static_cast<int32_t>(i);
      x.value[x.count] = values[i];
      x.count += S::is_zero(values[i]) ? 0 : 1;
    }
    for_each_panel<S>(p, in, nullptr, 0, first, depth,
                      [&]<int V>(const Panel<S>& panel) { panel_of_not_zero<S, V>(panel, x); });
  }
}

// All rows, for blocks of at most `most` inputs. read(first, depth): the rows' inputs, and how far apart they are.
template <class S>
struct Block {
  const typename S::Input* x;
  int64_t ldx;
};
template <class S, class Read>
void product_of_rows(const Product& p, int64_t in, int64_t most, const Read& read) {
  const int64_t blocks = in <= most ? 1 : (in + most - 1) / most;
  int64_t first = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t depth = in / blocks + (b < in % blocks ? 1 : 0);
    const Block<S> x = read(first, depth);
    for_each_panel<S>(p, in, x.x, x.ldx, first, depth,
                      [&]<int V>(const Panel<S>& panel) { panel_rows<S, V>(panel, p.rows); });
    first += depth;
  }
}

template <class S>
void product_of(const Product& p) {
  if (p.rows == 1 && p.skips_zeros) {
    return product_of_row<S>(p, p.in, [&](int64_t first, int64_t) { return p.x + first; });
  }
  // Few rows pass a panel once: there is nothing to keep in the cache.
  product_of_rows<S>(p, p.in, p.rows <= 2 * kRows ? p.in : kDepth, [&](int64_t first, int64_t) {
    return Block<S>{p.x + first, p.ldx};
  });
}

#ifdef KDEF_ADD_PAIRS
// n numbers as pairs of bf16; an odd one is beside a zero.
void round_to_pairs(const float* from, int64_t n, uint32_t* to) {
  constexpr int64_t kHalf = kLanes / 2;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes, to += kHalf) {
    const auto v = KDEF_ROUND_TO_BF16(load(from + i));
    __builtin_memcpy(to, &v, sizeof v);
  }
  if (i == n) return;
  const auto v = KDEF_ROUND_TO_BF16(load(from + i, n - i));
  uint32_t pairs[kHalf];
  __builtin_memcpy(pairs, &v, sizeof v);
  for (int64_t j = 0; 2 * j < n - i; ++j) to[j] = pairs[j];
}

void product_of_pairs(const Product& all) {
  constexpr int64_t kMostRows = 16 * kRows, kKept = kMostRows * kDepth;
  uint32_t pairs[kKept];
  const int64_t in = (all.in + 1) / 2;
  const auto read = [&](const Product& p, int64_t row, int64_t first, int64_t depth, uint32_t* to) {
    const int64_t left = p.in - 2 * first;
    round_to_pairs(p.x + row * p.ldx + 2 * first, left < 2 * depth ? left : 2 * depth, to);
  };
  if (all.rows == 1 && all.skips_zeros) {
    return product_of_row<Pairs>(all, in, [&](int64_t first, int64_t depth) {
      read(all, 0, first, depth, pairs);
      return pairs;
    });
  }
  for (int64_t row = 0; row < all.rows; row += kMostRows) {
    Product p = all;
    p.rows = all.rows - row < kMostRows ? all.rows - row : kMostRows;
    p.x += row * p.ldx;
    p.y += row * p.ldy;
    product_of_rows<Pairs>(p, in, p.rows <= 2 * kRows ? kKept / p.rows : kDepth, [&](int64_t first, int64_t depth) {
      for (int64_t r = 0; r < p.rows; ++r) read(p, r, first, depth, pairs + r * depth);
      return Block<Pairs>{pairs, depth};
    });
  }
}
#endif

void product(const Product& p) {
#ifdef KDEF_ADD_PAIRS
  if (p.stored == Stored::bf16) return product_of_pairs(p);
#else
  if (p.stored == Stored::bf16) return product_of<BFloat16>(p);
#endif
  if (p.stored == Stored::int8) return product_of<Int8>(p);
  product_of<Float>(p);
}

// Four vectors of partial sums, added in a fixed order.
float dot(const float* a, const float* b, int64_t n) {
  constexpr int64_t kTogether = 4;
  Vec sums[kTogether] = {};
  int64_t i = 0;
  for (; i + kTogether * kLanes <= n; i += kTogether * kLanes) {
    for (int64_t t = 0; t < kTogether; ++t) {
      sums[t] = multiply_add(load(a + i + t * kLanes), load(b + i + t * kLanes), sums[t]);
    }
  }
  for (; i + kLanes <= n; i += kLanes) sums[0] = multiply_add(load(a + i), load(b + i), sums[0]);
  if (i < n) sums[1] = multiply_add(load(a + i, n - i), load(b + i, n - i), sums[1]);
  const Vec all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  float sum = 0;
  for (int64_t j = 0; j < kLanes; ++j) sum += all[j];
  return sum;
}

void dots(const Product& p) {
  for (int64_t b = 0; b < p.rows; ++b) {
    for (int64_t o = 0; o < p.out; ++o) {
      float& y = p.y[b * p.ldy + o];
      const float* weight = static_cast<const float*>(p.weight) + o * p.in;
      const float sum = (p.add ? y : p.bias[o]) + dot(p.x + b * p.ldx, weight, p.in);
      y = p.relu && sum < 0.0f ? 0.0f : sum;
    }
  }
}

// V vectors of one row's sum from column `column` on; meanwhile the next row's are brought closer.
template <class S, int V>
void part_of_row(const RowSums& s, int64_t b, int64_t column) {
  Vec sums[V];
  for (int v = 0; v < V; ++v) sums[v] = load(s.bias + column + v * kLanes);
  const int32_t* ids = s.ids + b * s.ldids;
  const int32_t* next = b + 1 < s.rows ? ids + s.ldids : ids;
  for (int64_t t = 0; t < s.count; ++t) {
    const auto* table = static_cast<const typename S::Number*>(s.tables[t]) + column;
    const auto *from = table + ids[s.columns[t]] * s.stride, *soon = table + next[s.columns[t]] * s.stride;
    if constexpr (S::kScaled) __builtin_prefetch(s.scales[t] + next[s.columns[t]], 0, 2);
    const Vec scale = S::kScaled ? all_lanes(s.scales[t][ids[s.columns[t]]]) : Vec{};
    for (int v = 0; v < V; ++v) {
      const Vec row = S::load(from + v * kLanes);
      sums[v] = S::kScaled ? multiply_add(row, scale, sums[v]) : sums[v] + row;
      if (v * kLanes % kLineOf<S> == 0) __builtin_prefetch(soon + v * kLanes, 0, 2);
    }
  }
  for (int v = 0; v < V; ++v) {
    const int64_t left = s.out - column - v * kLanes;
    store(s.relu ? relu(sums[v]) : sums[v], left < kLanes ? left : kLanes, s.y + b * s.ldy + column + v * kLanes);
  }
}

template <class S>
void row_sums_of(const RowSums& s) {
  constexpr int kTogether = 8;
  const int64_t vectors = (s.out + kLanes - 1) / kLanes;
  for (int64_t b = 0; b < s.rows; ++b) {
    for (int64_t v = 0; v < vectors; v += kTogether) {
      const int64_t count = vectors - v < kTogether ? vectors - v : kTogether;
      with_vectors<kTogether>(count, [&]<int V>() { part_of_row<S, V>(s, b, v * kLanes); });
    }
  }
}

void row_sums(const RowSums& s) {
  if (s.stored == Stored::bf16) return row_sums_of<BFloat16>(s);
  if (s.stored == Stored::int8) return row_sums_of<Int8>(s);
  row_sums_of<Float>(s);
}

}  // namespace

extern const Kernels kKernels;
}  // namespace kdef::ops::serve::KDEF_SET
