#include "ops/norm.h"

#include <cmath>

#include "core/base/parallel.h"
#include "core/tensor/collectives.h"
#include "core/tensor/launch.h"
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

// Rows [0, rows) of in [rows, c], part by part: mean [c] and squares [c] get the mean of all rows and the sum of
// squared deviations from it.
template <class T>
void moments_of_rows(const T* in, int64_t rows, int64_t c, double* mean, double* squares) {
  const int64_t parts = divide_up(rows, kRowPart);
  // Per part its mean and its sum of squared deviations from that mean.
  const Tensor partial = Tensor::empty({parts, 2, c}, dtype_of<T>);
  T* p = partial.data<T>();
  parallel_for(parts, 4, [=](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      T *mu = p + part * 2 * c, *deviations = mu + c;
      const int64_t begin = part * kRowPart, end = std::min(rows, begin + kRowPart);
      std::fill_n(mu, 2 * c, T(0));
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t j = 0; j < c; ++j) mu[j] += in[r * c + j];
      }
      for (int64_t j = 0; j < c; ++j) mu[j] /= static_cast<T>(end - begin);
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t j = 0; j < c; ++j) deviations[j] += (in[r * c + j] - mu[j]) * (in[r * c + j] - mu[j]);
      }
    }
  });
  // Chan, Golub, LeVeque (1979): with d the difference of the means, M2 = M2a + M2b + d^2 na nb / (na + nb).
  parallel_for(c, 64, [=](int64_t first, int64_t last) {
    std::fill(mean + first, mean + last, 0.0);
    std::fill(squares + first, squares + last, 0.0);
    double n = 0;
    for (int64_t part = 0; part < parts; ++part) {
      const double nb = static_cast<double>(std::min(rows, (part + 1) * kRowPart) - part * kRowPart);
      const T* from = p + part * 2 * c;
      for (int64_t j = first; j < last; ++j) {
        const double d = static_cast<double>(from[j]) - mean[j];
        mean[j] += d * nb / (n + nb);
        squares[j] += static_cast<double>(from[c + j]) + d * d * n * nb / (n + nb);
      }
      n += nb;
    }
  });
}

}  // namespace

int64_t column_moments(Group& group, const Tensor& x, double eps, const Tensor& mean, const Tensor& var,
                       const Tensor& rstd) {
  int64_t rows = x.shape()[0];
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const size_t c = static_cast<size_t>(x.shape()[1]);
    std::vector<double> mu(c), squares(c);
    moments_of_rows(x.data<T>(), rows, x.shape()[1], mu.data(), squares.data());
    rows = moments_of_group(group, rows, mu, squares);
    T *m = mean.data<T>(), *v = var.data<T>(), *s = rstd.data<T>();
    for (size_t j = 0; j < c; ++j) {
      const double variance = squares[j] / static_cast<double>(rows);
      m[j] = static_cast<T>(mu[j]);
      v[j] = static_cast<T>(variance);
      s[j] = static_cast<T>(1.0 / std::sqrt(variance + eps));
    }
  });
  return rows;
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

void column_normalise(const NormState& s, const Tensor& y) {
  for_float(s.x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t c = s.x.shape()[1];
    const T* in = s.x.data<T>();
    T* out = y.data<T>();
    for_rows(s.x.shape()[0], c, [=, columns = NormColumns<T>(s)](int64_t r) {
      for (int64_t j = 0; j < c; ++j) out[r * c + j] = columns(in + r * c, j);
    });
  });
}

void column_norm_sums(const Tensor& dy, const NormState& s, const NormSums& sums) {
  for_float(s.x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1];
    const T *g = dy.data<T>(), *in = s.x.data<T>(), *m = s.mean.data<T>(), *rstd = s.rstd.data<T>();
    std::vector<double> total(static_cast<size_t>(2 * c));
    column_sums<2, T>(rows, c, total.data(), [=](int64_t first, int64_t last, T* part) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < c; ++j) {
          part[j] += g[r * c + j] * ColumnNorm::h(in[r * c + j], m[j], rstd[j]);
          part[c + j] += g[r * c + j];
        }
      }
    });
    for (int64_t j = 0; j < c; ++j) {
      sums.dgamma.data<T>()[j] = static_cast<T>(total[static_cast<size_t>(j)]);
      sums.dbeta.data<T>()[j] = static_cast<T>(total[static_cast<size_t>(c + j)]);
    }
  });
}

