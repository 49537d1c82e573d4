// The two functions of libkdef_mpi.so. The program loads the library and looks them up by name.
#pragma once

#include "core/base/group.h"

extern "C" {

/// The group of all processes that the launcher of MPI started with this one. One call in the life of a process. Throws
/// SystemError where MPI fails.
kdef::Group* kdef_join_mpi();
/// Ends the work of the group. Status 0: every member calls it, and MPI is finalized. Otherwise MPI ends all processes
/// of the group with that status; members that wait for this one end too.
void kdef_leave_mpi(kdef::Group* group, int status);
}
