// What the members of a group send, counted at their calls.
#pragma once

#include <map>
#include <string>

#include "core/base/group.h"

namespace kdef {

/// Calls of one kind.
struct Traffic {
  double calls = 0;
  /// What this member sends to others where every byte takes the shortest way: of n bytes and P members a sum sends
  /// 2 (P - 1)/P n, which is the least for it (Patarasuk and Yuan, J. Parallel Distrib. Comput. 69, 2009); a gather or
  /// a broadcast by its root (P - 1) n; an exchange the parts for others. A carrier may send more.
  double bytes = 0;
  double seconds = 0;  // from the call to its return, the wait for other members included

  Traffic& operator+=(const Traffic& other) {
    calls += other.calls;
    bytes += other.bytes;
    seconds += other.seconds;
    return *this;
  }
  Traffic operator-(const Traffic& other) const {
    return {calls - other.calls, bytes - other.bytes, seconds - other.seconds};
  }
  Traffic operator/(double n) const { return {calls / n, bytes / n, seconds / n}; }
};

/// A group that counts the calls of another one, and leaves the work to it. That one must outlive this one.
class CountedGroup final : public Group {
 public:
  explicit CountedGroup(Group& group) : group_(group) {}

  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  void all_reduce(std::span<double> values) override;
  void all_reduce(std::span<float> values) override;
  std::vector<Bytes> all_gather(const Bytes& mine) override;
  std::vector<Bytes> all_to_all(const std::vector<Bytes>& parts) override;
  void broadcast(std::span<std::byte> data, int root) override;
  bool agree(bool mine) override;
  void barrier() override;

  /// Since the beginning, by kind: "sums of fp64" (objective, moments, norms), "sums of fp32" (gradients of weights),
  /// "gather" (gradients of table rows), "exchange" (rows of divided tables), "broadcast", "agreement".
  const std::map<std::string, Traffic>& traffic() const { return traffic_; }

 private:
  template <class Call>
  auto counted(const char* kind, double bytes, const Call& call);

  Group& group_;
  std::map<std::string, Traffic> traffic_;
};

}  // namespace kdef
