// Kernels by device. A kernel is a plain function on raw tensors, outside the tape. KDEF_KERNEL declares it in the
// namespace of every device; the .cpp file of its family defines it for the CPU, the .cu file for CUDA. KDEF_LAUNCH
// (core/tensor/launch.h) calls the kernel of the given device. A new device adds a namespace here and files of its own.
#pragma once

#include "core/base/error.h"
#include "core/tensor/device.h"

#define KDEF_KERNEL(ret, name, ...) \
  namespace cpu {                   \
  ret name(__VA_ARGS__);            \
  }                                 \
  namespace cuda {                  \
  ret name(__VA_ARGS__);            \
  }

namespace kdef {
inline void require_cpu(Device device, const char* kernel) {
  KDEF_CHECK(device.is_cpu(), kernel, ": no kernel for ", name_of(device), " in this build");
}
}  // namespace kdef
