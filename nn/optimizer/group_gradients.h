// Gradients of a group of processes (core/base/group.h), and of the shards of one process (core/base/shards.h).
#pragma once

#include <vector>

#include "core/base/group.h"
#include "nn/module.h"

namespace kdef::nn {

/// Replaces the gradient of every parameter by its sum over the members of the group. All members have the same
/// parameters, and get the same bits. Dense gradients are all-reduced, in one call. Row gradients are gathered, in one
/// call: each member sends the ids and rows of all tables, and the rows of an id are added as add_pairwise() says, so
/// that the cost follows the rows of the batch and not the size of the table. Where members differ in the form of a
/// gradient, it becomes dense; a member without a gradient counts as zero. With one member nothing happens.
void sum_over_group(Group& group, const std::vector<Parameter>& parameters);

/// Gives each parameter of `sum` the sum of its gradients in `shards`, on the CPU: one list of the same parameters per
/// shard, added as add_pairwise() says. The form of a sum is chosen as sum_over_group() does it. The lists have no
/// gradients afterwards, apart from `sum`, which may be one of them.
void sum_over_shards(const std::vector<std::vector<Parameter>>& shards, const std::vector<Parameter>& sum);

/// The rows of a gradient by rows, on the host, with distinct ascending ids; none where the gradient is not defined.
RowGradient rows_on_host(const Gradient& gradient, int64_t width, DType type);
/// The sum of the members' rows, added as add_pairwise() says. Each part has distinct ascending ids.
RowGradient sum_of_rows(std::vector<RowGradient> parts);

}  // namespace kdef::nn
