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
  /// FuxiCTR's lines, of a tuner file's experiments (fuxictr_lines.h).
  std::string fuxictr() const { return directory_ + "/fuxictr.csv"; }
  /// The names of csv() and markdown() in the directory.
  static std::vector<std::string> tables() { return {"sweep.csv", "sweep.md"}; }
  /// The folder with a run directory for each run, and one of these directories.
  std::string runs() const { return directory_ + "/runs"; }
  std::string run(const std::string& name) const { return runs() + "/" + name; }
  /// The folder with the output of trainings that were processes of their own, and that of one run.
  std::string logs() const { return directory_ + "/logs"; }
  std::string log(const std::string& name) const { return logs() + "/" + name + ".log"; }

 private:
  std::string directory_;
};

}  // namespace kdef
