// Kernels over matrices [rows, c] by tiles. A block computes one tile: kRowPart rows and up to 32 groups of V
// neighbouring columns. A thread stays on one group of columns and takes every lanes-th row of the tile. So a thread
// loads the numbers of its columns once and keeps them in registers, memory is read V numbers at a time, and threads
// side by side read neighbouring memory. Sums over rows are added up by each thread, then over the lanes, then over the
// parts: always in the same order.
//
//   struct Terms {                                   // the terms of the sums: here of x and of x^2 per column
//     const float* x; float *sum, *squares; int64_t c;
//     template <int V> struct Columns {              // V neighbouring columns, with their numbers loaded
//       const Terms& of; int64_t column;
//       void add(int64_t row, float (&sums)[2][V]) const;      // a row's terms
//     };
//     template <int V> Columns<V> at(int64_t column) const;
//     void finish(const double (&sums)[2], int64_t column) const;  // stores the results of the whole sums
//   };
//   sum_tiles<float, V, 2>(rows, c, device, terms);  // with V from with_vectors()
//
// for_tiles() takes a Work whose Columns have row(r) instead, and RowSums adds up what row(r) returns.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "core/base/dtype.h"
#include "core/base/integers.h"
#include "core/cuda/launch.cuh"
#include "core/tensor/tensor.h"
#include "ops/device/parts.cuh"

namespace kdef::ops::cuda {

/// V numbers that are read and written at once.
template <class T, int V>
struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Pack {
  T v[V];
  KDEF_DEVICE T& operator[](int i) { return v[i]; }
  KDEF_DEVICE const T& operator[](int i) const { return v[i]; }
};
template <int V, class T>
KDEF_DEVICE Pack<T, V> load(const T* from) {
  return *reinterpret_cast<const Pack<T, V>*>(from);
}

/// Stores a number, rounded where `to` is bf16.
template <class T>
KDEF_DEVICE void assign(T x, T& to) {
  to = x;
}
KDEF_DEVICE void assign(float x, BFloat16& to) { to = to_bf16(x); }
template <int V, class T, class U>
KDEF_DEVICE void store(const Pack<T, V>& pack, U* to) {
  Pack<U, V> assigned;
  for (int k = 0; k < V; ++k) assign(pack[k], assigned[k]);
  *reinterpret_cast<Pack<U, V>*>(to) = assigned;
}

struct Tiles {
  int64_t rows, c;
  int width;       // groups of columns that a block takes
  int64_t across;  // blocks side by side
  Tiles(int64_t rows_, int64_t c_, int v) : rows(rows_), c(c_) {
    const int64_t groups = c / v;
    across = divide_up(groups, kdef::cuda::kWarpThreads);
    width = static_cast<int>(divide_up(groups, across));
  }
  int64_t parts() const { return parts_of(rows); }
  int64_t blocks() const { return parts() * across; }
};

/// Calls fn with V = 4 where rows are made of whole groups of 4 and the pointers are multiples of 16 bytes, else V = 1.
template <class Fn>
void with_vectors(int64_t columns, std::initializer_list<const void*> pointers, Fn&& fn) {
  bool fits = columns % 4 == 0;
  for (const void* p : pointers) fits = fits && reinterpret_cast<uintptr_t>(p) % 16 == 0;
  if (fits)
    fn.template operator()<4>();
  else
    fn.template operator()<1>();
}

/// The share of one thread in its block's tile: V columns from `column` on, and every `lanes`-th row of
/// [first + lane, last).
template <int V>
struct TileThread {
  int64_t column, part, first, last;
  int lane, lanes, group;
  bool active;
  KDEF_DEVICE TileThread(const kdef::cuda::Block& block, const Tiles& tiles)
      : part(block.index() / tiles.across), lanes(block.threads() / tiles.width) {
    lane = block.thread() / tiles.width;
    group = block.thread() - lane * tiles.width;
    column = (block.index() - part * tiles.across) * tiles.width * V + static_cast<int64_t>(group) * V;
    first = part * kRowPart;
    last = first + kRowPart < tiles.rows ? first + kRowPart : tiles.rows;
    active = lane < lanes && column < tiles.c;
  }
};

/// Adds `sums` over the lanes. The totals, S numbers for each of the block's columns, are then in `totals` for all
/// threads to read: [S][width * V]. `shared` holds S * V numbers per thread, and as many again for the totals.
template <int S, int V, class T>
KDEF_DEVICE const T* add_lanes(const kdef::cuda::Block& block, const TileThread<V>& at, int width,
                               const T (&sums)[S][V], T* shared) {
  const int entries = S * width * V;
  T* totals = shared + entries * at.lanes;
  block.sync();  // all threads have read the totals of the call before
  if (at.lane < at.lanes) {
    for (int s = 0; s < S; ++s) {
      for (int v = 0; v < V; ++v) shared[at.lane * entries + (s * width + at.group) * V + v] = sums[s][v];
    }
  }
  block.sync();
  for (int i = block.thread(); i < entries; i += block.threads()) {
    T total = 0;
    for (int lane = 0; lane < at.lanes; ++lane) total += shared[lane * entries + i];
    totals[i] = total;
  }
  block.sync();
  return totals;
}
template <int S, int V, class T>
size_t shared_for_lanes() {
  return sizeof(T) * S * V * (kdef::cuda::kBlockThreads + kdef::cuda::kWarpThreads);
}

/// S sums over the rows per column, by parts: partial [parts, S, c]. Terms::at(column) gives what adds a row's terms,
/// add(row, sums). sum_tiles() adds up the parts, and Terms::finish(sums, column) stores the results.
template <class T, int V, int S, class Terms>
struct TileSums {
  Terms terms;
  T* partial;
  Tiles tiles;
  KDEF_DEVICE void operator()(const kdef::cuda::Block& block) const {
    const TileThread<V> at(block, tiles);
    T sums[S][V] = {};
    if (at.active) {
      const auto columns = terms.template at<V>(at.column);
      for (int64_t r = at.first + at.lane; r < at.last; r += at.lanes) columns.add(r, sums);
    }
    const T* totals = add_lanes<S, V>(block, at, tiles.width, sums, block.template shared<T>());
    if (!at.active || at.lane != 0) return;
    for (int s = 0; s < S; ++s) {
      for (int v = 0; v < V; ++v) {
        partial[(at.part * S + s) * tiles.c + at.column + v] = totals[(s * tiles.width + at.group) * V + v];
      }
    }
  }
};

/// Numbers of all parts are added by blocks that take 32 neighbouring columns: a lane takes every 8th part.
struct PartLanes {
  static constexpr int kColumns = kdef::cuda::kWarpThreads, kLanes = kdef::cuda::kBlockThreads / kColumns;
  static int64_t blocks(int64_t c) { return divide_up(c, kColumns); }
  static constexpr size_t kShared = sizeof(double) * kdef::cuda::kBlockThreads;