void column_norm_dx(const Tensor& dy, const NormState& s, const NormSums& sums, const Tensor& dx) {
  for_float(s.x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t c = s.x.shape()[1];
    const T *g = dy.data<T>(), *in = s.x.data<T>(), *m = s.mean.data<T>(), *rstd = s.rstd.data<T>();
    const T *w = s.gamma.data<T>(), *dg = sums.dgamma.data<T>(), *db = sums.dbeta.data<T>();
    T* out = dx.data<T>();
    const T share = s.batch.rows == 0 ? T(0) : T(1) / static_cast<T>(s.batch.rows);
    for_rows(s.x.shape()[0], c, [=](int64_t r) {
      for (int64_t j = 0; j < c; ++j) {
        const int64_t i = r * c + j;
        out[i] = ColumnNorm::dx(g[i], in[i], m[j], rstd[j], w[j], dg[j], db[j], share);
      }
    });
  });
}

void column_norm_relu_dropout(const NormState& s, const std::vector<DropoutKey>& keys, const Tensor& y) {
  for_float(s.x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1], block = c / static_cast<int64_t>(keys.size());
    const T* in = s.x.data<T>();
    T* out = y.data<T>();
    parallel_for(rows, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, c)), [&](int64_t first, int64_t last) {
      for (size_t m = 0; m < keys.size(); ++m) {
        const int64_t column = static_cast<int64_t>(m) * block;
        HiddenRow<T> row(NormColumns<T>(s, column), block, s.rate, keys[m]);
        for (int64_t r = first; r < last; ++r) row(in + r * c + column, r, out + r * c + column);
      }
    });
  });
}

void column_norm_relu_dropout_sums(const Tensor& dy, const NormState& s, const NormSums& sums) {
  for_float(s.x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1];
    const T *g = dy.data<T>(), *out = s.kept.data<T>(), *in = s.x.data<T>(), *m = s.mean.data<T>();
    std::vector<double> total(static_cast<size_t>(2 * c));
    column_sums<2, T>(rows, c, total.data(), [=](int64_t first, int64_t last, T* part) {
      add_masked_sums(g + first * c, out + first * c, in + first * c, m, last - first, c, part);
    });
    NormGradients(total.data(), s.rstd.data<T>(), c, s.rate).store<T>(sums);
  });
}

void column_norm_relu_dropout_dx(const Tensor& dy, const NormState& s, const NormSums& sums, const Tensor& dx,
                                 const Tensor& dbias) {
  for_float(s.x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1];
    const T *g = dy.data<T>(), *o = s.kept.data<T>(), *in = s.x.data<T>(), *m = s.mean.data<T>();
    T* out = dx.data<T>();
    const HiddenDxColumns<T> of(s, s.gamma.data<T>(), NormGradients(sums));
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
  KDEF_CHECK(x.rank() >= 1 && gamma.shape() == columns && beta.shape() == columns && gamma.dtype() == x.dtype() &&
                 beta.dtype() == x.dtype(),
             op, ": input ", describe(x), " needs weight and bias of shape ", columns, ", got ", describe(gamma),
             " and ", describe(beta));
}

namespace {

void check_batch_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta) {
  check_norm(op, x, gamma, beta);
  KDEF_CHECK(x.rank() == 2, op, ": needs [B, C], got ", describe(x));
}

void check_buffers(const char* op, const Tensor& x, const std::vector<Tensor>& mean, const std::vector<Tensor>& var) {
  const Shape block{x.shape()[1] / static_cast<int64_t>(mean.size())};
  for (size_t m = 0; m < mean.size(); ++m) {
    KDEF_CHECK(mean[m].shape() == block && var[m].shape() == block && mean[m].dtype() == x.dtype() &&
                   var[m].dtype() == x.dtype(),
               op, ": running buffers ", describe(mean[m]), " and ", describe(var[m]), " of network ", m, " for input ",
               describe(x), ", of which the network has ", block[0], " columns");
  }
}

// The backward pass of both batch norms.
BackwardFn batch_norm_backward(const NormBatch& batch) {
  return [batch](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
    const NormState s = NormState::restored(c.saved, 0, batch);
    const NormSums mine = NormSums::like(s.gamma);
    const Tensor dx = Tensor::empty_like(s.x);
    KDEF_LAUNCH(dy.device(), column_norm_sums, dy, s, mine);
    KDEF_LAUNCH(dy.device(), column_norm_dx, dy, s, sums_of_batch(batch, mine), dx);
    return {dx, mine.dgamma, mine.dbeta};
  };
}

}  // namespace

