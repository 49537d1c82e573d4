#include "ops/pairs.h"

#include <algorithm>

#include "core/base/parallel.h"
#include "core/tensor/launch.h"

namespace kdef::ops {

const OpInfo kUpperTriangleInfo{"upper_triangle", "y = (x_ij for i < j)", "dx_ij = dy_(i,j) for i < j, 0 elsewhere"};

namespace cpu {

void copy_triangle(const Tensor& x, const Tensor& y, bool scatter) {
  for_float(x.dtype(), "upper_triangle", [&]<class T>() {
    const int64_t fields = x.shape()[1], pairs = y.shape()[1];
    T* square = x.data<T>();
    T* triangle = y.data<T>();
    parallel_for(x.shape()[0], 64, [=](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; ++b) {
        T* from = square + b * fields * fields;
        T* to = triangle + b * pairs;
        if (scatter) std::fill_n(from, fields * fields, T(0));
        for (int64_t i = 0; i < fields; ++i) {
          const int64_t n = fields - i - 1;
          if (scatter)
            std::copy_n(to, n, from + i * fields + i + 1);
          else
            std::copy_n(from + i * fields + i + 1, n, to);
          to += n;
        }
      }
    });
  });
}

}  // namespace cpu

Tensor upper_triangle(const Tensor& x) {
  KDEF_CHECK(x.rank() == 3 && x.shape()[1] == x.shape()[2], "upper_triangle: needs [B, F, F], got ", describe(x));
  const int64_t fields = x.shape()[1];
  Tensor y = Tensor::empty({x.shape()[0], fields * (fields - 1) / 2}, x.dtype(), x.device());
  KDEF_LAUNCH(x.device(), copy_triangle, x, y, false);
  const Shape before = x.shape();
  return record(kUpperTriangleInfo, y, {x}, {},
                [before](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> {
                  const Tensor dx = Tensor::empty(before, dy.dtype(), dy.device());
                  KDEF_LAUNCH(dy.device(), copy_triangle, dx, dy, true);
                  return {dx};
                });
}

}  // namespace kdef::ops
