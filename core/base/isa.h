// The instruction set for kernels that are compiled for several, and chosen when the program runs.
#pragma once

#include <vector>

#include "core/base/isa_levels.h"

namespace kdef {

/// "plain", "x86-64-v2", ...
const char* name_of(Isa isa);
/// What this processor has and this build holds kernels for, the best last; plain is always among them.
std::vector<Isa> usable_isas();
/// The set that is used: the best usable one, or the one that the environment variable KDEF_ISA names. It is decided at
/// the first call. InputError where KDEF_ISA names none, or one that is not usable.
Isa chosen_isa();

}  // namespace kdef
