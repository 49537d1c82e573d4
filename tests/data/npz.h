// .npz files for tests: what numpy.savez writes, made of plain vectors.
#pragma once

#include <gtest/gtest.h>
#include <zip.h>

#include <string>
#include <utility>
#include <vector>

namespace kdef::data {

/// The bytes of an array. `type` is NumPy's ("<i4"), `shape` its text ("(3,)").
inline std::string npy_bytes(const std::string& type, const std::string& shape, const std::string& elements,
                             const std::string& order = "False") {
  std::string header = "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  header.resize((10 + header.size()) / 64 * 64 + 54, ' ');
  header.back() = '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + elements;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// [rows], or [rows, columns].
template <class T>
std::string npy(const std::string& type, const std::vector<T>& values, size_t columns = 0) {
  const std::string rows = std::to_string(columns == 0 ? values.size() : values.size() / columns);
  return npy_bytes(type, columns == 0 ? "(" + rows + ",)" : "(" + rows + ", " + std::to_string(columns) + ")",
                   bytes_of(values));
}

using Members = std::vector<std::pair<std::string, std::string>>;

inline void write_zip(const std::string& path, const Members& members, bool compressed = false) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  ASSERT_NE(archive, nullptr);
  for (const auto& [name, bytes] : members) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_OVERWRITE);
    ASSERT_GE(index, 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  ASSERT_EQ(zip_close(archive), 0);
}

/// Arrays by name.
inline std::string write_npz(const std::string& path, const Members& arrays, bool compressed = false) {
  Members members;
  for (const auto& [name, bytes] : arrays) members.emplace_back(name + ".npy", bytes);
  write_zip(path, members, compressed);
  return path;
}

}  // namespace kdef::data
