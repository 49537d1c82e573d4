// Ctrl-C and termination as a question that a long command asks, instead of handlers.
#pragma once

#include <signal.h>

#include <atomic>
#include <thread>

namespace kdef::apps {

/// Thrown out of a preparation that was asked to stop; it leaves the old cache as it was.
struct StoppedWhilePreparing {};

/// While it lives, SIGINT and SIGTERM end nothing: a thread of its own takes them, and the command asks requested().
/// A second signal ends the program at once, as if killed.
///
/// No handler may run on a computing thread: a handler's frame on the stack of a thread within a product of
/// oneDNN 2.6.3 was measured to corrupt the heap. So both signals are blocked in this thread and in those that it
/// starts from here on.
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
