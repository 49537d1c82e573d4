#include "packaging/level.h"

#include <vector>

#include "core/base/error.h"
#include "core/base/isa.h"

namespace kdef::packaging {

std::string level_folder(const std::string& libraries) {
  const std::vector<std::string> packaged = split(KDEF_LEVELS, ' ');
  std::vector<Isa> isas;
  for (const Isa isa : usable_isas()) {
    for (const std::string& level : packaged) {
      if (level == name_of(isa)) isas.push_back(isa);
    }
  }
  if (isas.empty()) {
    throw SystemError(cat("this package of kdef is for processors that have ", packaged.front(),
                          " (SSE4.2 and POPCNT, since about 2009), which this one lacks; build kdef from its sources "
                          "for it, with -DKDEF_ARCH=native. A virtual machine may have a processor model that hides "
                          "them: give it the model of its host"));
  }
  return libraries + "/kdef/" + name_of(choose_isa(isas));
}

}  // namespace kdef::packaging
