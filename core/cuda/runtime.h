// The CUDA runtime as the rest of the library sees it, free of CUDA's headers. One stream takes all computation of a
// device, in order; nothing waits for the device but what says so. One device per process: the first that is used.
//
// core/cuda/runtime.cpp is the runtime itself. core/cuda/emulated.cpp plays it on the host (KDEF_CUDA_EMULATED), so
// that every kernel, and the recording and repeating of steps, is tested where there is no GPU.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/tensor/device.h"

namespace kdef::cuda {

/// 0 also where there is no driver.
int device_count();
/// "NVIDIA H100 80GB HBM3, compute capability 9.0, 79 GiB"
std::string describe_device(int index);
Memory& memory(int index);

/// Waits for all work of the device; throws SystemError if some of it failed, naming what the runtime says, and
/// InputError where a kernel met an id outside its table.
void synchronize();

/// What a kernel found wrong: the first id outside its table. synchronize() throws it as an InputError, once.
struct Fault {
  unsigned long long found;  // 0: nothing
  long long id, position, rows;
};
/// In device memory, for kernels.
Fault* fault();
/// Throws what was found, if anything.
inline void throw_fault(const Fault& f) {
  if (f.found != 0) {
    throw InputError(cat("id ", f.id, " at position ", f.position, " is outside its table of ", f.rows, " rows"));
  }
}

/// Copies in order with the computation, without waiting. Host memory that is pinned is copied by the device; other
/// host memory is read before the call returns.
void copy_async(void* to, const void* from, size_t bytes);

/// Host memory that the device reads and writes by itself.
class PinnedMemory {
 public:
  explicit PinnedMemory(size_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
};

/// A second stream, for copies that run beside the computation.
class CopyStream {
 public:
  CopyStream();
  ~CopyStream();
  CopyStream(const CopyStream&) = delete;
  CopyStream& operator=(const CopyStream&) = delete;
  /// Copies pinned host memory to the device, not before the computation given so far is done with `to`: call
  /// after_computation() first where it may still be read.
  void copy(void* to, const void* from, size_t bytes);
  /// What is copied from now on comes after all computation that was given until now.
  void after_computation();
  /// Computation that is given from now on comes after the copies made until now.
  void before_computation();
  /// Waits for the copies, so that their sources may be written again.
  void wait();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether a Graph is being recorded.
bool recording();

/// Work that is recorded once and then repeated at the cost of one launch. What it computes may depend only on device
/// memory: host values are as they were when it was recorded. Its memory comes from a pool of its own.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  /// Runs `work` once as it is, so that its memory and plans are there, then records it (which runs nothing). Under
  /// KDEF_CUDA_SYNCHRONOUS=1 it only runs it.
  void record(const std::function<void()>& work);
  bool recorded() const;
  void launch();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kdef::cuda
