// Work that one process of a group does for all.
#pragma once

#include <exception>

#include "core/base/error.h"
#include "core/base/group.h"

namespace kdef {

/// Runs `work` in the first member alone, for files that one process writes. Where it fails, every member throws: the
/// first its failure, the others an Error. All members call it; it returns in each of them once the work is done.
template <class Work>
void by_first_member(Group& group, Work&& work) {
  if (group.is_alone()) return work();
  std::exception_ptr failure;
  if (group.is_first()) {
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (!group.agree(failure != nullptr)) return;
  if (failure != nullptr) std::rethrow_exception(failure);
  throw Error("the first process of the group failed; its message says why");
}

}  // namespace kdef
