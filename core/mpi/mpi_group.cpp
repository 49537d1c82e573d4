// libkdef_mpi.so: the group of the processes that mpirun (or srun, or another launcher of MPI) started.
//
// The program loads it when it finds itself among such processes, so that a program in whose reach there is no MPI
// starts and runs alone. Sums are added pairwise: each member gets one part of the numbers from all, adds them, and
// sends the sums to all. A member sends and receives 2 (P - 1) / P times the bytes, as a ring does.
#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "core/base/error.h"
#include "core/base/first_member.h"
#include "core/base/group.h"
#include "core/base/integers.h"
#include "core/base/pairwise.h"
#include "core/base/shortage.h"
#include "core/mpi/mpi_group.h"

namespace kdef {
namespace {

void check(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw CollectiveFailed(cat("MPI: ", call, " failed: ", std::string(text, static_cast<size_t>(length))));
}

// Space for what another member has announced.
void make_space(Group::Bytes& part, size_t bytes) {
  try {
    part.resize(bytes);
  } catch (const std::bad_alloc&) {
    throw CollectiveFailed(cat("out of memory: ", bytes >> 20, " MiB of another process", kMemoryAdvice));
  }
}

// What one call of MPI takes: its counts are of type int.
constexpr size_t kMostBytes = size_t{1} << 30;

template <class T>
constexpr MPI_Datatype type_of();
template <>
MPI_Datatype type_of<float>() {
  return MPI_FLOAT;
}
template <>
MPI_Datatype type_of<double>() {
  return MPI_DOUBLE;
}

class MpiGroup final : public Group {
 public:
  explicit MpiGroup(MPI_Comm comm) : comm_(comm) {
    check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce(std::span<double> values) override { sum(values); }
  void all_reduce(std::span<float> values) override { sum(values); }

  std::vector<Bytes> all_gather(const Bytes& mine) override {
    const uint64_t bytes = mine.size();
    std::vector<uint64_t> sizes(members());
    check(MPI_Allgather(&bytes, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, comm_), "MPI_Allgather");
    std::vector<Bytes> all(members());
    for (int r = 0; r < size_; ++r) {
      Bytes& part = all[static_cast<size_t>(r)];
      if (r == rank_)
        part = mine;
      else
        make_space(part, sizes[static_cast<size_t>(r)]);
      broadcast(part, r);
    }
    return all;
  }

  std::vector<Bytes> all_to_all(const std::vector<Bytes>& parts) override {
    KDEF_CHECK(parts.size() == members(), "all_to_all: ", parts.size(), " parts for ", size_, " members");
    std::vector<uint64_t> sent, received(members());
    for (const Bytes& part : parts) sent.push_back(part.size());
    check(MPI_Alltoall(sent.data(), 1, MPI_UINT64_T, received.data(), 1, MPI_UINT64_T, comm_), "MPI_Alltoall");
    std::vector<Bytes> all(members());
    std::vector<MPI_Request> requests;
    for (int r = 0; r < size_; ++r) {
      Bytes& part = all[static_cast<size_t>(r)];
      make_space(part, received[static_cast<size_t>(r)]);
      for_pieces(part.size(), [&](size_t first, int count) {
        check(MPI_Irecv(part.data() + first, count, MPI_BYTE, r, 0, comm_, &requests.emplace_back()), "MPI_Irecv");
      });
    }
    for (int r = 0; r < size_; ++r) {
      const Bytes& part = parts[static_cast<size_t>(r)];
      for_pieces(part.size(), [&](size_t first, int count) {
        check(MPI_Isend(part.data() + first, count, MPI_BYTE, r, 0, comm_, &requests.emplace_back()), "MPI_Isend");
      });
    }
    check(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
    return all;
  }

  void broadcast(std::span<std::byte> data, int root) override {
    for_pieces(data.size(), [&](size_t first, int count) {
      check(MPI_Bcast(data.data() + first, count, MPI_BYTE, root, comm_), "MPI_Bcast");
    });
  }
  bool agree(bool mine) override {
    int one = mine ? 1 : 0, any = 0;
    check(MPI_Allreduce(&one, &any, 1, MPI_INT, MPI_LOR, comm_), "MPI_Allreduce");
    return any != 0;
  }
  void barrier() override { check(MPI_Barrier(comm_), "MPI_Barrier"); }

 private:
  size_t members() const { return static_cast<size_t>(size_); }

  template <class Fn>
  static void for_pieces(size_t bytes, const Fn& fn) {
    for (size_t first = 0; first < bytes; first += kMostBytes)
      fn(first, static_cast<int>(std::min(kMostBytes, bytes - first)));
  }

  template <class T>
  void sum(std::span<T> values) {
    constexpr size_t kMost = kMostBytes / sizeof(T);
    for (size_t first = 0; first < values.size(); first += kMost)
      sum_piece(values.subspan(first, std::min(kMost, values.size() - first)));
  }

  // Member r adds the part [r n / P, (r + 1) n / P) of all.
  template <class T>
  void sum_piece(std::span<T> values) {
    std::vector<int> counts, offsets;
    for (size_t r = 0; r < members(); ++r) {
      offsets.push_back(static_cast<int>(values.size() * r / members()));
      counts.push_back(static_cast<int>(values.size() * (r + 1) / members()) - offsets.back());
    }
    const size_t mine = static_cast<size_t>(counts[static_cast<size_t>(rank_)]);
    std::vector<T> parts(mine * members());
    std::vector<int> same(members(), static_cast<int>(mine)), places;
    for (size_t r = 0; r < members(); ++r) places.push_back(static_cast<int>(r * mine));
    check(MPI_Alltoallv(values.data(), counts.data(), offsets.data(), type_of<T>(), parts.data(), same.data(),
                        places.data(), type_of<T>(), comm_),
          "MPI_Alltoallv");
    add_pairwise(members(), [&](size_t to, size_t from) {
      for (size_t i = 0; i < mine; ++i) parts[to * mine + i] += parts[from * mine + i];
    });
    check(MPI_Allgatherv(parts.data(), static_cast<int>(mine), type_of<T>(), values.data(), counts.data(),
                         offsets.data(), type_of<T>(), comm_),
          "MPI_Allgatherv");
  }

  MPI_Comm comm_;
  int rank_ = 0, size_ = 1;
};

}  // namespace
}  // namespace kdef

kdef::Group* kdef_join_mpi() {
  int provided = 0;
  kdef::check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  // The threads of shards speak for their process, one at a time (core/base/shards.h).
  if (provided < MPI_THREAD_SERIALIZED)
    throw kdef::SystemError("MPI: it allows no other thread than the first to call it");
  return new kdef::MpiGroup(MPI_COMM_WORLD);
}

void kdef_leave_mpi(kdef::Group* group, int status) {
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, status);
  delete group;
  MPI_Finalize();
}
