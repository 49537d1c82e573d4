// A library for LD_PRELOAD: counts the calls of MPI that processes make together, and kills one process before its k-th
// call. Every phase of a training has such calls. The environment says what to do:
//   KDEF_KILL_RANK   the process that is killed; none: calls are counted alone
//   KDEF_KILL_AT     the number of the call, from 1
//   KDEF_KILL_COUNT  a process that ends by itself writes its number of calls to the file of this name and its rank
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/mpi/before_call.h"

namespace {

long g_calls = 0;

long number(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? -1 : std::atol(text);
}

int rank() {
  int rank = -1;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

}  // namespace

static void before_call() {
  static const bool mine = number("KDEF_KILL_RANK") == rank();
  static const long at = number("KDEF_KILL_AT");
  if (++g_calls == at && mine) {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
}

extern "C" int MPI_Finalize() {
  if (const char* name = std::getenv("KDEF_KILL_COUNT")) {
    if (std::FILE* file = std::fopen((name + std::to_string(rank())).c_str(), "w")) {
      std::fprintf(file, "%ld\n", g_calls);
      std::fclose(file);
    }
  }
  return PMPI_Finalize();
}
