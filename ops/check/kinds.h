// The kind of work that an op does, for profiles that add up ops of a kind.
#pragma once

#include <string>

namespace kdef::ops {

/// The kind of the op of this name, or null if the op is not in ops/. A test fails for an op of op_cases() without a
/// kind.
const char* kind_of(const std::string& op);

}  // namespace kdef::ops
