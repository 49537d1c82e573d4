#include "packaging/level.h"

#include <vector>

#include "core/base/error.h"
#include "core/base/isa.h"

namespace kdef::packaging {

std::string level_folder(const std::string& libraries) {
  const std::vector<std::string> packaged = split(KDEF_LEVELS, ' ');
  // The level that a set belongs to, as x86-64-v4-bf16 to x86-64-v4; empty: it is not in the package.
  const auto level_of = [&](Isa isa) -> std::string {
    for (const std::string& level : packaged) {
      const std::string name = name_of(isa);
      if (name == level || name.starts_with(level + "-")) return level;
    }
    return "";
  };
  std::vector<Isa> isas;
  for (const Isa isa : usable_isas()) {
    if (!level_of(isa).empty()) isas.push_back(isa);
  }
  if (isas.empty()) {
    throw SystemError(cat("this package of kdef is for processors that have ", packaged.front(),
                          " (SSE4.2 and POPCNT, since about 2009), which this one lacks; build kdef from its sources "
                          "for it, with -DKDEF_ARCH=native. A virtual machine may have a processor model that hides "
                          "them: give it the model of its host"));
  }
  return libraries + "/kdef/" + level_of(choose_isa(isas));
}

}  // namespace kdef::packaging
