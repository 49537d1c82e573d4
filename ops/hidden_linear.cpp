#include "ops/hidden_linear.h"

#include <algorithm>
#include <type_traits>

#include "core/parallel.h"
#include "ops/gemm.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/norm_rows.h"
#include "ops/vectors.h"

// Forward, chunk by chunk of rows:
//   h = dropout(relu(gamma (x - mean) rstd + beta)),  z = h W^T + b.
// Backward, first sweep, chunk by chunk: dh = dz W, g = dh [h > 0], h again from x, and added up over the rows
//   dW += dz^T h,  db += dz,  s1 += g (x - mean),  s0 += g.
// Second sweep: mean and variance depend on every row, so that dx needs the whole sums. Until then g waits in dx:
//   dgamma = c rstd s1,  dbeta = c s0 with c = 1 / (1 - p),  dx = a g + b (x - mean) + e  (HiddenLayerDx).

namespace kdef::ops {

const OpInfo kHiddenLinearInfo{"hidden_linear", "h = dropout(max(batch_norm(x), 0)), z = h W^T + b",
                               "dW = dz^T h, db = sum over rows of dz, d = (dz W) [h > 0] / (1 - p), then dgamma, "
                               "dbeta, dx of batch_norm (or batch_norm_eval) with d for dy"};

namespace cpu {
namespace {

// Rows are cut by their number alone: into up to 16 groups, each with its own sums, a group into chunks of at most 320
// rows. (160 to 640 cost the same.)
struct Cut {
  int64_t group, groups, chunk;
  explicit Cut(int64_t rows) {
    constexpr int64_t kGroups = 16, kLeast = 192, kMost = 320;
    group = std::max(kLeast, divide_up(rows, kGroups));
    groups = divide_up(rows, group);
    chunk = std::min(group, divide_up(divide_up(group, divide_up(group, kMost)), 16) * 16);
  }
  // Calls fn(first row, rows) for the chunks of group p.
  template <class Fn>
  void for_chunks(int64_t p, int64_t rows, Fn&& fn) const {
    const int64_t end = std::min(rows, (p + 1) * group);
    for (int64_t begin = p * group; begin < end; begin += chunk) fn(begin, std::min(chunk, end - begin));
  }
};

// Products of dense matrices, named by their transposes.
Gemm product(int64_t m, int64_t n, int64_t k) {
  Gemm g;
  g.m = m;
  g.n = g.ldb = g.ldc = n;
  g.k = g.lda = k;
  return g;
}
Gemm product_bt(int64_t m, int64_t n, int64_t k) {
  Gemm g = product(m, n, k);
  g.transpose_b = true;
  g.ldb = k;
  return g;
}
Gemm product_at(int64_t m, int64_t n, int64_t k, bool accumulate = false) {
  Gemm g = product(m, n, k);
  g.transpose_a = true;
  g.lda = m;
  g.accumulate = accumulate;
  return g;
}

// n numbers as operands of type U: themselves, or rounded.
template <class U, class T>
const U* as_operands(const T* x, int64_t n, std::vector<U>& buffer) {
  if constexpr (std::is_same_v<T, U>) {
    return x;
  } else {
    if (static_cast<int64_t>(buffer.size()) < n) buffer.resize(static_cast<size_t>(n));
    round_row(x, n, buffer.data());
    return buffer.data();
  }
}

template <class T>
void note_kept(const T* __restrict h, int64_t n, uint8_t* __restrict kept) {
  for (int64_t j = 0; j < n; ++j) kept[j] = h[j] > T(0);
}

// Per column, what normalisation needs.
template <class T>
struct Columns {
  const T *mean, *rstd, *gamma, *beta;
};

// One row of the first sweep: h, g = dh where h was kept, and the sums of g (x - mean) and of g.
template <class T>
void backward_row(const T* __restrict x, const Columns<T>& c, const uint8_t* __restrict kept, T factor,
                  const T* __restrict dh, int64_t n, T* __restrict h, T* __restrict g, T* __restrict sum_gx,
                  T* __restrict sum_g) {
  int64_t j = 0;
  for (; j + kVec <= n; j += kVec) {
    const Mask<T> mask = load_mask<T>(kept + j);
    const Vec<T> from = load(x + j), mean = load(c.mean + j), zero = {},
                 y = ColumnNorm::f(from, mean, load(c.rstd + j), load(c.gamma + j), load(c.beta + j)),
                 own = mask ? load(dh + j) : zero;
    store(mask ? y * factor : zero, h + j);
    store(own, g + j);
    store(load(sum_gx + j) + own * (from - mean), sum_gx + j);
    store(load(sum_g + j) + own, sum_g + j);
  }
  for (; j < n; ++j) {
    h[j] = kept[j] ? ColumnNorm::f(x[j], c.mean[j], c.rstd[j], c.gamma[j], c.beta[j]) * factor : T(0);
    g[j] = kept[j] ? dh[j] : T(0);
    sum_gx[j] += g[j] * (x[j] - c.mean[j]);
    sum_g[j] += g[j];
  }
}

// sums64 += sums, which are then zero.
template <class T>
void move_sums(T* __restrict sums, int64_t n, double* __restrict sums64) {
  for (int64_t j = 0; j < n; ++j) {
    sums64[j] += static_cast<double>(sums[j]);
    sums[j] = 0;
  }
}

// In place of g: dx = a g + (b (x - mean) + e).
template <class T>
void dx_row(const T* __restrict a, const T* __restrict b, const T* __restrict e, const T* __restrict x,
            const T* __restrict mean, int64_t n, T* __restrict g) {
  for (int64_t j = 0; j < n; ++j) g[j] = HiddenLayerDx<T>::dx(a[j], b[j], e[j], g[j], x[j], mean[j]);
}

struct Layer {
  Tensor x, mean, rstd, gamma, beta, weight;
  double p;
  int64_t rows() const { return x.shape()[0]; }
  int64_t in() const { return x.shape()[1]; }
  int64_t out() const { return weight.shape()[0]; }
  template <class T>
  Columns<T> columns() const {
    return {mean.data<T>(), rstd.data<T>(), gamma.data<T>(), beta.data<T>()};
  }
  // Calls fn with values of the types T of the tensors and U of the products' operands.
  template <class Fn>
  void with_types(Fn&& fn) const {
    for_float(x.dtype(), "hidden_linear", [&]<class T>() {
      if constexpr (std::is_same_v<T, float>) {
        if (rounds_operands(product_bt(rows(), out(), in()))) return fn(T(), BFloat16());
      }
      fn(T(), T());
    });
  }
};

template <class T, class U>
void forward(const Layer& layer, const DropoutKey& key, const Tensor& bias, const Tensor& kept, const Tensor& z) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out();
  const Cut cut(rows);
  std::vector<U> rounded;
  const U* weight = as_operands(layer.weight.data<T>(), out * in, rounded);
  const T *x = layer.x.data<T>(), *b = bias.defined() ? bias.data<T>() : nullptr;
  uint8_t* mask = kept.defined() ? kept.data<uint8_t>() : nullptr;
  T* to = z.data<T>();
  note_product(product_bt(rows, out, in));
  parallel_for(cut.groups, 1, [&](int64_t first, int64_t last) {
    thread_local std::vector<T> h;
    thread_local std::vector<U> rounded_h;
    h.resize(static_cast<size_t>(cut.chunk * in));
    HiddenRow<T> row(layer.mean, layer.rstd, layer.gamma, layer.beta, layer.p, key);
    for (int64_t p = first; p < last; ++p) {
      cut.for_chunks(p, rows, [&](int64_t begin, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          const int64_t r = begin + i;
          row(x + r * in, r, h.data() + i * in);
          if (mask) note_kept(h.data() + i * in, in, mask + r * in);
        }
        gemm_piece(product_bt(count, out, in), as_operands(h.data(), count * in, rounded_h), weight, to + begin * out,
                   b);
      });
    }
  });
}

// What a group of rows adds up: its part of dW, in T chunk by chunk as any product, and in fp64 its sums of
// g (x - mean), g and dz, side by side.
struct Sums {
  Tensor dweight;  // [groups, out, in]
  Tensor columns;  // f64 [groups, 2 in + out]
};

template <class T, class U>
Sums first_sweep(const Layer& layer, const Tensor& kept, const Tensor& dz, const Tensor& g) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out(), width = 2 * in + out;
  const Cut cut(rows);
  const Sums all{Tensor::empty({cut.groups, out, in}, layer.x.dtype()), Tensor::zeros({cut.groups, width}, DType::f64)};
  const Columns<T> columns = layer.columns<T>();
  const T factor = static_cast<T>(1.0 / (1.0 - layer.p));
  std::vector<U> rounded;
  const U* weight = as_operands(layer.weight.data<T>(), out * in, rounded);
  const T *x = layer.x.data<T>(), *gradient = dz.data<T>();
  const uint8_t* mask = kept.data<uint8_t>();
  T* waiting = g.data<T>();
  note_product(product(rows, in, out));
  note_product(product_at(out, in, rows));
  parallel_for(cut.groups, 1, [&](int64_t first, int64_t last) {
    thread_local std::vector<T> dh, h, sums;
    thread_local std::vector<U> rounded_h, rounded_dz;
    dh.resize(static_cast<size_t>(cut.chunk * in));
    h.resize(static_cast<size_t>(cut.chunk * in));
    sums.assign(static_cast<size_t>(width), T(0));
    for (int64_t p = first; p < last; ++p) {
      T* dw = all.dweight.data<T>() + p * out * in;
      double* sums64 = all.columns.data<double>() + p * width;
      cut.for_chunks(p, rows, [&](int64_t begin, int64_t count) {
        const T* own = gradient + begin * out;
        const U* operand = as_operands(own, count * out, rounded_dz);
        gemm_piece(product(count, in, out), operand, weight, dh.data());
        for (int64_t from = 0; from < count; from += kRowPart) {
          const int64_t end = std::min(count, from + kRowPart);
          for (int64_t i = from; i < end; ++i) {
            const int64_t at = (begin + i) * in;
            backward_row(x + at, columns, mask + at, factor, dh.data() + i * in, in, h.data() + i * in, waiting + at,
                         sums.data(), sums.data() + in);
            add_row(own + i * out, T(1), out, sums.data() + 2 * in);
          }
          move_sums(sums.data(), width, sums64);
        }
        gemm_piece(product_at(out, in, count, begin > p * cut.group), operand,
                   as_operands(h.data(), count * in, rounded_h), dw);
      });
    }
  });
  return all;
}

