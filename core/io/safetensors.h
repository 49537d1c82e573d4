// The safetensors format: a JSON header with name, dtype, shape and position of every tensor, then the data.
// https://huggingface.co/docs/safetensors. Reading maps the file; writing goes to a temporary name, is synced to disk,
// and renamed (core/io/file.h), so that a file of that name is always whole.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

namespace kdef {

/// A file opened for reading. Errors (missing, truncated, foreign, inconsistent header) are InputErrors naming the
/// file.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Names in the order of the header.
  const std::vector<std::string>& names() const { return names_; }
  bool has(const std::string& name) const { return entries_.count(name) != 0; }
  DType dtype(const std::string& name) const { return entry(name).dtype; }
  const Shape& shape(const std::string& name) const { return entry(name).shape; }
  /// A copy of one tensor on the host.
  Tensor read(const std::string& name) const;

 private:
  struct Entry {
    DType dtype;
    Shape shape;
    size_t first, last;
  };
  const Entry& entry(const std::string& name) const;

  std::string path_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> names_;
  std::map<std::string, Entry> entries_;
  const std::byte* map_ = nullptr;
  size_t bytes_ = 0;
  size_t data_ = 0;  // offset of the data
};

/// Writes tensors in the given order. The metadata gains the key "crc32", a checksum of data and header that
/// SafetensorsFile checks. Throws SystemError where the disk refuses; a file that was there before is then still whole.
void write_safetensors(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
                       std::map<std::string, std::string> metadata);

}  // namespace kdef
