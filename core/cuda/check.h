// Checked calls of the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

namespace kdef::cuda {

/// Throws SystemError unless the call succeeded. The message has the call, the runtime's reason, file and line, and the
/// device's free memory.
void check(cudaError_t status, const char* call, const char* file, int line);
#define KDEF_CUDA_CHECK(call) ::kdef::cuda::check((call), #call, __FILE__, __LINE__)

/// The stream of all computation.
cudaStream_t stream();

/// Call it after every launch: throws if the launch failed. With KDEF_CUDA_SYNCHRONOUS=1 in the environment it also
/// waits for the kernel, so that an error names the kernel that failed.
void check_launch();

}  // namespace kdef::cuda
