// Maths of the fused joint objectives, for every device: see kdef/method/joint_objective.h.
#pragma once

#include "kdef/method/joint_objective_kernels.h"
#include "ops/loss_functors.h"

namespace kdef {

/// The cells of the sums over the rows: of weight times BCE(q, y); of weight times the cross-entropy of each student;
/// of the weights.
struct JointCells {
  int64_t m;
  KDEF_HD int64_t count() const { return m + 2; }
  KDEF_HD int64_t weight() const { return m + 1; }

  /// What a row adds to a cell.
  template <class T>
  KDEF_HD double of_row(int64_t cell, JointForm form, const T* p, T q, T y, double weight) const {
    if (cell == this->weight()) return weight;
    const T loss = cell == 0 ? ops::Bce::f(q, y) : ops::Bce::f(p[cell - 1], form.taught ? q : y);
    return weight * static_cast<double>(loss);
  }
};

/// From the sums of a batch to its loss and the coefficients of the gradient.
struct JointFinish {
  JointForm form;
  const double* sums;
  JointCells cells;
  JointCoefficients out;

  KDEF_HD double run() const {
    const double weight = sums[cells.weight()], of_mean = weight > 0 ? sums[0] / weight : 0.0;
    double loss = of_mean;
    *out.weight = weight;
    *out.of_mean = 1;
    for (int64_t k = 0; k < cells.m; ++k) {
      const double of_student = weight > 0 ? sums[1 + k] / weight : 0.0;
      if (form.taught) {
        loss += of_student;
        out.of_students[k] = 1;
        continue;
      }
      // d/dL and d/dL_k of (L_k - L) L_k
      const bool worse = of_student > of_mean;
      out.of_students[k] = worse ? 2 * of_student - of_mean : 0.0;
      *out.of_mean -= worse ? of_student : 0.0;
      loss += worse ? (of_student - of_mean) * of_student : 0.0;
    }
    return loss;
  }
};

/// dz of one row and student.
struct JointDz {
  JointForm form;
  JointCoefficients of;
  double m;

  template <class T>
  KDEF_HD T dz(double dl, T p, T q, T y, double weight, int64_t k) const {
    if (!(*of.weight > 0)) return T(0);
    const double slope = static_cast<double>(p) * (1 - static_cast<double>(p));
    // dq / dz_k times M
    const double to_mean = form.mean_of_probabilities ? slope : static_cast<double>(q) * (1 - static_cast<double>(q));
    const double d = *of.of_mean * static_cast<double>(ops::Bce::da(q, y)) * to_mean / m +
                     of.of_students[k] * static_cast<double>(ops::Bce::da(p, form.taught ? q : y)) * slope;
    return static_cast<T>(dl * weight / *of.weight * d);
  }
};

}  // namespace kdef
