// Where a tensor lives, and what a device must offer to the engine. A new device adds its own files: an
// implementation of Device::memory() and a namespace of kernels (core/tensor/dispatch.h); no op changes.
#pragma once

#include <cstddef>
#include <string>

namespace kdef {

enum class DeviceType : unsigned char { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
  bool is_cpu() const { return type == DeviceType::cpu; }
};

inline constexpr Device kCpu{};

/// "cpu" or "cuda:0".
std::string name_of(Device device);

/// "cpu", "cuda" or "cuda:N"; throws InputError for another name and for a device this build does not have.
Device parse_device(const std::string& name);

/// The memory of one device: a caching allocator, so that a training step of fixed shapes takes nothing from
/// the system after its second run. Thread-safe.
class Memory {
 public:
  virtual ~Memory() = default;
  /// At least `bytes`, aligned to 64; never null. Throws SystemError when there is no memory.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* block) noexcept = 0;
  /// Copies between this device and the host, or within this device, after all work that the device was given before.
  /// Complete on return where the host takes part.
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  virtual void zero(void* to, size_t bytes) = 0;
  /// Gives cached blocks back to the system.
  virtual void trim() = 0;
  /// Takes blocks from, and makes blocks for, another pool from now on; returns the one before. A block goes back to
  /// its pool. Work that is recorded and repeated has a pool to itself, so that nobody else gets its blocks.
  virtual int use_pool(int pool) = 0;
  /// The recorded work of this pool is no more: its blocks, those too that are still handed out, become everybody's.
  virtual void retire_pool(int pool) noexcept = 0;

  struct Statistics {
    size_t in_use = 0;              // bytes handed out now
    size_t peak = 0;                // the most ever handed out
    size_t reserved = 0;            // bytes held from the system
    size_t system_allocations = 0;  // how often the system was asked
  };
  virtual Statistics statistics() const = 0;
  /// Sets the peak to what is in use now.
  virtual void restart_peak() = 0;
};

/// The memory of `device`; throws Error if this build has no such device.
Memory& memory_of(Device device);

/// Waits until the device has done all that it was given (nothing for the CPU). Throws SystemError, or InputError for
/// ids outside their tables, where some of it failed.
void synchronize(Device device);

}  // namespace kdef
