// Batches of encoded rows: a full permutation per epoch, read ahead by a background thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "data/cache.h"

namespace kdef::data {

/// Gives an encoded file's rows in batches. An epoch is a permutation of all rows that depends on (seed, epoch) alone,
/// or, without shuffling, their order in the file; the last, smaller batch is kept. For use from one thread; the file
/// must outlive the loader. Memory: 4 bytes a row (8 beyond 2^32 rows) when shuffling, and a few batches.
class Loader {
 public:
  Loader(const EncodedFile& file, int64_t batch_size, bool shuffle, uint64_t seed);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// ceil(rows / batch_size).
  int64_t steps_per_epoch() const { return (file_.rows() + batch_size_ - 1) / batch_size_; }
  /// Begins the epoch at batch `first_batch`, as if the batches before it had been read.
  void start_epoch(int64_t epoch, int64_t first_batch = 0);
  /// The next batch, into buffers that are reused; false at the end of the epoch. Rethrows what failed in the thread.
  bool next(Batch& batch);

 private:
  void stop();
  void produce(int64_t epoch, int64_t first_batch);
  void permute(int64_t epoch);
  void fill(int64_t batch_index, Batch& batch) const;

  const EncodedFile& file_;
  const int64_t batch_size_;
  const bool shuffle_;
  const uint64_t seed_;
  std::vector<uint32_t> narrow_;  // the permutation, by the number of rows
  std::vector<uint64_t> wide_;
  int64_t permuted_epoch_ = -1;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;   // guarded by mutex_, as is all below
  std::vector<Batch> spare_;  // buffers to reuse
  bool done_ = true, stopping_ = false;
  std::exception_ptr failure_;
};

}  // namespace kdef::data
