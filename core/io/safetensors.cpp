#include "core/io/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/io/file.h"

namespace kdef {
namespace {

using Json = nlohmann::ordered_json;

// Text that is not UTF-8, as a path in the metadata may be, is written with replacement characters.
std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// The checksum covers the data and, after it, the header without the checksum itself.
uint32_t checksum(const Json& entries, std::map<std::string, std::string> metadata, uint32_t of_data) {
  metadata.erase("crc32");
  const std::string text = dumped(entries) + dumped(Json(metadata));
  return crc32(text.data(), text.size(), of_data);
}

constexpr size_t kMaxHeader = size_t{100} << 20;

// Name in the format, for the types this library has.
constexpr std::pair<DType, const char*> kTypes[] = {{DType::f32, "F32"}, {DType::f64, "F64"}, {DType::bf16, "BF16"},
                                                    {DType::i32, "I32"}, {DType::i64, "I64"}, {DType::u8, "U8"}};

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw InputError(cat(path, ": cannot be opened: ", std::strerror(errno)));
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    throw InputError(cat(path, ": is not a regular file"));
  }
  bytes_ = static_cast<size_t>(status.st_size);
  if (bytes_ > 0) {
    void* map = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map != MAP_FAILED) map_ = static_cast<const std::byte*>(map);
  }
  ::close(fd);
  const auto refuse = [&](const std::string& why) {
    return InputError(cat(path, ": not a usable safetensors file: ", why));
  };
  try {
    if (map_ == nullptr || bytes_ < 8) throw refuse(cat("it has ", bytes_, " bytes"));
    uint64_t header = 0;
    std::memcpy(&header, map_, 8);
    if (header > kMaxHeader || header > bytes_ - 8) {
      throw refuse(
          cat("its header claims ", header, " bytes of ", bytes_, "; the file is truncated or of another format"));
    }
    data_ = 8 + static_cast<size_t>(header);
    const char* text = reinterpret_cast<const char*>(map_) + 8;
    const Json json = Json::parse(text, text + header);
    size_t end = 0;
    for (const auto& [name, value] : json.items()) {
      if (name == "__metadata__") {
        for (const auto& [key, item] : value.items()) metadata_[key] = item.get<std::string>();
        continue;
      }
      Entry e{};
      const std::string type = value.at("dtype");
      bool known = false;
      for (const auto& [dtype, label] : kTypes) {
        if (type == label) {
          e.dtype = dtype;
          known = true;
        }
      }
      if (!known) throw refuse(cat("tensor '", name, "' has dtype ", type, ", which is not supported"));
      int64_t elements = 1;
      for (const auto& item : value.at("shape")) {
        const int64_t size = item.get<int64_t>();
        if (e.shape.rank() == Shape::kMaxRank || size < 0 || __builtin_mul_overflow(elements, size, &elements)) {
          throw refuse(cat("tensor '", name, "' has the shape ", value.at("shape").dump()));
        }
        e.shape.push_back(size);
      }
      e.first = value.at("data_offsets").at(0);
      e.last = value.at("data_offsets").at(1);
      if (e.first > e.last || e.last > bytes_ - data_ ||
          e.last - e.first != static_cast<size_t>(e.shape.numel()) * size_of(e.dtype)) {
        throw refuse(
            cat("tensor '", name, "' ", e.shape, " does not lie within the file; it is truncated or corrupted"));
      }
      end = std::max(end, e.last);
      entries_[name] = e;
      names_.push_back(name);
    }
    if (end != bytes_ - data_) throw refuse("its data is longer or shorter than its header says");
    const auto crc = metadata_.find("crc32");
    if (crc != metadata_.end()) {
      Json entries = json;
      entries.erase("__metadata__");
      const std::string found = std::to_string(checksum(entries, metadata_, crc32(map_ + data_, bytes_ - data_)));
      if (found != crc->second) throw refuse("its checksum does not hold; the file is truncated or corrupted");
    }
  } catch (const Json::exception& e) {
    if (map_) ::munmap(const_cast<std::byte*>(map_), bytes_);
    throw refuse(cat("its header is not what the format asks for (", e.what(), ")"));
  } catch (...) {
    if (map_) ::munmap(const_cast<std::byte*>(map_), bytes_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { ::munmap(const_cast<std::byte*>(map_), bytes_); }

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) throw InputError(cat(path_, ": has no tensor '", name, "'"));
  return it->second;
}

Tensor SafetensorsFile::read(const std::string& name) const {
  const Entry& e = entry(name);
  Tensor t = Tensor::empty(e.shape, e.dtype);
  if (e.last > e.first) std::memcpy(t.raw(), map_ + data_ + e.first, e.last - e.first);
  return t;
}

void write_safetensors(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
                       std::map<std::string, std::string> metadata) {
  std::vector<Tensor> host;
  uint32_t crc = 0;
  size_t at = 0;
  Json entries = Json::object();
  for (const auto& [name, tensor] : tensors) {
    host.push_back(tensor.to(kCpu));
    const Tensor& t = host.back();
    crc = crc32(t.raw(), t.bytes(), crc);
    const char* type = nullptr;
    for (const auto& [dtype, label] : kTypes) {
      if (dtype == t.dtype()) type = label;
    }
    entries[name] = {{"dtype", type},
                     {"shape", std::vector<int64_t>(t.shape().begin(), t.shape().end())},
                     {"data_offsets", {at, at + t.bytes()}}};
    at += t.bytes();
  }
  metadata["crc32"] = std::to_string(checksum(entries, metadata, crc));
  Json header = Json::object();
  header["__metadata__"] = metadata;
  header.update(entries);
  std::string text = dumped(header);
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts at a multiple of 8
  const uint64_t size = text.size();
  AtomicFile file(path);
  file.write(&size, sizeof size);
  file.write(text.data(), text.size());
  for (const Tensor& t : host) file.write(t.raw(), t.bytes());
  file.commit();
}

}  // namespace kdef
