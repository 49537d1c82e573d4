// The processes that train together: those that mpirun or another launcher of MPI started.
#pragma once

#include <memory>

#include "apps/cli.h"
#include "apps/stop_signals.h"
#include "core/base/group.h"

namespace kdef::apps {

/// The number of processes that a launcher of MPI started together with this one, which it counts; 1 without a
/// launcher.
long started_processes();

/// The number of this process among those that were started on its machine, from 0, as the launcher says it; 0 without
/// a launcher.
int local_process();

/// InputError where several processes were started together, for `command`, which works in one.
void check_alone(const std::string& command);

/// InputError where `path` is standard input and the group has several processes: the launcher gives it to one alone.
void check_divisible(const std::string& path);

/// While it lives, this process belongs to the group, if a launcher of MPI started it with others; otherwise it is
/// alone. The other members than the first print nothing.
class ProcessGroup {
 public:
  /// Throws InputError where there are several processes and this program has no libkdef_mpi.so beside it.
  ProcessGroup();
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  /// Runs `work` in the group, whose members must be one build of kdef, and returns its status. Where it throws, the
  /// message is printed once where the first or the second process fails, too, within some seconds, otherwise by each
  /// that failed; all processes of the group end with its exit status.
  template <class Work>
  int run(const Work& work) {
    if (group().is_alone()) return work();
    try {
      const GroupScope scope(group());
      check_same_program();
      return work();
    } catch (const StoppedWhilePreparing&) {
      end_all(kInterrupted);
    } catch (...) {
      give_up();
    }
  }

 private:
  struct Library;

  Group& group() const { return group_ == nullptr ? Group::alone() : *group_; }
  // InputError where another member is another build of kdef.
  void check_same_program() const;
  // Other members may wait for this one: all end here.
  [[noreturn]] void give_up();
  [[noreturn]] void end_all(int status);

  std::unique_ptr<Library> library_;
  Group* group_ = nullptr;
};

}  // namespace kdef::apps
