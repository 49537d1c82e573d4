// Ctrl-C and termination as a question that a long command asks, instead of handlers.
#pragma once

#include <signal.h>

#include <atomic>
#include <thread>

namespace kdef::apps {

/// Thrown from a preparation when the user asks to stop. The old cache stays unchanged.
struct StoppedWhilePreparing {};

/// The signals that ask a command to stop: SIGINT and SIGTERM.
sigset_t stop_signals();

/// While this object lives, SIGINT and SIGTERM do not end the program: a thread of this class receives them, and the
/// command asks requested(). A second signal ends the program at once.
///
/// No handler may run on a computing thread: we saw heap corruption when a signal handler ran on a thread inside a
/// oneDNN 2.6.3 matrix product. Therefore both signals are blocked in this thread and in the threads that it starts
/// from here on.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  bool requested() const { return requested_; }

 private:
  void watch();

  sigset_t taken_, before_;
  std::atomic<bool> requested_{false}, done_{false};
  std::thread watcher_;
};

}  // namespace kdef::apps
