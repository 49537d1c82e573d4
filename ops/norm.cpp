#include "ops/norm.h"

#include <cmath>

#include "core/parallel.h"
#include "ops/launch_cpu.h"
#include "ops/rowwise_functors.h"

namespace kdef::ops {

const OpInfo kBatchNormInfo{
    "batch_norm", "h = (x - mean_b x) / sqrt(var_b x + eps), y = gamma h + beta",
    "dgamma = sum_b dy h, dbeta = sum_b dy, dx = gamma (dy - dbeta/B - h dgamma/B) / sqrt(var + eps)"};
const OpInfo kBatchNormEvalInfo{"batch_norm_eval",
                                "h = (x - running_mean) / sqrt(running_var + eps), y = gamma h + beta",
                                "dgamma = sum_b dy h, dbeta = sum_b dy, dx = gamma dy / sqrt(running_var + eps)"};
const OpInfo kLayerNormInfo{
    "layer_norm", "h = (x - mean_c x) / sqrt(var_c x + eps), y = gamma h + beta",
    "g = gamma dy, dx = (g - mean_c g - h mean_c(g h)) / sqrt(var + eps), dgamma = sum dy h, dbeta = sum dy"};

namespace cpu {

namespace {

// Rows summed as one part; parts are combined in order, in fp64.
constexpr int64_t kRowPart = 256;

// Calls fn(row range, sums) for each part of the rows with K zeroed fp64 sums per column; adds the parts in
// order.
template <int K, class Fn>
void column_sums(int64_t rows, int64_t columns, double* total, Fn fn) {
  const int64_t parts = (rows + kRowPart - 1) / kRowPart;
  Tensor partial = Tensor::empty({std::max<int64_t>(parts, 1), K, columns}, DType::f64);
  double* p = partial.data<double>();
  parallel_for(parts, 1, [=](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      double* sums = p + part * K * columns;
      std::fill_n(sums, K * columns, 0.0);
      fn(part * kRowPart, std::min(rows, (part + 1) * kRowPart), sums);
    }
  });
  std::fill_n(total, K * columns, 0.0);
  for (int64_t part = 0; part < parts; ++part) {
    for (int64_t j = 0; j < K * columns; ++j) total[j] += p[part * K * columns + j];
  }
}

// Row by row over the threads.
template <class Fn>
void for_rows(int64_t rows, int64_t columns, Fn fn) {
  parallel_for(rows, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, columns)), [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) fn(r);
  });
}

}  // namespace

void column_moments(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& rstd, double eps) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const T* in = x.data<T>();
    T *m = mean.data<T>(), *v = var.data<T>(), *s = rstd.data<T>();
    std::vector<double> total(static_cast<size_t>(c));
    column_sums<1>(rows, c, total.data(), [=](int64_t first, int64_t last, double* sums) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < c; ++j) sums[j] += static_cast<double>(in[r * c + j]);
      }
    });
    std::vector<double> mu(total);
    for (double& u : mu) u /= static_cast<double>(rows);
    const double* centre = mu.data();
    column_sums<1>(rows, c, total.data(), [=](int64_t first, int64_t last, double* sums) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < c; ++j) {
          const double d = static_cast<double>(in[r * c + j]) - centre[j];
          sums[j] += d * d;
        }
      }
    });
    for (int64_t j = 0; j < c; ++j) {
      const double variance = total[static_cast<size_t>(j)] / static_cast<double>(rows);
      m[j] = static_cast<T>(mu[static_cast<size_t>(j)]);
      v[j] = static_cast<T>(variance);
      s[j] = static_cast<T>(1.0 / std::sqrt(variance + eps));
    }
  });
}

void column_normalise(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma, const Tensor& beta,
                      const Tensor& y) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t c = x.shape()[1];
    const T *in = x.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>(), *g = gamma.data<T>(), *b = beta.data<T>();
    T* out = y.data<T>();
    for_rows(x.shape()[0], c, [=](int64_t r) {
      for (int64_t j = 0; j < c; ++j) out[r * c + j] = g[j] * ((in[r * c + j] - m[j]) * s[j]) + b[j];
    });
  });
}

