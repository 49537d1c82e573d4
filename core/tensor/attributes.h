// What an op's result depends on beside its tensors: an axis, a rate, the columns of a slice.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/base/shape.h"

namespace kdef {

/// One setting of an op, by name. Names and values are those of the op's public function.
struct Attribute {
  using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                             std::vector<std::string>>;
  const char* name;
  Value value;
};

using Attributes = std::vector<Attribute>;

/// The sizes of a shape, as the value of an attribute.
inline std::vector<int64_t> sizes_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

/// "axis=1, keep=true, sizes=[2, 3]"; texts are in single quotes. Empty for no attributes.
std::string to_text(const Attributes& attributes);

}  // namespace kdef
