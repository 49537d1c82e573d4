#include <type_traits>

#include "core/base/integers.h"
#include "core/cuda/launch.cuh"
#include "ops/device/tiles.cuh"
#include "ops/fused/stacked.h"
#include "ops/masks.cuh"
#include "ops/norm_functors.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_warps;
using kdef::cuda::kWarpThreads;
using kdef::cuda::Warp;

// Arguments of all kernels.
template <class T>
struct Output {
  const T *x, *mean, *rstd, *gamma, *beta, *weight;
  const uint8_t* kept;
  int64_t rows, c, units, networks;
  double factor;
  explicit Output(const NormState& of)
      : x(of.x.data<T>()),
        mean(of.mean.data<T>()),
        rstd(of.rstd.data<T>()),
        gamma(of.gamma.data<T>()),
        beta(of.beta.data<T>()),
        weight(of.weight.data<T>()),
        kept(of.kept.defined() ? of.kept.data<uint8_t>() : nullptr),
        rows(of.x.shape()[0]),
        c(of.x.shape()[1]),
        units(of.weight.shape()[1]),
        networks(of.weight.shape()[0]),
        factor(1.0 / (1.0 - of.rate)) {}
  // Calls fn with the number of elements that the forward pass stored in one byte of `kept`.
  template <class Fn>
  void as_forward(const NormState& of, Fn&& fn) const {
    if (of.kept.numel() < of.x.numel())
      fn.template operator()<4>();
    else
      fn.template operator()<1>();
  }
};

// Rows of a network that a warp computes, so that it reads the numbers of a column once for all of them.
constexpr int64_t kRows = 4;

// A warp per network and kRows rows.
template <class T, int V>
struct Forward {
  Output<T> of;
  BlockMasks masks;
  const T* bias;
  T* z;
  uint8_t* kept;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t i) const {
    const int64_t group = i / of.networks, network = i - group * of.networks, begin = network * of.units;
    const int64_t first = group * kRows, count = of.rows - first < kRows ? of.rows - first : kRows;
    const T factor = static_cast<T>(of.factor);
    T sums[kRows] = {};
    for (int64_t j = begin + lane.id() * V; j < begin + of.units; j += kWarpThreads * V) {
      const Pack<T, V> mean = load<V>(of.mean + j), rstd = load<V>(of.rstd + j), gamma = load<V>(of.gamma + j),
                       beta = load<V>(of.beta + j), w = load<V>(of.weight + j);
      const auto mask = masks.at<V>(j);
      for (int64_t r = 0; r < kRows; ++r) {
        if (r >= count) break;
        const int64_t at = (first + r) * of.c + j;
        const Pack<T, V> x = load<V>(of.x + at);
        const auto dropped = mask.dropped(first + r);
        uint8_t bits = 0;
        for (int k = 0; k < V; ++k) {
          const T v = ColumnNorm::f(x[k], mean[k], rstd[k], gamma[k], beta[k]);
          const bool keep = !dropped[k] && !(v <= T(0));  // NaN passes
          bits |= static_cast<uint8_t>(keep << k);
          sums[r] += keep ? v * factor * w[k] : T(0);
        }
        kept[at / V] = bits;
      }
    }
    for (int64_t r = 0; r < kRows; ++r) {
      const T sum = lane.sum(sums[r]);
      if (lane.id() == 0 && r < count) z[(first + r) * of.networks + network] = sum + bias[network];
    }
  }
};

