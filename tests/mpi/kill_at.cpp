// A library for LD_PRELOAD: counts the calls of MPI that processes make together, and kills one process before its k-th
// call. Every phase of a training has such calls. It stands between the program and MPI by MPI's profiling interface:
// each function has a second name, PMPI_... The environment says what to do:
//   KDEF_KILL_RANK   the process that is killed; none: calls are counted alone
//   KDEF_KILL_AT     the number of the call, from 1
//   KDEF_KILL_COUNT  a process that ends by itself writes its number of calls to the file of this name and its rank
#include <mpi.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

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

void count() {
  static const bool mine = number("KDEF_KILL_RANK") == rank();
  static const long at = number("KDEF_KILL_AT");
  if (++g_calls == at && mine) {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
}

}  // namespace

extern "C" {

int MPI_Allgather(const void* sent, int sends, MPI_Datatype type, void* received, int receives, MPI_Datatype as,
                  MPI_Comm comm) {
  count();
  return PMPI_Allgather(sent, sends, type, received, receives, as, comm);
}

int MPI_Allgatherv(const void* sent, int sends, MPI_Datatype type, void* received, const int* counts, const int* places,
                   MPI_Datatype as, MPI_Comm comm) {
  count();
  return PMPI_Allgatherv(sent, sends, type, received, counts, places, as, comm);
}

int MPI_Alltoall(const void* sent, int sends, MPI_Datatype type, void* received, int receives, MPI_Datatype as,
                 MPI_Comm comm) {
  count();
  return PMPI_Alltoall(sent, sends, type, received, receives, as, comm);
}

int MPI_Alltoallv(const void* sent, const int* sends, const int* from, MPI_Datatype type, void* received,
                  const int* receives, const int* to, MPI_Datatype as, MPI_Comm comm) {
  count();
  return PMPI_Alltoallv(sent, sends, from, type, received, receives, to, as, comm);
}

int MPI_Waitall(int requests, MPI_Request* list, MPI_Status* statuses) {
  count();
  return PMPI_Waitall(requests, list, statuses);
}

int MPI_Bcast(void* data, int elements, MPI_Datatype type, int root, MPI_Comm comm) {
  count();
  return PMPI_Bcast(data, elements, type, root, comm);
}

int MPI_Allreduce(const void* sent, void* received, int elements, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  count();
  return PMPI_Allreduce(sent, received, elements, type, op, comm);
}

int MPI_Barrier(MPI_Comm comm) {
  count();
  return PMPI_Barrier(comm);
}

int MPI_Finalize() {
  if (const char* name = std::getenv("KDEF_KILL_COUNT")) {
    if (std::FILE* file = std::fopen((name + std::to_string(rank())).c_str(), "w")) {
      std::fprintf(file, "%ld\n", g_calls);
      std::fclose(file);
    }
  }
  return PMPI_Finalize();
}

}  // extern "C"
