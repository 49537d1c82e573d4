// The kind of work that an op does, for profiles that add up ops of a kind.
#pragma once

#include <string>

namespace kdef::ops {

/// The kind of the op of this name, or null for an op that is not in ops/. A test finds an op of op_cases() that has
/// none.
const char* kind_of(const std::string& op);

}  // namespace kdef::ops
