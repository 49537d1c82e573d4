// Long sums over the rows of a matrix, on every device: rows are summed in parts of fixed size, and the parts are added
// in their order. The result does not depend on the number of threads.
#pragma once

#include <cstdint>

namespace kdef::ops {

/// Rows of one part. A part is summed in the tensor's type: with this few rows fp32 keeps its digits, a part stays in
/// the CPU's cache between two sweeps over it, and no thread of a GPU works long on its own. Parts are added in fp64.
inline constexpr int64_t kRowPart = 64;

}  // namespace kdef::ops
