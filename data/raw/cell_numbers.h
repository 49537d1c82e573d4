// Which cells are numbers, and which stand for a missing one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kdef::data {

/// The finite decimal number that a cell holds, with blanks around it or not; nothing for any other text.
std::optional<double> cell_number(std::string_view cell);

/// What stands for a missing number where a column of numbers has a fill_na and no na_values: what pandas takes for one
/// (NaN, NULL, NA, ...), and the \N of Hive and MySQL.
const std::vector<std::string>& missing_numbers();

}  // namespace kdef::data
