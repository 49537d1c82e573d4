// The caching allocator behind every device's Memory. A request gets the smallest free block that is large enough, if
// at most a quarter of the block is wasted. A training step of fixed shapes finds exactly the blocks of the step
// before.
#pragma once

#include <map>
#include <mutex>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/shortage.h"
#include "core/tensor/device.h"

namespace kdef {

/// `System` is the raw memory of the device:
///   size_t round_up(size_t bytes);          the size to ask for: near sizes become equal, so that they share blocks
///   void* allocate(size_t bytes) noexcept;  null where there is no memory
///   void release(void* block) noexcept;
///   std::string shortage();                 ends the message of an error: "; 12 MiB free on the device"
///   void copy(void* to, const void* from, size_t bytes);
///   void zero(void* to, size_t bytes);
template <class System>
class CachingMemory final : public Memory {
 public:
  void* allocate(size_t bytes) override {
    const size_t size = system_.round_up(bytes);
    std::lock_guard lock(mutex_);
    auto& free = free_[pool_];
    const auto it = free.lower_bound(size);
    Block taken{nullptr, size, pool_};
    if (it != free.end() && it->first <= size + size / 3) {
      taken = it->second;
      free.erase(it);
    } else {
      taken.address = from_system(size);
    }
    taken_[taken.address] = taken;
    stats_.in_use += taken.size;
    if (stats_.in_use > stats_.peak) stats_.peak = stats_.in_use;
    return taken.address;
  }

  void release(void* address) noexcept override {
    std::lock_guard lock(mutex_);
    const auto it = taken_.find(address);
    const Block block = it->second;
    taken_.erase(it);
    stats_.in_use -= block.size;
    free_[block.pool].emplace(block.size, block);
  }

  void copy(void* to, const void* from, size_t bytes) override { system_.copy(to, from, bytes); }
  void zero(void* to, size_t bytes) override { system_.zero(to, bytes); }

  void trim() override {
    std::lock_guard lock(mutex_);
    trim_locked();
  }

  int use_pool(int pool) override {
    std::lock_guard lock(mutex_);
    const int before = pool_;
    pool_ = pool;
    return before;
  }

  void retire_pool(int pool) noexcept override {
    std::lock_guard lock(mutex_);
    for (auto& [address, block] : taken_) {
      if (block.pool == pool) block.pool = 0;
    }
    const auto found = free_.find(pool);
    if (found == free_.end() || pool == 0) return;
    for (auto& [size, block] : found->second) block.pool = 0;
    free_[0].merge(found->second);
    free_.erase(pool);
  }

  Statistics statistics() const override {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void restart_peak() override {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
  }

 private:
  struct Block {
    void* address;
    size_t size;
    int pool;
  };

  void* from_system(size_t size) {
    void* address = system_.allocate(size);
    if (address == nullptr) {
      trim_locked();
      address = system_.allocate(size);
    }
    if (address == nullptr) {
      throw SystemError(cat("out of memory: ", size >> 20, " MiB asked, ", stats_.in_use >> 20, " MiB in use",
                            system_.shortage(), kMemoryAdvice));
    }
    stats_.reserved += size;
    ++stats_.system_allocations;
    return address;
  }

  // The blocks of other pools stay: recorded work reads and writes them.
  void trim_locked() {
    for (const auto& [size, block] : free_[0]) {
      stats_.reserved -= size;
      system_.release(block.address);
    }
    free_[0].clear();
  }

  mutable std::mutex mutex_;
  System system_;
  std::map<int, std::multimap<size_t, Block>> free_;
  std::unordered_map<void*, Block> taken_;
  int pool_ = 0;
  Statistics stats_;
};

}  // namespace kdef
