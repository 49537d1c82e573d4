// Batches on their way to where a step is computed.
#pragma once

#include <memory>

#include "kdef/method/input.h"

namespace kdef {

/// Hands the loader's batches to a device. On the CPU they are read where they lie. A CUDA device gets them by a copy
/// stream into memory of its own while it computes the step before, and reads each step's input at the same addresses,
/// so that the step can be recorded.
class BatchFeed {
 public:
  /// Batches of at most `most_rows`, with so many columns.
  BatchFeed(Device device, int64_t most_rows, int64_t id_columns, int64_t value_columns);
  ~BatchFeed();
  BatchFeed(const BatchFeed&) = delete;
  BatchFeed& operator=(const BatchFeed&) = delete;

  /// The batch on the device; valid until the next call. `batch` may be written again at once, but for the CPU's.
  ModelInput put(data::Batch& batch);

 private:
  struct OnDevice;
  int64_t id_columns_, value_columns_;
  std::unique_ptr<OnDevice> on_device_;  // null for the CPU
};

}  // namespace kdef
