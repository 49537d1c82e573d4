#include "core/tensor/collectives.h"

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

}  // namespace kdef
