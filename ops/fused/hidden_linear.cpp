#include "ops/fused/hidden_linear.h"

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "core/base/parallel.h"
#include "ops/device/vectors.h"
#include "ops/gemm/pieces.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/norm_rows.h"

// Forward, chunk by chunk of rows:
//   h = dropout(relu(gamma (x - mean) rstd + beta)),  z = h W^T + b.
// Backward, first sweep, chunk by chunk: dh = dz W, g = dh [h > 0]; h is computed again from x; and these are added up
// over the rows:
//   dW += dz^T h,  db += dz,  s1 += g (x - mean),  s0 += g.
// Second sweep: mean and variance depend on every row, so that dx needs the sums over all rows of the batch, also those
// of the other members of a group. Until these sums are known, the memory of dx holds g:
//   dgamma = c rstd s1,  dbeta = c s0 with c = 1 / (1 - p),  dx = a g + b (x - mean) + e  (HiddenLayerDx).
// In bf16, h, dz and dx are rounded, as operands of products; g is rounded while dx holds it. The sums are those of g
// before rounding.

namespace kdef::ops {

const OpInfo kHiddenLinearInfo{"hidden_linear", "h = dropout(max(batch_norm(x), 0)), z = h W^T + b",
                               "dW = dz^T h, db = sum over rows of dz, d = (dz W) [h > 0] / (1 - p), then dgamma, "
                               "dbeta, dx of batch_norm (or batch_norm_eval) with d for dy",
                               true};

namespace cpu {
namespace {

// The number of rows alone decides how they are divided: into up to 16 groups, each with sums of its own, and each
// group into chunks of up to 320 rows. (Chunks of 160 to 640 rows take the same time.)
struct RowGroups {
  int64_t group, count, chunk;
  explicit RowGroups(int64_t rows) {
    constexpr int64_t kGroups = 16, kMinGroup = 192, kMaxChunk = 320;
    group = std::max(kMinGroup, divide_up(rows, kGroups));
    count = divide_up(rows, group);
    chunk = std::min(group, divide_up(divide_up(group, divide_up(group, kMaxChunk)), 16) * 16);
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

// One row of the first sweep: stores h, and g = dh where h was kept, as operands; adds g (x - mean) and g to the sums.
template <class T, class U>
void backward_row(const T* __restrict x, const NormColumns<T>& c, const uint8_t* __restrict kept, T factor,
                  const T* __restrict dh, int64_t n, U* __restrict h, U* __restrict g, T* __restrict sum_gx,
                  T* __restrict sum_g) {
  int64_t j = 0;
  for (; j + kVec <= n; j += kVec) {
    const Mask<T> mask = load_mask<T>(kept + j);
    const Vec<T> zero = {}, d = mask ? load(dh + j) : zero;
    store_operands(mask ? c.vector(x, j) * factor : zero, h + j);
    store_operands(d, g + j);
    add_hidden_terms(d, x, c.mean, j, sum_gx, sum_g);
  }
  for (; j < n; ++j) {
    store_operands(kept[j] ? c(x, j) * factor : T(0), h + j);
    const T d = kept[j] ? dh[j] : T(0);
    store_operands(d, g + j);
    HiddenLayerSums::add(d, x[j], c.mean[j], sum_gx[j], sum_g[j]);
  }
}

// One row of dz: sums += dz; stores dz as operands where dz is of another type.
template <class T, class U, class Dz>
void dz_row(const Dz* __restrict dz, int64_t n, T* __restrict sums, U* __restrict operands) {
  constexpr bool kRounds = !std::is_same_v<U, Dz>;
  int64_t j = 0;
  for (; j + kVec <= n; j += kVec) {
    const Vec<T> v = load_operands(dz + j);
    store(load(sums + j) + v, sums + j);
    if constexpr (kRounds) store_operands(v, operands + j);
  }
  for (; j < n; ++j) {
    const T v = number(dz[j]);
    sums[j] += v;
    if constexpr (kRounds) store_operands(v, operands + j);
  }
}

// Calls fn(first, end) for parts of kRowPart rows.
template <class Fn>
void for_parts(int64_t rows, Fn&& fn) {
  for (int64_t first = 0; first < rows; first += kRowPart) fn(first, std::min(rows, first + kRowPart));
}

// Adds sums to sums64, and sets sums to zero.
template <class T>
void move_sums(T* __restrict sums, int64_t n, double* __restrict sums64) {
  for (int64_t j = 0; j < n; ++j) {
    sums64[j] += static_cast<double>(sums[j]);
    sums[j] = 0;
  }
}

// In place of g: dx = a g + (b (x - mean) + e).
template <class T, class U>
void dx_row(const HiddenDxColumns<T>& of, const T* __restrict x, const T* __restrict mean, int64_t n, U* __restrict g) {
  const T* __restrict a = of.a.data(), * __restrict b = of.b.data(), * __restrict e = of.e.data();
  int64_t j = 0;
  for (; j + kVec <= n; j += kVec) {
    const Vec<T> d = load_operands(g + j);
    store_operands(HiddenLayerDx<T>::dx(load(a + j), load(b + j), load(e + j), d, load(x + j), load(mean + j)), g + j);
  }
  for (; j < n; ++j) store_operands(HiddenLayerDx<T>::dx(a[j], b[j], e[j], number(g[j]), x[j], mean[j]), g + j);
}

// The hidden layer and the product's weight.
struct Layer : NormState {
  int64_t rows() const { return x.shape()[0]; }
  int64_t in() const { return x.shape()[1]; }
  int64_t out() const { return weight.shape()[0]; }
  Gemm product() const { return product_bt(rows(), out(), in()); }
  // Calls fn with values of the type T of the tensors and of the type U of operands. U is also the type of dx, which
  // the product that computed x will read. (With one output there is no product here; U is then that of a product with
  // as many outputs as x has columns.)
  template <class Fn>
  void with_types(Fn&& fn) const {
    for_float(x.dtype(), "hidden_linear", [&]<class T>() {
      if constexpr (std::is_same_v<T, float>) {
        const Gemm g = out() == 1 ? product_bt(rows(), in(), in()) : product();
        if (route(g, x).precision == GemmPrecision::bf16) return fn(T(), BFloat16());
      }
      fn(T(), T());
    });
  }
};

template <class T, class U>
void forward(const Layer& layer, const DropoutKey& key, const Tensor& bias, const Tensor& z) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out();
  const RowGroups groups(rows);
  const SharedOperand<T, U> weight(product_bt(groups.chunk, out, in), layer.weight.data<T>());
  const T *x = layer.x.data<T>(), *b = bias.defined() ? bias.data<T>() : nullptr;
  uint8_t* mask = layer.kept.defined() ? layer.kept.data<uint8_t>() : nullptr;
  T* to = z.data<T>();
  note_product(layer.product());
  parallel_for(rows, groups.chunk, [&](int64_t first, int64_t last) {
    thread_local std::vector<U> h;
    h.resize(static_cast<size_t>(groups.chunk * in));
    HiddenRow<T> row(NormColumns<T>(layer), in, layer.rate, key);
    for (int64_t r = first; r < last; ++r) {
      row(x + r * in, r, h.data() + (r - first) * in, mask ? mask + r * in : nullptr);
    }
    weight.multiply(last - first, h.data(), to + first * out, b);
  });
}

// The sums of each group of rows. Chunks add to dweight in T; `columns` has the sums of g (x - mean), g and dz, side by
// side.
struct GroupSums {
  Tensor dweight;  // [groups, out, in]
  Tensor columns;  // f64 [groups, 2 in + out]
};

// dz of type T or U
template <class T, class U, class Dz>
GroupSums first_sweep(const Layer& layer, const Tensor& dz, const Tensor& g) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out(), width = 2 * in + out;
  const RowGroups groups(rows);
  const GroupSums all{Tensor::empty({groups.count, out, in}, layer.x.dtype()),
                      Tensor::zeros({groups.count, width}, DType::f64)};
  const NormColumns<T> columns(layer);
  const T factor = static_cast<T>(1.0 / (1.0 - layer.rate));
  const SharedOperand<T, U> weight(product(groups.chunk, in, out), layer.weight.data<T>());
  const T* x = layer.x.data<T>();
  const Dz* gradient = dz.data<Dz>();
  const uint8_t* mask = layer.kept.data<uint8_t>();
  U* waiting = g.data<U>();
  note_product(product(rows, in, out));
  note_product(product_at(out, in, rows));
  parallel_for(groups.count, 1, [&](int64_t first, int64_t last) {
    thread_local std::vector<T> dh, sums;
    thread_local std::vector<U> h, rounded_dz;
    dh.resize(static_cast<size_t>(groups.chunk * in));
    h.resize(static_cast<size_t>(groups.chunk * in));
    sums.assign(static_cast<size_t>(width), T(0));
    for (int64_t p = first; p < last; ++p) {
      T* dw = all.dweight.data<T>() + p * out * in;
      double* sums64 = all.columns.data<double>() + p * width;
      groups.for_chunks(p, rows, [&](int64_t begin, int64_t count) {
        const Dz* chunk = gradient + begin * out;
        const U* operand;
        U* rounded = nullptr;
        if constexpr (std::is_same_v<U, Dz>) {
          operand = chunk;
        } else {
          rounded_dz.resize(static_cast<size_t>(groups.chunk * out));
          operand = rounded = rounded_dz.data();
        }
        for_parts(count, [&](int64_t from, int64_t end) {
          for (int64_t i = from; i < end; ++i)
            dz_row(chunk + i * out, out, sums.data(), rounded ? rounded + i * out : nullptr);
          move_sums(sums.data(), out, sums64 + 2 * in);
        });
        weight.multiply(count, operand, dh.data());
        for_parts(count, [&](int64_t from, int64_t end) {
          for (int64_t i = from; i < end; ++i) {
            const int64_t at = (begin + i) * in;
            backward_row(x + at, columns, mask + at, factor, dh.data() + i * in, in, h.data() + i * in, waiting + at,
                         sums.data(), sums.data() + in);
          }
          move_sums(sums.data(), 2 * in, sums64);
        });
        gemm_piece(product_at(out, in, count, begin > p * groups.group), operand, h.data(), dw);
      });
    }
  });
  return all;
}

struct Gradients {
  Tensor dx;
  NormSums norm;
  Tensor dweight, dbias;  // dbias may be undefined
};

// dx of type U
template <class T, class U>
void backward(const Layer& layer, const Tensor& dz, const Gradients& to) {
  const int64_t rows = layer.rows(), in = layer.in(), out = layer.out(), weights = out * in;
  const GroupSums sums = dz.dtype() == dtype_of<U> ? first_sweep<T, U, U>(layer, dz, to.dx)
                                                   : first_sweep<T, U, T>(layer, dz.to(dtype_of<T>), to.dx);
  const int64_t groups = sums.columns.shape()[0], width = sums.columns.shape()[1];
  double* total = sums.columns.data<double>();
  for (int64_t p = 1; p < groups; ++p) add_row(total + p * width, 1.0, width, total);
  const NormGradients norm(total, layer.rstd.data<T>(), in, layer.rate);
  norm.store<T>(to.norm);
  if (to.dbias.defined()) std::copy_n(total + 2 * in, out, to.dbias.data<T>());
  parallel_for(weights, kPiece / 4, [&](int64_t first, int64_t last) {
    T* dw = to.dweight.data<T>() + first;
    std::copy_n(sums.dweight.data<T>() + first, last - first, dw);
    for (int64_t p = 1; p < groups; ++p) {
      add_row(sums.dweight.data<T>() + p * weights + first, T(1), last - first, dw);
    }
  });
  const HiddenDxColumns<T> of(layer, layer.gamma.data<T>(), norm.of_batch(layer.batch));
  const T *x = layer.x.data<T>(), *mean = layer.mean.data<T>();
  U* dx = to.dx.data<U>();
  // The last rows come first: they were written last, and may be in cache.
  const int64_t piece = std::max<int64_t>(1, kPiece / in);
  parallel_for(divide_up(rows, piece), 1, [&](int64_t p, int64_t) {
    const int64_t end = rows - p * piece, begin = std::max<int64_t>(0, end - piece);
    for (int64_t r = begin; r < end; ++r) {
      dx_row(of, x + r * in, mean, in, dx + r * in);
    }
  });
}

// ---- One output, as the last layer has. Then dh = dz w, and g is computed again for dx instead of being held there.
// The sums are those of OneOutputSums, for k = [h > 0] dz.

template <class T>
void forward_one(const Layer& layer, const DropoutKey& key, const Tensor& bias, const Tensor& z) {
  const int64_t rows = layer.rows(), in = layer.in();
  const T *x = layer.x.data<T>(), *weight = layer.weight.data<T>(), b = bias.defined() ? *bias.data<T>() : T(0);
  uint8_t* mask = layer.kept.defined() ? layer.kept.data<uint8_t>() : nullptr;
  T* to = z.data<T>();
  note_product(layer.product());
  parallel_for(rows, kRowPart, [&](int64_t first, int64_t last) {
    HiddenRow<T> row(NormColumns<T>(layer), in, layer.rate, key);
    for (int64_t r = first; r < last; ++r) to[r] = row.dot(x + r * in, r, weight, mask ? mask + r * in : nullptr) + b;
  });
}

// products += k (x - mean), plain += k
template <class T>
void add_kept(const T* __restrict x, const T* __restrict mean, const uint8_t* __restrict kept, T dz, int64_t n,
              T* __restrict products, T* __restrict plain) {
  int64_t j = 0;
  for (; j + kVec <= n; j += kVec) {
    const Vec<T> zero = {}, k = load_mask<T>(kept + j) ? zero + dz : zero;
    add_hidden_terms(k, x, mean, j, products, plain);
  }
  for (; j < n; ++j) {
    const T k = kept[j] ? dz : T(0);
    HiddenLayerSums::add(k, x[j], mean[j], products[j], plain[j]);
  }
}

// One row of dx from k; the coefficients contain w.
template <class T, class D>
void dx_row_one(const HiddenDxColumns<T>& of, const T* __restrict x, const T* __restrict mean,
                const uint8_t* __restrict kept, T dz, int64_t n, D* __restrict dx) {
  const T* __restrict a = of.a.data(), * __restrict b = of.b.data(), * __restrict e = of.e.data();
  int64_t j = 0;
  for (; j + kVec <= n; j += kVec) {
    const Vec<T> zero = {}, k = load_mask<T>(kept + j) ? zero + dz : zero;
    store_operands(HiddenLayerDx<T>::dx(load(a + j), load(b + j), load(e + j), k, load(x + j), load(mean + j)), dx + j);
  }
  for (; j < n; ++j) {
    store_operands(HiddenLayerDx<T>::dx(a[j], b[j], e[j], kept[j] ? dz : T(0), x[j], mean[j]), dx + j);
  }
}

// dx of type D
template <class T, class D>
void backward_one(const Layer& layer, const Tensor& dz, const Gradients& to) {
  const int64_t rows = layer.rows(), in = layer.in();
  const Tensor numbers = dz.to(dtype_of<T>);
  const T *x = layer.x.data<T>(), *mean = layer.mean.data<T>(), *gradient = numbers.data<T>(),
          *weight = layer.weight.data<T>();
  const uint8_t* mask = layer.kept.data<uint8_t>();
  note_product(product(rows, in, 1));
  note_product(product_at(1, in, rows));
  std::vector<double> totals(static_cast<size_t>(2 * in));
  column_sums<2, T>(rows, in, totals.data(), [=](int64_t first, int64_t last, T* part) {
    for (int64_t r = first; r < last; ++r) {
      add_kept(x + r * in, mean, mask + r * in, gradient[r], in, part, part + in);
    }
  });
  // g is w k. With gamma w in place of gamma, HiddenLayerDx takes k and its sums in place of g.
  const NormColumns<T> c(layer);
  const NormGradients of_k(totals.data(), c.rstd, in, layer.rate);
  std::vector<T> gamma_w(static_cast<size_t>(in));
  for (int64_t j = 0; j < in; ++j) {
    const double w = static_cast<double>(weight[j]), gamma = static_cast<double>(c.gamma[j]);
    const OneOutputSums sums({of_k.dgamma[static_cast<size_t>(j)], of_k.dbeta[static_cast<size_t>(j)]}, w, gamma,
                             static_cast<double>(c.beta[j]));
    to.norm.dgamma.data<T>()[j] = static_cast<T>(sums.dgamma);
    to.norm.dbeta.data<T>()[j] = static_cast<T>(sums.dbeta);
    to.dweight.data<T>()[j] = static_cast<T>(sums.dweight);
    gamma_w[static_cast<size_t>(j)] = static_cast<T>(gamma * w);
  }
  if (to.dbias.defined()) {
    *to.dbias.data<T>() = static_cast<T>(parallel_sum<double>(rows, kPiece, [=](int64_t first, int64_t last) {
      return std::accumulate(gradient + first, gradient + last, 0.0);
    }));
  }
  const HiddenDxColumns<T> of(layer, gamma_w.data(), of_k.of_batch(layer.batch));
  D* dx = to.dx.data<D>();
  parallel_for(rows, kRowPart, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      dx_row_one(of, x + r * in, mean, mask + r * in, gradient[r], in, dx + r * in);
    }
  });
}

}  // namespace
}  // namespace cpu

