#include "core/tensor/collectives.h"
#include "kdef/method/joint_objective_functors.h"
#include "kdef/method/objective_device.cuh"
#include "ops/device/parts.cuh"

namespace kdef::cuda {
namespace {

// A thread per part of the rows and cell.
template <class T>
struct PartSums {
  const T *p, *q, *y, *w;  // w: null without weights
  double* partial;         // [parts, cells]
  int64_t rows;
  JointForm form;
  JointCells cells;
  KDEF_DEVICE void operator()(int64_t at) const {
    const int64_t cell = at % cells.count();
    const ops::cuda::Part part(at / cells.count(), rows);
    double sum = 0;
    for (int64_t b = part.begin; b < part.end; ++b) {
      const double weight = w == nullptr ? 1.0 : static_cast<double>(w[b]);
      sum += cells.of_row(cell, form, p + b * cells.m, q[b], y[b], weight);
    }
    partial[at] = sum;
  }
};

// A warp per cell.
struct AddParts {
  const double* partial;
  double* sums;
  int64_t parts, cells;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t cell) const {
    const double sum = sum_of_parts(lane, partial, parts, cells, cell);
    if (lane.id() == 0) sums[cell] = sum;
  }
};

template <class T>
struct Finish {
  JointFinish finish;
  T* loss;
  KDEF_DEVICE void operator()(int64_t) const { *loss = static_cast<T>(finish.run()); }
};

// A thread per row and student.
template <class T>
struct Backward {
  JointDz of;
  const T *dl, *p, *q, *y, *w;  // w: null without weights
  T* dz;
  int64_t m;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t b = i / m;
    const double weight = w == nullptr ? 1.0 : static_cast<double>(w[b]);
    dz[i] = of.dz(static_cast<double>(*dl), p[i], q[b], y[b], weight, i % m);
  }
};

}  // namespace

void joint_objective_forward(const Tensor& z, const Tensor& y, const Tensor& w, JointForm form, const Tensor& p,
                             const Tensor& q, const Tensor& coefficients, const Tensor& loss) {
  const int64_t rows = z.shape()[0], m = z.shape()[1], parts = ops::cuda::parts_of(rows);
  const JointCells cells{m};
  const Tensor partial = Tensor::empty({parts, cells.count()}, DType::f64, z.device());
  const Tensor sums = Tensor::empty({cells.count()}, DType::f64, z.device());
  for_float(z.dtype(), "joint_objective", [&]<class T>() {
    const T* row_weights = w.defined() ? w.data<T>() : nullptr;
    for_each(rows, Probabilities<T>{z.data<T>(), p.data<T>(), q.data<T>(), m, form.mean_of_probabilities});
    for_each(parts * cells.count(), PartSums<T>{p.data<T>(), q.data<T>(), y.data<T>(), row_weights,
                                                partial.data<double>(), rows, form, cells});
    for_warps(cells.count(), AddParts{partial.data<double>(), sums.data<double>(), parts, cells.count()});
    all_reduce(Group::current(), sums);
    for_each(1, Finish<T>{{form, sums.data<double>(), cells, JointCoefficients::of(coefficients)}, loss.data<T>()});
  });
}

void joint_objective_backward(const Tensor& dl, const Tensor& p, const Tensor& q, const Tensor& y, const Tensor& w,
                              JointForm form, const Tensor& coefficients, const Tensor& dz) {
  const int64_t rows = p.shape()[0], m = p.shape()[1];
  for_float(p.dtype(), "joint_objective", [&]<class T>() {
    const JointDz of{form, JointCoefficients::of(coefficients), static_cast<double>(m)};
    for_each(rows * m, Backward<T>{of, dl.data<T>(), p.data<T>(), q.data<T>(), y.data<T>(),
                                   w.defined() ? w.data<T>() : nullptr, dz.data<T>(), m});
  });
}

}  // namespace kdef::cuda
