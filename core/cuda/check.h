// Checked calls of the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

namespace kdef::cuda {

/// Throws SystemError naming the call, what the runtime says of it, file and line, and the device's memory.
void check(cudaError_t status, const char* call, const char* file, int line);
#define KDEF_CUDA_CHECK(call) ::kdef::cuda::check((call), #call, __FILE__, __LINE__)

/// The stream of all computation.
cudaStream_t stream();

/// After a launch; under KDEF_CUDA_SYNCHRONOUS=1 in the environment it also waits, so that a failure names its kernel.
void check_launch();

}  // namespace kdef::cuda
