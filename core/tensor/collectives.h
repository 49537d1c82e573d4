// Tensors of a group of processes.
#pragma once

#include "core/base/group.h"
#include "core/tensor/tensor.h"

namespace kdef {

/// Replaces every element of t (f32 or f64) by its sum over the members of the group, in the order of the ranks; all
/// members give the same shape. A tensor of a device goes by way of the host. Counts as a change in place. With one
/// member nothing happens.
void all_reduce(Group& group, const Tensor& t);

/// The rows of every member below each other, in the order of the ranks, on t's device: t is [n, ...], and n may differ
/// from member to member. With one member: t itself.
Tensor gather_rows(Group& group, const Tensor& t);

}  // namespace kdef
