// One run as a section of a page.
#pragma once

#include <string>

#include "kdef/run/record.h"

namespace kdef {

/// What was found, figures, learning curves, what to beat, students, calibration, columns, collapse, the commands that
/// repeat the run, and its configuration, as HTML. `alone`: no other run is on the page.
std::string run_section(const RunRecord& run, bool alone);

}  // namespace kdef
