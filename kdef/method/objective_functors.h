// Maths of the fused KDEF objective, for every device: see kdef/method/objective_kernels.h.
#pragma once

#include <cmath>

#include "kdef/method/objective_kernels.h"
#include "ops/loss_functors.h"

namespace kdef {

/// Sums over a batch.
struct ObjectiveSums {
  double label;         // of all students' cross-entropies, each times its row's weight
  double weight;        // of the rows' weights; without weights, the number of rows
  const double* score;  // [M] of 1 - |y - p_k|
  const double* gram;   // [M, M] of c_i c_j, for j <= i
  double rows;
  int64_t m;

  KDEF_HD double s(int64_t k) const { return score[k] / rows; }
  KDEF_HD double g(int64_t i, int64_t j) const { return (i >= j ? gram[i * m + j] : gram[j * m + i]) / rows; }
  KDEF_HD double distance(int64_t i, int64_t j) const { return g(i, i) + g(j, j) - 2 * g(i, j); }
};

/// One thread alone, as a team of ObjectiveFinish.
struct OneThread {
  KDEF_HD int thread() const { return 0; }
  KDEF_HD int threads() const { return 1; }
  KDEF_HD void sync() const {}
};

/// From the sums of a batch to its loss and weights. A team of threads shares the students; every sum is one thread's,
/// in the order of the students, so that the bits are the same for any team.
struct ObjectiveFinish {
  ObjectiveSums sums;
  ObjectiveConfig config;
  ObjectiveWeights out;
  double* peer;  // [M], scratch: D_i = sum_{j!=i} v_ij d_ij

  /// Returns the loss, the same in each thread.
  template <class Team>
  KDEF_HD double run(const Team& team) const {
    const int64_t m = sums.m;
    const bool equal = config.examination == Examination::equal, peers = config.peer && m > 1;
    const double k_count = static_cast<double>(m);
    double top = -1e300, low = 1e300;
    for (int64_t k = 0; k < m; ++k) {
      top = sums.s(k) > top ? sums.s(k) : top;
      low = sums.s(k) < low ? sums.s(k) : low;
    }
    for (int64_t k = team.thread(); k < m; k += team.threads()) {
      out.e[k] = equal ? 1.0 : std::exp(sums.s(k) - top);
      out.teach[k] = !config.teach ? 0.0 : equal ? 1.0 : std::exp(low - sums.s(k));
    }
    team.sync();

    double e_total = 0, total = 0, taught = 0;
    for (int64_t k = 0; k < m; ++k) e_total += out.e[k];
    for (int64_t k = 0; config.teach && k < m; ++k) total += out.teach[k];
    for (int64_t i = team.thread(); peers && i < m; i += team.threads()) {
      double d = 0;
      for (int64_t j = 0; j < m; ++j) {
        if (j != i) d += out.e[j] / (e_total - out.e[i]) * sums.distance(i, j);
      }
      peer[i] = d;
    }
    team.sync();
    for (int64_t k = team.thread(); config.teach && k < m; k += team.threads()) {
      out.teach[k] /= total;
      out.score[k] = out.teach[k] * sums.g(k, k);
    }
    team.sync();
    for (int64_t k = 0; config.teach && k < m; ++k) taught += out.score[k];
    team.sync();

    for (int64_t k = team.thread(); k < m; k += team.threads()) {
      double score = 0;
      if (config.teach) score -= out.teach[k] * (sums.g(k, k) - taught);
      for (int64_t i = 0; peers && i < m; ++i) {
        if (i != k) score += out.e[k] / (e_total - out.e[i]) * (sums.distance(i, k) - peer[i]) / k_count;
      }
      out.score[k] = config.examination == Examination::on ? score : 0.0;
    }
    if (team.thread() == 0) {
      *out.e_total = e_total;
      *out.rows = sums.rows;
      *out.weight = sums.weight;
    }
    double loss = sums.weight > 0 ? sums.label / (sums.weight * k_count) : 0.0;
    if (config.teach) loss += taught;
    for (int64_t i = 0; peers && i < m; ++i) loss += peer[i] / k_count;
    return loss;
  }
};

/// dz of one row and student.
struct ObjectiveDz {
  ObjectiveWeights weights;
  double k_count;
  bool peer;  // L_peer is there

  /// sum_j e_j c_j of a row
  template <class T>
  KDEF_HD double weighted(const T* p, double teacher, int64_t m) const {
    double total = 0;
    for (int64_t j = 0; j < m; ++j) total += weights.e[j] * (static_cast<double>(p[j]) - teacher);
    return total;
  }
  template <class T>
  KDEF_HD T dz(double dl, T p, double teacher, T y, double weight, double weighted, int64_t k) const {
    const double pk = static_cast<double>(p), c = pk - teacher, rows = *weights.rows;
    double dp = 2 * weights.teach[k] * c / rows;
    if (peer) {
      // sum_{j!=k} v_kj (p_k - p_j) = c_k - (sum_j e_j c_j - e_k c_k) / (E - e_k)
      const double others = *weights.e_total - weights.e[k];
      dp += 2 * (c - (weighted - weights.e[k] * c) / others) / (rows * k_count);
    }
    const double gap = static_cast<double>(y) - pk;
    dp += weights.score[k] * static_cast<double>((gap > 0) - (gap < 0)) / rows;
    if (*weights.weight > 0) dp += weight * static_cast<double>(ops::Bce::da(p, y)) / (*weights.weight * k_count);
    return static_cast<T>(dl * dp * pk * (1 - pk));
  }
};

}  // namespace kdef
