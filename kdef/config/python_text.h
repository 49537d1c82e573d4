// YAML values as Python prints them. FuxiCTR names experiments by hashes of such texts. Private to kdef/config.
#pragma once

#include <string>

#include "kdef/config/yaml_value.h"

namespace kdef::config_keys {

/// str() of the Python object that PyYAML's FullLoader makes of a value: "None", "True", "1e-05" for 1.e-5, "['a', 1]".
/// Inside of lists and maps texts are quoted and escaped as by repr(). Characters of U+00A1 and above count as
/// printable. Throws InputError for a date, a tag other than !!python/tuple, a text of more than 1 MiB and values that
/// hold themselves.
std::string python_text(const YamlValue& value);

}  // namespace kdef::config_keys
