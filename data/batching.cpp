#include "data/batching.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/random.h"

namespace kdef::data {
namespace {

constexpr size_t kAhead = 4;  // batches ready before the producer waits

// Fisher and Yates: every permutation equally likely.
template <class Index>
void shuffle_all(std::vector<Index>& order, int64_t rows, uint64_t seed, int64_t epoch) {
  order.resize(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), Index{0});
  Random random(seed, kStreamShuffle + static_cast<uint64_t>(epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
}

}  // namespace

Loader::Loader(const EncodedFile& file, int64_t batch_size, bool shuffle, uint64_t seed)
    : file_(file), batch_size_(batch_size), shuffle_(shuffle), seed_(seed) {
  KDEF_CHECK(batch_size >= 1, "Loader: batch_size is ", batch_size, "; it must be at least 1");
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
    if (shuffle_) permute(epoch);
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

void Loader::permute(int64_t epoch) {
  if (permuted_epoch_ == epoch) return;
  permuted_epoch_ = -1;
  if (file_.rows() <= int64_t{1} << 32) {
    shuffle_all(narrow_, file_.rows(), seed_, epoch);
  } else {
    shuffle_all(wide_, file_.rows(), seed_, epoch);
  }
  permuted_epoch_ = epoch;
}

void Loader::fill(int64_t batch_index, Batch& batch) const {
  const int64_t first = batch_index * batch_size_;
  batch.resize(std::min(batch_size_, file_.rows() - first), file_.id_columns(), file_.numeric_columns());
  for (int64_t b = 0; b < batch.rows; ++b) {
    int64_t row = first + b;
    if (shuffle_) {
      const size_t at = static_cast<size_t>(row);
      row = static_cast<int64_t>(narrow_.empty() ? wide_[at] : narrow_[at]);
    }
    std::copy_n(file_.ids(row), file_.id_columns(), batch.ids.begin() + b * file_.id_columns());
    std::copy_n(file_.numerics(row), file_.numeric_columns(), batch.numerics.begin() + b * file_.numeric_columns());
    batch.labels[static_cast<size_t>(b)] = file_.label(row);
  }
}

}  // namespace kdef::data
