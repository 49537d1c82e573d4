// KDEF_LAUNCH calls a kernel (core/tensor/dispatch.h) of the given device. What it expands to depends on the backends
// of the build, so a source that uses it is listed under DEVICE in its CMakeLists.txt (kdef_library,
// cmake/options.cmake).
#pragma once

#include "core/tensor/dispatch.h"

#if defined(KDEF_HAS_CUDA)
#define KDEF_LAUNCH(device, name, ...) ((device).is_cpu() ? cpu::name(__VA_ARGS__) : cuda::name(__VA_ARGS__))
#else
#define KDEF_LAUNCH(device, name, ...) (::kdef::require_cpu((device), #name), cpu::name(__VA_ARGS__))
#endif
