#include "apps/process_group.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "apps/build_id.h"
#include "core/base/error.h"
#include "core/base/first_member.h"
#include "core/base/members_agree.h"
#include "core/base/text.h"
#include "core/mpi/mpi_group.h"

namespace kdef::apps {
namespace {

// Where launchers say how many processes they started: Open MPI, MPICH and Slurm's PMI, and PMIx by its rank.
constexpr const char* kSizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"};

// Where they say which of the processes on its machine this one is.
constexpr const char* kLocalRanks[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"};

// Seconds that a process waits to be ended by another one, whose message is the one to print; enough on a machine with
// far more work than cores.
constexpr unsigned kSilence = 4;

// Beside the program, or where it is installed.
std::string library_file() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::filesystem::path& folder : {program, program / "../lib/kdef"}) {
    const std::filesystem::path file = (folder / "libkdef_mpi.so").lexically_normal();
    if (std::filesystem::exists(file, error)) return file;
  }
  return "";
}

}  // namespace

long started_processes() {
  for (const char* name : kSizes) {
    if (const char* text = std::getenv(name)) return std::strtol(text, nullptr, 10);
  }
  return std::getenv("PMIX_RANK") != nullptr && std::getenv("SLURM_NTASKS") != nullptr
             ? std::strtol(std::getenv("SLURM_NTASKS"), nullptr, 10)
             : 1;
}

int local_process() {
  for (const char* name : kLocalRanks) {
    int rank = 0;
    if (const char* text = std::getenv(name); text != nullptr && read_number(std::string_view(text), rank) && rank >= 0)
      return rank;
  }
  return 0;
}

void check_alone(const std::string& command) {
  const long processes = started_processes();
  if (processes <= 1) return;
  throw InputError(cat("kdef ", command, " works in one process, and ", processes,
                       " were started together; start it without mpirun or srun"));
}

void check_divisible(const std::string& path) {
  if (path != "-" || Group::current().is_alone()) return;
  throw InputError("--data -: standard input goes to one process alone; give a file, or start kdef without a launcher");
}

struct ProcessGroup::Library {
  void* handle = nullptr;
  decltype(&kdef_join_mpi) join = nullptr;
  decltype(&kdef_leave_mpi) leave = nullptr;
  std::streambuf *out = nullptr, *err = nullptr;  // of a member that prints nothing

  explicit Library(long processes) {
    const std::string file = library_file();
    if (file.empty()) {
      throw InputError(cat("kdef was started as one of ", processes,
                           " processes, but this program was built without MPI: there is no libkdef_mpi.so beside it; "
                           "install MPI (Debian: libopenmpi-dev) and build again with -DKDEF_MPI=ON"));
    }
    // MPI's own plugins look for its symbols among the global ones.
    handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (handle == nullptr) throw SystemError(cat(file, ": cannot be loaded: ", ::dlerror()));
    join = reinterpret_cast<decltype(join)>(::dlsym(handle, "kdef_join_mpi"));
    leave = reinterpret_cast<decltype(leave)>(::dlsym(handle, "kdef_leave_mpi"));
    if (join == nullptr || leave == nullptr) throw SystemError(cat(file, ": is not the library of this program"));
  }
};

ProcessGroup::ProcessGroup() {
  const long processes = started_processes();
  if (processes <= 1) return;
  library_ = std::make_unique<Library>(processes);
  // Threads that MPI starts inherit the mask: they leave signals to StopSignals.
  const sigset_t stops = stop_signals();
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &stops, &before);
  group_ = library_->join();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (group_->is_first()) return;
  library_->out = std::cout.rdbuf(nullptr);
  library_->err = std::cerr.rdbuf(nullptr);
}

ProcessGroup::~ProcessGroup() {
  if (group_ == nullptr) return;
  library_->leave(group_, 0);
  if (library_->err == nullptr) return;
  std::cout.rdbuf(library_->out);
  std::cerr.rdbuf(library_->err);
}

void ProcessGroup::check_same_program() const {
  check_members_agree(group(), build_lines(), "are different builds of kdef, or run on different processors",
                      "start the same program, on processors of one kind, on all machines");
}

void ProcessGroup::give_up() {
  const int rank = group_->rank();
  try {
    throw;
  } catch (const OtherMemberFailed&) {
    ::sleep(3 * kSilence);  // the one that failed tells its reason, and ends this process meanwhile
  } catch (...) {
  }
  if (library_->err != nullptr) {
    std::cerr.rdbuf(library_->err);
    std::cerr.clear();
    // A failure that all members have is told by the first of them, which ends the others meanwhile.
    ::sleep(kSilence * static_cast<unsigned>(std::min(rank, 2)));
    std::cerr << "kdef: process " << rank << ":\n";
  }
  end_all(report_exception());
}

void ProcessGroup::end_all(int status) {
  std::cout.flush();
  std::cerr.flush();
  library_->leave(group_, status);
  std::_Exit(status);
}

}  // namespace kdef::apps
