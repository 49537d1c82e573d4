// KDEF_HD marks scalar maths that the CPU's loops and the CUDA kernels share. KDEF_DEVICE marks functions that only
// CUDA kernels call. Without nvcc, where the kernels are emulated on the host, both are plain functions.
#pragma once

#if defined(__CUDACC__)
#define KDEF_HD __host__ __device__ __forceinline__
#define KDEF_DEVICE __device__ __forceinline__
#else
#define KDEF_HD inline
#define KDEF_DEVICE inline
#endif
