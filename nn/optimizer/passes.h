// The two passes of an optimizer's step over a parameter, on the CPU.
#pragma once

#include <span>

#include "nn/optimizer/optimizer.h"

namespace kdef::nn::cpu {

/// The gradient of the data loss with respect to one parameter: dense, by rows, or neither (zero).
struct DataGradient {
  Tensor dense;      // of the parameter's shape
  RowGradient rows;  // of distinct ascending ids
};
/// One row gradient from several parts, at least one, all of distinct ascending ids: the rows of an id are added in the
/// order of the parts.
RowGradient merge_rows(const std::vector<RowGradient>& parts);
/// Merges what backward() left in the parameter.
DataGradient data_gradient(const Parameter& parameter);

/// First pass: adds the squared elements of the regularized gradient to `squares`, and the regularizer's value to
/// `penalty`.
void measure(const OptimizerSlot& slot, const DataGradient& gradient, double& squares, double& penalty);

/// The same over the rows of a table, by partial sums (Optimizer): each span has an element for every one.
void measure_partial_sums(const OptimizerSlot& slot, const DataGradient& gradient, std::span<double> squares,
                          std::span<double> penalty);

/// Second pass: updates the parameter and its state by the rule of `kind`, from the regularized gradient times
/// `factor`.
void update(const OptimizerSlot& slot, const DataGradient& gradient, OptimizerKind kind, const RuleStep& step,
            double factor);

/// The regularized gradient times `factor`, dense.
Tensor regularized_gradient(const OptimizerSlot& slot, const DataGradient& gradient, double factor);

}  // namespace kdef::nn::cpu
