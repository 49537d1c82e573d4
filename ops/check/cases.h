// The register of ops: one row per op, with the case its gradient is checked on. `kdef audit --ops`, the test
// suite and docs/gradients.md all follow from it. Elementwise ops enter by the lists in elementwise_functors.h.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "ops/check/gradcheck.h"

namespace kdef::ops {

struct OpCase {
  const OpInfo* info;
  std::string variant;  // what is special about this case; empty for the plain one
  /// The case with its inputs on `device`. Constants of its function follow the type and device of the inputs, so that
  /// the inputs may also be made fp32.
  std::function<GradientCase(Device)> make;
};

/// Prints the case's name in the output of tests.
inline void PrintTo(const OpCase& c, std::ostream* out) {
  *out << c.info->name << (c.variant.empty() ? "" : ", ") << c.variant;
}

/// All cases, in a fixed order; every op of ops/ has at least one.
std::vector<OpCase> op_cases();

}  // namespace kdef::ops
