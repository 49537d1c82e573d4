// The kernels of packed products for x86-64-v4; ops/CMakeLists.txt has the compiler's options.
#define KDEF_SET v4
#define KDEF_LANES 16
#define KDEF_VECTORS 4
#define KDEF_ROWS 6
#include "ops/serve/lane_kernels.h"

namespace kdef::ops::serve::v4 {
const Kernels kKernels = {Isa::v4, kLanes, kVectors, product, dots, row_sums};
}  // namespace kdef::ops::serve::v4
