// Kernels of the fused joint objectives.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tensor.h"
#include "kdef/method/joint_objective.h"

namespace kdef {

/// What the backward pass needs beside p, q, y, on the device: for M students an f64 tensor [M + 2].
struct JointCoefficients {
  double* of_mean;      // the objective's derivative by L
  double* of_students;  // [M]: by the cross-entropy of each student
  double* weight;       // sum of the rows' weights in the whole batch; without weights, the number of rows

  static Tensor make(int64_t m, Device device) { return Tensor::empty({m + 2}, DType::f64, device); }
  static JointCoefficients of(const Tensor& coefficients) {
    double* c = coefficients.data<double>();
    return {c, c + 1, c + coefficients.numel() - 1};
  }
};

// One pass: p [B, M], q [B], and the M + 2 sums over the rows that the loss is made of. Parts of rows are summed in
// fp64 and added in order, then over the group (core/base/group.h). `loss` and its gradient `dl` are scalars on the
// device. `w`: the rows' weights, or undefined.
KDEF_KERNEL(void, joint_objective_forward, const Tensor& z, const Tensor& y, const Tensor& w, JointForm form,
            const Tensor& p, const Tensor& q, const Tensor& coefficients, const Tensor& loss)
KDEF_KERNEL(void, joint_objective_backward, const Tensor& dl, const Tensor& p, const Tensor& q, const Tensor& y,
            const Tensor& w, JointForm form, const Tensor& coefficients, const Tensor& dz)

}  // namespace kdef
