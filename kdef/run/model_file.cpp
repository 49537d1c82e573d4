#include "kdef/run/model_file.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <functional>
#include <random>

#include "core/base/error.h"
#include "core/base/integers.h"
#include "core/base/names.h"
#include "core/io/file.h"
#include "data/encode/word_tables.h"
#include "data/raw/cells.h"
#include "kdef/run/selection.h"
#include "kdef/train/checkpoint.h"

namespace kdef {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlignment = 64;     // of sections, and of tensors' data
constexpr uint32_t kMostSections = 64;  // of a version to come, whose sections this one does not know

// All numbers are little-endian.
struct Header {
  char magic[8] = {};
  uint32_t version = 0, sections = 0;
  uint64_t bytes = 0;  // of the file
  uint32_t crc = 0;    // of the header without this number and the next one, then of the entries
  uint32_t zero = 0;
};
struct Entry {
  char name[16] = {};  // ends with a zero
  uint64_t first = 0, bytes = 0;
  uint32_t crc = 0, zero = 0;
};
static_assert(sizeof(Header) == 32 && sizeof(Entry) == 40);
static_assert(std::endian::native == std::endian::little);

uint32_t checksum(const Header& header, const std::vector<Entry>& entries) {
  const uint32_t of_header = crc32(&header, offsetof(Header, crc));
  return crc32(entries.data(), entries.size() * sizeof(Entry), of_header);
}

constexpr const char* kRemedy = "; copy the file once more, or export it again";

}  // namespace

ModelFile::ModelFile(const std::string& path)
    : path_(path), file_(MappedFile::to_be_written(path)), bytes_(file_.text()) {
  file_.will_need(0, bytes_.size());
  read();
}

ModelFile::ModelFile(std::string_view bytes, const std::string& name) : path_(name), bytes_(bytes) {
  KDEF_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % alignof(uint64_t) == 0, name, ": begins at an odd address");
  read();
}

void ModelFile::read() {
  const auto damaged = [&](const std::string& what) { return InputError(cat(path_, ": ", what, kRemedy)); };
  Header header;
  if (!bytes_.starts_with(kMagic)) {
    throw InputError(cat(path_, ": is not a model file of kdef; give a run directory, or a file of kdef export"));
  }
  if (bytes_.size() < sizeof header) throw damaged("is truncated");
  std::memcpy(&header, bytes_.data(), sizeof header);
  if (header.version != kVersion) {
    throw InputError(cat(path_, ": is a model file of version ", header.version, ", this program reads version ",
                         kVersion, "; use ", header.version > kVersion ? "a newer" : "an older",
                         " kdef, or export the run once more"));
  }
  if (header.bytes != bytes_.size()) {
    throw damaged(cat("has ", bytes_.size(), " bytes, and was written with ", header.bytes));
  }
  if (header.sections > kMostSections || header.sections * sizeof(Entry) > bytes_.size() - sizeof header) {
    throw damaged(cat("claims ", header.sections, " sections"));
  }
  std::vector<Entry> entries(header.sections);
  if (!entries.empty()) std::memcpy(entries.data(), bytes_.data() + sizeof header, entries.size() * sizeof(Entry));
  if (checksum(header, entries) != header.crc || header.zero != 0)
    throw damaged("is damaged: the checksum of its header does not hold");
  for (const Entry& e : entries) {
    const std::string name(e.name, std::find(e.name, e.name + sizeof e.name, '\0'));
    if (e.first % kAlignment != 0 || e.first > bytes_.size() || e.bytes > bytes_.size() - e.first) {
      throw damaged(cat("section ", data::printable(name), " does not lie within the file"));
    }
    const std::string_view section = bytes_.substr(e.first, e.bytes);
    if (crc32(section.data(), section.size()) != e.crc) {
      throw damaged(cat("is damaged: the checksum of section ", data::printable(name), " does not hold"));
    }
    sections_.emplace_back(name, section);
  }
}

std::string_view ModelFile::section(std::string_view name) const {
  for (const auto& [known, bytes] : sections_) {
    if (known == name) return bytes;
  }
  throw InputError(cat(path_, ": has no section ", name, kRemedy));
}

namespace {

// Gives its bytes to a function, piece by piece; the same ones each time.
using Write = std::function<void(const void* data, size_t bytes)>;
using Content = std::function<void(const Write&)>;

Content text_of(std::string text) {
  return [text = std::move(text)](const Write& write) { write(text.data(), text.size()); };
}

// A key that nobody has seen before; without `random` always the same, so that equal exports are equal files.
SipKey make_key(bool random) {
  if (!random) return {};
  std::random_device device;
  const auto number = [&] { return uint64_t{device()} << 32 | device(); };
  const uint64_t k0 = number();
  return {k0, number()};
}

void write_sections(const std::string& path, const std::vector<Content>& contents) {
  Header header;
  ModelFile::kMagic.copy(header.magic, sizeof header.magic);
  header.version = kVersion;
  header.sections = static_cast<uint32_t>(contents.size());
  std::vector<Entry> entries(contents.size());
  uint64_t end = sizeof header + entries.size() * sizeof(Entry);
  for (size_t i = 0; i < contents.size(); ++i) {
    Entry& e = entries[i];
    std::strncpy(e.name, ModelFile::kSections[i], sizeof e.name - 1);
    e.first = round_up(end, kAlignment);
    contents[i]([&](const void* data, size_t bytes) {
      e.crc = crc32(data, bytes, e.crc);
      e.bytes += bytes;
    });
    end = e.first + e.bytes;
  }
  header.bytes = end;
  header.crc = checksum(header, entries);

  AtomicFile file(path, NamedBy::user);
  uint64_t at = 0;
  const auto write = [&](const void* data, size_t bytes) {
    file.write(data, bytes);
    at += bytes;
  };
  write(&header, sizeof header);
  write(entries.data(), entries.size() * sizeof(Entry));
  for (size_t i = 0; i < contents.size(); ++i) {
    const std::string zeros(static_cast<size_t>(entries[i].first - at), '\0');
    write(zeros.data(), zeros.size());
    contents[i](write);
  }
  file.commit();
}

}  // namespace

Exported export_model_file(const std::string& run, const std::string& student, const ModelFileExport& how,
                           const std::string& path) {
  const Selection chosen(run, student);
  refuse_to_replace(path, how.overwrite);
  std::map<std::string, std::string> metadata = chosen.metadata();
  metadata.insert({{"format", "kdef model 1"}, {"step", std::to_string(*chosen.record().model_step)}});
  // In the order of kSections.
  write_sections(path, {
                           text_of(to_yaml(chosen.config())),
                           text_of(chosen.encoder().schema()),
                           text_of(word_tables(chosen.encoder(), make_key(how.hashes_only), how.hashes_only)),
                           [&](const Write& write) { save_model(write, chosen.model(), metadata, kAlignment); },
                       });
  return chosen.result();
}

}  // namespace kdef
