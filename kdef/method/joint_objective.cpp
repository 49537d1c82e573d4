#include "kdef/method/joint_objective.h"

#include <span>
#include <vector>

#include "core/base/group.h"
#include "core/base/parallel.h"
#include "core/tensor/launch.h"
#include "kdef/method/joint_objective_functors.h"
#include "kdef/method/probabilities.h"

namespace kdef {
namespace cpu {

void joint_objective_forward(const Tensor& z, const Tensor& y, const Tensor& w, JointForm form, const Tensor& p,
                             const Tensor& q, const Tensor& coefficients, const Tensor& loss) {
  const int64_t rows = z.shape()[0], m = z.shape()[1];
  const JointCells cells{m};
  constexpr int64_t kRows = 512;
  const int64_t parts = divide_up(rows, kRows);
  std::vector<double> sums(static_cast<size_t>(parts * cells.count()));
  for_float(z.dtype(), "joint_objective", [&]<class T>() {
    const T *pz = z.data<T>(), *py = y.data<T>(), *pw = w.defined() ? w.data<T>() : nullptr;
    T *pp = p.data<T>(), *pq = q.data<T>();
    parallel_for(rows, kRows, [&](int64_t first, int64_t last) {
      double* sum = sums.data() + first / kRows * cells.count();
      for (int64_t b = first; b < last; ++b) {
        pq[b] = row_probabilities(pz + b * m, m, form.mean_of_probabilities, pp + b * m);
        const double weight = pw == nullptr ? 1.0 : static_cast<double>(pw[b]);
        for (int64_t i = 0; i < cells.count(); ++i) sum[i] += cells.of_row(i, form, pp + b * m, pq[b], py[b], weight);
      }
    });
    for (size_t i = static_cast<size_t>(cells.count()); i < sums.size(); ++i) {
      sums[i % static_cast<size_t>(cells.count())] += sums[i];
    }
    Group::current().all_reduce(std::span(sums.data(), static_cast<size_t>(cells.count())));
    const JointFinish finish{form, sums.data(), cells, JointCoefficients::of(coefficients)};
    *loss.data<T>() = static_cast<T>(finish.run());
  });
}

void joint_objective_backward(const Tensor& dl, const Tensor& p, const Tensor& q, const Tensor& y, const Tensor& w,
                              JointForm form, const Tensor& coefficients, const Tensor& dz) {
  const int64_t rows = p.shape()[0], m = p.shape()[1];
  for_float(p.dtype(), "joint_objective", [&]<class T>() {
    const T *pp = p.data<T>(), *pq = q.data<T>(), *py = y.data<T>(), *pw = w.defined() ? w.data<T>() : nullptr;
    T* out = dz.data<T>();
    const JointDz of{form, JointCoefficients::of(coefficients), static_cast<double>(m)};
    const double scale = static_cast<double>(*dl.data<T>());
    parallel_for(rows, 512, [&](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; ++b) {
        const double weight = pw == nullptr ? 1.0 : static_cast<double>(pw[b]);
        for (int64_t k = 0; k < m; ++k) out[b * m + k] = of.dz(scale, pp[b * m + k], pq[b], py[b], weight, k);
      }
    });
  });
}

}  // namespace cpu

Tensor joint_objective(const OpInfo& info, JointForm form, const Tensor& z, const Tensor& y, const Tensor& w) {
  check_objective_input(info.name, z, y, w);
  const Tensor p = Tensor::empty_like(z);
  const Tensor q = Tensor::empty({z.shape()[0]}, z.dtype(), z.device());
  const Tensor coefficients = JointCoefficients::make(z.shape()[1], z.device());
  const Tensor loss = Tensor::empty({}, z.dtype(), z.device());
  KDEF_LAUNCH(z.device(), joint_objective_forward, z, y, w, form, p, q, coefficients, loss);
  return record(info, loss, {z, y, w}, {p, q, y, coefficients, w},
                [form](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  const Tensor dz = Tensor::empty(c.saved[0].shape(), dy.dtype(), dy.device());
                  KDEF_LAUNCH(dy.device(), joint_objective_backward, dy, c.saved[0], c.saved[1], c.saved[2], c.saved[4],
                              form, c.saved[3], dz);
                  return {dz};
                });
}

}  // namespace kdef
