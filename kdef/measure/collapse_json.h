// Collapse reports as JSON values, for files that hold them beside other things. Private to the library.
#pragma once

#include "kdef/measure/collapse.h"
#include "kdef/measure/evaluation_json.h"

namespace kdef {

void to_json(Json& json, const CollapseReport& report);
/// A number that was not finite is read as NaN. Throws InputError where `disagreement` is not a square matrix with one
/// row per student.
void from_json(const Json& json, CollapseReport& report);

}  // namespace kdef
