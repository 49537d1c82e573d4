// Which of the builds in a package runs: there is one for each level of the x86-64 psABI. This code runs before that is
// known, so it is compiled for every x86-64.
#pragma once

#include <string>

namespace kdef::packaging {

/// The folder of the build for this processor: `libraries`/kdef/x86-64-v3. The environment variable KDEF_ISA can name
/// another one. InputError where it names none that is packaged and usable; SystemError where the processor has none.
std::string level_folder(const std::string& libraries);

}  // namespace kdef::packaging
