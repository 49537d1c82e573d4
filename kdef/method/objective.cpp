#include "kdef/method/objective.h"

#include <cmath>
#include <vector>

#include "core/base/group.h"
#include "core/base/parallel.h"
#include "core/tensor/launch.h"
#include "core/tensor/names.h"
#include "kdef/method/ensembles.h"
#include "kdef/method/objective_functors.h"
#include "kdef/method/probabilities.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/loss.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef {

const OpInfo kObjectiveInfo{
    "kdef_objective", "L = L_label + sum_k w_k l_k + (1/M) sum_i sum_{j!=i} v_ij d_ij",
    "dp_k = (p-y)/(p(1-p))/(BM) + 2 w_k (p_k-q)/B + 2 sum_{j!=k} v_kj (p_k-p_j)/(BM) + ds_k sign(y-p_k)/B, "
    "ds_k = -w_k (l_k - sum_i w_i l_i) + (1/M) sum_{i!=k} v_ik (d_ik - D_i), dz = dp p (1-p)"};

// ---- the readable twin

Tensor kdef_objective_held(const Tensor& z, const Tensor& z_held, const Tensor& y, const ObjectiveConfig& config,
                           const Tensor& w) {
  using namespace ops;  // NOLINT: the formulas below read as such
  const int64_t rows = z.shape()[0], students = z.shape()[1];
  const Tensor p = named("p", sigmoid(z));
  const Tensor p_held = named("p", sigmoid(z_held)).detach();
  const Tensor q = named("q", sigmoid(mean(z_held, 1, true))).detach();
  const Tensor labels = named("Y", add(y, named("0", Tensor::zeros({rows, students}, y.dtype(), y.device()))));

  Tensor loss = named("L_label", binary_cross_entropy(p, labels, w));

  const bool held = config.examination == Examination::detached;
  const Tensor score = named("s", shift(neg(batch_mean(abs(sub(labels, held ? p_held : p)))), 1.0));

  if (config.teach) {
    const Tensor distances = named("l", batch_mean(square(sub(p, q))));
    const Tensor weights = config.examination == Examination::equal
                               ? Tensor::full({students}, 1.0 / static_cast<double>(students), z.dtype(), z.device())
                               : softmin(score, 0);
    loss = add(loss, named("L_teach", sum(mul(named("w", weights), distances))));
  }
  if (config.peer && students > 1) {
    std::vector<Tensor> of_student;
    for (int64_t i = 0; i < students; ++i) {
      const Tensor mine = slice(p, 1, i, 1);
      std::vector<Tensor> lead, distance;
      for (int64_t j = 0; j < students; ++j) {
        if (j == i) continue;
        const Tensor own = slice(score, 0, i, 1);  // compilers differ in which argument of a call comes first
        lead.push_back(sub(slice(score, 0, j, 1), own));
        const Tensor apart = mean_squared_error(mine, slice(p_held, 1, j, 1));
        distance.push_back(named(cat("d_", i + 1, j + 1).c_str(), reshape(apart, {1})));
      }
      const Tensor weights =
          config.examination == Examination::equal
              ? Tensor::full({students - 1}, 1.0 / static_cast<double>(students - 1), z.dtype(), z.device())
              : softmax(concat(lead, 0), 0);
      of_student.push_back(reshape(sum(mul(named(cat("v_", i + 1).c_str(), weights), concat(distance, 0))), {1}));
    }
    loss = add(loss, named("L_peer", mean(concat(of_student, 0))));
  }
  return loss;
}

Tensor kdef_objective_composed(const Tensor& z, const Tensor& y, const ObjectiveConfig& config, const Tensor& w) {
  return kdef_objective_held(z, z.detach(), y, config, w);
}

// ---- the fused op

namespace cpu {

void objective_forward(const Tensor& z, const Tensor& y, const Tensor& w, const ObjectiveConfig& config,
                       const Tensor& p, const Tensor& q, const Tensor& weights, const Tensor& loss) {
  const int64_t rows = z.shape()[0], m = z.shape()[1], cells = 2 + m + m * m;
  constexpr int64_t kRows = 512;
  const int64_t parts = divide_up(rows, kRows);
  std::vector<double> sums(static_cast<size_t>(parts * cells + 1)), peer(static_cast<size_t>(m));
  for_float(z.dtype(), "kdef_objective", [&]<class T>() {
    const T *pz = z.data<T>(), *py = y.data<T>(), *pw = w.defined() ? w.data<T>() : nullptr;
    T *pp = p.data<T>(), *pq = q.data<T>();
    parallel_for(rows, kRows, [&](int64_t first, int64_t last) {
      double* label = sums.data() + first / kRows * cells;
      double *score = label + 1, *gram = score + m, *weight = gram + m * m;
      std::vector<double> c(static_cast<size_t>(m));
      for (int64_t b = first; b < last; ++b) {
        const T teacher = row_probabilities(pz + b * m, m, false, pp + b * m);
        pq[b] = teacher;
        const double row_weight = pw == nullptr ? 1.0 : static_cast<double>(pw[b]);
        *weight += row_weight;
        for (int64_t k = 0; k < m; ++k) {
          const T pk = pp[b * m + k];
          *label += row_weight * static_cast<double>(ops::Bce::f(pk, py[b]));
          score[k] += 1.0 - std::abs(static_cast<double>(py[b]) - static_cast<double>(pk));
          c[static_cast<size_t>(k)] = static_cast<double>(pk) - static_cast<double>(teacher);
        }
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j <= i; ++j) gram[i * m + j] += c[static_cast<size_t>(i)] * c[static_cast<size_t>(j)];
        }
      }
    });
    for (int64_t part = 1; part < parts; ++part) {
      for (int64_t i = 0; i < cells; ++i) sums[static_cast<size_t>(i)] += sums[static_cast<size_t>(part * cells + i)];
    }
    sums[static_cast<size_t>(cells)] = static_cast<double>(rows);
    Group::current().all_reduce(std::span(sums.data(), static_cast<size_t>(cells + 1)));
    const ObjectiveFinish finish{{sums[0], sums[static_cast<size_t>(cells - 1)], sums.data() + 1, sums.data() + 1 + m,
                                  sums[static_cast<size_t>(cells)], m},
                                 config,
                                 ObjectiveWeights::of(weights),
                                 peer.data()};
    *loss.data<T>() = static_cast<T>(finish.run(OneThread{}));
  });
}

