// Kernels by device. A kernel is a plain function on raw tensors, outside the tape. KDEF_KERNEL declares it in the
// namespace of every device; the .cpp file of its family defines it for the CPU, the .cu file for CUDA. KDEF_LAUNCH
// calls the kernel of the given device. A new device adds a namespace here and files of its own.
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

#if defined(KDEF_HAS_CUDA)
#define KDEF_LAUNCH(device, name, ...) ((device).is_cpu() ? cpu::name(__VA_ARGS__) : cuda::name(__VA_ARGS__))
#else
#define KDEF_LAUNCH(device, name, ...) (::kdef::require_cpu((device), #name), cpu::name(__VA_ARGS__))
#endif

namespace kdef {
inline void require_cpu(Device device, const char* kernel) {
  KDEF_CHECK(device.is_cpu(), kernel, ": no kernel for ", name_of(device), " in this build");
}
}  // namespace kdef
