#include "ops/dropout.h"

#include "core/parallel.h"

namespace kdef::ops {

const OpInfo kDropoutInfo{"dropout", "y = x keep / (1 - p)", "dx = dy keep / (1 - p)"};

namespace cpu {

void dropout_apply(const Tensor& x, const Tensor& y, double p, const DropoutKey& key) {
  for_float(x.dtype(), "dropout", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    const T factor = static_cast<T>(1.0 / (1.0 - p));
    const uint32_t threshold = static_cast<uint32_t>(p * 4294967296.0);  // dropped where bits < threshold
    // A Philox block serves four consecutive elements; kPiece is a multiple of four.
    parallel_for(x.numel(), kPiece, [=](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i += 4) {
        const auto bits = Philox::block(key.seed, key.stream, static_cast<uint64_t>(i) / 4);
        const int64_t n = std::min<int64_t>(4, last - i);
        for (int64_t j = 0; j < n; ++j)
          out[i + j] = bits[static_cast<size_t>(j)] < threshold ? T(0) : in[i + j] * factor;
      }
    });
  });
}

}  // namespace cpu

Tensor dropout(const Tensor& x, double p, const DropoutKey& key) {
  KDEF_CHECK(p >= 0 && p < 1, "dropout: rate ", p, " is not in [0, 1)");
  if (p == 0) return x;
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  KDEF_LAUNCH(x.device(), dropout_apply, x, y, p, key);
  return record(kDropoutInfo, y, {x}, {}, [=](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> {
    Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    KDEF_LAUNCH(dy.device(), dropout_apply, dy, dx, p, key);
    return {dx};
  });
}

}  // namespace kdef::ops
