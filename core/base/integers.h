// Integer arithmetic of sizes.
#pragma once

#include <type_traits>

#include "core/base/hd.h"

namespace kdef {

/// n / parts, rounded up; n >= 0, parts > 0.
template <class N, class P>
KDEF_HD constexpr std::common_type_t<N, P> divide_up(N n, P parts) {
  return (n + parts - 1) / parts;
}

/// The smallest multiple of `unit` that is not below n; n >= 0, unit > 0.
template <class N, class P>
KDEF_HD constexpr std::common_type_t<N, P> round_up(N n, P unit) {
  return divide_up(n, unit) * unit;
}

}  // namespace kdef