int64_t moments_of_group(Group& group, int64_t rows, std::span<double> mean, std::span<double> squares) {
  if (group.is_alone()) return rows;
  const double n = static_cast<double>(rows);
  std::vector<double> sums;
  for (const double mu : mean) sums.push_back(n * mu);
  sums.push_back(n);
  group.all_reduce(sums);
  const double all = sums.back();
  for (size_t j = 0; j < mean.size(); ++j) {
    const double mu = sums[j] / all, d = mean[j] - mu;
    squares[j] += n * d * d;
    mean[j] = mu;
  }
  group.all_reduce(squares);
  return static_cast<int64_t>(all);
}

NormSums sums_of_batch(const NormBatch& batch, const NormSums& mine) {
  if (batch.rows == 0 || batch.group->is_alone()) return mine;
  const Tensor both = Tensor::empty({2, mine.dgamma.numel()}, mine.dgamma.dtype(), mine.dgamma.device());
  NormSums all{both.rows(0, 1).alias(mine.dgamma.shape()), both.rows(1, 1).alias(mine.dbeta.shape())};
  all.dgamma.copy_from(mine.dgamma);
  all.dbeta.copy_from(mine.dbeta);
  const Tensor wide = both.to(DType::f64);
  all_reduce(*batch.group, wide);
  if (both.dtype() != DType::f64) Tensor(both).copy_from(wide.to(both.dtype()));
  return all;
}

NormState normalise_hidden(const Tensor& x, const HiddenLayer& layer) {
  NormState s{x, {}, Tensor::empty({x.shape()[1]}, x.dtype(), x.device()), layer.gamma, layer.beta};
  if (!layer.training) {
    KDEF_CHECK(layer.running_mean.size() == 1, "batch_norm: evaluation is of one network at a time");
    KDEF_LAUNCH(x.device(), reciprocal_sqrt, layer.running_var[0], layer.eps, s.rstd);
    s.mean = layer.running_mean[0];
    return s;
  }
  s.mean = Tensor::empty_like(s.rstd);
  s.rate = dropout_rate(layer.p);
  s.batch.group = &Group::current();
  const Tensor var = Tensor::empty_like(s.rstd);
  const int64_t rows = s.batch.rows =
      KDEF_LAUNCH(x.device(), column_moments, *s.batch.group, x, layer.eps, s.mean, var, s.rstd);
  KDEF_CHECK(rows > 1, "batch_norm: a batch of ", rows,
             " row has no variance; use a batch size that leaves a larger last batch, or evaluation mode");
  KDEF_LAUNCH(x.device(), move_running, layer.running_mean, s.mean, layer.bias, layer.momentum, 1.0);
  KDEF_LAUNCH(x.device(), move_running, layer.running_var, var, {}, layer.momentum,
              static_cast<double>(rows) / static_cast<double>(rows - 1));
  for (const auto* buffers : {&layer.running_mean, &layer.running_var}) {
    for (const Tensor& buffer : *buffers) buffer.changed();
  }
  return s;
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, double momentum, double eps) {
  check_batch_norm("batch_norm", x, gamma, beta);
  check_buffers("batch_norm", x, {running_mean}, {running_var});
  NormState s = normalise_hidden(x, {.gamma = gamma,
                                     .beta = beta,
                                     .running_mean = {running_mean},
                                     .running_var = {running_var},
                                     .momentum = momentum,
                                     .eps = eps});
  const Tensor y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), column_normalise, s, y);
  s.beta = {};
  return record(kBatchNormInfo, y, {x, gamma, beta}, s.saved(), batch_norm_backward(s.batch),
                {{"momentum", momentum}, {"eps", eps}});
}

Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps) {
  check_batch_norm("batch_norm_eval", x, gamma, beta);
  check_buffers("batch_norm_eval", x, {running_mean}, {running_var});
  NormState s = normalise_hidden(x, {.gamma = gamma,
                                     .beta = beta,
                                     .running_mean = {running_mean},
                                     .running_var = {running_var},
                                     .training = false,
                                     .eps = eps});
  const Tensor y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), column_normalise, s, y);
  s.beta = {};
  return record(kBatchNormEvalInfo, y, {x, gamma, beta, running_mean, running_var}, s.saved(),
                batch_norm_backward(s.batch), {{"eps", eps}});
}

Attributes hidden_layer_attributes(const HiddenLayer& layer) {
  if (!attributes_wanted()) return {};
  Attributes all{{"training", layer.training}, {"eps", layer.eps}};
  if (!layer.training) return all;
  all.push_back({"momentum", layer.momentum});
  for (Attribute& a : mask_attributes(dropout_rate(layer.p), layer.keys)) all.push_back(std::move(a));
  return all;
}

