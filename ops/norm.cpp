#include "ops/norm.h"

#include <cmath>

#include "core/base/parallel.h"
#include "ops/device/launch_cpu.h"
#include "ops/gemm/route.h"
#include "ops/norm_rows.h"
#include "ops/reduce.h"
#include "ops/rowwise_functors.h"

namespace kdef::ops {

const OpInfo kBatchNormInfo{
    "batch_norm", "h = (x - mean_b x) / sqrt(var_b x + eps), y = gamma h + beta",
    "dgamma = sum_b dy h, dbeta = sum_b dy, dx = gamma (dy - dbeta/B - h dgamma/B) / sqrt(var + eps)"};
const OpInfo kBatchNormEvalInfo{"batch_norm_eval",
                                "h = (x - running_mean) / sqrt(running_var + eps), y = gamma h + beta",
                                "dgamma = sum_b dy h, dbeta = sum_b dy, dx = gamma dy / sqrt(running_var + eps)"};
const OpInfo kBatchNormReluDropoutInfo{
    "batch_norm_relu_dropout", "y = dropout(max(batch_norm(x), 0))",
    "d = dy [y > 0] / (1 - p), then dgamma, dbeta, dx of batch_norm (or batch_norm_eval) with d for dy"};
const OpInfo kStackedBatchNormReluDropoutInfo{
    "stacked_batch_norm_relu_dropout", "y = dropout(max(batch_norm(x + b), 0)) for networks side by side",
    "d = dy [y > 0] / (1 - p), then dgamma, dbeta, dx of batch_norm with d for dy, db = sum over rows of dx"};
const OpInfo kLayerNormInfo{
    "layer_norm", "h = (x - mean_c x) / sqrt(var_c x + eps), y = gamma h + beta",
    "g = gamma dy, dx = (g - mean_c g - h mean_c(g h)) / sqrt(var + eps), dgamma = sum dy h, dbeta = sum dy"};

namespace cpu {

namespace {

// Row by row over the threads.
template <class Fn>
void for_rows(int64_t rows, int64_t columns, Fn fn) {
  parallel_for(rows, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, columns)), [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) fn(r);
  });
}

// Rows [0, rows) of dy, y, x [.., n] to sums[0 .. n) += d (x - mean), sums[n .. 2 n) += d with d = dy [y > 0].
template <class T>
void add_masked_sums(const T* __restrict dy, const T* __restrict y, const T* __restrict x, const T* __restrict mean,
                     int64_t rows, int64_t n, T* __restrict sums) {
  T* __restrict products = sums;
  T* __restrict plain = sums + n;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < n; ++j) {
      const T d = HiddenLayerDx<T>::d(dy[r * n + j], y[r * n + j]);
      HiddenLayerSums::add(d, x[r * n + j], mean[j], products[j], plain[j]);
    }
  }
}

// One row of dx = a d + (b (x - mean) + e) with d = dy [y > 0].
template <class T>
void masked_dx_row(const T* __restrict dy, const T* __restrict y, const T* __restrict x, const T* __restrict mean,
                   const T* __restrict a, const T* __restrict b, const T* __restrict e, int64_t n, T* __restrict dx) {
  for (int64_t j = 0; j < n; ++j) {
    dx[j] = HiddenLayerDx<T>::dx(a[j], b[j], e[j], HiddenLayerDx<T>::d(dy[j], y[j]), x[j], mean[j]);
  }
}

}  // namespace

