// A library for LD_PRELOAD: every call of MPI that processes make together begins some time later, as if the links
// between them had this latency. It stands between the program and MPI by MPI's profiling interface: each function has
// a second name, PMPI_... With P processes a call waits ceil(log2 P) times KDEF_LATENCY_US microseconds, the least
// number of messages one after the other by which all processes learn something from all. bench/two_hosts.sh builds it
// and uses it.
#include <mpi.h>

#include <chrono>
#include <cstdlib>

namespace {

// Waits in a loop: a thread that sleeps wakes up later than it asked for.
void wait() {
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

}  // namespace

extern "C" {

int MPI_Allgather(const void* sent, int sends, MPI_Datatype type, void* received, int receives, MPI_Datatype as,
                  MPI_Comm comm) {
  wait();
  return PMPI_Allgather(sent, sends, type, received, receives, as, comm);
}

int MPI_Allgatherv(const void* sent, int sends, MPI_Datatype type, void* received, const int* counts, const int* places,
                   MPI_Datatype as, MPI_Comm comm) {
  wait();
  return PMPI_Allgatherv(sent, sends, type, received, counts, places, as, comm);
}

int MPI_Alltoall(const void* sent, int sends, MPI_Datatype type, void* received, int receives, MPI_Datatype as,
                 MPI_Comm comm) {
  wait();
  return PMPI_Alltoall(sent, sends, type, received, receives, as, comm);
}

int MPI_Alltoallv(const void* sent, const int* sends, const int* from, MPI_Datatype type, void* received,
                  const int* receives, const int* to, MPI_Datatype as, MPI_Comm comm) {
  wait();
  return PMPI_Alltoallv(sent, sends, from, type, received, receives, to, as, comm);
}

int MPI_Waitall(int requests, MPI_Request* list, MPI_Status* statuses) {
  wait();
  return PMPI_Waitall(requests, list, statuses);
}

int MPI_Bcast(void* data, int elements, MPI_Datatype type, int root, MPI_Comm comm) {
  wait();
  return PMPI_Bcast(data, elements, type, root, comm);
}

int MPI_Allreduce(const void* sent, void* received, int elements, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  wait();
  return PMPI_Allreduce(sent, received, elements, type, op, comm);
}

int MPI_Barrier(MPI_Comm comm) {
  wait();
  return PMPI_Barrier(comm);
}

}  // extern "C"
