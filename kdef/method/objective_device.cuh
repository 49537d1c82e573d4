// What the device kernels of the objectives share.
#pragma once

#include "core/cuda/launch.cuh"
#include "kdef/method/probabilities.h"

namespace kdef::cuda {

// A thread per row: its probabilities p [M] and their mean q.
template <class T>
struct Probabilities {
  const T* z;
  T *p, *q;
  int64_t m;
  bool mean_of_probabilities;
  KDEF_DEVICE void operator()(int64_t b) const {
    q[b] = row_probabilities(z + b * m, m, mean_of_probabilities, p + b * m);
  }
};

// The sum over the parts of one cell of partial [parts, cells], by a warp; every lane has it.
KDEF_DEVICE double sum_of_parts(const Warp& lane, const double* partial, int64_t parts, int64_t cells, int64_t cell) {
  double sum = 0;
  for (int64_t part = lane.id(); part < parts; part += lane.size()) sum += partial[part * cells + cell];
  return lane.sum(sum);
}

}  // namespace kdef::cuda
