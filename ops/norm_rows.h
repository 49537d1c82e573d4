// The CPU's loops over rows of a fused hidden layer y = dropout(max(batch_norm(x), 0)), and sums over parts of rows.
// Loops are functions whose pointers do not alias, so that the compiler can vectorize them; some are vectorized by hand
// (ops/device/vectors.h).
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/base/parallel.h"
#include "core/tensor/tensor.h"
#include "ops/device/vectors.h"
#include "ops/dropout.h"
#include "ops/norm.h"
#include "ops/norm_functors.h"

namespace kdef::ops::cpu {

/// The numbers of each column that normalisation reads.
template <class T>
struct NormColumns {
  const T *mean, *rstd, *gamma, *beta;
  /// From column `first` on.
  explicit NormColumns(const NormState& s, int64_t first = 0)
      : mean(s.mean.data<T>() + first),
        rstd(s.rstd.data<T>() + first),
        gamma(s.gamma.data<T>() + first),
        beta(s.beta.data<T>() + first) {}
  T operator()(const T* x, int64_t j) const { return ColumnNorm::f(x[j], mean[j], rstd[j], gamma[j], beta[j]); }
  Vec<T> vector(const T* x, int64_t j) const {
    return ColumnNorm::f(load(x + j), load(mean + j), load(rstd + j), load(gamma + j), load(beta + j));
  }
};

/// Computes one row y = dropout(max(batch_norm(x), 0)): calls put(column, numbers) with vectors of y, and with single
/// numbers at the end of the row. Where `kept` is given, it is set to 1 for elements that pass ReLU and dropout, else
/// to 0. `bits` are the random bits of the row, or null without dropout.
template <class T, class Put>
void hidden_row(const T* __restrict x, const NormColumns<T>& c, const uint16_t* __restrict bits, uint32_t threshold,
                T factor, int64_t n, uint8_t* __restrict kept, const Put& put) {
  int64_t j = 0;
  const auto vectors = [&](const auto has_bits, const auto has_kept) {
    for (; j + kVec <= n; j += kVec) {
      const Vec<T> v = c.vector(x, j), zero = {};
      Mask<T> passes = ~(v <= zero);  // NaN passes
      if constexpr (has_bits) passes &= load_mask<T>(bits + j, threshold);
      const Vec<T> y = passes ? v * factor : zero;
      put(j, y);
      if constexpr (has_kept) store_mask(passes, kept + j);
    }
  };
  const std::true_type yes;
  const std::false_type no;
  if (bits)
    kept ? vectors(yes, yes) : vectors(yes, no);
  else
    kept ? vectors(no, yes) : vectors(no, no);
  for (; j < n; ++j) {
    const T v = c(x, j);
    const bool passes = !(v <= T(0)) && (bits == nullptr || bits[j] >= threshold);
    put(j, passes ? v * factor : T(0));
    if (kept) kept[j] = passes;
  }
}

/// Sums over rows, K per column. Calls fn(first row, last row, sums) for each part of the rows, with sums that are
/// zero; `total` gets the sums of all parts, added in their order.
template <int K, class T, class Fn>
void column_sums(int64_t rows, int64_t columns, double* total, Fn fn) {
  const int64_t parts = divide_up(rows, kRowPart);
  Tensor partial = Tensor::empty({std::max<int64_t>(parts, 1), K, columns}, dtype_of<T>);
  T* p = partial.data<T>();
  parallel_for(parts, 4, [=](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      T* sums = p + part * K * columns;
      std::fill_n(sums, K * columns, T(0));
      fn(part * kRowPart, std::min(rows, (part + 1) * kRowPart), sums);
    }
  });
  std::fill_n(total, K * columns, 0.0);
  for (int64_t part = 0; part < parts; ++part) {
    for (int64_t j = 0; j < K * columns; ++j) total[j] += static_cast<double>(p[part * K * columns + j]);
  }
}

/// Computes rows of the hidden layer one after the other. Each thread needs an object of its own, which holds the
/// random bits of a row.
template <class T>
class HiddenRow {
 public:
  HiddenRow(const NormColumns<T>& columns, int64_t count, double rate, const DropoutKey& key)
      : columns_(columns), count_(count), rate_(rate), key_(key) {}