void column_moments(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& rstd, double eps) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1], parts = divide_up(rows, kRowPart);
    const T* in = x.data<T>();
    T *m = mean.data<T>(), *v = var.data<T>(), *s = rstd.data<T>();
    // Per part its mean and its sum of squared deviations from that mean.
    Tensor partial = Tensor::empty({parts, 2, c}, x.dtype());
    T* p = partial.data<T>();
    parallel_for(parts, 4, [=](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) {
        T *mu = p + part * 2 * c, *squares = mu + c;
        const int64_t begin = part * kRowPart, end = std::min(rows, begin + kRowPart);
        std::fill_n(mu, 2 * c, T(0));
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t j = 0; j < c; ++j) mu[j] += in[r * c + j];
        }
        for (int64_t j = 0; j < c; ++j) mu[j] /= static_cast<T>(end - begin);
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t j = 0; j < c; ++j) squares[j] += (in[r * c + j] - mu[j]) * (in[r * c + j] - mu[j]);
        }
      }
    });
    // Chan, Golub, LeVeque (1979): with d the difference of the means, M2 = M2a + M2b + d^2 na nb / (na + nb).
    constexpr int64_t kColumns = 64;
    parallel_for(c, kColumns, [=](int64_t first, int64_t last) {
      double mu[kColumns] = {}, squares[kColumns] = {}, n = 0;
      for (int64_t part = 0; part < parts; ++part) {
        const double nb = static_cast<double>(std::min(rows, (part + 1) * kRowPart) - part * kRowPart);
        const T* from = p + part * 2 * c + first;
        for (int64_t j = 0; j < last - first; ++j) {
          const double d = static_cast<double>(from[j]) - mu[j];
          mu[j] += d * nb / (n + nb);
          squares[j] += static_cast<double>(from[c + j]) + d * d * n * nb / (n + nb);
        }
        n += nb;
      }
      for (int64_t j = 0; j < last - first; ++j) {
        const double variance = squares[j] / n;
        m[first + j] = static_cast<T>(mu[j]);
        v[first + j] = static_cast<T>(variance);
        s[first + j] = static_cast<T>(1.0 / std::sqrt(variance + eps));
      }
    });
  });
}

void move_running(const std::vector<Tensor>& running, const Tensor& observed, const Tensor& shift, double momentum,
                  double factor) {
  for_float(observed.dtype(), "batch_norm", [&]<class T>() {
    const T *o = observed.data<T>(), *by = shift.defined() ? shift.data<T>() : nullptr;
    int64_t at = 0;
    for (const Tensor& buffer : running) {
      T* r = buffer.data<T>();
      for (int64_t j = 0; j < buffer.numel(); ++j, ++at) {
        r[j] = ColumnNorm::moved(r[j], o[at], by ? by[at] : T(0), static_cast<T>(momentum), static_cast<T>(factor));
      }
    }
  });
}

void reciprocal_sqrt(const Tensor& var, double eps, const Tensor& rstd) {
  for_float(var.dtype(), "batch_norm", [&]<class T>() {
    const T* v = var.data<T>();
    T* r = rstd.data<T>();
    for (int64_t j = 0; j < var.numel(); ++j) r[j] = static_cast<T>(1.0 / std::sqrt(static_cast<double>(v[j]) + eps));
  });
}

void column_normalise(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma, const Tensor& beta,
                      const Tensor& y) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t c = x.shape()[1];
    const T *in = x.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>(), *g = gamma.data<T>(), *b = beta.data<T>();
    T* out = y.data<T>();
    for_rows(x.shape()[0], c, [=](int64_t r) {
      for (int64_t j = 0; j < c; ++j) out[r * c + j] = ColumnNorm::f(in[r * c + j], m[j], s[j], g[j], b[j]);
    });
  });
}

void column_norm_sums(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& dgamma,
                      const Tensor& dbeta) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const T *g = dy.data<T>(), *in = x.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>();
    std::vector<double> total(static_cast<size_t>(2 * c));
    column_sums<2, T>(rows, c, total.data(), [=](int64_t first, int64_t last, T* sums) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < c; ++j) {
          sums[j] += g[r * c + j] * ColumnNorm::h(in[r * c + j], m[j], s[j]);
          sums[c + j] += g[r * c + j];
        }
      }
    });
    for (int64_t j = 0; j < c; ++j) {
      dgamma.data<T>()[j] = static_cast<T>(total[static_cast<size_t>(j)]);
      dbeta.data<T>()[j] = static_cast<T>(total[static_cast<size_t>(c + j)]);
    }
  });
}

