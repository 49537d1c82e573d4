// Wall-clock time for progress and measurements. No result depends on it.
#pragma once

#include <chrono>

namespace kdef {

/// Seconds since an arbitrary moment of the past. A later call never returns less.
inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace kdef
