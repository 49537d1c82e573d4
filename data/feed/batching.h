// Batches of encoded rows: a permutation per epoch, read ahead by a background thread.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/integers.h"
#include "data/encode/cache.h"
#include "data/feed/memory.h"

namespace kdef::data {

/// A part of every batch: a run of its rows. The parts of one batch follow each other and differ by one row at most.
struct BatchPart {
  int64_t number = 0, count = 1;  // this part, from 0, of so many

  /// The first row of this part in a batch of `rows` rows.
  int64_t first(int64_t rows) const { return rows * number / count; }
  /// The row behind its last one.
  int64_t last(int64_t rows) const { return rows * (number + 1) / count; }
};

/// Copies a row of a file into place `to` of a batch of the file's layout.
void copy_row(const EncodedFile& file, int64_t row, Batch& batch, int64_t to);

/// Gives the rows of an encoded file in batches. The order of an epoch is a permutation of all rows that depends on
/// (seed, epoch, window) alone; without shuffling it is the order of the file. The last batch may be smaller. For use
/// from one thread; the file must outlive the loader. Memory: 4 bytes per row of the window when shuffling, and a few
/// batches.
///
/// With a window of all rows every permutation is equally likely. But a file that is larger than the memory would then
/// be read from disk row by row. With a smaller window the blocks of kBlockRows rows are shuffled first; then the
/// blocks of one window are read as a whole, in advance, and their rows are shuffled. Every row is in one batch of the
/// epoch, but the rows of a batch come from the blocks of one or two windows.
class Loader {
 public:
  /// `window`: in rows; it is made a whole number of blocks. 0: default_window(). `part`: the rows of each batch that
  /// next() gives; the order of the epoch and the number of batches do not depend on it.
  Loader(const EncodedFile& file, int64_t batch_size, bool shuffle, uint64_t seed, int64_t window = 0,
         BatchPart part = {});
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// ceil(rows / batch_size).
  int64_t steps_per_epoch() const { return divide_up(file_.rows(), batch_size_); }
  /// The rows of batch `index` of an epoch, of all its parts.
  int64_t batch_rows(int64_t index) const { return std::min(batch_size_, file_.rows() - index * batch_size_); }
  /// How many of them stand before those that next() gives.
  int64_t first_row(int64_t index) const { return part_.first(batch_rows(index)); }
  /// All rows where the file takes at most half of `memory` (bytes). Otherwise as many rows as take a quarter: one
  /// window is in use while the next is read.
  static int64_t default_window(const EncodedFile& file, int64_t memory = usable_memory());
  /// The window in rows. A checkpoint keeps it: set_window() before the first epoch brings the same order back.
  int64_t window() const { return window_blocks_ * kBlockRows; }
  void set_window(int64_t rows);
  /// Begins the epoch at batch `first_batch`, as if the batches before it had been read.
  void start_epoch(int64_t epoch, int64_t first_batch = 0);
  /// Reads the next batch into buffers that are reused; false at the end of the epoch. Rethrows an error of the thread.
  bool next(Batch& batch);

 private:
  void stop();
  void produce(int64_t epoch, int64_t first_batch);
  void start_order(int64_t epoch, int64_t first);
  int64_t window_rows(int64_t first_block) const;
  void enter_window(int64_t first_block);
  int64_t next_row();
  void read_ahead(int64_t until);
  void fill(int64_t batch_index, Batch& batch);

  const EncodedFile& file_;
  const int64_t batch_size_;
  const bool shuffle_;
  const uint64_t seed_;
  const BatchPart part_;
  int64_t window_blocks_;
  // The order of the epoch, used by the thread alone.
  std::vector<uint32_t> blocks_;     // of the file, shuffled if there is more than one window
  std::vector<uint32_t> in_window_;  // the shuffled rows of the window: block of the window * kBlockRows + row of block
  int64_t epoch_ = -1, first_block_ = -1;  // of in_window_
  int64_t at_ = 0;                         // next in in_window_
  int64_t asked_for_ = 0;                  // how many of blocks_ are asked to be read

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;   // mutex_ guards this member and all below
  std::vector<Batch> spare_;  // buffers to reuse
  bool done_ = true, stopping_ = false;
  std::exception_ptr failure_;
};

}  // namespace kdef::data
