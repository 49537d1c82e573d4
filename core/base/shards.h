// A batch in shards: pieces whose number and rows do not depend on the number of processes. What a training computes
// from them does not either, so P processes, for every P that divides the number of shards, leave the same bits.
#pragma once

#include <functional>
#include <memory>

#include "core/base/group.h"

namespace kdef {

/// The shards of a batch that one process computes: those of all processes are one group, in which process r has the
/// members [r n / P, (r + 1) n / P) of n.
///
/// Every shard is computed by a thread of its own. Of these threads at most num_threads() of the caller run at a time,
/// and the others wait until one ends or waits for a sum of the group. Sums are made by add_pairwise() over all shards,
/// first those of this process, then between processes, which is one tree: the numbers of shards and of processes are
/// powers of two.
class Shards {
 public:
  /// `of_batch`: the shards of a whole batch. An Error where it is no power of two, or where processes.size() does not
  /// divide it; a SystemError where the system starts no more threads. `processes` must outlive this object.
  Shards(Group& processes, int64_t of_batch);
  ~Shards();
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  /// How many this process computes, and the number of the first of them.
  int64_t count() const;
  int64_t first() const;

  /// Calls work(i) for each i of [0, count()), each on its own thread, which is the same at every call. In that thread
  /// Group::current() is the group of all shards; it offers sums, agree() and barrier(). Where a call throws, the
  /// others are given up at their next meeting, and the failure is rethrown: that of the lowest shard where several
  /// throw.
  void run(const std::function<void(int64_t)>& work);

 private:
  class Team;
  std::unique_ptr<Team> team_;
};

}  // namespace kdef
