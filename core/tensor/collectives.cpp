#include "core/tensor/collectives.h"

#include <cstring>
#include <utility>

#if defined(KDEF_HAS_CUDA)
#include "core/cuda/runtime.h"
#endif

namespace kdef {

#if defined(KDEF_HAS_CUDA)
namespace {

// Pinned host memory of this thread, which a device reads and writes at its full speed. It is kept for the
// next call.
void* pinned(size_t bytes) {
  thread_local cuda::PinnedMemory* memory = nullptr;
  thread_local size_t size = 0;
  if (bytes > size) {
    cuda::synchronize();  // a copy from it may not have been made yet
    size = 0;
    delete std::exchange(memory, nullptr);
    memory = new cuda::PinnedMemory(bytes);
    size = bytes;
  }
  return memory->data();
}

}  // namespace
#endif

void all_reduce(Group& group, const Tensor& t) {
  if (group.is_alone()) return;
  const auto sum = [&](void* values) {
    for_float(t.dtype(), "all_reduce", [&]<class T>() {
      group.all_reduce(std::span<T>(static_cast<T*>(values), static_cast<size_t>(t.numel())));
    });
  };
  if (t.device().is_cpu()) sum(t.raw());
#if defined(KDEF_HAS_CUDA)
  if (!t.device().is_cpu()) {
    void* host = pinned(t.bytes());
    cuda::copy_async(host, t.raw(), t.bytes());
    synchronize(t.device());
    sum(host);
    cuda::copy_async(t.raw(), host, t.bytes());  // the next use of `host` is later in the device's order
  }
#endif
  t.changed();
}

Tensor gather_rows(Group& group, const Tensor& t) {
  if (group.is_alone()) return t;
  const Tensor host = t.to(kCpu);
  const auto parts = group.all_gather(Group::Bytes(host.raw(), host.raw() + host.bytes()));
  size_t bytes = 0;
  for (const Group::Bytes& part : parts) bytes += part.size();
  Shape shape = t.shape();
  shape[0] = 1;
  shape[0] = static_cast<int64_t>(bytes / (static_cast<size_t>(shape.numel()) * size_of(t.dtype())));
  const Tensor all = Tensor::empty(shape, t.dtype());
  size_t at = 0;
  for (const Group::Bytes& part : parts) {
    if (!part.empty()) std::memcpy(all.raw() + at, part.data(), part.size());
    at += part.size();
  }
  return all.to(t.device());
}

}  // namespace kdef
