// The kernels of packed products for x86-64-v2; ops/CMakeLists.txt has the compiler's options.
#include <immintrin.h>

#define KDEF_SET v2
#define KDEF_LANES 4
#define KDEF_VECTORS 2
#define KDEF_ROWS 6
#define KDEF_WIDEN_UINT16(p) _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))
#define KDEF_WIDEN_INT8(p) _mm_cvtepi8_epi32(_mm_loadu_si32(p))
#include "ops/serve/lane_kernels.h"

namespace kdef::ops::serve::v2 {
const Kernels kKernels = {Isa::v2, kLanes, kVectors, product, dots, row_sums};
}  // namespace kdef::ops::serve::v2