// The sums of OneOutputSums, for k = dz [h > 0].
template <class T>
struct Terms {
  Output<T> of;
  const T* dz;
  T *dgamma, *dbeta, *dweight;
  template <int V>
  struct Columns {
    const Terms& terms;
    int64_t column, network;
    Pack<T, V> mean;
    KDEF_DEVICE void add(int64_t r, T (&sums)[2][V]) const {
      const int64_t i = r * terms.of.c + column;
      const Pack<T, V> xs = load<V>(terms.of.x + i);
      const uint8_t kept = terms.of.kept[i / V];
      const T dz_row = terms.dz[r * terms.of.networks + network];
      for (int k = 0; k < V; ++k) {
        const T g = kept >> k & 1 ? dz_row : T(0);
        HiddenLayerSums::add(g, xs[k], mean[k], sums[0][k], sums[1][k]);
      }
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {*this, j, j / of.units, load<V>(of.mean + j)};
  }
  KDEF_DEVICE void finish(const double (&sums)[2], int64_t j) const {
    const OneOutputSums all(HiddenLayerSums::finish(sums[0], sums[1], static_cast<double>(of.rstd[j]), of.factor),
                            static_cast<double>(of.weight[j]), static_cast<double>(of.gamma[j]),
                            static_cast<double>(of.beta[j]));
    dgamma[j] = static_cast<T>(all.dgamma);
    dbeta[j] = static_cast<T>(all.dbeta);
    dweight[j] = static_cast<T>(all.dweight);
  }
};

template <class T, class U>
struct Dx {
  Output<T> of;
  const T *dz, *dgamma, *dbeta;
  U* dx;
  double share;
  template <int V>
  struct Columns {
    const Dx& work;
    int64_t column, network;
    Pack<T, V> mean, a, b, e;  // a times the weight
    KDEF_DEVICE Pack<T, V> row(int64_t r) const {
      const int64_t i = r * work.of.c + column;
      const Pack<T, V> xs = load<V>(work.of.x + i);
      const uint8_t kept = work.of.kept[i / V];
      const T dz_row = work.dz[r * work.of.networks + network];
      Pack<T, V> dxs;
      for (int k = 0; k < V; ++k) {
        dxs[k] = HiddenLayerDx<T>::dx(a[k], b[k], e[k], kept >> k & 1 ? dz_row : T(0), xs[k], mean[k]);
      }
      store<V>(dxs, work.dx + i);
      return dxs;
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    Columns<V> it{*this, j, j / of.units, load<V>(of.mean + j), {}, {}, {}};
    for (int k = 0; k < V; ++k) {
      const HiddenLayerDx<T> c(of.rstd[j + k], of.gamma[j + k], dgamma[j + k], dbeta[j + k], share, of.factor);
      it.a[k] = c.a * of.weight[j + k];
      it.b[k] = c.b;
      it.e[k] = c.e;
    }
    return it;
  }
};

}  // namespace

Tensor output_forward(const NormState& s, const std::vector<DropoutKey>& keys, const Tensor& bias, const Tensor& z) {
  Tensor kept;
  for_float(z.dtype(), "stacked_output", [&]<class T>() {
    const Output<T> of(s);
    with_vectors(of.units, {of.x, of.mean, of.rstd, of.gamma, of.beta, of.weight}, [&]<int V>() {
      const int64_t bytes = of.rows * (of.c / V);
      kept = Tensor::empty({bytes}, DType::u8, z.device());
      for_warps(divide_up(of.rows, kRows) * of.networks,
                Forward<T, V>{of, BlockMasks(s.rate, keys, of.c), bias.data<T>(), z.data<T>(), kept.data<uint8_t>()});
    });
  });
  return kept;
}

void output_sums(const NormState& s, const Tensor& dz, const NormSums& sums, const Tensor& dweight) {
  for_float(dz.dtype(), "stacked_output", [&]<class T>() {
    const Terms<T> terms{Output<T>(s), dz.data<T>(), sums.dgamma.data<T>(), sums.dbeta.data<T>(), dweight.data<T>()};
    terms.of.as_forward(s, [&]<int V>() { sum_tiles<T, V, 2>(terms.of.rows, terms.of.c, dz.device(), terms); });
  });
}

void output_dx(const NormState& s, const Tensor& dz, const NormSums& sums, const Tensor& dx, const Tensor& dbias) {
  for_float(dz.dtype(), "stacked_output", [&]<class T>() {
    const auto run = [&]<class U>() {
      const Output<T> of(s);
      const double share = 1.0 / static_cast<double>(s.batch.rows);
      const Dx<T, U> work{of, dz.data<T>(), sums.dgamma.data<T>(), sums.dbeta.data<T>(), dx.data<U>(), share};
      of.as_forward(s, [&]<int V>() {
        sum_tiles<T, V, 1>(of.rows, of.c, dz.device(), RowSums<T, Dx<T, U>>{work, dbias.data<T>()});
      });
    };
    if constexpr (std::is_same_v<T, float>) {
      if (dx.dtype() == DType::bf16) return run.template operator()<BFloat16>();
    }
    run.template operator()<T>();
  });
}

}  // namespace kdef::ops::cuda