void objective_backward(const Tensor& dl, const Tensor& p, const Tensor& q, const Tensor& y, const Tensor& w,
                        const ObjectiveConfig& config, const Tensor& weights, const Tensor& dz) {
  const int64_t rows = p.shape()[0], m = p.shape()[1];
  for_float(p.dtype(), "kdef_objective", [&]<class T>() {
    const T *pp = p.data<T>(), *pq = q.data<T>(), *py = y.data<T>(), *pw = w.defined() ? w.data<T>() : nullptr;
    T* out = dz.data<T>();
    const ObjectiveDz of{ObjectiveWeights::of(weights), static_cast<double>(m), config.peer && m > 1};
    const double scale = static_cast<double>(*dl.data<T>());
    parallel_for(rows, 512, [&](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; ++b) {
        const double teacher = static_cast<double>(pq[b]), weighted = of.weighted(pp + b * m, teacher, m);
        const double weight = pw == nullptr ? 1.0 : static_cast<double>(pw[b]);
        for (int64_t k = 0; k < m; ++k) {
          out[b * m + k] = of.dz(scale, pp[b * m + k], teacher, py[b], weight, weighted, k);
        }
      }
    });
  });
}

}  // namespace cpu

void check_objective_input(const char* op, const Tensor& z, const Tensor& y, const Tensor& w) {
  KDEF_CHECK(z.rank() == 2 && y.shape() == (Shape{z.shape()[0], 1}) && z.dtype() == y.dtype(), op, ": logits ",
             describe(z), " need labels [B, 1], got ", describe(y));
  KDEF_CHECK(!w.defined() || (w.shape() == y.shape() && w.dtype() == y.dtype()), op, ": labels ", describe(y),
             " need weights of the same shape, got ", describe(w));
  KDEF_CHECK(z.shape()[0] > 0 && z.shape()[1] > 0, op, ": empty batch ", z.shape());
}

Tensor kdef_objective(const Tensor& z, const Tensor& y, const ObjectiveConfig& config, const Tensor& w) {
  check_objective_input(kObjectiveInfo.name, z, y, w);
  const Tensor p = Tensor::empty_like(z);
  const Tensor q = Tensor::empty({z.shape()[0]}, z.dtype(), z.device());
  const Tensor weights = ObjectiveWeights::make(z.shape()[1], z.device());
  const Tensor loss = Tensor::empty({}, z.dtype(), z.device());
  KDEF_LAUNCH(z.device(), objective_forward, z, y, w, config, p, q, weights, loss);
  return record(kObjectiveInfo, loss, {z, y, w}, {p, q, y, weights, w},
                [config](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  const Tensor dz = Tensor::empty(c.saved[0].shape(), dy.dtype(), dy.device());
                  KDEF_LAUNCH(dy.device(), objective_backward, dy, c.saved[0], c.saved[1], c.saved[2], c.saved[4],
                              config, c.saved[3], dz);
                  return {dz};
                },
                {{"teach", config.teach}, {"peer", config.peer}, {"examination", name_of(config.examination)}});
}

// ---- the row of the table

static constexpr ObjectiveCase kCases[] = {{"KD only", {true, false, Examination::on}},
                                           {"DML only", {false, true, Examination::on}},
                                           {"equal weights", {true, true, Examination::equal}},
                                           {"detached weights", {true, true, Examination::detached}}};

constinit const Objective kKdefObjective{
    .name = "kdef",
    .formula =
        "mean_k BCE(p_k, y) + sum_k w_k mean_b (p_k - sg q)^2 + mean_k sum_{j!=k} v_kj mean_b (p_k - sg p_j)^2, "
        "q = sigmoid(mean_k z_k), w and v by the examination",
    .clicks_only =
        "the examination 1 - |y - p| of its objective compares labels with probabilities, so that both must "
        "lie in [0, 1]",
    .composed =
        [](const Task&, const ObjectiveInput& in, const Tensor& held, const ObjectiveConfig& config) {
          return kdef_objective_held(in.students, held, in.labels, config, in.weights);
        },
    .fused = [](const ObjectiveInput& in,
                const ObjectiveConfig& config) { return kdef_objective(in.students, in.labels, config, in.weights); },
    .op = &kObjectiveInfo,
    .cases = kCases};

}  // namespace kdef
