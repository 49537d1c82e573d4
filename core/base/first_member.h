// Work that one process of a group does for all.
#pragma once

#include <cstddef>
#include <exception>
#include <span>

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

}  // namespace kdef
