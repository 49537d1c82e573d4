// A folder in which the program runs under the library of inject.cpp, and what its files are.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/files.h"

namespace kdef::test {

/// What is to go wrong: the call of this number. Without a name, nothing.
struct Injection {
  std::string call, error;
  long at = 0;
};

struct Outcome {
  int status = -1;  // exit status; -1 where a signal ended the process
  int signal = 0;
  std::string text;  // standard output and standard error
  std::map<std::string, long> counts;
  std::string hit_call, hit_path;  // the call that failed; empty where none did
  bool hit_writes = false;         // its file was open for writing
};

/// The content of each file below a folder, and "" for "NAME/" of each folder; what follows the clock is left out, and
/// checkpoints, which hold seconds, are only checked.
using Files = std::map<std::string, std::string>;

class Bed {
 public:
  Bed();
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  /// Runs kdef in this folder with the arguments, which are separated by spaces.
  Outcome run(const std::string& arguments, const Injection& injection = {}) const;
  /// Puts a copy of the folder `from` in place of the folder `to`.
  void copy(const std::string& from, const std::string& to) const;
  /// Makes the files of a folder an hour old.
  void age(const std::string& name) const;
  Files files(const std::string& name) const;

 private:
  TemporaryDirectory folder_;
};

/// Whether a file has the name that it is to keep. A name that ends with .new is given to files that are complete.
bool is_final(const std::string& name);

/// Without the parts that make a name temporary: PATH.part-abcdef is PATH.
std::string without_parts(const std::string& name);

/// Whether a file is complete: that of before, that of after, or one that the command has written whole in between.
bool is_whole(const std::string& name, const std::string& content, const Files& before, const Files& after);

}  // namespace kdef::test
