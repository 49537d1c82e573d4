// The kernels of packed products for x86-64-v4; ops/CMakeLists.txt has the compiler's options.
#include <immintrin.h>

#define KDEF_SET v4
#define KDEF_LANES 16
#define KDEF_VECTORS 4
#define KDEF_ROWS 6
#define KDEF_MULTIPLY_ADD _mm512_fmadd_ps
#include "ops/serve/lane_kernels.h"

namespace kdef::ops::serve::v4 {
const Kernels kKernels = {Isa::v4, kLanes, kVectors, product, dots, row_sums};
}  // namespace kdef::ops::serve::v4
