// Lanes: how the maths of one row is divided. A row functor walks its row from lane.id() in steps of
// lane.size() and combines with lane.sum / lane.max. On the CPU one lane does all (ScalarLane); on the GPU
// the 32 lanes of a warp share the row; the tests play a warp (core/cuda/emulated.h), so that the splitting
// is checked without a GPU.
#pragma once

#include <cstdint>

#include "core/base/hd.h"

namespace kdef::ops {

struct ScalarLane {
  KDEF_HD int id() const { return 0; }
  KDEF_HD int size() const { return 1; }
  template <class T>
  KDEF_HD T sum(T v) const {
    return v;
  }
  template <class T>
  KDEF_HD T max(T v) const {
    return v;
  }
};

}  // namespace kdef::ops
