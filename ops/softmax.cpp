#include "ops/softmax.h"

#include "core/tensor/launch.h"
#include "ops/device/launch_cpu.h"
#include "ops/rowwise_functors.h"

namespace kdef::ops {

const OpInfo kSoftmaxInfo{"softmax", "y_i = e^(x_i) / sum_j e^(x_j)", "dx_i = y_i (dy_i - sum_j y_j dy_j)"};
const OpInfo kSoftminInfo{"softmin", "y_i = e^(-x_i) / sum_j e^(-x_j)", "dx_i = -y_i (dy_i - sum_j y_j dy_j)"};

namespace cpu {

void softmax_forward(const Tensor& x, const Tensor& y, int64_t outer, int64_t n, int64_t inner, double sign) {
  for_float(x.dtype(), "softmax", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    for_each(outer * inner, [=](int64_t row) {
      const int64_t at = row / inner * n * inner + row % inner;
      SoftmaxRow::forward(ScalarLane{}, in + at, out + at, n, inner, static_cast<T>(sign));
    });
  });
}

void softmax_backward(const Tensor& dy, const Tensor& y, const Tensor& dx, int64_t outer, int64_t n, int64_t inner,
                      double sign) {
  for_float(dy.dtype(), "softmax", [&]<class T>() {
    const T *g = dy.data<T>(), *out = y.data<T>();
    T* d = dx.data<T>();
    for_each(outer * inner, [=](int64_t row) {
      const int64_t at = row / inner * n * inner + row % inner;
      SoftmaxRow::backward(ScalarLane{}, g + at, out + at, d + at, n, inner, static_cast<T>(sign));
    });
  });
}

}  // namespace cpu

namespace {
Tensor soft(const OpInfo& info, const Tensor& x, int axis, double sign) {
  const int a = x.shape().axis(axis, info.name);
  const int64_t outer = x.shape().product(0, a), n = x.shape()[a], inner = x.shape().product(a + 1, x.rank());
  Tensor y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), softmax_forward, x, y, outer, n, inner, sign);
  return record(info, y, {x}, {y},
                [=](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  Tensor dx = Tensor::empty_like(dy);
                  KDEF_LAUNCH(dy.device(), softmax_backward, dy, c.saved[0], dx, outer, n, inner, sign);
                  return {dx};
                },
                {{"axis", a}});
}
}  // namespace

Tensor softmax(const Tensor& x, int axis) { return soft(kSoftmaxInfo, x, axis, 1.0); }
Tensor softmin(const Tensor& x, int axis) { return soft(kSoftminInfo, x, axis, -1.0); }

}  // namespace kdef::ops
