// Where a tensor lives, and what a device must offer to the engine: its memory (the class Memory below) and a namespace
// with the kernels of every op (core/tensor/dispatch.h). There are two devices, and the places that choose between them
// say so; docs/adding.md lists what a third one would touch.
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

/// Reads "cpu", "cuda" or "cuda:N". "cuda" alone is the device of process `process` on this machine: each process has
/// its own, and where there are fewer devices they share them in turn. Throws InputError for another name, and for a
/// device that this build or machine does not have.
Device parse_device(const std::string& name, int process = 0);

/// The memory of one device. It keeps released blocks and hands them out again, so that a training step of fixed shapes
/// takes nothing from the system after its second run. Thread-safe.
class Memory {
 public:
  virtual ~Memory() = default;
  /// Returns at least `bytes` bytes, aligned to 128; never null. Throws SystemError where there is no memory.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* block) noexcept = 0;
  /// Copies between this device and the host, or within this device, after all work that the device was given before.
  /// The copy is complete on return if the host takes part in it.
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  virtual void zero(void* to, size_t bytes) = 0;
  /// Gives the released blocks back to the system.
  virtual void trim() = 0;
  /// Blocks come from `pool` from now on; returns the pool that was used before. A released block goes back to the pool
  /// that it came from. Work that is recorded and repeated has a pool of its own, so that nobody else gets its blocks.
  virtual int use_pool(int pool) = 0;
  /// Ends a pool, once its recorded work is not repeated any more: all its blocks, free or handed out, go to pool 0,
  /// from which everybody takes.
  virtual void retire_pool(int pool) noexcept = 0;

  struct Statistics {
    size_t in_use = 0;              // bytes handed out now
    size_t peak = 0;                // the maximum of in_use
    size_t reserved = 0;            // bytes taken from the system: in use, or kept
    size_t system_allocations = 0;  // how often the system was asked for memory
  };
  virtual Statistics statistics() const = 0;
  /// Sets the peak to what is in use now.
  virtual void restart_peak() = 0;
};

/// The memory of `device`; throws Error if this build has no such device.
Memory& memory_of(Device device);

/// Waits until the device has done all work that it was given; returns at once for the CPU. Throws what failed
/// meanwhile: SystemError, or InputError for an id outside its table.
void synchronize(Device device);

}  // namespace kdef
