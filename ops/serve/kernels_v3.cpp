// The kernels of packed products for x86-64-v3; ops/CMakeLists.txt has the compiler's options.
#include <immintrin.h>

#define KDEF_SET v3
#define KDEF_LANES 8
#define KDEF_VECTORS 2
#define KDEF_ROWS 6
#define KDEF_MULTIPLY_ADD _mm256_fmadd_ps
#include "ops/serve/lane_kernels.h"

namespace kdef::ops::serve::v3 {
const Kernels kKernels = {Isa::v3, kLanes, kVectors, product, dots, row_sums};
}  // namespace kdef::ops::serve::v3