void column_norm_dx(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                    const Tensor& dgamma, const Tensor& dbeta, bool constant, const Tensor& dx) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const T *g = dy.data<T>(), *in = x.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>(), *w = gamma.data<T>();
    const T *dg = dgamma.data<T>(), *db = dbeta.data<T>();
    T* out = dx.data<T>();
    const T share = constant ? T(0) : T(1) / static_cast<T>(rows);
    for_rows(rows, c, [=](int64_t r) {
      for (int64_t j = 0; j < c; ++j) {
        const int64_t i = r * c + j;
        out[i] = ColumnNorm::dx(g[i], in[i], m[j], s[j], w[j], dg[j], db[j], share);
      }
    });
  });
}

void column_norm_relu_dropout(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                              const Tensor& beta, double p, const std::vector<DropoutKey>& keys, const Tensor& y) {
  for_float(x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1], block = c / static_cast<int64_t>(keys.size());
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(rows, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, c)), [&](int64_t first, int64_t last) {
      for (size_t m = 0; m < keys.size(); ++m) {
        const int64_t column = static_cast<int64_t>(m) * block;
        const auto own = [&](const Tensor& t) { return t.rows(column, block); };
        HiddenRow<T> row(NormColumns<T>(own(mean), own(rstd), own(gamma), own(beta)), block, p, keys[m]);
        for (int64_t r = first; r < last; ++r) row(in + r * c + column, r, out + r * c + column);
      }
    });
  });
}

void column_norm_relu_dropout_sums(const Tensor& dy, const Tensor& y, const Tensor& x, const Tensor& mean,
                                   const Tensor& rstd, double p, const Tensor& dgamma, const Tensor& dbeta) {
  for_float(x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const T *g = dy.data<T>(), *out = y.data<T>(), *in = x.data<T>(), *m = mean.data<T>();
    std::vector<double> total(static_cast<size_t>(2 * c));
    column_sums<2, T>(rows, c, total.data(), [=](int64_t first, int64_t last, T* sums) {
      add_masked_sums(g + first * c, out + first * c, in + first * c, m, last - first, c, sums);
    });
    NormGradients(total.data(), total.data() + c, rstd.data<T>(), c, p).store(dgamma.data<T>(), dbeta.data<T>());
  });
}

void column_norm_relu_dropout_dx(const Tensor& dy, const Tensor& y, const Tensor& x, const Tensor& mean,
                                 const Tensor& rstd, const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta,
                                 double p, bool constant, const Tensor& dx, const Tensor& dbias) {
  for_float(x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const T *g = dy.data<T>(), *o = y.data<T>(), *in = x.data<T>(), *m = mean.data<T>();
    T* out = dx.data<T>();
    const HiddenDxColumns<T> of(rstd.data<T>(), gamma.data<T>(), NormGradients(dgamma, dbeta), rows, p, constant);
    for_rows(rows, c, [=, a = of.a.data(), b = of.b.data(), e = of.e.data()](int64_t r) {
      masked_dx_row(g + r * c, o + r * c, in + r * c, m, a, b, e, c, out + r * c);
    });
  });
  if (dbias.defined()) cpu::reduce_sum(dx, dbias, 1, dx.shape()[0], dx.shape()[1], 1.0);
}

void layer_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& y, const Tensor& mean,
                        const Tensor& rstd, double eps) {
  for_float(x.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = x.shape().back();
    const T *in = x.data<T>(), *g = gamma.data<T>(), *b = beta.data<T>();
    T *out = y.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>();
    for_rows(x.numel() / c, c, [=](int64_t r) {
      LayerNormRow::forward(ScalarLane{}, in + r * c, g, b, out + r * c, m + r, s + r, c, static_cast<T>(eps));
    });
  });
}

void layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                         const Tensor& dx) {
  for_float(x.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = x.shape().back();
    const T *g = dy.data<T>(), *in = x.data<T>(), *w = gamma.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>();
    T* out = dx.data<T>();
    for_rows(x.numel() / c, c, [=](int64_t r) {
      LayerNormRow::backward(ScalarLane{}, g + r * c, in + r * c, w, m[r], s[r], out + r * c, c);
    });
  });
}

void layer_norm_sums(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& dgamma,
                     const Tensor& dbeta) {
  for_float(x.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = x.shape().back(), rows = x.numel() / c;
    const T *g = dy.data<T>(), *in = x.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>();
    std::vector<double> total(static_cast<size_t>(2 * c));
    column_sums<2, T>(rows, c, total.data(), [=](int64_t first, int64_t last, T* sums) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < c; ++j) {
          sums[j] += g[r * c + j] * (in[r * c + j] - m[r]) * s[r];
          sums[c + j] += g[r * c + j];
        }
      }
    });
    for (int64_t j = 0; j < c; ++j) {
      dgamma.data<T>()[j] = static_cast<T>(total[static_cast<size_t>(j)]);
      dbeta.data<T>()[j] = static_cast<T>(total[static_cast<size_t>(c + j)]);
    }
  });
}

}  // namespace cpu

void check_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta) {
  const Shape columns{x.rank() ? x.shape().back() : 0};
  KDEF_CHECK(x.rank() >= 1 && gamma.shape() == columns && beta.shape() == columns && gamma.dtype() == x.dtype(), op,
             ": input ", describe(x), " needs weight and bias of shape ", columns, ", got ", describe(gamma), " and ",
             describe(beta));
}

namespace {

void check_batch_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta) {
  check_norm(op, x, gamma, beta);
  KDEF_CHECK(x.rank() == 2, op, ": needs [B, C], got ", describe(x));
}

// The backward of both batch norms: saved are x, mean, rstd, gamma.
std::vector<Gradient> batch_norm_backward(const BackwardContext& c, const Tensor& dy, bool constant) {
  const Tensor &x = c.saved[0], &mean = c.saved[1], &rstd = c.saved[2], &gamma = c.saved[3];
  Tensor dgamma = Tensor::empty_like(gamma), dbeta = Tensor::empty_like(gamma), dx = Tensor::empty_like(x);
  KDEF_LAUNCH(dy.device(), column_norm_sums, dy, x, mean, rstd, dgamma, dbeta);
  KDEF_LAUNCH(dy.device(), column_norm_dx, dy, x, mean, rstd, gamma, dgamma, dbeta, constant, dx);
  return {dx, dgamma, dbeta};
}

}  // namespace

