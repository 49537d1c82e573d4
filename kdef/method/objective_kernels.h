// Kernels of the fused KDEF objective.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tensor.h"
#include "kdef/method/objective.h"

namespace kdef {

/// What the backward pass needs beside p, q, y, on the device: for M students an f64 tensor [3 M + 3].
struct ObjectiveWeights {
  double* teach;    // w_k; 0 without L_teach
  double* e;        // e_j = exp(s_j - max s): v_kj = e_j / (sum of e without e_k)
  double* score;    // dL/ds_k
  double* e_total;  // sum_j e_j
  double* rows;     // of the whole batch: of all members of the group
  double* weight;   // sum of these rows' weights; without weights, their number

  static Tensor make(int64_t m, Device device) { return Tensor::empty({3 * m + 3}, DType::f64, device); }
  static ObjectiveWeights of(const Tensor& weights) {
    const int64_t m = weights.numel() / 3 - 1;
    double* w = weights.data<double>();
    return {w, w + m, w + 2 * m, w + 3 * m, w + 3 * m + 1, w + 3 * m + 2};
  }
};

// One pass: p and q, the label loss, the sums of 1 - |y - p|, and the Gram matrix of c = p - q per student,
// G_ij = sum_b c_i c_j; then l_k = G_kk / B and d_ij = (G_ii + G_jj - 2 G_ij) / B. Centring by q keeps the digits that
// nearly equal students would lose. Parts of rows are summed in fp64 and added in order, then the sums and B are added
// over the group (core/base/group.h): with B rows in all, every member gets the loss of the whole batch, and the
// gradients of the members add up to its gradient. `loss` and its gradient `dl` are scalars on the device. `w`: the
// rows' weights, or undefined.
KDEF_KERNEL(void, objective_forward, const Tensor& z, const Tensor& y, const Tensor& w, const ObjectiveConfig& config,
            const Tensor& p, const Tensor& q, const Tensor& weights, const Tensor& loss)
KDEF_KERNEL(void, objective_backward, const Tensor& dl, const Tensor& p, const Tensor& q, const Tensor& y,
            const Tensor& w, const ObjectiveConfig& config, const Tensor& weights, const Tensor& dz)

}  // namespace kdef
