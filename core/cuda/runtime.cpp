#include "core/cuda/runtime.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/base/integers.h"
#include "core/cuda/check.h"
#include "core/tensor/caching_memory.h"

namespace kdef::cuda {
namespace {

// "; 1234 of 81559 MiB free on the device", or nothing if the runtime does not say.
std::string free_memory() {
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return "";
  return cat("; ", free >> 20, " of ", total >> 20, " MiB free on the device");
}

struct CudaSystem {
  static size_t round_up(size_t bytes) {
    const size_t unit = bytes >= size_t{1} << 20 ? size_t{64} << 10 : 512;
    return bytes == 0 ? unit : kdef::round_up(bytes, unit);
  }
  static void* allocate(size_t bytes) noexcept {
    void* block = nullptr;
    if (cudaMalloc(&block, bytes) == cudaSuccess) return block;
    cudaGetLastError();  // the null pointer tells the caller; the runtime forgets the error
    return nullptr;
  }
  static void release(void* block) noexcept {
    // Waits for work that still uses the block. Waiting would break a recording, so cudaFree waits then.
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    if (cudaStreamIsCapturing(stream(), &status) == cudaSuccess && status == cudaStreamCaptureStatusNone) {
      cudaStreamSynchronize(stream());
    }
    cudaFree(block);
  }
  static std::string shortage() { return free_memory(); }
  static void copy(void* to, const void* from, size_t bytes) {
    copy_async(to, from, bytes);
    cudaPointerAttributes a{}, b{};
    KDEF_CUDA_CHECK(cudaPointerGetAttributes(&a, to));
    KDEF_CUDA_CHECK(cudaPointerGetAttributes(&b, from));
    const bool within = a.type == cudaMemoryTypeDevice && b.type == cudaMemoryTypeDevice;
    if (!within) synchronize();
  }
  static void zero(void* to, size_t bytes) { KDEF_CUDA_CHECK(cudaMemsetAsync(to, 0, bytes, stream())); }
};

std::atomic<int> g_device{-1};  // the device of this process; -1 until one is used
std::atomic<int> g_pools{0};

}  // namespace

void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw SystemError(cat("CUDA: ", call, " failed: ", cudaGetErrorString(status), " (", cudaGetErrorName(status),
                        ") at ", file, ":", line, free_memory()));
}

cudaStream_t stream() {
  static const cudaStream_t it = [] {
    cudaStream_t made = nullptr;
    KDEF_CUDA_CHECK(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    return made;
  }();
  return it;
}

// Whether every launch is waited for, which tells the kernel that fails.
static bool synchronous() {
  static const bool asked = [] {
    const char* set = std::getenv("KDEF_CUDA_SYNCHRONOUS");
    return set != nullptr && std::strcmp(set, "1") == 0;
  }();
  return asked;
}

void check_launch() {
  KDEF_CUDA_CHECK(cudaGetLastError());
  // A recorded launch does not run, and waiting would break the recording.
  if (synchronous() && !recording()) KDEF_CUDA_CHECK(cudaStreamSynchronize(stream()));
}

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

std::string describe_device(int index) {
  cudaDeviceProp p{};
  KDEF_CUDA_CHECK(cudaGetDeviceProperties(&p, index));
  return cat(p.name, ", compute capability ", p.major, ".", p.minor, ", ", p.totalGlobalMem >> 30, " GiB");
}

// The runtime keeps a current device per thread, which starts as device 0.
Memory& memory(int index) {
  thread_local int current = -1;
  if (current != index) {
    int used = -1;
    if (!g_device.compare_exchange_strong(used, index) && used != index) {
      throw InputError(cat("cuda:", index, ": this process already uses cuda:", used));
    }
    KDEF_CUDA_CHECK(cudaSetDevice(index));
    current = index;
  }
  static Memory& all = *new CachingMemory<CudaSystem>;
  return all;
}

Fault* fault() {
  static Fault* const it = [] {
    void* made = nullptr;
    KDEF_CUDA_CHECK(cudaMalloc(&made, sizeof(Fault)));
    // stream() does not wait for the default stream, and may be in a recording: so the host waits.
    KDEF_CUDA_CHECK(cudaMemset(made, 0, sizeof(Fault)));
    KDEF_CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));
    return static_cast<Fault*>(made);
  }();
  return it;
}

