// For a library for LD_PRELOAD: before_call(), which the including file defines, runs before every call of MPI that
// processes make together. The library stands between the program and MPI by MPI's profiling interface: each function
// has a second name, PMPI_...
#pragma once

#include <mpi.h>

static void before_call();

extern "C" {

int MPI_Allgather(const void* sent, int sends, MPI_Datatype type, void* received, int receives, MPI_Datatype as,
                  MPI_Comm comm) {
  before_call();
  return PMPI_Allgather(sent, sends, type, received, receives, as, comm);
}

int MPI_Allgatherv(const void* sent, int sends, MPI_Datatype type, void* received, const int* counts, const int* places,
                   MPI_Datatype as, MPI_Comm comm) {
  before_call();
  return PMPI_Allgatherv(sent, sends, type, received, counts, places, as, comm);
}

int MPI_Alltoall(const void* sent, int sends, MPI_Datatype type, void* received, int receives, MPI_Datatype as,
                 MPI_Comm comm) {
  before_call();
  return PMPI_Alltoall(sent, sends, type, received, receives, as, comm);
}

int MPI_Alltoallv(const void* sent, const int* sends, const int* from, MPI_Datatype type, void* received,
                  const int* receives, const int* to, MPI_Datatype as, MPI_Comm comm) {
  before_call();
  return PMPI_Alltoallv(sent, sends, from, type, received, receives, to, as, comm);
}

int MPI_Waitall(int requests, MPI_Request* list, MPI_Status* statuses) {
  before_call();
  return PMPI_Waitall(requests, list, statuses);
}

int MPI_Bcast(void* data, int elements, MPI_Datatype type, int root, MPI_Comm comm) {
  before_call();
  return PMPI_Bcast(data, elements, type, root, comm);
}

int MPI_Allreduce(const void* sent, void* received, int elements, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  before_call();
  return PMPI_Allreduce(sent, received, elements, type, op, comm);
}

int MPI_Barrier(MPI_Comm comm) {
  before_call();
  return PMPI_Barrier(comm);
}

}  // extern "C"
