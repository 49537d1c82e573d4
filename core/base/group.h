// A group of processes that train together, each with a slice of every batch: the group of one process, processes that
// MPI connects (core/mpi), or the shards of a batch, which are threads (core/base/shards.h).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace kdef {

/// What the members of a group do together.
///
/// Every call is collective: all members make the same calls in the same order, or the group waits for ever. A decision
/// that leads to a call (to stop, to evaluate, to give up after an error) is therefore made by agree(). Sums are added
/// by add_pairwise() over the ranks, so that every member gets the same bits, and the same bits in every run. With one
/// member every call leaves its data as they are and costs nothing. Throws SystemError where the connection fails.
class Group {
 public:
  using Bytes = std::vector<std::byte>;

  virtual ~Group() = default;

  /// This member's number, from 0 to size() - 1.
  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_alone() const { return size() == 1; }
  /// True for the member that writes files and reports progress.
  bool is_first() const { return rank() == 0; }

  /// Replaces every number by its sum over the members; all give as many numbers.
  virtual void all_reduce(std::span<double> values) = 0;
  virtual void all_reduce(std::span<float> values) = 0;
  /// Returns what each member gave, by rank. The lengths may differ.
  virtual std::vector<Bytes> all_gather(const Bytes& mine) = 0;
  /// Sends parts[r] to member r; returns what each member sent to this one, by rank. The lengths may differ.
  virtual std::vector<Bytes> all_to_all(const std::vector<Bytes>& parts) = 0;
  /// Overwrites `data` by what member `root` has in it; all give as many bytes.
  virtual void broadcast(std::span<std::byte> data, int root) = 0;
  /// Returns true, to all members, if `mine` is true for at least one.
  virtual bool agree(bool mine) = 0;
  /// Returns once all members have called it.
  virtual void barrier() = 0;

  /// The group of this process alone.
  static Group& alone();
  /// The group that this thread computes for: that of the innermost GroupScope, otherwise alone().
  static Group& current();
};

/// While it lives, `group` is Group::current() in this thread. `group` must outlive this object and every tape that is
/// recorded while it lives. An op whose result speaks of the whole batch asks for it
/// in the forward pass and uses the same group in its backward function.
class GroupScope {
 public:
  explicit GroupScope(Group& group);
  ~GroupScope();
  GroupScope(const GroupScope&) = delete;
  GroupScope& operator=(const GroupScope&) = delete;

 private:
  Group* before_;
};

}  // namespace kdef
