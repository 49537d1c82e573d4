#include "apps/stop_signals.h"

#include <ctime>

namespace kdef::apps {

sigset_t stop_signals() {
  sigset_t both;
  ::sigemptyset(&both);
  ::sigaddset(&both, SIGINT);
  ::sigaddset(&both, SIGTERM);
  return both;
}

StopSignals::StopSignals() : taken_(stop_signals()) {
  ::pthread_sigmask(SIG_BLOCK, &taken_, &before_);
  watcher_ = std::thread([this] { watch(); });
}

StopSignals::~StopSignals() {
  done_ = true;
  watcher_.join();
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::watch() {
  while (!done_) {
    const timespec wait{0, 50'000'000};
    const int signal = ::sigtimedwait(&taken_, nullptr, &wait);
    if (signal < 0) continue;
    if (requested_.exchange(true)) {
      ::signal(signal, SIG_DFL);
      ::pthread_sigmask(SIG_UNBLOCK, &taken_, nullptr);
      ::raise(signal);
    }
  }
}

}  // namespace kdef::apps
