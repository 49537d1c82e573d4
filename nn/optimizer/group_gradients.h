// Gradients of a group of processes (core/base/group.h).
#pragma once

#include <vector>

#include "core/base/group.h"
#include "nn/module.h"

namespace kdef::nn {

/// Replaces the gradient of every parameter by its sum over the members of the group. All members have the same
/// parameters, and get the same bits. A dense gradient is all-reduced. The row gradients of a table are gathered: each
/// member sends its ids and rows, and the rows of an id are added in the order of the ranks, so that the cost follows
/// the rows of the batch and not the size of the table. Where members differ in the form of a gradient, it becomes
/// dense; a member without a gradient counts as zero. With one member nothing happens.
void sum_over_group(Group& group, const std::vector<Parameter>& parameters);

}  // namespace kdef::nn
