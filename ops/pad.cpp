#include "ops/pad.h"

#include "core/tensor/launch.h"
#include "ops/layout.h"

namespace kdef::ops {

const OpInfo kPadInfo{"pad", "y = x between elements c along an axis", "dx = the elements of dy in x's place"};

Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, double value) {
  axis = x.shape().axis(axis, "pad");
  KDEF_CHECK(before >= 0 && after >= 0, "pad: ", before, " and ", after, " elements around axis ", axis, " of ",
             x.shape());
  const int64_t outer = x.shape().product(0, axis), n = x.shape()[axis], inner = x.shape().product(axis + 1, x.rank()),
                wide = before + n + after;
  Shape shape = x.shape();
  shape[axis] = wide;
  const Tensor y = Tensor::full(shape, value, x.dtype(), x.device());
  KDEF_LAUNCH(x.device(), copy_slab, x, y, outer, inner, n, 0, wide, before, n);
  return record(kPadInfo, y, {x}, {},
                [=, narrow = x.shape()](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> {
                  const Tensor dx = Tensor::empty(narrow, dy.dtype(), dy.device());
                  KDEF_LAUNCH(dy.device(), copy_slab, dy, dx, outer, inner, wide, before, n, 0, n);
                  return {dx};
                },
                {{"axis", axis}, {"before", before}, {"after", after}, {"value", value}});
}

}  // namespace kdef::ops
