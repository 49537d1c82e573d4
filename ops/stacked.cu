#include <type_traits>

#include "core/cuda/launch.cuh"
#include "ops/masks.cuh"
#include "ops/norm_functors.h"
#include "ops/stacked.h"
#include "ops/tiles.cuh"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_warps;
using kdef::cuda::kWarpThreads;
using kdef::cuda::Warp;

// V columns of the hidden layer before the output, made from x.
template <class T, int V>
struct HiddenColumns {
  Pack<T, V> mean, rstd, gamma, beta;
  BlockMasks::Columns<V> mask;
  T factor;
  // h, 0 where ReLU or dropout stop it
  KDEF_DEVICE Pack<T, V> h(const Pack<T, V>& x, int64_t row) const {
    const auto dropped = mask.dropped(row);
    Pack<T, V> y;
    for (int k = 0; k < V; ++k) {
      const T v = ColumnNorm::f(x[k], mean[k], rstd[k], gamma[k], beta[k]);
      y[k] = dropped[k] || v < T(0) ? T(0) : v * factor;
    }
    return y;
  }
};

// The arguments that all kernels share.
template <class T>
struct Output {
  const T *x, *mean, *rstd, *gamma, *beta, *weight;
  int64_t c, units, networks;
  BlockMasks masks;
  Output(const OutputLayer& of)
      : x(of.x.data<T>()),
        mean(of.mean.data<T>()),
        rstd(of.rstd.data<T>()),
        gamma(of.gamma.data<T>()),
        beta(of.beta.data<T>()),
        weight(of.weight.data<T>()),
        c(of.x.shape()[1]),
        units(of.weight.shape()[1]),
        networks(of.weight.shape()[0]),
        masks(of.p, of.keys, c) {}
  template <int V>
  KDEF_DEVICE HiddenColumns<T, V> columns(int64_t j) const {
    return {load<V>(mean + j), load<V>(rstd + j), load<V>(gamma + j),
            load<V>(beta + j), masks.at<V>(j),    static_cast<T>(masks.factor)};
  }
  // Calls fn with the width of vectors that fits.
  template <class Fn>
  void with_vectors_of(const void* also, Fn&& fn) const {
    with_vectors(units, {x, mean, rstd, gamma, beta, weight, also}, fn);
  }
};

// A warp per row and network.
template <class T, int V>
struct Forward {
  Output<T> of;
  const T* bias;
  T* z;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t i) const {
    const int64_t row = i / of.networks, network = i - row * of.networks, first = network * of.units;
    const T* x = of.x + row * of.c;
    T sum = 0;
    for (int64_t j = first + lane.id() * V; j < first + of.units; j += kWarpThreads * V) {
      const Pack<T, V> h = of.template columns<V>(j).h(load<V>(x + j), row), w = load<V>(of.weight + j);
      for (int k = 0; k < V; ++k) sum += h[k] * w[k];
    }
    sum = lane.sum(sum);
    if (lane.id() == 0) z[i] = sum + bias[network];
  }
};

// d = dz w [h > 0], and with it the sums of d (x - mean), d and dz h.
template <class T>
struct Terms {
  Output<T> of;
  const T* dz;
  template <int V>
  struct Columns {
    const Terms& terms;
    int64_t column, network;
    HiddenColumns<T, V> hidden;
    Pack<T, V> w;
    KDEF_DEVICE void add(int64_t r, T (&sums)[3][V]) const {
      const Pack<T, V> x = load<V>(terms.of.x + r * terms.of.c + column), h = hidden.h(x, r);
      const T g = terms.dz[r * terms.of.networks + network];
      for (int k = 0; k < V; ++k) {
        const T d = HiddenLayerDx<T>::d(g * w[k], h[k]);
        sums[0][k] += d * (x[k] - hidden.mean[k]);
        sums[1][k] += d;
        sums[2][k] += g * h[k];
      }
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {*this, j, j / of.units, of.template columns<V>(j), load<V>(of.weight + j)};
  }
  KDEF_DEVICE double finished(int s, double sum, int64_t j) const {
    return s == 0 ? sum * of.masks.factor * static_cast<double>(of.rstd[j]) : s == 1 ? sum * of.masks.factor : sum;
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
    HiddenColumns<T, V> hidden;
    Pack<T, V> w, a, b, e;
    KDEF_DEVICE Pack<T, V> row(int64_t r) const {
      const int64_t i = r * work.of.c + column;
      const Pack<T, V> x = load<V>(work.of.x + i), h = hidden.h(x, r);
      const T g = work.dz[r * work.of.networks + network];
      Pack<T, V> dx;
      for (int k = 0; k < V; ++k) {
        const T d = HiddenLayerDx<T>::d(g * w[k], h[k]);
        dx[k] = HiddenLayerDx<T>::dx(a[k], b[k], e[k], d, x[k], hidden.mean[k]);
      }
      store<V>(dx, work.dx + i);
      return dx;
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    Columns<V> it{*this, j, j / of.units, of.template columns<V>(j), load<V>(of.weight + j), {}, {}, {}};
    for (int k = 0; k < V; ++k) {
      const HiddenLayerDx<T> c(it.hidden.rstd[k], it.hidden.gamma[k], dgamma[j + k], dbeta[j + k], share,
                               of.masks.factor);
      it.a[k] = c.a;
      it.b[k] = c.b;
      it.e[k] = c.e;
    }
    return it;
  }
};

}  // namespace

void output_forward(const OutputLayer& layer, const Tensor& bias, const Tensor& z) {
  for_float(z.dtype(), "stacked_output", [&]<class T>() {
    const Output<T> of(layer);
    of.with_vectors_of(nullptr, [&]<int V>() { for_warps(z.numel(), Forward<T, V>{of, bias.data<T>(), z.data<T>()}); });
  });
}

void output_sums(const OutputLayer& layer, const Tensor& dz, const Tensor& dgamma, const Tensor& dbeta,
                 const Tensor& dweight) {
  for_float(dz.dtype(), "stacked_output", [&]<class T>() {
    const Terms<T> terms{Output<T>(layer), dz.data<T>()};
    terms.of.with_vectors_of(nullptr, [&]<int V>() {
      sum_tiles<T, V, 3>(dz.shape()[0], terms.of.c, dz.device(), terms,
                         {dgamma.data<T>(), dbeta.data<T>(), dweight.data<T>()});
    });
  });
}

void output_dx(const OutputLayer& layer, const Tensor& dz, const Tensor& dgamma, const Tensor& dbeta, const Tensor& dx,
               const Tensor& dbias) {
  for_float(dz.dtype(), "stacked_output", [&]<class T>() {
    const auto run = [&]<class U>() {
      const int64_t rows = dz.shape()[0];
      const Dx<T, U> work{Output<T>(layer), dz.data<T>(), dgamma.data<T>(),
                          dbeta.data<T>(),  dx.data<U>(), 1.0 / static_cast<double>(rows)};
      work.of.with_vectors_of(work.dx, [&]<int V>() {
        sum_tiles<T, V, 1>(rows, work.of.c, dz.device(), RowSums<T, Dx<T, U>>{work}, {dbias.data<T>()});
      });
    };
    if constexpr (std::is_same_v<T, float>) {
      if (dx.dtype() == DType::bf16) return run.template operator()<BFloat16>();
    }
    run.template operator()<T>();
  });
}

}  // namespace kdef::ops::cuda
