// One run as a section of a page.
#pragma once

#include <string>

#include "kdef/run/record.h"

namespace kdef {

/// Figures, learning curves, students, collapse, the commands that repeat the run, and its configuration, as HTML.
std::string run_section(const RunRecord& run);

}  // namespace kdef
