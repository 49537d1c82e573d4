// Collapse reports as JSON values, for files that hold them beside other things. Private to the library.
#pragma once

#include "kdef/measure/collapse.h"
#include "kdef/measure/evaluation_json.h"

namespace kdef {

void to_json(Json& json, const CollapseReport& report);

}  // namespace kdef
