// The program kdef of a package: starts the one that was compiled for this processor.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "core/base/error.h"
#include "packaging/level.h"

namespace {

[[noreturn]] void start(char** argv) {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    throw kdef::SystemError(
        kdef::cat("/proc/self/exe: ", error.message(), "; kdef finds its parts by it: mount /proc"));
  }
  const std::string file =
      kdef::packaging::level_folder((program.parent_path() / KDEF_TO_LIBRARIES).lexically_normal()) + "/kdef";
  ::execv(file.c_str(), argv);
  throw kdef::SystemError(
      kdef::cat(file, ": cannot be started: ", std::strerror(errno), "; install the package again"));
}

}  // namespace

int main(int, char** argv) {
  try {
    start(argv);
  } catch (const kdef::InputError& e) {
    std::cerr << "kdef: " << e.what() << "\n";
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "kdef: " << e.what() << "\n";
    return 3;
  }
}
