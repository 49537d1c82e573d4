// The instruction set for kernels that are compiled for several, and chosen when the program runs.
#pragma once

#include <vector>

#include "core/base/isa_levels.h"

namespace kdef {

/// "plain", "x86-64-v2", ...
const char* name_of(Isa isa);
/// What this processor has and this build holds kernels for, the best last; plain is always among them.
std::vector<Isa> usable_isas();
/// The one among `isas` that the environment variable KDEF_ISA names; the last where it is unset or empty. InputError
/// where it names none of them.
Isa choose_isa(const std::vector<Isa>& isas);
/// The set that is used: choose_isa(usable_isas()), decided at the first call.
Isa chosen_isa();

}  // namespace kdef