std::vector<Tensor> hidden_layer_inputs(const Tensor& x, const HiddenLayer& layer, std::vector<Tensor> others) {
  std::vector<Tensor> inputs{x, layer.gamma, layer.beta};
  inputs.insert(inputs.end(), others.begin(), others.end());
  if (!layer.training) inputs.insert(inputs.end(), {layer.running_mean[0], layer.running_var[0]});
  return inputs;
}

namespace {

// y and dx of type `result`.
Tensor hidden_layer(const OpInfo& info, const Tensor& x, const HiddenLayer& layer, DType result) {
  NormState s = normalise_hidden(x, layer);
  // y > 0 exactly where ReLU passes and dropout keeps: y takes the place of a mask.
  const Tensor y = s.kept = Tensor::empty(x.shape(), result, x.device());
  KDEF_LAUNCH(x.device(), column_norm_relu_dropout, s, layer.keys, y);
  s.beta = {};
  return record(
      info, y, hidden_layer_inputs(x, layer, {layer.bias}), s.saved(),
      [rate = s.rate, batch = s.batch](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
        const NormState of = NormState::restored(c.saved, rate, batch);
        const NormSums mine = NormSums::like(of.gamma);
        const Tensor dx = Tensor::empty_like(of.kept), dbias = c.needs[3] ? Tensor::empty_like(of.gamma) : Tensor();
        KDEF_LAUNCH(dy.device(), column_norm_relu_dropout_sums, dy, of, mine);
        KDEF_LAUNCH(dy.device(), column_norm_relu_dropout_dx, dy, of, sums_of_batch(batch, mine), dx, dbias);
        return {dx, mine.dgamma, mine.dbeta, dbias};
      },
      hidden_layer_attributes(layer));
}

void check_rate(const char* op, double p) {
  KDEF_CHECK(p >= 0 && p < 1, op, ": dropout rate ", p, " is not in [0, 1)");
}

}  // namespace

void check_hidden(const char* op, const Tensor& x, const HiddenLayer& layer) {
  check_batch_norm(op, x, layer.gamma, layer.beta);
  check_rate(op, layer.p);
  KDEF_CHECK(layer.keys.size() == 1 && layer.running_mean.size() == 1 && layer.running_var.size() == 1 &&
                 !layer.bias.defined(),
             op, ": needs one dropout key, one running mean, one running variance and no bias, got ", layer.keys.size(),
             ", ", layer.running_mean.size(), ", ", layer.running_var.size(), " and ",
             layer.bias.defined() ? describe(layer.bias) : "none");
  check_buffers(op, x, layer.running_mean, layer.running_var);
}

void check_stacked(const char* op, const Tensor& x, const HiddenLayer& layers) {
  check_batch_norm(op, x, layers.gamma, layers.beta);
  check_rate(op, layers.p);
  KDEF_CHECK(layers.training, op, ": evaluation is of one network at a time");
  KDEF_CHECK(layers.bias.defined() && layers.bias.shape() == layers.gamma.shape() &&
                 layers.bias.dtype() == layers.gamma.dtype(),
             op, ": input ", describe(x), " needs a bias of shape ", layers.gamma.shape(), ", got ",
             layers.bias.defined() ? describe(layers.bias) : "none");
  const std::vector<Tensor>&mean = layers.running_mean, &var = layers.running_var;
  const std::vector<DropoutKey>& keys = layers.keys;
  const size_t count = keys.size();
  KDEF_CHECK(count > 0 && count <= kMaxStacked && mean.size() == count && var.size() == count &&
                 x.shape()[1] % static_cast<int64_t>(count) == 0,
             op, ": ", count, " dropout keys, ", mean.size(), " running means and ", var.size(),
             " running variances for input ", describe(x), "; needs one of each for 1 to ", kMaxStacked,
             " networks of equal width");
  check_buffers(op, x, mean, var);
  for (size_t m = 0; m < count; ++m) {
    KDEF_CHECK(keys[m].seed == keys[0].seed && keys[m].step == keys[0].step && keys[m].first_row == keys[0].first_row,
               op, ": the dropout keys differ in more than their stream");
  }
}

Tensor batch_norm_relu_dropout(const Tensor& x, const HiddenLayer& layer) {
  check_hidden("batch_norm_relu_dropout", x, layer);
  return hidden_layer(kBatchNormReluDropoutInfo, x, layer, x.dtype());
}

Tensor stacked_batch_norm_relu_dropout(const Tensor& x, const HiddenLayer& layers) {
  check_stacked("stacked_batch_norm_relu_dropout", x, layers);
  return hidden_layer(kStackedBatchNormReluDropoutInfo, x, layers, operand_type(x));
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
