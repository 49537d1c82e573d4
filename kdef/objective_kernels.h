// Kernels of the fused KDEF objective.
#pragma once

#include <vector>

#include "core/dispatch.h"
#include "core/tensor.h"
#include "kdef/objective.h"

namespace kdef {

/// What the backward pass needs beside p, q, y: all small.
struct ObjectiveWeights {
  std::vector<double> teach;  // w_k; 0 without L_teach
  std::vector<double> e;      // e_j = exp(s_j - max s): v_kj = e_j / (sum of e without e_k)
  double e_total = 0;
  std::vector<double> score;  // dL/ds_k
};

// One pass: p and q, the label loss, the sums of 1 - |y - p|, and the Gram matrix of c = p - q per student,
// G_ij = sum_b c_i c_j; then l_k = G_kk / B and d_ij = (G_ii + G_jj - 2 G_ij) / B. Centring by q keeps the digits that
// nearly equal students would lose. Parts of rows are summed in fp64 and added in order.
KDEF_KERNEL(double, objective_forward, const Tensor& z, const Tensor& y, const ObjectiveConfig& config, const Tensor& p,
            const Tensor& q, ObjectiveWeights& weights)
KDEF_KERNEL(void, objective_backward, double dl, const Tensor& p, const Tensor& q, const Tensor& y,
            const ObjectiveConfig& config, const ObjectiveWeights& weights, const Tensor& dz)

}  // namespace kdef
