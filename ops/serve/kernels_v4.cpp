// The kernels of packed products for x86-64-v4; ops/CMakeLists.txt has the compiler's options.
#include <immintrin.h>

#define KDEF_SET v4
#define KDEF_LANES 16
#define KDEF_VECTORS 4
#define KDEF_ROWS 6
#define KDEF_MULTIPLY_ADD _mm512_fmadd_ps
#define KDEF_WIDEN_UINT16(p) \
  _mm512_maskz_cvtepu16_epi32(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))
#define KDEF_WIDEN_INT8(p) _mm512_maskz_cvtepi8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))
#include "ops/serve/lane_kernels.h"

namespace kdef::ops::serve::v4 {
const Kernels kKernels = {Isa::v4, kLanes, kVectors, product, dots, row_sums};
}  // namespace kdef::ops::serve::v4
