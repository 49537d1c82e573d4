#include "core/base/shards.h"

#include <algorithm>
#include <bit>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/pairwise.h"
#include "core/base/parallel.h"

namespace kdef {
namespace {

// Thrown in a shard that waits for the others when one of them has failed.
struct GivenUp {};

}  // namespace

// One mutex guards everything. A meeting of all local shards ends with an action of the last one that arrives, which is
// also the only time when this process speaks to the others.
//
// There are `limit_` lanes, and shard i runs in lane i % limit_. A lane runs one of its shards at a time. A shard that
// waits hands its lane to the next one and wakes that one alone, which then runs on the core that becomes free. Where
// all are woken, or a shard changes lanes, two shards often run on one core while another core is idle.
class Shards::Team {
 public:
  Team(Group& processes, int64_t of_batch)
      : processes_(processes), count_(of_batch / processes.size()), first_(processes.rank() * count_) {
    KDEF_CHECK(of_batch > 0 && std::has_single_bit(static_cast<uint64_t>(of_batch)) && of_batch % processes.size() == 0,
               "shards: ", of_batch, " shards of a batch and ", processes.size(), " processes");
    for (int64_t i = 0; i < count_; ++i) members_.push_back(std::make_unique<Member>(*this, i));
    threads_.reserve(static_cast<size_t>(count_));
    try {
      for (int64_t i = 0; i < count_; ++i) threads_.emplace_back([this, i] { serve(i); });
    } catch (const std::system_error& e) {
      const size_t started = threads_.size();
      close();
      throw SystemError(cat("shards: ", count_, " threads are needed, and after ", started,
                            " the system starts no more: ", e.what(),
                            "; lower shards, or allow more threads (ulimit -u)"));
    } catch (...) {
      close();
      throw;
    }
  }

  ~Team() { close(); }

  int64_t count() const { return count_; }
  int64_t first() const { return first_; }

  void run(const std::function<void(int64_t)>& work) {
    note_threads();
    std::unique_lock lock(mutex_);
    work_ = &work;
    limit_ = std::min<int64_t>(count_, num_threads());
    threads_each_ = static_cast<int>(num_threads() / limit_);
    unfinished_ = count_;
    arrived_ = 0;
    failed_shard_ = count_;
    failure_ = nullptr;
    any_ = agreed_ = false;
    lanes_.assign(static_cast<size_t>(limit_), {});
    for (int64_t i = 0; i < count_; ++i) get_ready(i);
    finished_.wait(lock, [&] { return unfinished_ == 0; });
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }

 private:
  // What a shard sees as its group.
  class Member final : public Group {
   public:
    Member(Team& team, int64_t shard) : team_(team), shard_(shard) {}
    int rank() const override { return static_cast<int>(team_.first_ + shard_); }
    int size() const override { return static_cast<int>(team_.count_ * team_.processes_.size()); }
    void all_reduce(std::span<double> values) override { team_.sum(shard_, values); }
    void all_reduce(std::span<float> values) override { team_.sum(shard_, values); }
    bool agree(bool mine) override { return team_.agree(shard_, mine); }
    void barrier() override { team_.agree(shard_, false); }

    std::condition_variable changed;
    bool runs = false, in_meeting = false;

    std::vector<Bytes> all_gather(const Bytes&) override { refuse("all_gather"); }
    std::vector<Bytes> all_to_all(const std::vector<Bytes>&) override { refuse("all_to_all"); }
    void broadcast(std::span<std::byte>, int) override { refuse("broadcast"); }

   private:
    [[noreturn]] static void refuse(const char* call) { throw Error(cat("shards: ", call, " between shards")); }
    Team& team_;
    int64_t shard_;
  };

  struct Lane {
    bool busy = false;
    std::deque<int64_t> ready;  // shards that wait for it, in order
  };

  Member& member(int64_t shard) { return *members_[static_cast<size_t>(shard)]; }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    for (const auto& m : members_) m->changed.notify_one();
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  void serve(int64_t shard) {
    Member& self = member(shard);
    const GroupScope scope(self);
    std::unique_lock lock(mutex_);
    while (true) {
      self.changed.wait(lock, [&] { return closing_ || self.runs; });
      if (closing_) return;
      const std::function<void(int64_t)>& work = *work_;
      set_num_threads(threads_each_);
      lock.unlock();
      std::exception_ptr failure;
      try {
        work(shard);
      } catch (const GivenUp&) {
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure != nullptr && shard < failed_shard_) {
        failed_shard_ = shard;
        failure_ = failure;
        end_meeting();
      }
      leave_lane(shard);
      if (--unfinished_ == 0) finished_.notify_one();
    }
  }

