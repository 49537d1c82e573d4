#include "core/base/integers.h"
#include "core/cuda/launch.cuh"
#include "ops/dropout.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_each;

// A thread per Philox block. Block 0 of a launch is block first / kDropoutBlock of the mask; `first` is the number of
// x's first element in the mask.
template <class T>
struct Apply {
  const T* x;
  T* y;
  int64_t n, first;
  T factor;
  uint32_t threshold;
  DropoutKey key;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t block = first / kDropoutBlock + i;
    const auto bits = Philox::block(key.seed, key.stream_now(), static_cast<uint64_t>(block));
    for (int k = 0; k < kDropoutBlock; ++k) {
      const int64_t at = kDropoutBlock * block + k - first;
      if (at >= 0 && at < n) y[at] = dropout_bits(bits, k) < threshold ? T(0) : x[at] * factor;
    }
  }
};

}  // namespace

void dropout_apply(const Tensor& x, const Tensor& y, double p, const DropoutKey& key) {
  for_float(x.dtype(), "dropout", [&]<class T>() {
    const int64_t n = x.numel(), first = first_element(key, x);
    for_each(divide_up(first % kDropoutBlock + n, kDropoutBlock),
             Apply<T>{x.data<T>(), y.data<T>(), n, first, static_cast<T>(1.0 / (1.0 - p)), dropout_threshold(p), key});
  });
}

}  // namespace kdef::ops::cuda
