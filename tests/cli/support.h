// Running the program as a user does, in a folder of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/files.h"

namespace kdef::test {

struct Outcome {
  int status = -1;
  std::string text;  // standard output and standard error
};

inline Outcome shell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = ::popen(("{ " + command + "\n} 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) outcome.text.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

inline Outcome kdef(const std::string& arguments) { return shell(std::string(KDEF_PROGRAM) + " " + arguments); }

inline std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

/// Synthetic data and experiments that train in a fraction of a second.
class RunTest : public testing::Test {
 protected:
  RunTest() : folder_(std::filesystem::temp_directory_path() / ("kdef_run_test_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    EXPECT_EQ(kdef("synth --rows 3000 --out " + path("data")).status, 0);
  }
  ~RunTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// kdef train of the small experiment, with more arguments.
  std::string train_command(const std::string& more, const std::string& expid = "KDEF") const {
    return "train --config " + path("data") + " --expid " + expid + " data_root=" + path("cache") +
           " batch_size=512 'hidden_units=[16, 8]' epochs=3 early_stop_patience=100 " + more;
  }
  Outcome train(const std::string& more, const std::string& expid = "KDEF") const {
    return kdef(train_command(more, expid));
  }
  /// Puts `prefix` before the words of the column city in all files of rows, in place of the one that was put there
  /// before. Their order, and so their ids, stay.
  void rename_cities(const std::string& prefix) {
    for (const char* file : {"data/train.csv", "data/valid.csv", "data/test.csv"}) {
      std::string text;
      for (const std::string& line : lines(read_file(path(file)))) {
        size_t at = 0;
        for (int comma = 0; comma < 4; ++comma) at = line.find(',', at) + 1;
        const bool stays = text.empty() || line[at] == ',';  // the line of the names, or an empty cell
        text += stays ? line : line.substr(0, at) + prefix + line.substr(at + cities_prefix_.size());
        text += "\n";
      }
      put(path(file), text);
    }
    cities_prefix_ = prefix;
  }
  /// Names below a folder, to see that nothing was left behind.
  static std::vector<std::string> listing(const std::string& folder) {
    std::vector<std::string> names;
    if (std::filesystem::exists(folder)) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        names.push_back(entry.path().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::filesystem::path folder_;
  std::string cities_prefix_;
};

}  // namespace kdef::test
