// A run's metrics as a TensorBoard event file.
//
// An event file is a TFRecord file (https://www.tensorflow.org/tutorials/load_data/tfrecord): per record its length as
// u64, the masked CRC-32C of that length, the bytes, and their masked CRC-32C, all little-endian. A record is an Event
// of tensorflow/core/util/event.proto, its scalars a Summary of tensorflow/core/framework/summary.proto; both are
// encoded by hand, in the protocol buffers' wire format (https://protobuf.dev/programming-guides/encoding).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kdef/train/trainer.h"

namespace kdef {

/// CRC-32C (Castagnoli; iSCSI, RFC 3720 B.4).
uint32_t crc32c(const void* data, size_t bytes);
/// As TFRecord stores it: rotated by 15 bits to the right, plus a constant.
uint32_t masked_crc32c(const void* data, size_t bytes);

/// Returns `listener`, extended to write the scalars of every evaluation into an event file (RunFiles::events):
/// train/loss, train/lr, valid/KEY for every measured metric (valid/auc), and valid/student_N/KEY for N from 1.
/// Undefined values are left out.
///
/// At the first evaluation the listener writes a new file from all of metrics.jsonl and removes the older file, so
/// every step is there once: metrics.jsonl holds the evaluations before a resume, and nothing beyond its checkpoint.
/// Every later evaluation appends one record. Failures are SystemErrors with the path.
TrainingListener with_tensorboard(const std::string& run_directory, TrainingListener listener);

/// Removes the event files that a training left in its run directory.
void remove_event_files(const std::string& run_directory);

}  // namespace kdef
