#include "core/base/parallel.h"

#include <pthread.h>

namespace kdef {
namespace {

bool g_forked = false;

// The child of fork() has one thread, which is the one that forked.
void in_child() {
  g_forked = true;
  omp_set_num_threads(1);
}

}  // namespace

bool forked_after_threads() { return g_forked; }

void note_threads() {
  static const int registered = ::pthread_atfork(nullptr, nullptr, in_child);
  static_cast<void>(registered);
}

}  // namespace kdef
