#include "core/tensor/collectives.h"

#include <cstring>

namespace kdef {

void all_reduce(Group& group, const Tensor& t) {
  if (group.is_alone()) return;
  const Tensor host = t.to(kCpu);
  for_float(t.dtype(), "all_reduce",
            [&]<class T>() { group.all_reduce(std::span<T>(host.data<T>(), static_cast<size_t>(host.numel()))); });
  if (host.identity() == t.identity()) {
    t.changed();
  } else {
    Tensor target = t;
    target.copy_from(host);
  }
}

Tensor gather_rows(Group& group, const Tensor& t) {
  if (group.is_alone()) return t;
  const Tensor host = t.to(kCpu);
  const auto parts = group.all_gather(Group::Bytes(host.raw(), host.raw() + host.bytes()));
  size_t bytes = 0;
  for (const Group::Bytes& part : parts) bytes += part.size();
  Shape shape = t.shape();
  shape[0] = 1;
  shape[0] = static_cast<int64_t>(bytes / (static_cast<size_t>(shape.numel()) * size_of(t.dtype())));
  const Tensor all = Tensor::empty(shape, t.dtype());
  size_t at = 0;
  for (const Group::Bytes& part : parts) {
    if (!part.empty()) std::memcpy(all.raw() + at, part.data(), part.size());
    at += part.size();
  }
  return all.to(t.device());
}

}  // namespace kdef
