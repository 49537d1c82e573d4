#include "nn/optimizer/passes.h"

#include <algorithm>
#include <cmath>

#include "core/base/parallel.h"
#include "core/tensor/dispatch.h"

namespace kdef::nn::cpu {
namespace {

// The memory of a parameter's gradient, and which elements of the parameter a pass visits: all, or the elements of the
// gradient's rows, so that the cost of the pass does not depend on the size of the table.
template <class T>
struct View {
  View(const OptimizerSlot& slot, const DataGradient& gradient) : numel(slot.parameter.tensor.numel()) {
    if (gradient.dense.defined()) {
      dense = gradient.dense.data<T>();
      return;
    }
    if (gradient.rows.ids.defined()) {
      ids = gradient.rows.ids.data<int64_t>();
      rows = gradient.rows.values.data<T>();
      row_count = gradient.rows.ids.numel();
      width = slot.parameter.tensor.shape().back();
    }
    only_rows = slot.only_rows;
  }
  int64_t visited() const { return only_rows ? row_count * width : numel; }

  int64_t numel;
  const T* dense = nullptr;
  const int64_t* ids = nullptr;  // ascending
  const T* rows = nullptr;
  int64_t row_count = 0;
  int64_t width = 1;
  bool only_rows = false;
};

// Calls fn(first, last, g) on the runs of consecutive elements of the parameter that make up elements [first, last) of
// the visited ones; g is the run's data gradient, or null where it is zero.
template <class T, class Fn>
void for_runs(const View<T>& view, int64_t first, int64_t last, Fn&& fn) {
  if (view.dense) return fn(first, last, view.dense + first);
  const int64_t d = view.width;
  if (view.only_rows) {
    for (int64_t begin = first, end; begin < last; begin = end) {
      end = std::min(last, (begin / d + 1) * d);
      const int64_t at = view.ids[begin / d] * d + begin % d;
      fn(at, at + (end - begin), view.rows + begin);
    }
    return;
  }
  int64_t u = std::lower_bound(view.ids, view.ids + view.row_count, first / d) - view.ids;
  int64_t at = first;
  for (; u < view.row_count && view.ids[u] * d < last; ++u) {
    const int64_t begin = std::max(first, view.ids[u] * d), end = std::min(last, (view.ids[u] + 1) * d);
    if (at < begin) fn(at, begin, static_cast<const T*>(nullptr));
    fn(begin, end, view.rows + u * d + (begin - view.ids[u] * d));
    at = end;
  }
  if (at < last) fn(at, last, static_cast<const T*>(nullptr));
}

// The sums of the first pass over some elements, in fp64.
struct Sums {
  double gradient = 0, w1 = 0, w2 = 0;  // of squared regularized gradients, of |w|, of w^2
};

// Adds n consecutive elements to `sums`; g may be null (no data gradient).
template <bool kHasGradient, class T>
void add_sums(const T* __restrict g, const T* __restrict w, int64_t n, T l1, T l2, Sums& sums) {
  double gradient = 0, w1 = 0, w2 = 0;
#pragma omp simd reduction(+ : gradient, w1, w2)
  for (int64_t i = 0; i < n; ++i) {
    const double gi = static_cast<double>(regularized(kHasGradient ? g[i] : T(0), w[i], l1, l2));
    const double wi = static_cast<double>(w[i]);
    gradient += gi * gi;
    w1 += std::abs(wi);
    w2 += wi * wi;
  }
  sums.gradient += gradient;
  sums.w1 += w1;
  sums.w2 += w2;
}

// Applies a rule to n consecutive elements; g may be null (no data gradient). The pointers do not alias, so that the
// loop runs in vector registers.
template <bool kHasGradient, class T, class Rule, class... State>
void update_run(const Rule& rule, T l1, T l2, T factor, int64_t n, const T* __restrict g, T* __restrict w,
                State* __restrict... state) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    rule(factor * regularized(kHasGradient ? g[i] : T(0), w[i], l1, l2), w[i], state[i]...);
  }
}