struct Gradients {
  Tensor dx, dgamma, dbeta, dweight, dbias;  // dbias may be undefined
};

template <class T, class U>
void backward(const Layer& layer, const Tensor& kept, const Tensor& dz, bool fixed_statistics, const Gradients& to) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out(), weights = out * in;
  const Sums sums = first_sweep<T, U>(layer, kept, dz, to.dx);
  const int64_t groups = sums.columns.shape()[0], width = sums.columns.shape()[1];
  double* total = sums.columns.data<double>();
  for (int64_t p = 1; p < groups; ++p) add_row(total + p * width, 1.0, width, total);
  store_norm_sums<T>(total, total + in, layer.rstd, layer.p, to.dgamma, to.dbeta);
  if (to.dbias.defined()) std::copy_n(total + 2 * in, out, to.dbias.data<T>());
  parallel_for(weights, kPiece / 4, [&](int64_t first, int64_t last) {
    T* dw = to.dweight.data<T>() + first;
    std::copy_n(sums.dweight.data<T>() + first, last - first, dw);
    for (int64_t p = 1; p < groups; ++p) {
      add_row(sums.dweight.data<T>() + p * weights + first, T(1), last - first, dw);
    }
  });
  const HiddenDxColumns<T> of(layer.rstd, layer.gamma, to.dgamma, to.dbeta, rows, layer.p, fixed_statistics);
  const T *x = layer.x.data<T>(), *mean = layer.mean.data<T>();
  T* dx = to.dx.data<T>();
  // The last rows first: they were written last, and may be in cache.
  const int64_t piece = std::max<int64_t>(1, kPiece / in);
  parallel_for(divide_up(rows, piece), 1, [&](int64_t p, int64_t) {
    const int64_t end = rows - p * piece, begin = std::max<int64_t>(0, end - piece);
    for (int64_t r = begin; r < end; ++r) {
      dx_row(of.a.data(), of.b.data(), of.e.data(), x + r * in, mean, in, dx + r * in);
    }
  });
}

}  // namespace
}  // namespace cpu