Tensor hidden_linear(const Tensor& x, const HiddenLayer& hidden, const Tensor& weight, const Tensor& bias) {
  if (!x.device().is_cpu()) return linear(batch_norm_relu_dropout(x, hidden), weight, bias);
  check_hidden("hidden_linear", x, hidden);
  KDEF_CHECK(x.numel() > 0 && weight.rank() == 2 && weight.shape()[1] == x.shape()[1] && weight.dtype() == x.dtype(),
             "hidden_linear: input ", describe(x), " does not fit weight ", describe(weight),
             " (needs [B, K] and [N, K], none of them empty)");
  KDEF_CHECK(!bias.defined() || bias.shape() == Shape{weight.shape()[0]}, "hidden_linear: bias ", describe(bias),
             " does not fit weight ", weight.shape());
  cpu::Layer layer{normalise_hidden(x, hidden)};
  layer.weight = weight;
  if (recording()) layer.kept = Tensor::empty(x.shape(), DType::u8);
  const Tensor z = Tensor::empty({layer.rows(), layer.out()}, x.dtype());
  layer.with_types([&]<class T, class U>(T, U) {
    (layer.out() == 1 ? cpu::forward_one<T> : cpu::forward<T, U>)(layer, hidden.keys[0], bias, z);
  });
  Attributes attributes = hidden_layer_attributes(hidden);
  attributes.push_back({"operands", operands_of(layer.product(), x)});
  return record(
      kHiddenLinearInfo, z, hidden_layer_inputs(x, hidden, {weight, bias}), layer.saved(),
      [rate = layer.rate, batch = layer.batch](const BackwardContext& c, const Tensor& dz) -> std::vector<Gradient> {
        const cpu::Layer saved{NormState::restored(c.saved, rate, batch)};
        cpu::Gradients to{{},
                          NormSums::like(saved.gamma),
                          Tensor::empty_like(saved.weight),
                          c.needs[4] ? Tensor::empty({saved.out()}, saved.x.dtype()) : Tensor()};
        saved.with_types([&]<class T, class U>(T, U) {
          to.dx = Tensor::empty(saved.x.shape(), dtype_of<U>);
          (saved.out() == 1 ? cpu::backward_one<T, U> : cpu::backward<T, U>)(saved, dz, to);
        });
        return {to.dx, to.norm.dgamma, to.norm.dbeta, to.dweight, to.dbias};
      },
      std::move(attributes));
}

}  // namespace kdef::ops
