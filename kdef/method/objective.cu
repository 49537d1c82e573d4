#include "core/tensor/collectives.h"
#include "kdef/method/objective_device.cuh"
#include "kdef/method/objective_functors.h"
#include "ops/device/parts.cuh"

namespace kdef::cuda {
namespace {

// A thread per part of the rows and cell: M cells of the label loss, M of the score, M^2 of the Gram matrix, of which
// those above the diagonal are left out, and one of the rows' weights.
template <class T>
struct PartSums {
  const T *p, *q, *y, *w;  // w: null without weights
  double* partial;         // [parts, cells]
  int64_t rows, m, cells;
  KDEF_DEVICE void operator()(int64_t at) const {
    const int64_t cell = at % cells;
    const ops::cuda::Part part(at / cells, rows);
    double sum = 0;
    if (cell < m) {
      for (int64_t b = part.begin; b < part.end; ++b) {
        const double weight = w == nullptr ? 1.0 : static_cast<double>(w[b]);
        sum += weight * static_cast<double>(ops::Bce::f(p[b * m + cell], y[b]));
      }
    } else if (cell == cells - 1) {
      sum = static_cast<double>(part.end - part.begin);
      if (w != nullptr) sum = 0;
      for (int64_t b = part.begin; w != nullptr && b < part.end; ++b) sum += static_cast<double>(w[b]);
    } else if (cell < 2 * m) {
      for (int64_t b = part.begin; b < part.end; ++b) {
        const double gap = static_cast<double>(y[b]) - static_cast<double>(p[b * m + cell - m]);
        sum += 1.0 - (gap < 0 ? -gap : gap);
      }
    } else {
      const int64_t i = (cell - 2 * m) / m, j = (cell - 2 * m) % m;
      if (j > i) return;
      for (int64_t b = part.begin; b < part.end; ++b) {
        const double teacher = static_cast<double>(q[b]);
        sum += (static_cast<double>(p[b * m + i]) - teacher) * (static_cast<double>(p[b * m + j]) - teacher);
      }
    }
    partial[at] = sum;
  }
};

// A warp per cell; the first also notes the number of rows, behind the sums.
struct AddParts {
  const double* partial;
  double* sums;  // [cells + 1]
  int64_t parts, m, cells;
  double rows;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t cell) const {
    if (cell >= 2 * m && cell < cells - 1 && (cell - 2 * m) % m > (cell - 2 * m) / m) return;
    const double sum = sum_of_parts(lane, partial, parts, cells, cell);
    if (lane.id() == 0) sums[cell] = sum;
    if (lane.id() == 0 && cell == 0) sums[cells] = rows;
  }
};

template <class T>
struct Finish {
  const double *sums, *rows;
  double* peer;
  ObjectiveConfig config;
  ObjectiveWeights weights;
  T* loss;
  int64_t m;
  KDEF_DEVICE void operator()(const Block& block) const {
    double label = 0;
    for (int64_t k = 0; k < m; ++k) label += sums[k];
    const ObjectiveFinish finish{{label, sums[2 * m + m * m], sums + m, sums + 2 * m, *rows, m}, config, weights, peer};
    const double value = finish.run(block);
    if (block.thread() == 0) *loss = static_cast<T>(value);
  }
};

// A thread per row and student: each sums up its row anew, over numbers that are in the cache.
template <class T>
struct Backward {
  ObjectiveDz of;
  const T *dl, *p, *q, *y, *w;  // w: null without weights
  T* dz;
  int64_t m;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t b = i / m;
    const double teacher = static_cast<double>(q[b]);
    const double weight = w == nullptr ? 1.0 : static_cast<double>(w[b]);
    dz[i] = of.dz(static_cast<double>(*dl), p[i], teacher, y[b], weight, of.weighted(p + b * m, teacher, m), i % m);
  }
};

}  // namespace

void objective_forward(const Tensor& z, const Tensor& y, const Tensor& w, const ObjectiveConfig& config,
                       const Tensor& p, const Tensor& q, const Tensor& weights, const Tensor& loss) {
  const int64_t rows = z.shape()[0], m = z.shape()[1], cells = m * (m + 2) + 1, parts = ops::cuda::parts_of(rows);
  const Tensor partial = Tensor::empty({parts, cells}, DType::f64, z.device());
  const Tensor sums = Tensor::empty({cells + 1}, DType::f64, z.device()),
               peer = Tensor::empty({m}, DType::f64, z.device());
  for_float(z.dtype(), "kdef_objective", [&]<class T>() {
    const T* row_weights = w.defined() ? w.data<T>() : nullptr;
    for_each(rows, Probabilities<T>{z.data<T>(), p.data<T>(), q.data<T>(), m, false});
    for_each(parts * cells,
             PartSums<T>{p.data<T>(), q.data<T>(), y.data<T>(), row_weights, partial.data<double>(), rows, m, cells});
    for_warps(cells, AddParts{partial.data<double>(), sums.data<double>(), parts, m, cells, static_cast<double>(rows)});
    all_reduce(Group::current(), sums);
    for_blocks(1, 0,
               Finish<T>{sums.data<double>(), sums.data<double>() + cells, peer.data<double>(), config,
                         ObjectiveWeights::of(weights), loss.data<T>(), m});
  });
}

void objective_backward(const Tensor& dl, const Tensor& p, const Tensor& q, const Tensor& y, const Tensor& w,
                        const ObjectiveConfig& config, const Tensor& weights, const Tensor& dz) {
  const int64_t rows = p.shape()[0], m = p.shape()[1];
  for_float(p.dtype(), "kdef_objective", [&]<class T>() {
    const ObjectiveDz of{ObjectiveWeights::of(weights), static_cast<double>(m), config.peer && m > 1};
    for_each(rows * m, Backward<T>{of, dl.data<T>(), p.data<T>(), q.data<T>(), y.data<T>(),
                                   w.defined() ? w.data<T>() : nullptr, dz.data<T>(), m});
  });
}

}  // namespace kdef::cuda
