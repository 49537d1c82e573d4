#include "core/base/counted_group.h"

#include "core/base/clock.h"

namespace kdef {

template <class Call>
auto CountedGroup::counted(const char* kind, double bytes, const Call& call) {
  // Counts when the call returns, whatever it returns.
  struct Count {
    ~Count() {
      ++traffic.calls;
      traffic.bytes += bytes;
      traffic.seconds += seconds_now() - start;
    }
    Traffic& traffic;
    double bytes, start;
  } const count{traffic_[kind], bytes, seconds_now()};
  return call();
}

void CountedGroup::all_reduce(std::span<double> values) {
  const double share = 2.0 * (size() - 1) / size();
  counted("sums of fp64", share * static_cast<double>(values.size_bytes()), [&] { group_.all_reduce(values); });
}

void CountedGroup::all_reduce(std::span<float> values) {
  const double share = 2.0 * (size() - 1) / size();
  counted("sums of fp32", share * static_cast<double>(values.size_bytes()), [&] { group_.all_reduce(values); });
}

std::vector<Group::Bytes> CountedGroup::all_gather(const Bytes& mine) {
  return counted("gather", (size() - 1) * static_cast<double>(mine.size()), [&] { return group_.all_gather(mine); });
}

std::vector<Group::Bytes> CountedGroup::all_to_all(const std::vector<Bytes>& parts) {
  double bytes = 0;
  for (size_t r = 0; r < parts.size(); ++r) {
    if (static_cast<int>(r) != rank()) bytes += static_cast<double>(parts[r].size());
  }
  return counted("exchange", bytes, [&] { return group_.all_to_all(parts); });
}

void CountedGroup::broadcast(std::span<std::byte> data, int root) {
  const double bytes = root == rank() ? (size() - 1) * static_cast<double>(data.size()) : 0;
  counted("broadcast", bytes, [&] { group_.broadcast(data, root); });
}

bool CountedGroup::agree(bool mine) {
  return counted("agreement", 0, [&] { return group_.agree(mine); });
}

void CountedGroup::barrier() {
  counted("agreement", 0, [&] { group_.barrier(); });
}

}  // namespace kdef
