#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>

#include "core/device.h"
#include "core/error.h"

namespace kdef {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

// A free block serves a request if it wastes at most a quarter of itself: best fit over a map from size to
// block. The blocks of a step with fixed shapes find each other again exactly.
class CpuMemory final : public Memory {
 public:
  void* allocate(size_t bytes) override {
    const size_t size = round_up(bytes);
    std::lock_guard lock(mutex_);
    const auto it = free_.lower_bound(size);
    void* block = nullptr;
    size_t capacity = size;
    if (it != free_.end() && it->first <= size + size / 3) {
      capacity = it->first;
      block = it->second;
      free_.erase(it);
    } else {
      block = from_system(size);
    }
    sizes_[block] = capacity;
    stats_.in_use += capacity;
    if (stats_.in_use > stats_.peak) stats_.peak = stats_.in_use;
    return block;
  }

  void release(void* block) noexcept override {
    std::lock_guard lock(mutex_);
    const auto it = sizes_.find(block);
    stats_.in_use -= it->second;
    free_.emplace(it->second, block);
    sizes_.erase(it);
  }

  void copy(void* to, const void* from, size_t bytes) override { std::memmove(to, from, bytes); }
  void zero(void* to, size_t bytes) override { std::memset(to, 0, bytes); }

  void trim() override {
    std::lock_guard lock(mutex_);
    trim_locked();
  }

  Statistics statistics() const override {
    std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  static size_t round_up(size_t bytes) {
    const size_t unit = bytes >= kHugePage ? kHugePage / 32 : kAlignment;
    return bytes == 0 ? kAlignment : (bytes + unit - 1) / unit * unit;
  }

  void* from_system(size_t size) {
    const size_t alignment = size >= kHugePage ? kHugePage : kAlignment;
    void* block = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (block == nullptr) {
      trim_locked();
      block = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    }
    if (block == nullptr) {
      throw SystemError(cat("out of memory: ", size >> 20, " MiB asked, ", stats_.in_use >> 20,
                            " MiB in use; lower batch_size, embedding_dim or the number of students"));
    }
#if defined(MADV_HUGEPAGE)
    // Most systems give large pages to those who ask; a refusal costs nothing but speed.
    if (alignment == kHugePage) madvise(block, (size + kHugePage - 1) / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    stats_.reserved += size;
    ++stats_.system_allocations;
    return block;
  }

  void trim_locked() {
    for (const auto& [size, block] : free_) {
      stats_.reserved -= size;
      std::free(block);
    }
    free_.clear();
  }

  mutable std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  std::unordered_map<void*, size_t> sizes_;
  Statistics stats_;
};

}  // namespace

std::string name_of(Device device) { return device.is_cpu() ? "cpu" : cat("cuda:", device.index); }

Device parse_device(const std::string& name) {
  if (name == "cpu") return kCpu;
  if (name.rfind("cuda", 0) == 0) {
    throw InputError(cat("device '", name, "': this build of kdef has no CUDA backend; use --device cpu"));
  }
  throw InputError(cat("device '", name, "' is unknown; known: cpu"));
}

Memory& memory_of(Device device) {
  // Never destroyed: tensors in static storage may outlive any order of destruction.
  static CpuMemory& cpu = *new CpuMemory;
  KDEF_CHECK(device.is_cpu(), "device ", name_of(device), ": this build of kdef has no CUDA backend");
  return cpu;
}

}  // namespace kdef
