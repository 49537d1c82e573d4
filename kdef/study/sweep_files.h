// The files of a sweep's directory. This is the only place that knows their names.
#pragma once

#include <string>

namespace kdef {

class SweepFiles {
 public:
  explicit SweepFiles(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  std::string csv() const { return directory_ + "/sweep.csv"; }
  std::string markdown() const { return directory_ + "/sweep.md"; }
  /// The folder with a run directory for each run, and one of these directories.
  std::string runs() const { return directory_ + "/runs"; }
  std::string run(const std::string& name) const { return runs() + "/" + name; }

 private:
  std::string directory_;
};

}  // namespace kdef
