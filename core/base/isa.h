// The instruction set for kernels that are compiled for several, and chosen when the program runs.
#pragma once

#include <vector>

namespace kdef {

/// plain: C++ for the processor that the library was built for. The others are the levels of the x86-64 psABI: v2 has
/// SSE4.2, v3 AVX2 and FMA, v4 AVX-512 (F, BW, CD, DQ, VL).
enum class Isa { plain, v2, v3, v4 };

/// "plain", "x86-64-v2", ...
const char* name_of(Isa isa);
/// What this processor has and this build holds kernels for, the best last; plain is always among them.
std::vector<Isa> usable_isas();
/// The set that is used: the best usable one, or the one that the environment variable KDEF_ISA names. It is decided at
/// the first call. InputError where KDEF_ISA names none, or one that is not usable.
Isa chosen_isa();

}  // namespace kdef
