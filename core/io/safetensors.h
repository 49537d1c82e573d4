// The safetensors format: a JSON header with name, dtype, shape and position of every tensor, then the data.
// https://huggingface.co/docs/safetensors. Reading maps the file. Writing goes to a temporary name, is synced to disk
// and renamed (core/io/file.h), so that a file of that name is always whole.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/mapped_file.h"
#include "core/tensor/tensor.h"

namespace kdef {

/// One tensor as the header describes it; its data are the bytes [first, last) behind the header.
struct SafetensorsEntry {
  DType dtype = DType::f32;
  Shape shape;
  size_t first = 0, last = 0;
};

/// A file opened for reading. A file that is missing, truncated, of another format, or whose header contradicts itself
/// is an InputError that names the file and, where it is one tensor's fault, the tensor. The tensors cover the data
/// without gaps and without sharing bytes, as the format asks, so reading all of them takes no more memory than the
/// file. SystemError where the system refuses.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  /// The same of bytes that outlive this object, and whose checksum the caller has checked: there is none of its own.
  SafetensorsFile(std::string_view bytes, const std::string& name);

  const std::string& path() const { return path_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Whether the file has a checksum, which holds then. Files of other programs have none.
  bool checked() const { return metadata_.count("crc32") != 0; }
  /// The values of all tensors together.
  int64_t values() const;
  /// Names in the order of the header.
  const std::vector<std::string>& names() const { return names_; }
  bool has(const std::string& name) const { return entries_.count(name) != 0; }
  DType dtype(const std::string& name) const { return entry(name).dtype; }
  const Shape& shape(const std::string& name) const { return entry(name).shape; }
  /// A copy of one tensor on the host.
  Tensor read(const std::string& name) const;
  /// The same without a copy where it is of type f32 and lies so that it can be used in place: on the bytes of the
  /// file, which `owner` keeps; without one, for use while this object is there.
  Tensor view(const std::string& name, std::shared_ptr<const void> owner = nullptr) const;

 private:
  const SafetensorsEntry& entry(const std::string& name) const;
  void read_header(bool verify);

  std::string path_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> names_;
  std::map<std::string, SafetensorsEntry> entries_;
  MappedFile file_;
  std::string_view bytes_;  // of the whole file
  size_t data_ = 0;         // where the data begins in the file
};

/// A tensor to be written that need not lie in memory as a whole.
struct SafetensorsPart {
  using Take = std::function<void(const void* data, size_t bytes)>;
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::function<void(const Take& take)> give;  // gives all its bytes in their order; called twice, with the same bytes

  size_t bytes() const { return static_cast<size_t>(shape.numel()) * size_of(dtype); }
};

/// Writes tensors in the given order. The metadata gains the key "crc32", a checksum of data and header that
/// SafetensorsFile checks. Throws SystemError where the disk refuses; a file that was there before is then untouched.
void write_safetensors(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
                       std::map<std::string, std::string> metadata);
/// Gives the bytes of such a file to `write`, piece by piece. The data begins at a multiple of `alignment` bytes.
void write_safetensors(const std::function<void(const void* data, size_t bytes)>& write,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       std::map<std::string, std::string> metadata, size_t alignment);
/// Writes parts in the same way: first each gives its bytes for the checksum, then for the file.
void write_safetensors(const std::string& path, const std::vector<SafetensorsPart>& parts,
                       std::map<std::string, std::string> metadata);
/// Asks the parts for their bytes as often and in the order that write_safetensors() does, and writes nothing: for a
/// process without a file whose parts answer those of the process that writes it.
void give_parts(const std::vector<SafetensorsPart>& parts);

}  // namespace kdef
