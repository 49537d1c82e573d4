// Batches on their way to where a step is computed.
#pragma once

#include <memory>

#include "kdef/method/input.h"

namespace kdef {

/// Hands the loader's batches to a device. The CPU reads a batch in the loader's buffers. For a CUDA device a copy
/// stream writes the batch into the device's memory while the device computes the step before; every step reads its
/// input at the same addresses, so that a step can be recorded.
class BatchFeed {
 public:
  /// For batches of at most `max_rows` rows with these columns; `weights`: their rows have weights.
  BatchFeed(Device device, int64_t max_rows, int64_t id_columns, int64_t value_columns, bool weights = false);
  ~BatchFeed();
  BatchFeed(const BatchFeed&) = delete;
  BatchFeed& operator=(const BatchFeed&) = delete;

  /// The batch on the device; valid until the next call. On the CPU it uses the buffers of `batch`; for a CUDA device
  /// the caller may write to `batch` again at once.
  ModelInput put(data::Batch& batch);

 private:
  struct OnDevice;
  int64_t id_columns_, value_columns_;
  std::unique_ptr<OnDevice> on_device_;  // null for the CPU
};

}  // namespace kdef
