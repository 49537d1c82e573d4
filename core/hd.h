// KDEF_HD marks scalar maths that the CPU launchers and, under nvcc, the CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define KDEF_HD __host__ __device__ __forceinline__
#else
#define KDEF_HD inline
#endif
