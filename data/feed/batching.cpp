#include "data/feed/batching.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/error.h"
#include "core/base/random.h"

namespace kdef::data {
namespace {

constexpr size_t kAhead = 4;  // batches ready before the producer waits

// Fisher and Yates: every permutation of 0 .. n-1 equally likely.
void permutation(std::vector<uint32_t>& order, int64_t n, Random random) {
  order.resize(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0u);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
}

constexpr int64_t kMaxBlocks = (int64_t{1} << 32) / kBlockRows;  // of a window: its rows are numbered in 32 bits

}  // namespace

void copy_row(const EncodedFile& file, int64_t row, Batch& batch, int64_t to) {
  std::copy_n(file.ids(row), file.id_columns(), batch.ids.begin() + to * file.id_columns());
  std::copy_n(file.numerics(row), file.numeric_columns(), batch.numerics.begin() + to * file.numeric_columns());
  const auto b = static_cast<size_t>(to);
  batch.labels[b] = file.label(row);
  if (file.layout().weights) batch.weights[b] = file.weight(row);
  if (file.layout().groups) batch.groups[b] = file.group(row);
}

Loader::Loader(const EncodedFile& file, int64_t batch_size, bool shuffle, uint64_t seed, int64_t window, BatchPart part)
    : file_(file),
      batch_size_(batch_size),
      shuffle_(shuffle),
      seed_(seed),
      part_(part),
      window_blocks_(std::clamp<int64_t>((window > 0 ? window : default_window(file)) / kBlockRows, 1, kMaxBlocks)) {
  KDEF_CHECK(batch_size >= 1, "Loader: batch_size is ", batch_size, "; it must be at least 1");
  KDEF_CHECK(part.number >= 0 && part.number < part.count, "Loader: there is no part ", part.number, " of ",
             part.count);
}

void Loader::set_window(int64_t rows) {
  KDEF_CHECK(!thread_.joinable(), "Loader: the window cannot change within an epoch");
  window_blocks_ = std::clamp<int64_t>(rows / kBlockRows, 1, kMaxBlocks);
}

int64_t Loader::default_window(const EncodedFile& file, int64_t memory) {
  if (file.rows() * file.row_bytes() <= memory / 2) return blocks_of(file.rows()) * kBlockRows;
  return memory / 4 / file.row_bytes();
}

Loader::~Loader() { stop(); }

void Loader::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  stopping_ = false;
  while (!ready_.empty()) {
    spare_.push_back(std::move(ready_.front()));
    ready_.pop_front();
  }
  failure_ = nullptr;
}

void Loader::start_epoch(int64_t epoch, int64_t first_batch) {
  KDEF_CHECK(epoch >= 0 && first_batch >= 0 && first_batch <= steps_per_epoch(), "Loader: no batch ", first_batch,
             " in epoch ", epoch, " of ", steps_per_epoch(), " batches");
  stop();
  done_ = false;
  thread_ = std::thread([this, epoch, first_batch] { produce(epoch, first_batch); });
}

bool Loader::next(Batch& batch) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || done_; });
  if (!ready_.empty()) {
    std::swap(batch, ready_.front());
    spare_.push_back(std::move(ready_.front()));
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return true;
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  return false;
}

void Loader::produce(int64_t epoch, int64_t first_batch) {
  try {
    if (shuffle_ && file_.rows() > 0) start_order(epoch, first_batch * batch_size_);
    for (int64_t index = first_batch; index < steps_per_epoch(); ++index) {
      Batch batch;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return ready_.size() < kAhead || stopping_; });
        if (stopping_) break;
        if (!spare_.empty()) {
          batch = std::move(spare_.back());
          spare_.pop_back();
        }
      }
      fill(index, batch);
      {
        std::lock_guard<std::mutex> lock(mutex_);
        ready_.push_back(std::move(batch));
      }
      changed_.notify_all();
    }
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex_);
    failure_ = std::current_exception();
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
}

// Goes to the row of number `first` in the order of `epoch`.
void Loader::start_order(int64_t epoch, int64_t first) {
  if (epoch_ != epoch) first_block_ = -1;
  epoch_ = epoch;
  const int64_t n = blocks_of(file_.rows());
  if (n <= window_blocks_) {
    blocks_.resize(static_cast<size_t>(n));
    std::iota(blocks_.begin(), blocks_.end(), 0u);
  } else {
    permutation(blocks_, n, Random(seed_, kStreamShuffle + static_cast<uint64_t>(epoch)));
    // The file's last block may be short. It is made the last of its window, so that rows are found by division.
    const int64_t at = std::find(blocks_.begin(), blocks_.end(), static_cast<uint32_t>(n - 1)) - blocks_.begin();
    const int64_t last = std::min(n, (at / window_blocks_ + 1) * window_blocks_) - 1;
    std::swap(blocks_[static_cast<size_t>(at)], blocks_[static_cast<size_t>(last)]);
  }
  int64_t block = 0;
  for (; block + window_blocks_ < n && first >= window_rows(block); block += window_blocks_)
    first -= window_rows(block);
  asked_for_ = block;
  enter_window(block);
  at_ = first;
}

int64_t Loader::window_rows(int64_t first_block) const {
  const int64_t n = static_cast<int64_t>(blocks_.size()), last = std::min(n, first_block + window_blocks_);
  const int64_t rows = (last - first_block) * kBlockRows;
  return blocks_[static_cast<size_t>(last - 1)] == n - 1 ? rows - (n * kBlockRows - file_.rows()) : rows;
}

void Loader::enter_window(int64_t first_block) {
  at_ = 0;
  read_ahead(first_block + window_blocks_);
  if (first_block_ == first_block) return;  // this window of this epoch is the one that was shuffled last
  // A single window uses the random stream of the epoch; each of several windows has its own stream.
  const bool only = static_cast<int64_t>(blocks_.size()) <= window_blocks_;
  const uint64_t stream = only ? 0 : static_cast<uint64_t>(first_block / window_blocks_ + 1) << 32;
  first_block_ = -1;
  permutation(in_window_, window_rows(first_block),
              Random(seed_, kStreamShuffle + stream + static_cast<uint64_t>(epoch_)));
  first_block_ = first_block;
}

int64_t Loader::next_row() {
  if (at_ == static_cast<int64_t>(in_window_.size())) enter_window(first_block_ + window_blocks_);
  const int64_t row = in_window_[static_cast<size_t>(at_++)];
  return kBlockRows * blocks_[static_cast<size_t>(first_block_ + row / kBlockRows)] + row % kBlockRows;
}

// Asks for the first `until` blocks of blocks_ to be read; does not wait for them.
void Loader::read_ahead(int64_t until) {
  until = std::min(until, static_cast<int64_t>(blocks_.size()));
  for (; asked_for_ < until; ++asked_for_)
    file_.will_need(kBlockRows * blocks_[static_cast<size_t>(asked_for_)], kBlockRows);
}

void Loader::fill(int64_t batch_index, Batch& batch) {
  const int64_t rows = batch_rows(batch_index), first = part_.first(rows), last = part_.last(rows);
  batch.resize(last - first, file_.layout());
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t row = shuffle_ ? next_row() : batch_index * batch_size_ + i;
    if (i < first || i >= last) continue;  // the order goes over it, as every part does
    copy_row(file_, row, batch, i - first);
  }
  // Reading the next window keeps pace with the use of this one.
  if (shuffle_) read_ahead(first_block_ + window_blocks_ + at_ / kBlockRows);
}

}  // namespace kdef::data
