// The CPU's loops over rows of a fused hidden layer y = dropout(max(batch_norm(x), 0)). Functions of their own, with
// pointers that do not alias, so that they are vectorized.
#pragma once

#include <vector>

#include "core/tensor.h"
#include "ops/dropout.h"
#include "ops/norm_functors.h"

namespace kdef::ops::cpu {

template <class T>
void norm_relu_row(const T* __restrict x, const T* __restrict mean, const T* __restrict rstd, const T* __restrict gamma,
                   const T* __restrict beta, T* __restrict y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    const T v = ColumnNorm::f(x[j], mean[j], rstd[j], gamma[j], beta[j]);
    y[j] = v < T(0) ? T(0) : v;
  }
}

template <class T>
void norm_relu_dropout_row(const T* __restrict x, const T* __restrict mean, const T* __restrict rstd,
                           const T* __restrict gamma, const T* __restrict beta, const uint32_t* __restrict bits,
                           uint32_t threshold, T factor, T* __restrict y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    const T v = ColumnNorm::f(x[j], mean[j], rstd[j], gamma[j], beta[j]);
    const T kept = bits[j] >= threshold ? v * factor : T(0);
    y[j] = kept < T(0) ? T(0) : kept;
  }
}

/// Rows summed as one part, in the tensor's type: few enough that fp32 keeps its digits, and that a part stays in cache
/// between two sweeps over it. Parts are added up in fp64.
inline constexpr int64_t kRowPart = 64;

/// Row by row; not to be shared by threads, for it holds the random bits of a row.
template <class T>
class HiddenRow {
 public:
  HiddenRow(const Tensor& mean, const Tensor& rstd, const Tensor& gamma, const Tensor& beta, double p,
            const DropoutKey& key)
      : mean_(mean.data<T>()),
        rstd_(rstd.data<T>()),
        gamma_(gamma.data<T>()),
        beta_(beta.data<T>()),
        columns_(gamma.numel()),
        p_(p),
        key_(key),
        bits_(static_cast<size_t>(p == 0 ? 0 : columns_ + 8)) {}

  /// Row `r` of the batch, x to y.
  void operator()(const T* x, int64_t r, T* y) {
    if (p_ == 0) return norm_relu_row(x, mean_, rstd_, gamma_, beta_, y, columns_);
    norm_relu_dropout_row(x, mean_, rstd_, gamma_, beta_, dropout_bits(key_, r * columns_, columns_, bits_),
                          dropout_threshold(p_), static_cast<T>(1.0 / (1.0 - p_)), y, columns_);
  }

 private:
  const T *mean_, *rstd_, *gamma_, *beta_;
  int64_t columns_;
  double p_;
  DropoutKey key_;
  std::vector<uint32_t> bits_;
};

/// dgamma and dbeta from the sums over all rows of d (x - mean) and of d, d the gradient before 1 / (1 - p).
template <class T>
void store_norm_sums(const double* products, const double* plain, const Tensor& rstd, double p, const Tensor& dgamma,
                     const Tensor& dbeta) {
  const double factor = 1.0 / (1.0 - p);
  for (int64_t j = 0; j < rstd.numel(); ++j) {
    dgamma.data<T>()[j] = static_cast<T>(products[j] * factor * static_cast<double>(rstd.data<T>()[j]));
    dbeta.data<T>()[j] = static_cast<T>(plain[j] * factor);
  }
}

/// HiddenLayerDx of all columns.
template <class T>
struct HiddenDxColumns {
  std::vector<T> a, b, e;
  HiddenDxColumns(const Tensor& rstd, const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta, int64_t rows,
                  double p, bool constant) {
    const double share = constant ? 0.0 : 1.0 / static_cast<double>(rows), factor = 1.0 / (1.0 - p);
    for (int64_t j = 0; j < rstd.numel(); ++j) {
      const HiddenLayerDx<T> of(rstd.data<T>()[j], gamma.data<T>()[j], dgamma.data<T>()[j], dbeta.data<T>()[j], share,
                                factor);
      a.push_back(of.a);
      b.push_back(of.b);
      e.push_back(of.e);
    }
  }
};

}  // namespace kdef::ops::cpu
