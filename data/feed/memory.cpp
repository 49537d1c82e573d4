#include "data/feed/memory.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/base/text.h"

namespace kdef::data {
namespace {

namespace fs = std::filesystem;

// The number in `file`, or `otherwise` if the file has none ("max").
int64_t read_limit(const fs::path& file, int64_t otherwise) {
  std::string text;
  std::getline(std::ifstream(file), text);
  int64_t limit = 0;
  return read_number(text, limit) ? limit : otherwise;
}

// The smallest of `limit`, of the limit of group `path` and of the limits of the groups above it.
int64_t limit_of_group(const fs::path& tree, fs::path path, const char* name, int64_t limit) {
  for (;; path = path.parent_path()) {
    limit = std::min(limit, read_limit(tree / path.relative_path() / name, limit));
    if (!path.has_relative_path()) return limit;
  }
}

bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

}  // namespace

// A line of /proc/self/cgroup is "NUMBER:CONTROLLERS:PATH"; version 2 has one tree, without a list of controllers.
// Inside a container, the path may be a path of the host that does not exist in the container. The root of the tree is
// the container's group then.
int64_t usable_memory(const std::string& root) {
  int64_t memory = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  const fs::path tree = fs::path(root) / "sys/fs/cgroup";
  std::ifstream groups(fs::path(root) / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty()) {
      memory = limit_of_group(tree, path, "memory.max", memory);
    } else if (has_word(controllers, "memory")) {
      memory = limit_of_group(tree / "memory", path, "memory.limit_in_bytes", memory);
    }
  }
  return memory;
}

}  // namespace kdef::data