  /// Computes row `r` of these rows from x. y is stored as operands of products; `kept` may be null.
  template <class U>
  void operator()(const T* x, int64_t r, U* __restrict y, uint8_t* kept = nullptr) {
    run(x, r, kept, [=](int64_t j, const auto& v) { store_operands(v, y + j); });
  }
  /// The dot product of y with the weight; y itself is not stored.
  T dot(const T* x, int64_t r, const T* __restrict weight, uint8_t* kept) {
    Vec<T> sums = {};
    T rest = 0;
    run(x, r, kept, [&](int64_t j, const auto& v) {
      if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(v)>>)
        rest += v * weight[j];
      else
        sums += v * load(weight + j);
    });
    for (int64_t j = 0; j < kVec; ++j) rest += sums[j];
    return rest;
  }

 private:
  template <class Put>
  void run(const T* x, int64_t r, uint8_t* kept, const Put& put) {
    hidden_row(x, columns_, rate_ == 0 ? nullptr : dropout_bits(key_, (key_.first_row + r) * count_, count_, bits_),
               dropout_threshold(rate_), static_cast<T>(1.0 / (1.0 - rate_)), count_, kept, put);
  }

  NormColumns<T> columns_;
  int64_t count_;
  double rate_;
  DropoutKey key_;
  std::vector<uint16_t> bits_;
};

/// Adds one row's terms of HiddenLayerSums to the sums of kVec columns from j on.
template <class T>
void add_hidden_terms(const Vec<T>& d, const T* x, const T* mean, int64_t j, T* products, T* plain) {
  Vec<T> sum_products = load(products + j), sum_plain = load(plain + j);
  HiddenLayerSums::add(d, load(x + j), load(mean + j), sum_products, sum_plain);
  store(sum_products, products + j);
  store(sum_plain, plain + j);
}

/// dgamma and dbeta of all columns.
struct NormGradients {
  std::vector<double> dgamma, dbeta;
  /// From sums over rows (HiddenLayerSums), the products' sums [C] and then the plain ones [C].
  template <class T>
  NormGradients(const double* rows, const T* rstd, int64_t columns, double rate) {
    const double factor = 1.0 / (1.0 - rate);
    for (int64_t j = 0; j < columns; ++j) {
      const auto sums = HiddenLayerSums::finish(rows[j], rows[columns + j], static_cast<double>(rstd[j]), factor);
      dgamma.push_back(sums.dgamma);
      dbeta.push_back(sums.dbeta);
    }
  }
  /// From tensors that hold them.
  explicit NormGradients(const NormSums& sums)
      : dgamma(sums.dgamma.to(DType::f64).to_vector<double>()), dbeta(sums.dbeta.to(DType::f64).to_vector<double>()) {}
  template <class T>
  void store(const NormSums& to) const {
    for (size_t j = 0; j < dgamma.size(); ++j) {
      to.dgamma.data<T>()[j] = static_cast<T>(dgamma[j]);
      to.dbeta.data<T>()[j] = static_cast<T>(dbeta[j]);
    }
  }
  /// Those of the whole batch, as sums_of_batch().
  NormGradients of_batch(const NormBatch& batch) const {
    if (batch.rows == 0 || batch.group->is_alone()) return *this;
    std::vector<double> both = dgamma;
    both.insert(both.end(), dbeta.begin(), dbeta.end());
    batch.group->all_reduce(both);
    NormGradients all = *this;
    std::copy_n(both.data(), all.dgamma.size(), all.dgamma.data());
    std::copy_n(both.data() + all.dgamma.size(), all.dbeta.size(), all.dbeta.data());
    return all;
  }
};

/// The coefficients HiddenLayerDx of all columns.
template <class T>
struct HiddenDxColumns {
  std::vector<T> a, b, e;
  /// `gamma` is s.gamma, or what takes its place; `gradients` are those of the whole batch.
  HiddenDxColumns(const NormState& s, const T* gamma, const NormGradients& gradients) {
    const double share = s.batch.rows == 0 ? 0.0 : 1.0 / static_cast<double>(s.batch.rows),
                 factor = 1.0 / (1.0 - s.rate);
    const T* rstd = s.rstd.data<T>();
    for (size_t j = 0; j < gradients.dgamma.size(); ++j) {
      const HiddenLayerDx<T> of(rstd[j], gamma[j], gradients.dgamma[j], gradients.dbeta[j], share, factor);
      a.push_back(of.a);
      b.push_back(of.b);
      e.push_back(of.e);
    }
  }
};

}  // namespace kdef::ops::cpu
