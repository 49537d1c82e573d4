// The instruction sets that kernels are compiled for. This header includes nothing: kernels for a processor that may
// not be there include it (ops/serve/lane_kernels.h).
#pragma once

namespace kdef {

/// plain: C++ for the processor that the library was built for. The others are the levels of the x86-64 psABI: v2 has
/// SSE4.2, v3 AVX2 and FMA, v4 AVX-512 (F, BW, CD, DQ, VL). v4_bf16 is v4 with products of bf16 (AVX512-BF16).
enum class Isa { plain, v2, v3, v4, v4_bf16 };

}  // namespace kdef
