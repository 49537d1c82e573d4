#include "ops/hidden_linear.h"

#include <algorithm>
#include <type_traits>

#include "core/parallel.h"
#include "ops/gemm.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/norm_rows.h"
#include "ops/vectors.h"

namespace kdef::ops {

const OpInfo kHiddenLinearInfo{
    "hidden_linear", "h = dropout(max(batch_norm(x), 0)), z = h W^T + b",
    "dW = dz^T h, db = sum over rows of dz, d = (dz W) [h > 0] / (1 - p), then dgamma, dbeta, "
    "dx of batch_norm (or batch_norm_eval) with d for dy"};

namespace cpu {
namespace {

int64_t divide_up(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }

// Rows are cut by their number alone. A chunk of rows of x, h and z is to lie in the second cache level, as well as
// may be: products of fewer rows are slower.
constexpr int64_t kLeast = 64, kMost = 320, kGroups = 16;
// Few enough rows that their sums in the tensor's type keep its digits; sums of more are in fp64.
constexpr int64_t kFew = 64;
int64_t chunk_rows(int64_t rows) { return std::clamp((divide_up(rows, kGroups) + 15) / 16 * 16, kLeast, kMost); }

void round(const float* __restrict from, int64_t n, BFloat16* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(from[i]);
}

// n numbers as operands of type U: themselves, or rounded.
template <class U, class T>
const U* as_operands(const T* x, int64_t n, std::vector<U>& room) {
  if constexpr (std::is_same_v<T, U>) {
    return x;
  } else {
    if (static_cast<int64_t>(room.size()) < n) room.resize(static_cast<size_t>(n));
    round(x, n, room.data());
    return room.data();
  }
}

template <class T>
void note_kept(const T* __restrict h, int64_t n, uint8_t* __restrict kept) {
  for (int64_t j = 0; j < n; ++j) kept[j] = h[j] > T(0);
}

// Of one row h again, d = dh where it was kept, and the sums of d (x - mean) and of d.
template <class T>
void backward_row(const T* __restrict x, const T* __restrict mean, const T* __restrict rstd, const T* __restrict gamma,
                  const T* __restrict beta, const uint8_t* __restrict kept, T factor, const T* __restrict dh, int64_t n,
                  T* __restrict h, T* __restrict d, T* __restrict products, T* __restrict plain) {
  int64_t j = 0;
  for (; j + kLane <= n; j += kLane) {
    const MaskOf<T> mask = load_mask<T>(kept + j);
    const Lane<T> from = load_lane(x + j), m = load_lane(mean + j), zero = {},
                  v = ColumnNorm::f(from, m, load_lane(rstd + j), load_lane(gamma + j), load_lane(beta + j)),
                  of = mask ? load_lane(dh + j) : zero;
    store_lane(mask ? v * factor : zero, h + j);
    store_lane(of, d + j);
    store_lane(load_lane(products + j) + of * (from - m), products + j);
    store_lane(load_lane(plain + j) + of, plain + j);
  }
  for (; j < n; ++j) {
    h[j] = kept[j] ? ColumnNorm::f(x[j], mean[j], rstd[j], gamma[j], beta[j]) * factor : T(0);
    d[j] = kept[j] ? dh[j] : T(0);
    products[j] += d[j] * (x[j] - mean[j]);
    plain[j] += d[j];
  }
}

template <class T>
void move_sums(T* __restrict from, int64_t n, double* __restrict to) {
  for (int64_t j = 0; j < n; ++j) {
    to[j] += static_cast<double>(from[j]);
    from[j] = 0;
  }
}

template <class T>
void scale_row(const T* __restrict from, T factor, int64_t n, T* __restrict to) {
  for (int64_t j = 0; j < n; ++j) to[j] = factor * from[j];
}

// In place: dx = a d + (b (x - mean) + e).
template <class T>
void dx_row(const T* __restrict a, const T* __restrict b, const T* __restrict e, const T* __restrict x,
            const T* __restrict mean, int64_t n, T* __restrict d) {
  for (int64_t j = 0; j < n; ++j) d[j] = HiddenLayerDx<T>::dx(a[j], b[j], e[j], d[j], x[j], mean[j]);
}

struct Layer {
  Tensor x, mean, rstd, gamma, beta, weight;
  double p;
  int64_t rows() const { return x.shape()[0]; }
  int64_t in() const { return x.shape()[1]; }
  int64_t out() const { return weight.shape()[0]; }
  // An output layer's products are with a vector: a row at a time, in the first cache level.
  bool by_row() const { return out() == 1; }
  bool rounded() const {
    Gemm whole;
    whole.m = rows();
    whole.n = out();
    whole.k = in();
    return x.dtype() == DType::f32 && rounds_operands(whole);
  }
  // Calls fn with values of the types T of the tensors and U of the products' operands.
  template <class Fn>
  void with_types(Fn&& fn) const {
    for_float(x.dtype(), "hidden_linear", [&]<class T>() {
      if constexpr (std::is_same_v<T, float>) {
        if (rounded()) return fn(T(), BFloat16());
      }
      fn(T(), T());
    });
  }
};

template <class T, class U>
void forward(const Layer& layer, const DropoutKey& key, const Tensor& bias, const Tensor& kept, const Tensor& z) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out(), chunk = chunk_rows(rows);
  const bool by_row = layer.by_row();
  std::vector<U> rounded;
  const U* weight = as_operands(layer.weight.data<T>(), out * in, rounded);
  const T *x = layer.x.data<T>(), *b = bias.defined() ? bias.data<T>() : nullptr;
  uint8_t* mask = kept.defined() ? kept.data<uint8_t>() : nullptr;
  T* to = z.data<T>();
  parallel_for(divide_up(rows, chunk), 1, [&](int64_t first, int64_t last) {
    thread_local std::vector<U> h;
    thread_local std::vector<T> one;
    h.resize(static_cast<size_t>(chunk * in));
    one.resize(static_cast<size_t>(in));
    HiddenRow<T> row(layer.mean, layer.rstd, layer.gamma, layer.beta, layer.p, key);
    for (int64_t c = first; c < last; ++c) {
      const int64_t begin = c * chunk, count = std::min(chunk, rows - begin);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t r = begin + i;
        U* to_row = h.data() + (by_row ? 0 : i * in);
        T* of_row = one.data();
        if constexpr (std::is_same_v<T, U>) of_row = to_row;
        row(x + r * in, r, of_row);
        if (mask) note_kept(of_row, in, mask + r * in);
        if constexpr (!std::is_same_v<T, U>)
          round(of_row, in, to_row);
        else if (by_row)
          to[r] = dot(to_row, weight, in) + (b ? *b : T(0));
      }
      if (by_row) continue;
      Gemm g;
      g.m = count;
      g.n = g.ldc = out;
      g.k = g.lda = g.ldb = in;
      g.transpose_b = true;
      gemm_piece(g, h.data(), weight, to + begin * out, b);
    }
  });
}

struct Gradients {
  Tensor dx, dgamma, dbeta, dweight, dbias;  // dbias may be undefined
};

template <class T, class U>
void backward(const Layer& layer, const Tensor& kept, const Tensor& dz, bool constant, const Gradients& to) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out();
  const bool by_row = layer.by_row();
  const int64_t group = std::max(kLeast, divide_up(rows, kGroups)), groups = divide_up(rows, group);
  const int64_t chunk = std::min(group, (divide_up(group, divide_up(group, kMost)) + 15) / 16 * 16);
  std::vector<U> rounded;
  const U* weight = as_operands(layer.weight.data<T>(), out * in, rounded);
  const T *x = layer.x.data<T>(), *gradient = dz.data<T>(), *mean = layer.mean.data<T>();
  T* d = to.dx.data<T>();
  const T factor = static_cast<T>(1.0 / (1.0 - layer.p));
  // Of each group: its part of dW, and in fp64 its sums of d (x - mean), d and dz.
  const Tensor partial = Tensor::empty({groups, out, in}, layer.x.dtype());
  const int64_t width = 2 * in + out;
  const Tensor sums = Tensor::zeros({groups, width}, DType::f64);
  parallel_for(groups, 1, [&](int64_t first, int64_t last) {
    thread_local std::vector<T> dh, h, few;
    thread_local std::vector<U> rounded_h, rounded_dz;
    dh.resize(static_cast<size_t>(chunk * in));
    h.resize(static_cast<size_t>(chunk * in));
    few.assign(static_cast<size_t>(width), T(0));
    for (int64_t p = first; p < last; ++p) {
      T* dw = partial.data<T>() + p * out * in;
      double* total = sums.data<double>() + p * width;
      if (by_row) std::fill_n(dw, in, T(0));
      for (int64_t begin = p * group; begin < std::min(rows, (p + 1) * group); begin += chunk) {
        const int64_t count = std::min(chunk, std::min(rows, (p + 1) * group) - begin);
        const T* dz_chunk = gradient + begin * out;
        const U* dz_operand = as_operands(dz_chunk, count * out, rounded_dz);
        Gemm g;  // dh = dz W
        g.m = count;
        g.n = g.ldb = g.ldc = in;
        g.k = g.lda = out;
        if (!by_row) gemm_piece(g, dz_operand, weight, dh.data());
        for (int64_t from = 0; from < count; from += kFew) {
          const int64_t end = std::min(count, from + kFew);
          for (int64_t i = from; i < end; ++i) {
            const int64_t at = (begin + i) * in, in_chunk = by_row ? 0 : i * in;
            if (by_row) scale_row(layer.weight.data<T>(), dz_chunk[i], in, dh.data());
            backward_row(x + at, mean, layer.rstd.data<T>(), layer.gamma.data<T>(), layer.beta.data<T>(),
                         kept.data<uint8_t>() + at, factor, dh.data() + in_chunk, in, h.data() + in_chunk, d + at,
                         few.data(), few.data() + in);
            if (by_row) add_row(h.data(), dz_chunk[i], in, dw);
          }
          for (int64_t i = from; i < end; ++i) add_row(dz_chunk + i * out, T(1), out, few.data() + 2 * in);
          move_sums(few.data(), width, total);
        }
        if (by_row) continue;
        g = {};  // dW += dz^T h
        g.m = g.lda = out;
        g.n = g.ldb = g.ldc = in;
        g.k = count;
        g.transpose_a = true;
        g.accumulate = begin > p * group;
        gemm_piece(g, dz_operand, as_operands(h.data(), count * in, rounded_h), dw);
      }
    }
  });
  double* total = sums.data<double>();
  for (int64_t p = 1; p < groups; ++p) add_row(total + p * width, 1.0, width, total);
  store_norm_sums<T>(total, total + in, layer.rstd, layer.p, to.dgamma, to.dbeta);
  for (int64_t j = 0; to.dbias.defined() && j < out; ++j) to.dbias.data<T>()[j] = static_cast<T>(total[2 * in + j]);
  const int64_t weights = out * in;
  parallel_for(weights, kPiece / 4, [&](int64_t first, int64_t last) {
    T* dw = to.dweight.data<T>() + first;
    std::copy_n(partial.data<T>() + first, last - first, dw);
    for (int64_t p = 1; p < groups; ++p) add_row(partial.data<T>() + p * weights + first, T(1), last - first, dw);
  });
  const HiddenDxColumns<T> of(layer.rstd, layer.gamma, to.dgamma, to.dbeta, rows, layer.p, constant);
  // From the last rows on: they were written last, and may be in cache.
  const int64_t piece = std::max<int64_t>(1, kPiece / in);
  parallel_for(divide_up(rows, piece), 1, [&](int64_t first, int64_t) {
    const int64_t end = rows - first * piece, begin = std::max<int64_t>(0, end - piece);
    for (int64_t r = begin; r < end; ++r) {
      dx_row(of.a.data(), of.b.data(), of.e.data(), x + r * in, mean, in, d + r * in);
    }
  });
}

}  // namespace
}  // namespace cpu