// Applies a rule to every element that the view visits.
template <class T, class Rule>
void update_all(const OptimizerSlot& slot, const View<T>& view, const Rule& rule, T factor) {
  const T l1 = static_cast<T>(slot.added.l1), l2 = static_cast<T>(slot.added.l2);
  T* w = slot.parameter.tensor.data<T>();
  const auto with_state = [&]<size_t... S>(std::index_sequence<S...>) {
    parallel_for(view.visited(), kPiece, [&](int64_t first, int64_t last) {
      for_runs(view, first, last, [&](int64_t a, int64_t b, const T* g) {
        if (g)
          update_run<true>(rule, l1, l2, factor, b - a, g, w + a, slot.state[S].template data<T>() + a...);
        else
          update_run<false>(rule, l1, l2, factor, b - a, g, w + a, slot.state[S].template data<T>() + a...);
      });
    });
  };
  with_state(std::make_index_sequence<kStateCount<Rule>>());
}

// The sum of two gradients by rows, each of distinct ascending ids. It holds memory for the rows of both.
RowGradient merge_two(const RowGradient& a, const RowGradient& b) {
  const int64_t left = a.ids.numel(), right = b.ids.numel(), d = a.values.shape()[1];
  const RowGradient room{Tensor::empty({left + right}, DType::i64), Tensor::empty({left + right, d}, a.values.dtype())};
  const int64_t *p = a.ids.data<int64_t>(), *q = b.ids.data<int64_t>();
  int64_t* ids = room.ids.data<int64_t>();
  int64_t rows = 0;
  for_float(room.values.dtype(), "merge_rows", [&]<class T>() {
    const T *x = a.values.data<T>(), *y = b.values.data<T>();
    T* out = room.values.data<T>();
    for (int64_t i = 0, j = 0; i < left || j < right; ++rows, out += d) {
      const bool of_a = j == right || (i < left && p[i] <= q[j]), of_b = i == left || (j < right && q[j] <= p[i]);
      ids[rows] = of_a ? p[i] : q[j];
      const T* first = of_a ? x + i * d : y + j * d;
      std::copy(first, first + d, out);
      if (of_a && of_b) {
        for (int64_t c = 0; c < d; ++c) out[c] += y[j * d + c];
      }
      i += of_a;
      j += of_b;
    }
  });
  return {room.ids.rows(0, rows), room.values.rows(0, rows)};
}

}  // namespace

RowGradient merge_rows(const std::vector<RowGradient>& parts) {
  RowGradient sum = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) sum = merge_two(sum, parts[i]);
  return sum;
}

DataGradient data_gradient(const Parameter& parameter) {
  require_cpu(parameter.tensor.device(), "optimizer");
  const Gradient& g = parameter.tensor.gradient();
  if (g.is_rows_only()) return {{}, merge_rows(g.row_parts())};
  return {g.dense(parameter.tensor.shape()), {}};
}

void measure(const OptimizerSlot& slot, const DataGradient& gradient, double& squares, double& penalty) {
  const Tensor& w = slot.parameter.tensor;
  for_float(w.dtype(), "optimizer", [&]<class T>() {
    const View<T> view(slot, gradient);
    const T l1 = static_cast<T>(slot.added.l1), l2 = static_cast<T>(slot.added.l2);
    const T* pw = w.data<T>();
    const int64_t pieces = divide_up(view.visited(), kPiece);
    std::vector<double> part(static_cast<size_t>(2 * pieces));
    parallel_for(view.visited(), kPiece, [&](int64_t first, int64_t last) {
      Sums sums;
      for_runs(view, first, last, [&](int64_t a, int64_t b, const T* g) {
        if (g)
          add_sums<true>(g, pw + a, b - a, l1, l2, sums);
        else
          add_sums<false>(g, pw + a, b - a, l1, l2, sums);
      });
      const size_t at = static_cast<size_t>(2 * (first / kPiece));
      part[at] = sums.gradient;
      part[at + 1] = slot.added.l1 * sums.w1 + 0.5 * slot.added.l2 * sums.w2;
    });
    for (int64_t p = 0; p < pieces; ++p) {
      squares += part[static_cast<size_t>(2 * p)];
      penalty += part[static_cast<size_t>(2 * p + 1)];
    }
  });
}

