// What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput(), which gives an input to a reader of
// bytes. The reader may accept the input, or refuse it with an Error; any other exception, a fault that a sanitizer
// finds, and a broken property (require) end the process.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/io/temporary_folder.h"

namespace kdef::fuzz {

/// The path of `name` in a folder of this process, which is kept in memory where the system has such a place.
inline std::string path(const std::string& name) {
  static const TemporaryFolder folder(
      std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path().string());
  return folder / name;
}

/// Writes a file of that folder, in place of an older one, and returns its path.
inline std::string put(const std::string& name, std::string_view bytes) {
  const std::string file = path(name);
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return file;
}

/// Ends the process where a property does not hold.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", property);
  std::abort();
}

/// Calls what must not throw an Error, since the reader has accepted the same bytes before.
template <class Fn>
auto accepted(const char* property, Fn fn) {
  try {
    return fn();
  } catch (const Error& e) {
    std::fprintf(stderr, "does not hold: %s: %s\n", property, e.what());
    std::abort();
  }
}

/// The parts of an input that stands for several files: "%%\n" begins the next one. The last part keeps what is left.
inline std::vector<std::string> parts(std::string_view input, size_t most) {
  std::vector<std::string> all;
  for (size_t at; all.size() + 1 < most && (at = input.find("%%\n")) != std::string_view::npos;) {
    all.emplace_back(input.substr(0, at));
    input.remove_prefix(at + 3);
  }
  all.emplace_back(input);
  return all;
}

/// Calls read(input), with one thread for all work, so that an input takes the same path each time.
template <class Read>
int run(const uint8_t* data, size_t size, Read read) {
  set_num_threads(1);
  try {
    read(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace kdef::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
