// A library for LD_PRELOAD: every call of MPI that processes make together begins some time later, as if the links
// between them had this latency. With P processes a call waits ceil(log2 P) times KDEF_LATENCY_US microseconds, the
// least number of messages one after the other by which all processes learn something from all. bench/two_hosts.sh
// builds it and uses it.
#include <chrono>
#include <cstdlib>

#include "tests/mpi/before_call.h"

// Waits in a loop: a thread that sleeps wakes up later than it asked for.
static void before_call() {
  using Clock = std::chrono::steady_clock;
  static const char* const text = std::getenv("KDEF_LATENCY_US");
  if (text == nullptr) return;
  int processes = 1, rounds = 0;
  PMPI_Comm_size(MPI_COMM_WORLD, &processes);
  while (1 << rounds < processes) ++rounds;
  const auto end = Clock::now() + std::chrono::microseconds(std::atol(text) * rounds);
  while (Clock::now() < end) {
  }
}
