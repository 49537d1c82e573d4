// Which build of kdef this program is.
#pragma once

#include <string>

namespace kdef::apps {

/// Lines "KEY: VALUE": the version, the linker's identification of the program's bytes (its note .note.gnu.build-id)
/// and the instructions that predictions use. Programs with equal lines, on processors of one kind, compute the same
/// bits.
std::string build_lines();

}  // namespace kdef::apps
