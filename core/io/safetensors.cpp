#include "core/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/integers.h"
#include "core/base/json.h"
#include "core/io/file.h"
#include "core/io/keyed_json.h"

namespace kdef {
namespace {

using Json = KeyedJson;

// Text that is not UTF-8, as a path in the metadata may be, is written with replacement characters.
std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// The checksum covers the data and, after it, the header without the checksum itself.
uint32_t checksum(const Json& entries, std::map<std::string, std::string> metadata, uint32_t of_data) {
  metadata.erase("crc32");
  const std::string text = dumped(entries) + dumped(Json(metadata));
  return crc32(text.data(), text.size(), of_data);
}

constexpr size_t kMaxHeader = size_t{100} << 20;  // a limit of the format

// Name in the format, for the types this library has.
constexpr std::pair<DType, const char*> kTypes[] = {{DType::f32, "F32"}, {DType::f64, "F64"}, {DType::bf16, "BF16"},
                                                    {DType::i32, "I32"}, {DType::i64, "I64"}, {DType::u8, "BOOL"},
                                                    {DType::u8, "U8"}};

// What is wrong with a file, without its name.
struct Fault {
  std::string why;
};

DType dtype_in(const Json& value, const std::string& tensor) {
  const std::string type = value.at("dtype");
  for (const auto& [dtype, label] : kTypes) {
    if (type == label) return dtype;
  }
  throw Fault{cat(tensor, " has dtype ", type, ", which is not supported")};
}

// Every product of a shape's sizes, and its bytes, fit into 63 bits, also where one of the sizes is 0.
Shape shape_in(const Json& value, DType dtype, const std::string& tensor) {
  Shape shape;
  int64_t bytes = static_cast<int64_t>(size_of(dtype));
  for (const Json& item : value.at("shape")) {
    const int64_t size = item.is_number_integer() ? item.get<int64_t>() : -1;
    if (shape.rank() == Shape::kMaxRank || size < 0 ||
        __builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) {
      throw Fault{cat(tensor, " has the shape ", value.at("shape").dump(), ", which is not supported")};
    }
    shape.push_back(size);
  }
  return shape;
}

SafetensorsEntry entry_in(const Json& value, const std::string& tensor, size_t data_bytes) {
  SafetensorsEntry e;
  e.dtype = dtype_in(value, tensor);
  e.shape = shape_in(value, e.dtype, tensor);
  const Json& offsets = value.at("data_offsets");
  if (!offsets.at(0).is_number_unsigned() || !offsets.at(1).is_number_unsigned()) {
    throw Fault{cat(tensor, " has the data_offsets ", offsets.dump())};
  }
  e.first = offsets.at(0);
  e.last = offsets.at(1);
  if (e.first > e.last || e.last > data_bytes ||
      e.last - e.first != static_cast<size_t>(e.shape.numel()) * size_of(e.dtype)) {
    throw Fault{cat(tensor, " ", e.shape, " does not lie within the file; the file is truncated or corrupted")};
  }
  return e;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), file_(path), bytes_(file_.text()) {
  read_header(true);
}

SafetensorsFile::SafetensorsFile(std::string_view bytes, const std::string& name) : path_(name), bytes_(bytes) {
  read_header(false);
}

int64_t SafetensorsFile::values() const {
  int64_t sum = 0;
  for (const auto& [name, entry] : entries_) sum += entry.shape.numel();
  return sum;
}

void SafetensorsFile::read_header(bool verify) try {
  const size_t bytes = bytes_.size();
  const bool is_torchs = bytes_.starts_with("PK\3\4") || bytes_.starts_with("\x80\2\x8a\n");
  if (is_torchs && !bytes_.substr(std::min<size_t>(8, bytes_.size())).starts_with('{')) {
    throw Fault{
        "it is of another format, a zip archive or a pickle, as torch.save writes them; in PyTorch, write the "
        "state_dict "
        "with safetensors.torch.save_file"};
  }
  if (bytes < 8) throw Fault{cat("it has ", bytes, " bytes; the file is truncated or of another format")};
  uint64_t header = 0;
  std::memcpy(&header, bytes_.data(), 8);
  if (header > kMaxHeader || header > bytes - 8) {
    throw Fault{cat("its header claims ", header, " bytes of ", bytes, "; the file is truncated or of another format")};
  }
  data_ = 8 + static_cast<size_t>(header);
  const size_t data_bytes = bytes - data_;
  Json json = parse_json<Json>(bytes_.substr(8, static_cast<size_t>(header)), path_);
  if (!json.is_object()) throw Fault{"its header is no JSON object"};
  std::map<size_t, size_t> parts;  // first and last byte of every tensor that has bytes
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, item] : value.items()) metadata_[key] = item.get<std::string>();
      continue;
    }
    const SafetensorsEntry e = entry_in(value, cat("tensor '", name, "'"), data_bytes);
    if (e.first < e.last && !parts.emplace(e.first, e.last).second)
      throw Fault{cat("tensor '", name, "' shares bytes")};
    entries_[name] = e;
    names_.push_back(name);
  }
  size_t end = 0;
  for (const auto& [first, last] : parts) {
    if (first != end) throw Fault{cat("its tensors ", first < end ? "share bytes" : "leave bytes out", " at ", first)};
    end = last;
  }
  if (end != data_bytes) throw Fault{"its data is longer or shorter than its header says"};
  const auto crc = metadata_.find("crc32");
  if (!verify || crc == metadata_.end()) return;
  json.erase("__metadata__");
  if (std::to_string(checksum(json, metadata_, crc32(bytes_.data() + data_, data_bytes))) != crc->second) {
    throw Fault{"its checksum does not hold; the file is truncated or corrupted"};
  }
} catch (const Fault& fault) {
  throw InputError(cat(path_, ": not a usable safetensors file: ", fault.why));
} catch (const Json::exception& e) {
  throw InputError(
      cat(path_, ": not a usable safetensors file: its header is not what the format asks for (", e.what(), ")"));
}

const SafetensorsEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) throw InputError(cat(path_, ": has no tensor '", name, "'"));
  return it->second;
}

Tensor SafetensorsFile::read(const std::string& name) const {
  const SafetensorsEntry& e = entry(name);
  Tensor t = Tensor::empty(e.shape, e.dtype);
  if (e.last > e.first) std::memcpy(t.raw(), bytes_.data() + data_ + e.first, e.last - e.first);
  return t;
}

Tensor SafetensorsFile::view(const std::string& name, std::shared_ptr<const void> owner) const {
  const SafetensorsEntry& e = entry(name);
  const char* first = bytes_.data() + data_ + e.first;
  if (e.dtype != DType::f32 || reinterpret_cast<uintptr_t>(first) % alignof(float) != 0) return read(name);
  // Who writes into it must have bytes to be written.
  return Tensor::borrow(reinterpret_cast<float*>(const_cast<char*>(first)), e.shape, std::move(owner));
}

namespace {

using Write = std::function<void(const void* data, size_t bytes)>;

// A part that is one tensor on the host.
SafetensorsPart part_of(const std::string& name, const Tensor& tensor) {
  const Tensor host = tensor.to(kCpu);
  return {name, host.dtype(), host.shape(), [host](const Write& take) { take(host.raw(), host.bytes()); }};
}

std::vector<SafetensorsPart> parts_of(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::vector<SafetensorsPart> parts;
  for (const auto& [name, tensor] : tensors) parts.push_back(part_of(name, tensor));
  return parts;
}

// The parts give their bytes twice: for the checksum, then for the file.
void give_twice(const std::vector<SafetensorsPart>& parts, const Write& check, const std::function<void()>& between,
                const Write& write) {
  for (const SafetensorsPart& part : parts) part.give(check);
  between();
  for (const SafetensorsPart& part : parts) part.give(write);
}

void write_parts(const Write& write, const std::vector<SafetensorsPart>& parts,
                 std::map<std::string, std::string> metadata, size_t alignment) {
  uint32_t crc = 0;
  const auto check = [&](const void* data, size_t bytes) { crc = crc32(data, bytes, crc); };
  const auto write_header = [&] {
    size_t at = 0;
    Json entries = Json::object();
    for (const SafetensorsPart& part : parts) {
      const char* type = nullptr;
      for (const auto& [dtype, label] : kTypes) {
        if (dtype == part.dtype) type = label;
      }
      entries[part.name] = {{"dtype", type},
                            {"shape", std::vector<int64_t>(part.shape.begin(), part.shape.end())},
                            {"data_offsets", {at, at + part.bytes()}}};
      at += part.bytes();
    }
    metadata["crc32"] = std::to_string(checksum(entries, metadata, crc));
    Json header = Json::object();
    header["__metadata__"] = metadata;
    header.update(entries);
    std::string text = dumped(header);
    uint64_t size = text.size();
    size = round_up(sizeof size + size, alignment) - sizeof size;
    text.append(static_cast<size_t>(size) - text.size(), ' ');
    write(&size, sizeof size);
    write(text.data(), text.size());
  };
  give_twice(parts, check, write_header, write);
}

}  // namespace

void give_parts(const std::vector<SafetensorsPart>& parts) {
  const auto drop = [](const void*, size_t) {};
  give_twice(
      parts, drop, [] {}, drop);
}

void write_safetensors(const std::string& path, const std::vector<SafetensorsPart>& parts,
                       std::map<std::string, std::string> metadata) {
  std::optional<AtomicFile> file;  // made with the first bytes, when nothing more can be wrong with the tensors
  const auto write = [&](const void* data, size_t bytes) {
    if (!file) file.emplace(path);
    file->write(data, bytes);
  };
  write_parts(write, parts, std::move(metadata), 8);
  file->commit();
}

void write_safetensors(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
                       std::map<std::string, std::string> metadata) {
  write_safetensors(path, parts_of(tensors), std::move(metadata));
}

void write_safetensors(const Write& write, const std::vector<std::pair<std::string, Tensor>>& tensors,
                       std::map<std::string, std::string> metadata, size_t alignment) {
  write_parts(write, parts_of(tensors), std::move(metadata), alignment);
}

}  // namespace kdef