void measure_partial_sums(const OptimizerSlot& slot, const DataGradient& gradient, std::span<double> squares,
                          std::span<double> penalty) {
  const Tensor& w = slot.parameter.tensor;
  const TableRows& table = *slot.parameter.table;
  const int64_t all = static_cast<int64_t>(squares.size()), members = table.members;
  KDEF_CHECK(all % members == 0 && w.shape()[0] == table.held_rows(), "optimizer: ", all, " partial sums for ", members,
             " members; ", describe(w), " holds ", table.held_rows(), " rows");
  const int64_t width = w.shape()[1], rows = w.shape()[0], own = all / members;  // this member's
  // Sums are made by block, then by piece of the table, which has as many blocks for each partial sum, so that the cut
  // does not depend on members. Blocks that are not visited cost nothing.
  const int64_t each = std::max<int64_t>(1, kPiece / (TableRows::kBlock * width * all)) * own;
  for_float(w.dtype(), "optimizer", [&]<class T>() {
    const View<T> view(slot, gradient);
    const T l1 = static_cast<T>(slot.added.l1), l2 = static_cast<T>(slot.added.l2);
    const T* pw = w.data<T>();
    const int64_t visited = view.only_rows ? view.row_count : rows;
    const auto block_of = [&](int64_t i) { return (view.only_rows ? view.ids[i] : i) / TableRows::kBlock; };
    struct Block {
      int64_t number, first;  // of the visited rows
      Sums sums = {};
    };
    std::vector<Block> blocks;
    for (int64_t i = 0; i < visited; i = view.only_rows ? i + 1 : i + TableRows::kBlock) {
      if (blocks.empty() || blocks.back().number != block_of(i)) blocks.push_back({block_of(i), i});
    }
    const auto count = static_cast<int64_t>(blocks.size());
    parallel_for(count, std::max<int64_t>(1, kPiece / (TableRows::kBlock * width)), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        Sums& sums = blocks[static_cast<size_t>(k)].sums;
        const int64_t last = k + 1 < count ? blocks[static_cast<size_t>(k + 1)].first : visited;
        for_runs(view, blocks[static_cast<size_t>(k)].first * width, last * width,
                 [&](int64_t from, int64_t to, const T* g) {
                   if (g)
                     add_sums<true>(g, pw + from, to - from, l1, l2, sums);
                   else
                     add_sums<false>(g, pw + from, to - from, l1, l2, sums);
                 });
      }
    });
    std::vector<double> part(static_cast<size_t>(2 * own));  // of one piece
    for (size_t k = 0; k < blocks.size(); ++k) {
      const Block& block = blocks[k];
      const auto at = static_cast<size_t>(2 * (block.number % own));
      part[at] += block.sums.gradient;
      part[at + 1] += slot.added.l1 * block.sums.w1 + 0.5 * slot.added.l2 * block.sums.w2;
      if (k + 1 < blocks.size() && blocks[k + 1].number / each == block.number / each) continue;
      for (int64_t b = 0; b < own; ++b) {
        const auto c = static_cast<size_t>((table.first_block(table.member) + b * members + table.column) % all);
        squares[c] += part[static_cast<size_t>(2 * b)];
        penalty[c] += part[static_cast<size_t>(2 * b) + 1];
      }
      part.assign(part.size(), 0.0);
    }
  });
}

void update(const OptimizerSlot& slot, const DataGradient& gradient, OptimizerKind kind, const RuleStep& step,
            double factor) {
  for_float(slot.parameter.tensor.dtype(), "optimizer", [&]<class T>() {
    const View<T> view(slot, gradient);
    switch (kind) {
#define KDEF_CASE(name, Rule, ...) \
  case OptimizerKind::name:        \
    return update_all(slot, view, Rule<T>::at(step, slot.regularizer), static_cast<T>(factor));
      KDEF_OPTIMIZERS(KDEF_CASE)
#undef KDEF_CASE
    }
  });
}

Tensor regularized_gradient(const OptimizerSlot& slot, const DataGradient& gradient, double factor) {
  const Tensor& w = slot.parameter.tensor;
  Tensor result = Tensor::zeros(w.shape(), w.dtype());
  for_float(w.dtype(), "optimizer", [&]<class T>() {
    View<T> view(slot, gradient);
    view.only_rows = false;
    const T l1 = static_cast<T>(slot.added.l1), l2 = static_cast<T>(slot.added.l2), c = static_cast<T>(factor);
    T* out = result.data<T>();
    for_runs(view, 0, w.numel(), [&](int64_t a, int64_t b, const T* g) {
      for (int64_t i = a; i < b; ++i) out[i] = c * regularized(g ? g[i - a] : T(0), w.data<T>()[i], l1, l2);
    });
  });
  return result;
}

}  // namespace kdef::nn::cpu