void column_norm_sums(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& dgamma,
                      const Tensor& dbeta) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const T *g = dy.data<T>(), *in = x.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>();
    std::vector<double> total(static_cast<size_t>(2 * c));
    column_sums<2>(rows, c, total.data(), [=](int64_t first, int64_t last, double* sums) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < c; ++j) {
          const T h = (in[r * c + j] - m[j]) * s[j];
          sums[j] += static_cast<double>(g[r * c + j] * h);
          sums[c + j] += static_cast<double>(g[r * c + j]);
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
        const T h = (in[r * c + j] - m[j]) * s[j];
        out[r * c + j] = w[j] * s[j] * (g[r * c + j] - share * (db[j] + h * dg[j]));
      }
    });
  });
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
    column_sums<2>(rows, c, total.data(), [=](int64_t first, int64_t last, double* sums) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t j = 0; j < c; ++j) {
          sums[j] += static_cast<double>(g[r * c + j] * (in[r * c + j] - m[r]) * s[r]);
          sums[c + j] += static_cast<double>(g[r * c + j]);
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

namespace {

void check_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta) {
  const Shape columns{x.rank() ? x.shape().back() : 0};
  KDEF_CHECK(x.rank() >= 1 && gamma.shape() == columns && beta.shape() == columns && gamma.dtype() == x.dtype(), op,
             ": input ", describe(x), " needs weight and bias of shape ", columns, ", got ", describe(gamma), " and ",
             describe(beta));
}

Tensor like(const Tensor& t) { return Tensor::empty(t.shape(), t.dtype(), t.device()); }

// The backward of both batch norms: saved are x, mean, rstd, gamma.
std::vector<Gradient> batch_norm_backward(const BackwardContext& c, const Tensor& dy, bool constant) {
  const Tensor &x = c.saved[0], &mean = c.saved[1], &rstd = c.saved[2], &gamma = c.saved[3];
  Tensor dgamma = like(gamma), dbeta = like(gamma), dx = like(x);
  KDEF_LAUNCH(dy.device(), column_norm_sums, dy, x, mean, rstd, dgamma, dbeta);
  KDEF_LAUNCH(dy.device(), column_norm_dx, dy, x, mean, rstd, gamma, dgamma, dbeta, constant, dx);
  return {dx, dgamma, dbeta};
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, double momentum, double eps) {
  check_norm("batch_norm", x, gamma, beta);
  KDEF_CHECK(x.rank() == 2, "batch_norm: needs [B, C], got ", describe(x));
  const int64_t rows = x.shape()[0];
  KDEF_CHECK(rows > 1, "batch_norm: a batch of ", rows,
             " row has no variance; use a batch size that leaves a larger last batch, or evaluation mode");
  Tensor mean = like(gamma), var = like(gamma), rstd = like(gamma), y = like(x);
  KDEF_LAUNCH(x.device(), column_moments, x, mean, var, rstd, eps);
  KDEF_LAUNCH(x.device(), column_normalise, x, mean, rstd, gamma, beta, y);
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    T *rm = running_mean.data<T>(), *rv = running_var.data<T>();
    const T *m = mean.data<T>(), *v = var.data<T>();
    const T step = static_cast<T>(momentum);
    const T unbiased = static_cast<T>(static_cast<double>(rows) / static_cast<double>(rows - 1));
    for (int64_t j = 0; j < gamma.numel(); ++j) {
      rm[j] += step * (m[j] - rm[j]);
      rv[j] += step * (v[j] * unbiased - rv[j]);
    }
  });
  running_mean.changed();
  running_var.changed();
  return record(kBatchNormInfo, y, {x, gamma, beta}, {x, mean, rstd, gamma},
                [](const BackwardContext& c, const Tensor& dy) { return batch_norm_backward(c, dy, false); });
}

Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps) {
  check_norm("batch_norm_eval", x, gamma, beta);
  KDEF_CHECK(x.rank() == 2, "batch_norm_eval: needs [B, C], got ", describe(x));
  Tensor rstd = like(gamma), y = like(x);
  for_float(x.dtype(), "batch_norm_eval", [&]<class T>() {
    for (int64_t j = 0; j < gamma.numel(); ++j) {
      rstd.data<T>()[j] = static_cast<T>(1.0 / std::sqrt(static_cast<double>(running_var.data<T>()[j]) + eps));
    }
  });
  KDEF_LAUNCH(x.device(), column_normalise, x, running_mean, rstd, gamma, beta, y);
  return record(kBatchNormEvalInfo, y, {x, gamma, beta}, {x, running_mean, rstd, gamma},
                [](const BackwardContext& c, const Tensor& dy) { return batch_norm_backward(c, dy, true); });
}

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  check_norm("layer_norm", x, gamma, beta);
  const int64_t rows = x.numel() / std::max<int64_t>(1, x.shape().back());
  Tensor mean = Tensor::empty({rows}, x.dtype(), x.device()), rstd = like(mean), y = like(x);
  KDEF_LAUNCH(x.device(), layer_norm_forward, x, gamma, beta, y, mean, rstd, eps);
  return record(kLayerNormInfo, y, {x, gamma, beta}, {x, mean, rstd, gamma},
                [](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  const Tensor &sx = c.saved[0], &sm = c.saved[1], &sr = c.saved[2], &sg = c.saved[3];
                  Tensor dgamma = like(sg), dbeta = like(sg), dx = like(sx);
                  KDEF_LAUNCH(dy.device(), layer_norm_sums, dy, sx, sm, sr, dgamma, dbeta);
                  KDEF_LAUNCH(dy.device(), layer_norm_backward, dy, sx, sg, sm, sr, dx);
                  return {dx, dgamma, dbeta};
                });
}

}  // namespace kdef::ops