  Lane& lane_of(int64_t shard) { return lanes_[static_cast<size_t>(shard % limit_)]; }

  void get_ready(int64_t shard) {
    lane_of(shard).ready.push_back(shard);
    fill(lane_of(shard));
  }
  void fill(Lane& lane) {
    if (lane.busy || lane.ready.empty()) return;
    lane.busy = true;
    Member& next = member(lane.ready.front());
    lane.ready.pop_front();
    next.runs = true;
    next.changed.notify_one();
  }
  void leave_lane(int64_t shard) {
    member(shard).runs = false;
    lane_of(shard).busy = false;
    fill(lane_of(shard));
  }
  // Those who wait in the meeting may go on.
  void end_meeting() {
    arrived_ = 0;
    for (int64_t i = 0; i < count_; ++i) {
      if (std::exchange(member(i).in_meeting, false)) get_ready(i);
    }
  }

  // Called by every shard. The last one does `together` for all; then all go on.
  template <class Together>
  void meet(std::unique_lock<std::mutex>& lock, int64_t shard, Together&& together) {
    if (failure_ != nullptr) throw GivenUp();
    if (++arrived_ == count_) {
      try {
        together();
      } catch (...) {
        failure_ = std::current_exception();
        failed_shard_ = -1;  // what shards throw from now on follows from it
      }
      end_meeting();
    } else {
      Member& self = member(shard);
      self.in_meeting = true;
      leave_lane(shard);
      self.changed.wait(lock, [&] { return self.runs; });
    }
    if (failure_ != nullptr) throw GivenUp();
  }

  template <class T>
  void sum(int64_t shard, std::span<T> values) {
    std::unique_lock lock(mutex_);
    auto& parts = parts_of<T>();
    parts.resize(static_cast<size_t>(count_));
    parts[static_cast<size_t>(shard)] = values;
    meet(lock, shard, [&] {
      for (const std::span<T>& part : parts)
        KDEF_CHECK(part.size() == values.size(), "shards: sums of ", part.size(), " and of ", values.size());
      add_pairwise(parts.size(), [&](size_t to, size_t from) {
        for (size_t i = 0; i < values.size(); ++i) parts[to][i] += parts[from][i];
      });
      processes_.all_reduce(parts[0]);
      for (size_t p = 1; p < parts.size(); ++p) std::copy(parts[0].begin(), parts[0].end(), parts[p].begin());
    });
  }

  bool agree(int64_t shard, bool mine) {
    std::unique_lock lock(mutex_);
    any_ = any_ || mine;
    meet(lock, shard, [&] {
      agreed_ = processes_.agree(any_);
      any_ = false;
    });
    return agreed_;
  }

  template <class T>
  std::vector<std::span<T>>& parts_of() {
    if constexpr (std::is_same_v<T, double>)
      return doubles_;
    else
      return floats_;
  }

  Group& processes_;
  const int64_t count_, first_;
  std::vector<std::unique_ptr<Member>> members_;
  std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<Lane> lanes_;
  const std::function<void(int64_t)>* work_ = nullptr;
  int64_t limit_ = 1, unfinished_ = 0, arrived_ = 0, failed_shard_ = 0;
  int threads_each_ = 1;
  bool any_ = false, agreed_ = false, closing_ = false;
  std::exception_ptr failure_;
  std::vector<std::span<double>> doubles_;
  std::vector<std::span<float>> floats_;
  std::vector<std::thread> threads_;
};

Shards::Shards(Group& processes, int64_t of_batch) : team_(std::make_unique<Team>(processes, of_batch)) {}
Shards::~Shards() = default;
int64_t Shards::count() const { return team_->count(); }
int64_t Shards::first() const { return team_->first(); }
void Shards::run(const std::function<void(int64_t)>& work) { team_->run(work); }

}  // namespace kdef
