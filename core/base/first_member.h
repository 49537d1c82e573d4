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
/// the next meet(), where the others throw OtherMemberFailed. It returns once all members are done. CollectiveFailed is
/// passed on at once: the process ends, and with it the group.
template <class Work>
void by_all_members(Group& group, Work&& work) {
  try {
    work();
    meet(group);
  } catch (const OtherMemberFailed&) {
    throw;
  } catch (const CollectiveFailed&) {
    throw;
  } catch (...) {
    group.agree(true);
    throw;
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

/// The first text that is not empty, by rank; empty where all are.
inline std::string first_text(Group& group, const std::string& mine) {
  for (const std::string& text : all_texts(group, mine)) {
    if (!text.empty()) return text;
  }
  return "";
}

}  // namespace kdef