NormMoments norm_moments(const Tensor& x, const std::vector<Tensor>& running_mean,
                         const std::vector<Tensor>& running_var, bool training, double momentum, double eps,
                         const Tensor& bias) {
  const Tensor rstd = Tensor::empty({x.shape()[1]}, x.dtype(), x.device());
  if (!training) {
    KDEF_CHECK(running_mean.size() == 1, "batch_norm: evaluation is of one network at a time");
    KDEF_LAUNCH(rstd.device(), reciprocal_sqrt, running_var[0], eps, rstd);
    return {running_mean[0], rstd};
  }
  const int64_t rows = x.shape()[0];
  KDEF_CHECK(rows > 1, "batch_norm: a batch of ", rows,
             " row has no variance; use a batch size that leaves a larger last batch, or evaluation mode");
  const Tensor mean = Tensor::empty_like(rstd), var = Tensor::empty_like(rstd);
  KDEF_LAUNCH(x.device(), column_moments, x, mean, var, rstd, eps);
  KDEF_LAUNCH(x.device(), move_running, running_mean, mean, bias, momentum, 1.0);
  KDEF_LAUNCH(x.device(), move_running, running_var, var, {}, momentum,
              static_cast<double>(rows) / static_cast<double>(rows - 1));
  for (const auto* buffers : {&running_mean, &running_var}) {
    for (const Tensor& buffer : *buffers) buffer.changed();
  }
  return {mean, rstd};
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, double momentum, double eps) {
  check_batch_norm("batch_norm", x, gamma, beta);
  const auto [mean, rstd] = norm_moments(x, {running_mean}, {running_var}, true, momentum, eps);
  Tensor y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), column_normalise, x, mean, rstd, gamma, beta, y);
  return record(kBatchNormInfo, y, {x, gamma, beta}, {x, mean, rstd, gamma},
                [](const BackwardContext& c, const Tensor& dy) { return batch_norm_backward(c, dy, false); },
                {{"momentum", momentum}, {"eps", eps}});
}

Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps) {
  check_batch_norm("batch_norm_eval", x, gamma, beta);
  const auto [mean, rstd] = norm_moments(x, {running_mean}, {running_var}, false, 0, eps);
  Tensor y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), column_normalise, x, mean, rstd, gamma, beta, y);
  return record(kBatchNormEvalInfo, y, {x, gamma, beta, running_mean, running_var}, {x, mean, rstd, gamma},
                [](const BackwardContext& c, const Tensor& dy) { return batch_norm_backward(c, dy, true); },
                {{"eps", eps}});
}

Attributes hidden_layer_attributes(bool training, double momentum, double eps, double rate,
                                   const std::vector<DropoutKey>& keys) {
  if (!attributes_wanted()) return {};
  Attributes all{{"training", training}, {"eps", eps}};
  if (!training) return all;
  all.push_back({"momentum", momentum});
  for (Attribute& a : mask_attributes(rate, keys)) all.push_back(std::move(a));
  return all;
}

namespace {

// y and dx of type `result`; bias may be undefined. In evaluation, `running` are the buffers behind the moments.
Tensor hidden_layer(const OpInfo& info, const Tensor& x, const NormMoments& moments, const Tensor& gamma,
                    const Tensor& beta, bool training, double p, const std::vector<DropoutKey>& keys, DType result,
                    double momentum, double eps, const std::vector<Tensor>& running, const Tensor& bias = {}) {
  KDEF_CHECK(p >= 0 && p < 1, "batch_norm_relu_dropout: dropout rate ", p, " is not in [0, 1)");
  const double rate = training ? dropout_rate(p) : 0.0;
  Tensor y = Tensor::empty(x.shape(), result, x.device());
  KDEF_LAUNCH(x.device(), column_norm_relu_dropout, x, moments.mean, moments.rstd, gamma, beta, rate, keys, y);
  // y > 0 exactly where ReLU passes and dropout keeps: the mask needs no memory of its own.
  std::vector<Tensor> inputs{x, gamma, beta, bias};
  if (!training) inputs.insert(inputs.end(), running.begin(), running.end());
  return record(
      info, y, std::move(inputs), {x, moments.mean, moments.rstd, gamma, y},
      [=](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
        const Tensor &sx = c.saved[0], &sm = c.saved[1], &sr = c.saved[2], &sg = c.saved[3], &sy = c.saved[4];
        const Tensor dgamma = Tensor::empty_like(sg), dbeta = Tensor::empty_like(sg), dx = Tensor::empty_like(sy),
                     dbias = c.needs[3] ? Tensor::empty_like(sg) : Tensor();
        KDEF_LAUNCH(dy.device(), column_norm_relu_dropout_sums, dy, sy, sx, sm, sr, rate, dgamma, dbeta);
        KDEF_LAUNCH(dy.device(), column_norm_relu_dropout_dx, dy, sy, sx, sm, sr, sg, dgamma, dbeta, rate, !training,
                    dx, dbias);
        return {dx, dgamma, dbeta, dbias};
      },
      hidden_layer_attributes(training, momentum, eps, rate, keys));
}

}  // namespace

