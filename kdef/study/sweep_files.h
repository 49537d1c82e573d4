// The files of a sweep's directory. This is the only place that knows their names.
#pragma once

#include <string>
#include <vector>

namespace kdef {

class SweepFiles {
 public:
  explicit SweepFiles(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  std::string csv() const { return directory_ + "/" + tables()[0]; }
  std::string markdown() const { return directory_ + "/" + tables()[1]; }
  /// The names of csv() and markdown() in the directory.
  static std::vector<std::string> tables() { return {"sweep.csv", "sweep.md"}; }
  /// The folder with a run directory for each run, and one of these directories.
  std::string runs() const { return directory_ + "/runs"; }
  std::string run(const std::string& name) const { return runs() + "/" + name; }

 private:
  std::string directory_;
};

}  // namespace kdef