bool hidden_linear_pays(int64_t rows, int64_t in, int64_t out) { return rows >= 8 * std::max(in, out); }

Tensor hidden_linear(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                     const Tensor& running_var, bool training, double p, const DropoutKey& key, const Tensor& weight,
                     const Tensor& bias, double momentum, double eps) {
  if (!x.device().is_cpu()) {
    return linear(batch_norm_relu_dropout(x, gamma, beta, running_mean, running_var, training, p, key, momentum, eps),
                  weight, bias);
  }
  check_norm("hidden_linear", x, gamma, beta);
  KDEF_CHECK(x.rank() == 2 && x.numel() > 0 && weight.rank() == 2 && weight.shape()[1] == x.shape()[1] &&
                 weight.dtype() == x.dtype(),
             "hidden_linear: input ", describe(x), " does not fit weight ", describe(weight),
             " (needs [B, K] and [N, K], none of them empty)");
  KDEF_CHECK(!bias.defined() || bias.shape() == Shape{weight.shape()[0]}, "hidden_linear: bias ", describe(bias),
             " does not fit weight ", weight.shape());
  KDEF_CHECK(p >= 0 && p < 1, "hidden_linear: dropout rate ", p, " is not in [0, 1)");
  const auto [mean, rstd] = norm_moments(x, {running_mean}, {running_var}, training, momentum, eps);
  const double rate = training ? p : 0.0;
  const cpu::Layer layer{x, mean, rstd, gamma, beta, weight, rate};
  const Tensor z = Tensor::empty({layer.rows(), layer.out()}, x.dtype());
  const Tensor kept = recording() ? Tensor::empty(x.shape(), DType::u8) : Tensor();
  layer.with_types([&]<class T, class U>(T, U) { cpu::forward<T, U>(layer, key, bias, kept, z); });
  return record(
      kHiddenLinearInfo, z, {x, gamma, beta, weight, bias}, {x, mean, rstd, gamma, beta, weight, kept},
      [rate, training](const BackwardContext& c, const Tensor& dz) -> std::vector<Gradient> {
        const cpu::Layer saved{c.saved[0], c.saved[1], c.saved[2], c.saved[3], c.saved[4], c.saved[5], rate};
        const cpu::Gradients to{Tensor::empty_like(saved.x), Tensor::empty_like(saved.gamma),
                                Tensor::empty_like(saved.beta), Tensor::empty_like(saved.weight),
                                c.needs[4] ? Tensor::empty({saved.out()}, dz.dtype()) : Tensor()};
        saved.with_types([&]<class T, class U>(T, U) { cpu::backward<T, U>(saved, c.saved[6], dz, !training, to); });
        return {to.dx, to.dgamma, to.dbeta, to.dweight, to.dbias};
      });
}

}  // namespace kdef::ops