  const kdef::cuda::Block& block;
  int64_t column;
  int lane, place;
  KDEF_DEVICE explicit PartLanes(const kdef::cuda::Block& b)
      : block(b),
        column(b.index() * kColumns + b.thread() % kColumns),
        lane(b.thread() / kColumns),
        place(b.thread() % kColumns) {}
  /// The sum of term(part) over all parts, the same for all lanes of a column. Every thread of the block must call it.
  template <class Fn>
  KDEF_DEVICE double sum(int64_t parts, bool inside, Fn term) const {
    double* shared = block.template shared<double>();
    double own = 0;
    if (inside) {
      for (int64_t p = lane; p < parts; p += kLanes) own += term(p);
    }
    block.sync();
    shared[lane * kColumns + place] = own;
    block.sync();
    double total = 0;
    for (int i = 0; i < kLanes; ++i) total += shared[i * kColumns + place];
    return total;
  }
};

/// Adds the parts in fp64, and hands a column's sums to Terms::finish(sums, column).
template <class T, int S, class Terms>
struct FinishSums {
  Terms terms;
  const T* partial;
  int64_t c, parts;
  KDEF_DEVICE void operator()(const kdef::cuda::Block& block) const {
    const PartLanes at(block);
    double sums[S];
    for (int s = 0; s < S; ++s) {
      sums[s] = at.sum(parts, at.column < c,
                       [&](int64_t p) { return static_cast<double>(partial[(p * S + s) * c + at.column]); });
    }
    if (at.column < c && at.lane == 0) terms.finish(sums, at.column);
  }
};

template <class T, int V, int S, class Terms>
void sum_tiles(int64_t rows, int64_t c, Device device, const Terms& terms) {
  if (c == 0) return;
  const Tiles tiles(rows, c, V);
  const Tensor partial = Tensor::empty({tiles.parts(), S, c}, dtype_of<T>, device);
  kdef::cuda::for_blocks(tiles.blocks(), shared_for_lanes<S, V, T>(),
                         TileSums<T, V, S, Terms>{terms, partial.data<T>(), tiles});
  kdef::cuda::for_blocks(PartLanes::blocks(c), PartLanes::kShared,
                         FinishSums<T, S, Terms>{terms, partial.data<T>(), c, tiles.parts()});
}

/// Visits the rows of a tile one by one: Work::at(column) returns an object whose row(r) does row r.
template <int V, class Work>
struct TileRows {
  Work work;
  Tiles tiles;
  KDEF_DEVICE void operator()(const kdef::cuda::Block& block) const {
    const TileThread<V> at(block, tiles);
    if (!at.active) return;
    const auto columns = work.template at<V>(at.column);
    for (int64_t r = at.first + at.lane; r < at.last; r += at.lanes) columns.row(r);
  }
};

/// `to` gets the sums over the rows of what Work::row returns.
template <class T, class Work>
struct RowSums {
  Work work;
  T* to;
  template <int V>
  struct Columns {
    decltype(work.template at<V>(0)) of;
    KDEF_DEVICE void add(int64_t r, T (&sums)[1][V]) const {
      const Pack<T, V> row = of.row(r);
      for (int k = 0; k < V; ++k) sums[0][k] += row[k];
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {work.template at<V>(j)};
  }
  KDEF_DEVICE void finish(const double (&sums)[1], int64_t j) const { to[j] = static_cast<T>(sums[0]); }
};

template <int V, class Work>
void for_tiles(int64_t rows, int64_t c, const Work& work) {
  if (rows == 0 || c == 0) return;
  const Tiles tiles(rows, c, V);
  kdef::cuda::for_blocks(tiles.blocks(), 0, TileRows<V, Work>{work, tiles});
}

}  // namespace kdef::ops::cuda