void synchronize() {
  Fault found{};
  KDEF_CUDA_CHECK(cudaMemcpyAsync(&found, fault(), sizeof found, cudaMemcpyDeviceToHost, stream()));
  KDEF_CUDA_CHECK(cudaStreamSynchronize(stream()));
  if (found.found != 0) KDEF_CUDA_CHECK(cudaMemsetAsync(fault(), 0, sizeof(Fault), stream()));
  throw_fault(found);
}

void copy_async(void* to, const void* from, size_t bytes) {
  KDEF_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream()));
}

PinnedMemory::PinnedMemory(size_t bytes) : data_(nullptr) {
  KDEF_CUDA_CHECK(cudaMallocHost(&data_, bytes == 0 ? 1 : bytes));
}
PinnedMemory::~PinnedMemory() { cudaFreeHost(data_); }

struct CopyStream::Impl {
  cudaStream_t copies = nullptr;
  cudaEvent_t event = nullptr;
};
CopyStream::CopyStream() : impl_(std::make_unique<Impl>()) {
  KDEF_CUDA_CHECK(cudaStreamCreateWithFlags(&impl_->copies, cudaStreamNonBlocking));
  KDEF_CUDA_CHECK(cudaEventCreateWithFlags(&impl_->event, cudaEventDisableTiming));
}
CopyStream::~CopyStream() {
  cudaStreamSynchronize(impl_->copies);  // the caller frees sources and targets after this
  cudaStreamDestroy(impl_->copies);
  cudaEventDestroy(impl_->event);
}
void CopyStream::copy(void* to, const void* from, size_t bytes) {
  KDEF_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, impl_->copies));
}
void CopyStream::after_computation() {
  KDEF_CUDA_CHECK(cudaEventRecord(impl_->event, stream()));
  KDEF_CUDA_CHECK(cudaStreamWaitEvent(impl_->copies, impl_->event, 0));
}
void CopyStream::before_computation() {
  KDEF_CUDA_CHECK(cudaEventRecord(impl_->event, impl_->copies));
  KDEF_CUDA_CHECK(cudaStreamWaitEvent(stream(), impl_->event, 0));
}
void CopyStream::wait() { KDEF_CUDA_CHECK(cudaStreamSynchronize(impl_->copies)); }

bool recording() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  KDEF_CUDA_CHECK(cudaStreamIsCapturing(stream(), &status));
  return status == cudaStreamCaptureStatusActive;
}

struct Graph::Impl {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  int pool = ++g_pools;
};
Graph::Graph() : impl_(std::make_unique<Impl>()) {}
Graph::~Graph() {
  if (impl_->ready != nullptr) cudaGraphExecDestroy(impl_->ready);
  if (impl_->graph != nullptr) cudaGraphDestroy(impl_->graph);
  // Work that the stream gets from now on comes after a launch that is still running: the blocks can be used again.
  if (g_device >= 0) memory(g_device).retire_pool(impl_->pool);
}

void Graph::record(const std::function<void()>& work) {
  if (synchronous()) return work();  // launch by launch, every time
  Memory& all = memory(g_device);
  const int before = all.use_pool(impl_->pool);
  bool capturing = false;
  try {
    work();
    // Relaxed: other threads may copy batches meanwhile.
    KDEF_CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed));
    capturing = true;
    work();
    capturing = false;
    KDEF_CUDA_CHECK(cudaStreamEndCapture(stream(), &impl_->graph));
    KDEF_CUDA_CHECK(cudaGraphInstantiate(&impl_->ready, impl_->graph, 0));
  } catch (...) {
    if (capturing) {
      cudaStreamEndCapture(stream(), &impl_->graph);
      cudaGetLastError();
    }
    all.use_pool(before);
    throw;
  }
  all.use_pool(before);
}

bool Graph::recorded() const { return impl_->ready != nullptr; }
void Graph::launch() { KDEF_CUDA_CHECK(cudaGraphLaunch(impl_->ready, stream())); }

}  // namespace kdef::cuda
