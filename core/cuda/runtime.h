// The CUDA runtime as the rest of the library sees it, without CUDA's headers. One stream takes all computation of a
// device, in order. A function waits for the device only where its comment says so. A process uses one device: the
// first one that is asked for.
//
// core/cuda/runtime.cpp is the runtime itself. core/cuda/emulated.cpp does the same on the host (KDEF_CUDA_EMULATED),
// so that every kernel, and the recording and repeating of steps, is tested where there is no GPU.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/tensor/device.h"

namespace kdef::cuda {

/// The number of CUDA devices; 0 where there is no driver.
int device_count();
/// "NVIDIA H100 80GB HBM3, compute capability 9.0, 79 GiB"
std::string describe_device(int index);
/// The memory of device `index`, which becomes the device of this process and thread. Throws InputError if the process
/// uses another one. Safe for threads.
Memory& memory(int index);

/// Waits for all work of the device. Throws SystemError with the runtime's reason if some of it failed, and InputError
/// if a kernel met an id outside its table.
void synchronize();

/// The first id outside its table that a kernel met. synchronize() throws it as an InputError, once.
struct Fault {
  unsigned long long found;  // 0: nothing
  long long id, position, rows;
};
/// The fault of this process, in device memory, for kernels.
Fault* fault();
/// Throws if a fault was found.
inline void throw_fault(const Fault& f) {
  if (f.found != 0) {
    throw InputError(cat("id ", f.id, " at position ", f.position, " is outside its table of ", f.rows, " rows"));
  }
}

/// Copies in order with the computation, without waiting for it. The device itself copies pinned host memory, later;
/// other host memory is read before the call returns.
void copy_async(void* to, const void* from, size_t bytes);

/// Pinned host memory, which the device reads and writes by itself.
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
  /// Copies pinned host memory to the device. Where computation that was given before may still read `to`, call
  /// after_computation() first.
  void copy(void* to, const void* from, size_t bytes);
  /// Copies of later calls wait for all computation that was given until now.
  void after_computation();
  /// Computation that is given later waits for all copies of calls until now.
  void before_computation();
  /// Waits for the copies to end: their sources may then be overwritten.
  void wait();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether a Graph is being recorded.
bool recording();

/// Work that is recorded once and then repeated at the cost of one launch. Its results may depend on device memory
/// alone: host values stay as they were in the recording. Its memory comes from a pool of its own.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  /// Runs `work` once, which makes its memory and its plans, then records it, which runs nothing. With
  /// KDEF_CUDA_SYNCHRONOUS=1 in the environment it runs `work` and records nothing.
  void record(const std::function<void()>& work);
  bool recorded() const;
  void launch();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kdef::cuda
