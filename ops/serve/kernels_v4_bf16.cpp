// The kernels of packed products for x86-64-v4 with AVX512-BF16; ops/CMakeLists.txt has the compiler's options.
#include <immintrin.h>

#define KDEF_SET v4_bf16
#define KDEF_LANES 16
#define KDEF_VECTORS 4
#define KDEF_ROWS 6
#define KDEF_MULTIPLY_ADD _mm512_fmadd_ps
#define KDEF_WIDEN_UINT16(p) \
  _mm512_maskz_cvtepu16_epi32(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))
#define KDEF_WIDEN_INT8(p) _mm512_maskz_cvtepi8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))
#define KDEF_ADD_PAIRS(sum, a, b) _mm512_dpbf16_ps(sum, (__m512bh)(a), (__m512bh)(b))
#define KDEF_ROUND_TO_BF16(v) _mm512_cvtneps_pbh(v)
#include "ops/serve/lane_kernels.h"

namespace kdef::ops::serve::v4_bf16 {
const Kernels kKernels = {Isa::v4_bf16, kLanes, kVectors, product, dots, row_sums, true};
}  // namespace kdef::ops::serve::v4_bf16
