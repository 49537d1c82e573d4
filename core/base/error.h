// Errors of the library. The library never prints, exits or aborts. It throws one of these classes. The message says
// what is wrong, where it is, and what to do; the program's exit status follows from the class.
#pragma once

#include <stdexcept>
#include <string>

#include "core/base/text.h"

namespace kdef {

/// The base of everything that this library throws. The base itself is thrown where the calling code misuses the
/// library (a wrong shape, dtype or device): the message names the op, the shapes and the remedy.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The user's input is wrong: a file, a row, a configuration key, an argument. Exit status 2.
class InputError : public Error {
 public:
  using Error::Error;
};

/// The system failed: disk full, memory, permissions, device. Exit status 3.
class SystemError : public Error {
 public:
  using Error::Error;
};

/// A check or comparison did not hold (an audit, a non-finite loss). Exit status 1.
class CheckError : public Error {
 public:
  using Error::Error;
};

}  // namespace kdef

/// Throws Error with the concatenated message unless the condition holds.
#define KDEF_CHECK(condition, ...)                   \
  do {                                               \
    if (!(condition)) [[unlikely]]                   \
      throw ::kdef::Error(::kdef::cat(__VA_ARGS__)); \
  } while (0)
