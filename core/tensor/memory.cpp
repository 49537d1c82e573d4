#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/base/error.h"
#include "core/base/integers.h"
#include "core/tensor/caching_memory.h"
#include "core/tensor/device.h"
#if defined(KDEF_HAS_CUDA)
#include "core/cuda/runtime.h"
#endif

namespace kdef {
namespace {

struct CpuSystem {
  static constexpr size_t kAlignment = 128;  // of a vector of 16 doubles (ops/device/vectors.h)
  static constexpr size_t kHugePage = size_t{2} << 20;
  static size_t alignment(size_t bytes) { return bytes >= kHugePage ? kHugePage : kAlignment; }
  static size_t round_up(size_t bytes) {
    const size_t unit = bytes >= kHugePage ? kHugePage / 32 : kAlignment;
    return bytes == 0 ? kAlignment : kdef::round_up(bytes, unit);
  }
  static void* allocate(size_t bytes) noexcept {
    const size_t unit = alignment(bytes), rounded = kdef::round_up(bytes, unit);
    void* block = std::aligned_alloc(unit, rounded);
#if defined(MADV_HUGEPAGE)
    // Most systems give large pages on request. Without them only speed is lost.
    if (block != nullptr && unit == kHugePage) madvise(block, rounded, MADV_HUGEPAGE);
#endif
    return block;
  }
  static void release(void* block) noexcept { std::free(block); }
  static std::string shortage() { return ""; }
  static void copy(void* to, const void* from, size_t bytes) { std::memmove(to, from, bytes); }
  static void zero(void* to, size_t bytes) { std::memset(to, 0, bytes); }
};

}  // namespace

std::string name_of(Device device) { return device.is_cpu() ? "cpu" : cat("cuda:", device.index); }

Device parse_device(const std::string& name, int process) {
  if (name == "cpu") return kCpu;
  if (name.rfind("cuda", 0) != 0) throw InputError(cat("device '", name, "' is unknown; known: cpu, cuda, cuda:N"));
#if defined(KDEF_HAS_CUDA)
  int index = 0;
  const bool numbered = name.size() > 4;
  if (numbered) {
    if (name[4] != ':' || !read_number(std::string_view(name).substr(5), index) || index < 0) {
      throw InputError(cat("device '", name, "' is unknown; known: cpu, cuda, cuda:N"));
    }
  }
  const int count = cuda::device_count();
  if (count == 0)
    throw InputError(cat("device '", name,
                         "': no CUDA device was found (nvidia-smi shows what the driver finds; docs/gpu.md says what "
                         "is needed); use --device cpu"));
  if (!numbered) index = process % count;
  if (index >= count) {
    throw InputError(cat("device '", name, "': this machine has CUDA devices 0 to ", count - 1));
  }
  return {DeviceType::cuda, index};
#else
  (void)process;
  throw InputError(cat("device '", name, "': this build of kdef has no CUDA backend; use --device cpu"));
#endif
}

Memory& memory_of(Device device) {
  // Never destroyed: tensors in static storage may outlive any order of destruction.
  static Memory& cpu = *new CachingMemory<CpuSystem>;
#if defined(KDEF_HAS_CUDA)
  if (!device.is_cpu()) return cuda::memory(device.index);
#endif
  KDEF_CHECK(device.is_cpu(), "device ", name_of(device), ": this build of kdef has no CUDA backend");
  return cpu;
}

void synchronize(Device device) {
#if defined(KDEF_HAS_CUDA)
  if (!device.is_cpu()) cuda::synchronize();
#else
  (void)device;
#endif
}

}  // namespace kdef
