#include "core/io/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io/descriptor.h"

namespace kdef {
namespace {

// Between fork() and exec() of a process with threads only calls that are safe in signal handlers are allowed.
[[noreturn]] void become(const char* program, char* const* argv, int log, pid_t parent) {
  constexpr int kNotStarted = 127;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kNotStarted);  // the parent ended before prctl()
  ::setpgid(0, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(program, argv);
  ::_exit(kNotStarted);
}

ProcessEnd end_of(int wait_status) {
  ProcessEnd end;
  if (WIFSIGNALED(wait_status)) {
    end.signal = WTERMSIG(wait_status);
  } else {
    end.status = WEXITSTATUS(wait_status);
  }
  return end;
}

}  // namespace

ChildProcess::ChildProcess(const std::string& program, const std::vector<std::string>& argv, const std::string& log) {
  std::vector<std::string> arguments = argv;
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const Descriptor output(
      uninterrupted([&] { return ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666); }));
  if (!output.is_open()) throw system_failure(log, "cannot be written", kWriteAdvice);
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ == 0) become(program.c_str(), pointers.data(), output.get(), parent);
  if (id_ < 0) throw system_failure(program, "no further process can be started");
}

ChildProcess::~ChildProcess() {
  if (id_ < 0) return;
  ::kill(id_, SIGKILL);
  uninterrupted([&] { return ::waitpid(id_, nullptr, 0); });
}

std::optional<ProcessEnd> ChildProcess::ended() {
  int status = 0;
  if (id_ > 0 && ::waitpid(id_, &status, WNOHANG) == id_) {
    end_ = end_of(status);
    id_ = -1;
  }
  return end_;
}

void ChildProcess::ask_to_end() {
  if (id_ > 0) ::kill(id_, SIGTERM);
}

}  // namespace kdef