bool hidden_linear_pays(int64_t rows, int64_t in, int64_t out) { return rows >= 4 * std::max(in, out); }

Tensor hidden_linear(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                     const Tensor& running_var, bool training, double p, const DropoutKey& key, const Tensor& weight,
                     const Tensor& bias, double momentum, double eps) {
  if (!x.device().is_cpu()) {
    return linear(batch_norm_relu_dropout(x, gamma, beta, running_mean, running_var, training, p, key, momentum, eps),
                  weight, bias);
  }
  check_norm("hidden_linear", x, gamma, beta);
  KDEF_CHECK(x.rank() == 2 && weight.rank() == 2 && weight.shape()[1] == x.shape()[1] && weight.dtype() == x.dtype(),
             "hidden_linear: input ", describe(x), " does not fit weight ", describe(weight),
             " (needs [B, K] and [N, K])");
  KDEF_CHECK(!bias.defined() || bias.shape() == Shape{weight.shape()[0]}, "hidden_linear: bias ", describe(bias),
             " does not fit weight ", weight.shape());
  KDEF_CHECK(p >= 0 && p < 1, "hidden_linear: dropout rate ", p, " is not in [0, 1)");
  const auto [mean, rstd] = norm_moments(x, running_mean, running_var, training, momentum, eps);
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
