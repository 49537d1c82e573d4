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

/// `listener`, which also writes the scalars of every evaluation into run_directory/events.out.tfevents.TIME.kdef:
/// train/loss, train/lr, valid/auc, valid/logloss, and valid/student_N/auc and /logloss for N from 1. An AUC that is
/// undefined is left out.
///
/// The first evaluation it hears of writes a new file from the whole of metrics.jsonl, which holds what came before a
/// resume and nothing beyond its checkpoint, and removes the older one: every step stands there once. Later ones append
/// one whole record each. Failures are SystemErrors with the path.
TrainingListener with_tensorboard(const std::string& run_directory, TrainingListener listener);

/// Removes the event files that a training left in its run directory.
void remove_event_files(const std::string& run_directory);

}  // namespace kdef
