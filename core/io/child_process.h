// Another program as a process of its own.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace kdef {

/// How a process ended: by itself with an exit status, or by a signal.
struct ProcessEnd {
  int status = 0;  // the exit status
  int signal = 0;  // 0: none

  bool succeeded() const { return status == 0 && signal == 0; }
};

/// A child of this process. Its standard output and standard error are appended to a file; its standard input is empty.
/// It has a process group of its own, so that Ctrl-C on the terminal reaches this process alone. It is killed when this
/// object is destroyed, and when the thread that started it ends in any way, also by kill -9.
class ChildProcess {
 public:
  /// Runs the file `program` with the arguments `argv`, argv[0] included. A program that cannot be run ends with status
  /// 127. Throws SystemError if `log` cannot be opened or there can be no further process.
  ChildProcess(const std::string& program, const std::vector<std::string>& argv, const std::string& log);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// How it ended; nothing while it runs. Does not wait.
  std::optional<ProcessEnd> ended();
  /// Asks it to end (SIGTERM).
  void ask_to_end();

 private:
  pid_t id_ = -1;  // -1: it has ended
  std::optional<ProcessEnd> end_;
};

}  // namespace kdef
