// The worked examples of docs/course: one table, from which the program, its help and the tests follow.
#pragma once

#include <span>

#include "kdef/audit/worksheet.h"

namespace kdef {

/// All examples, in the order of the lessons.
std::span<const Example> examples();
/// Throws InputError for an unknown name.
const Example& find_example(const std::string& name);
/// Their names, with commas between them; for the help.
std::string example_names();

}  // namespace kdef
