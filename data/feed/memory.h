// How much memory there is.
#pragma once

#include <cstdint>
#include <string>

namespace kdef::data {

/// Bytes of memory that this process may use: the memory of the machine, or less where a control group limits the
/// process (a container, a batch job; cgroup versions 1 and 2). `root`: the folder that holds proc and sys.
int64_t usable_memory(const std::string& root = "/");

}  // namespace kdef::data