Tensor batch_norm_relu_dropout(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                               const Tensor& running_var, bool training, double p, const DropoutKey& key,
                               double momentum, double eps) {
  check_batch_norm("batch_norm_relu_dropout", x, gamma, beta);
  const NormMoments moments = norm_moments(x, {running_mean}, {running_var}, training, momentum, eps);
  return hidden_layer(kBatchNormReluDropoutInfo, x, moments, gamma, beta, training, p, {key}, x.dtype(), momentum, eps,
                      {running_mean, running_var});
}

void check_stacked(const char* op, const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                   const std::vector<Tensor>& running_mean, const std::vector<Tensor>& running_var, double p,
                   const std::vector<DropoutKey>& keys) {
  check_batch_norm(op, x, gamma, beta);
  KDEF_CHECK(bias.shape() == gamma.shape() && bias.dtype() == gamma.dtype(), op, ": bias ", describe(bias),
             " for input ", describe(x));
  KDEF_CHECK(p >= 0 && p < 1, op, ": dropout rate ", p, " is not in [0, 1)");
  const size_t count = keys.size();
  KDEF_CHECK(count > 0 && count <= kMostStacked && running_mean.size() == count && running_var.size() == count &&
                 x.shape()[1] % static_cast<int64_t>(count) == 0,
             op, ": ", count, " dropout keys, ", running_mean.size(), " running means and ", running_var.size(),
             " running variances for input ", describe(x), "; needs one of each for 1 to ", kMostStacked,
             " networks of equal width");
  const Shape block{x.shape()[1] / static_cast<int64_t>(count)};
  for (size_t m = 0; m < count; ++m) {
    KDEF_CHECK(running_mean[m].shape() == block && running_var[m].shape() == block, op, ": running buffers ",
               describe(running_mean[m]), " and ", describe(running_var[m]), " of network ", m, ", which has ",
               block[0], " columns");
    KDEF_CHECK(keys[m].seed == keys[0].seed && keys[m].step == keys[0].step, op,
               ": the dropout keys differ in more than their stream");
  }
}

Tensor stacked_batch_norm_relu_dropout(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                                       const std::vector<Tensor>& running_mean, const std::vector<Tensor>& running_var,
                                       double p, const std::vector<DropoutKey>& keys, double momentum, double eps) {
  check_stacked("stacked_batch_norm_relu_dropout", x, bias, gamma, beta, running_mean, running_var, p, keys);
  const NormMoments moments = norm_moments(x, running_mean, running_var, true, momentum, eps, bias);
  return hidden_layer(kStackedBatchNormReluDropoutInfo, x, moments, gamma, beta, true, p, keys, operand_type(x),
                      momentum, eps, {}, bias);
}

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  check_norm("layer_norm", x, gamma, beta);
  const int64_t rows = x.numel() / std::max<int64_t>(1, x.shape().back());
  Tensor mean = Tensor::empty({rows}, x.dtype(), x.device()), rstd = Tensor::empty_like(mean),
         y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), layer_norm_forward, x, gamma, beta, y, mean, rstd, eps);
  return record(kLayerNormInfo, y, {x, gamma, beta}, {x, mean, rstd, gamma},
                [](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  const Tensor &sx = c.saved[0], &sm = c.saved[1], &sr = c.saved[2], &sg = c.saved[3];
                  Tensor dgamma = Tensor::empty_like(sg), dbeta = Tensor::empty_like(sg), dx = Tensor::empty_like(sx);
                  KDEF_LAUNCH(dy.device(), layer_norm_sums, dy, sx, sm, sr, dgamma, dbeta);
                  KDEF_LAUNCH(dy.device(), layer_norm_backward, dy, sx, sg, sm, sr, dx);
                  return {dx, dgamma, dbeta};
                },
                {{"eps", eps}});
}

}  // namespace kdef::ops
