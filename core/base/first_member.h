// Work that one process of a group does for all, or all do together, where any of them may fail.
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/group.h"

namespace kdef {

/// Runs `work` in the first member alone, for files that one process writes. Within `work` the group is
/// Group::alone(). All members call it; it returns in each of them once the work is done. Where it fails, every member
/// throws: the first its failure, the others an error of the same class (InputError, CheckError, otherwise
/// SystemError).
template <class Work>
void by_first_member(Group& group, Work&& work) {
  if (group.is_alone()) return work();
  enum class Outcome : unsigned char { done, input, check, system } outcome = Outcome::done;
  std::exception_ptr failure;
  if (group.is_first()) {
    const GroupScope by_itself(Group::alone());
    try {
      work();
    } catch (const InputError&) {
      outcome = Outcome::input;
      failure = std::current_exception();
    } catch (const CheckError&) {
      outcome = Outcome::check;
      failure = std::current_exception();
    } catch (...) {
      outcome = Outcome::system;
      failure = std::current_exception();
    }
  }
  group.broadcast(std::as_writable_bytes(std::span(&outcome, 1)), 0);
  if (failure != nullptr) std::rethrow_exception(failure);
  const char* message = "the first process of the group failed; its message says why";
  switch (outcome) {
    case Outcome::done:
      return;
    case Outcome::input:
      throw InputError(message);
    case Outcome::check:
      throw CheckError(message);
    case Outcome::system:
      throw SystemError(message);
  }
}

/// Thrown in the members of a group that would wait for one that has failed.
class OtherMemberFailed : public SystemError {
 public:
  OtherMemberFailed() : SystemError("another process of the group failed; its message says why") {}
};

/// Collective: a place of the work of by_all_members() before which a member may have failed.
inline void meet(Group& group) {
  if (group.agree(false)) throw OtherMemberFailed();
}

/// Thrown within a collective call that this member cannot end, while the others wait in it: they cannot be told.
class CollectiveFailed : public SystemError {
 public:
  using SystemError::SystemError;
};

/// Runs `work` in every member. It may speak to the others after a meet(). A member that throws elsewhere is missed at
/// the next meet(). Of the members that failed, the one of the lowest rank throws its failure, and all others throw
/// OtherMemberFailed. It returns once all members are done. One such work does not stand within another.
/// CollectiveFailed is passed on at once: the process ends, and with it the group.
template <class Work>
void by_all_members(Group& group, Work&& work) {
  std::exception_ptr failure;
  bool any = true;
  try {
    work();
    any = group.agree(false);
  } catch (const CollectiveFailed&) {
    throw;
  } catch (const OtherMemberFailed&) {
  } catch (...) {
    failure = std::current_exception();
    group.agree(true);
  }
  if (!any) return;
  const std::vector<Group::Bytes> failed = group.all_gather({std::byte(failure != nullptr)});
  for (int rank = 0; rank < group.size(); ++rank) {
    if (failed[static_cast<size_t>(rank)][0] == std::byte(0)) continue;
    if (rank == group.rank()) std::rethrow_exception(failure);
    break;
  }
  throw OtherMemberFailed();
}

/// Within by_all_members(): calls step() until it says that this member has no more to do, and meets the others after
/// every call, until they have no more either. So a failure of one member ends the work of all within a step.
template <class Step>
void in_steps(Group& group, Step&& step) {
  for (bool more = true, any = true; any; any = group.agree(more)) {
    if (more) more = step();
    meet(group);
  }
}

/// The texts of all members, by rank.
inline std::vector<std::string> all_texts(Group& group, const std::string& mine) {
  const auto bytes = std::as_bytes(std::span(mine));
  std::vector<std::string> texts;
  for (const Group::Bytes& text : group.all_gather({bytes.begin(), bytes.end()}))
    texts.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
  return texts;
}

/// The lowest rank whose text is another than that of the first member; 0 where all are equal.
inline size_t first_that_differs(const std::vector<std::string>& texts) {
  for (size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] != texts[0]) return rank;
  }
  return 0;
}

/// The first text that is not empty, by rank; empty where all are.
inline std::string first_text(Group& group, const std::string& mine) {
  for (const std::string& text : all_texts(group, mine)) {
    if (!text.empty()) return text;
  }
  return "";
}

}  // namespace kdef
