// Errors of the library. The library never prints, exits or aborts: it throws one of these, and the message
// says what was wrong, where, and what to do. The program's exit status follows from the class.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace kdef {

/// Base of everything this library throws. Thrown itself only for a misuse of the API by the calling code
/// (a wrong shape, dtype or device): the message names the op, the shapes and the remedy.
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

/// Concatenates its arguments as operator<< prints them: `cat("row ", 3, " of ", path)`.
template <class... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  out.precision(9);
  (out << ... << args);
  return out.str();
}

}  // namespace kdef

/// Throws Error with the concatenated message unless the condition holds.
#define KDEF_CHECK(condition, ...)                   \
  do {                                               \
    if (!(condition)) [[unlikely]]                   \
      throw ::kdef::Error(::kdef::cat(__VA_ARGS__)); \
  } while (0)
