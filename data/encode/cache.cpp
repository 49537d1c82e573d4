#include "data/encode/cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kdef::data {
namespace {

constexpr char kMagic[8] = {'K', 'D', 'E', 'F', 'B', 'I', 'N', '\n'};
constexpr uint32_t kByteOrder = 0x01020304;
constexpr const char* kRemedy = "; delete the folder and prepare the data again";

struct Header {
  char magic[8];
  uint32_t byte_order, version;
  int64_t id_columns, numeric_columns;
  uint32_t block_rows, reserved[6];
  uint32_t crc;  // of the bytes before it
};
static_assert(sizeof(Header) == 64);

struct Footer {
  int64_t rows;
  uint32_t reserved;
  uint32_t crc;  // of the block checksums and the number of rows
};
static_assert(sizeof(Footer) == 16);

uint32_t footer_crc(const Footer& footer, const void* block_crcs, size_t bytes) {
  return crc32(&footer, offsetof(Footer, crc), crc32(block_crcs, bytes));
}

uint32_t header_crc(const Header& header) { return crc32(&header, offsetof(Header, crc)); }

int64_t blocks(int64_t rows) { return divide_up(rows, kBlockRows); }

Header make_header(int64_t ids, int64_t numerics) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.byte_order = kByteOrder;
  header.version = kCacheVersion;
  header.id_columns = ids;
  header.numeric_columns = numerics;
  header.block_rows = kBlockRows;
  header.crc = header_crc(header);
  return header;
}

}  // namespace

void Batch::resize(int64_t new_rows, int64_t id_columns, int64_t numeric_columns) {
  rows = new_rows;
  ids.resize(static_cast<size_t>(rows * id_columns));
  numerics.resize(static_cast<size_t>(rows * numeric_columns));
  labels.resize(static_cast<size_t>(rows));
}

EncodedWriter::EncodedWriter(const std::string& path, int64_t id_columns, int64_t numeric_columns)
    : id_columns_(id_columns), numeric_columns_(numeric_columns), file_(path) {
  const Header header = make_header(id_columns, numeric_columns);
  file_.write(&header, sizeof(header));
}

void EncodedWriter::append(const Batch& batch) {
  const size_t ids = static_cast<size_t>(id_columns_), numerics = static_cast<size_t>(numeric_columns_);
  const size_t words = ids + numerics + 1;
  KDEF_CHECK(batch.labels.size() == static_cast<size_t>(batch.rows), "EncodedWriter: the batch has no labels");
  buffer_.resize(static_cast<size_t>(batch.rows) * words);
  for (size_t b = 0; b < static_cast<size_t>(batch.rows); ++b) {
    uint32_t* record = buffer_.data() + b * words;
    if (ids > 0) std::memcpy(record, batch.ids.data() + b * ids, 4 * ids);
    if (numerics > 0) std::memcpy(record + ids, batch.numerics.data() + b * numerics, 4 * numerics);
    std::memcpy(record + ids + numerics, &batch.labels[b], 4);
  }
  for (int64_t b = 0; b < batch.rows;) {
    const int64_t count = std::min(batch.rows - b, kBlockRows - in_block_);
    crc_ = crc32(buffer_.data() + static_cast<size_t>(b) * words, static_cast<size_t>(count) * 4 * words, crc_);
    b += count;
    in_block_ += count;
    if (in_block_ == kBlockRows) {
      block_crcs_.push_back(std::exchange(crc_, 0));
      in_block_ = 0;
    }
  }
  file_.write(buffer_.data(), buffer_.size() * 4);
  rows_ += batch.rows;
}

void EncodedWriter::commit() {
  if (in_block_ > 0) block_crcs_.push_back(crc_);
  file_.write(block_crcs_.data(), block_crcs_.size() * 4);
  Footer footer{};
  footer.rows = rows_;
  footer.crc = footer_crc(footer, block_crcs_.data(), block_crcs_.size() * 4);
  file_.write(&footer, sizeof(footer));
  file_.commit();
}

EncodedFile::EncodedFile(const std::string& path) : path_(path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string message = cat(path, ": the encoded file cannot be opened: ", std::strerror(errno));
    if (errno == ENOENT) throw InputError(message + "; prepare the data first");
    throw SystemError(message);
  }
  struct stat info;
  const bool known = ::fstat(fd, &info) == 0;
  if (known && S_ISREG(info.st_mode) && info.st_size >= static_cast<off_t>(sizeof(Header) + sizeof(Footer))) {
    bytes_ = static_cast<size_t>(info.st_size);
    mapping_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  ::close(fd);
  if (!known || mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    throw SystemError(cat(path, ": cannot be mapped into memory: ", std::strerror(error)));
  }
  if (bytes_ == 0) throw InputError(cat(path, ": too short for an encoded file (truncated?)", kRemedy));

  try {
    Header header;
    std::memcpy(&header, mapping_, sizeof(header));
    if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
      throw InputError(cat(path, ": not an encoded file of kdef (other first bytes)", kRemedy));
    }
    if (header.byte_order != kByteOrder) {
      throw InputError(cat(path, ": written on a machine of another byte order", kRemedy));
    }
    if (header.version != kCacheVersion) {
      throw InputError(
          cat(path, ": format version ", header.version, ", this program reads version ", kCacheVersion, kRemedy));
    }
    if (header.crc != header_crc(header) || header.block_rows != kBlockRows) {
      throw InputError(cat(path, ": the header is damaged (checksum mismatch)", kRemedy));
    }
    id_columns_ = header.id_columns;
    numeric_columns_ = header.numeric_columns;
    stride_ = 4 * (id_columns_ + numeric_columns_ + 1);
    Footer footer;
    const std::byte* end = static_cast<const std::byte*>(mapping_) + bytes_;
    std::memcpy(&footer, end - sizeof(footer), sizeof(footer));
    const uint64_t body = bytes_ - sizeof(Header) - sizeof(Footer);
    // The bound on rows comes first: it keeps the products from overflowing.
    const bool fits = footer.rows >= 0 && static_cast<uint64_t>(footer.rows) <= body / static_cast<uint64_t>(stride_) &&
                      body == static_cast<uint64_t>(footer.rows * stride_ + 4 * blocks(footer.rows));
    const size_t crc_bytes = fits ? static_cast<size_t>(4 * blocks(footer.rows)) : 0;
    if (!fits || footer.crc != footer_crc(footer, end - sizeof(footer) - crc_bytes, crc_bytes)) {
      throw InputError(
          cat(path, ": truncated or damaged (", bytes_, " bytes, the end is not that of an encoded file)", kRemedy));
    }
    rows_ = footer.rows;
    fingerprint_ = footer.crc;
  } catch (...) {
    unmap();
    throw;
  }
  body_ = static_cast<const std::byte*>(mapping_) + sizeof(Header);
}

EncodedFile::~EncodedFile() { unmap(); }

EncodedFile::EncodedFile(EncodedFile&& other) noexcept { *this = std::move(other); }

EncodedFile& EncodedFile::operator=(EncodedFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  path_ = std::move(other.path_);
  mapping_ = std::exchange(other.mapping_, nullptr);
  bytes_ = other.bytes_;
  body_ = other.body_;
  rows_ = other.rows_;
  id_columns_ = other.id_columns_;
  numeric_columns_ = other.numeric_columns_;
  stride_ = other.stride_;
  return *this;
}

void EncodedFile::unmap() {
  if (mapping_ != nullptr) ::munmap(mapping_, bytes_);
  mapping_ = nullptr;
}

void EncodedFile::will_need(int64_t row, int64_t count) const {
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t begin = (record(row) - static_cast<const std::byte*>(mapping_)) / page * page;
  const int64_t end = record(std::min(row + count, rows_)) - static_cast<const std::byte*>(mapping_);
  // Only advice: what fails here is read when it is used.
  ::madvise(static_cast<std::byte*>(mapping_) + begin, static_cast<size_t>(end - begin), MADV_WILLNEED);
}

void EncodedFile::verify() const {
  const std::byte* crcs = record(rows_);
  parallel_for(blocks(rows_), 1, [&](int64_t block, int64_t) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows_ - first);
    uint32_t stored;
    std::memcpy(&stored, crcs + 4 * block, 4);
    if (crc32(record(first), static_cast<size_t>(count * stride_)) != stored) {
      throw InputError(
          cat(path_, ": rows ", first, " to ", first + count - 1, " are damaged (checksum mismatch)", kRemedy));
    }
  });
}

void EncodedFile::verify(const FeatureMap& map) const {
  if (id_columns_ != data::id_columns(map) || numeric_columns_ != data::numeric_columns(map)) {
    throw InputError(cat(path_, ": has ", id_columns_, " id and ", numeric_columns_,
                         " numeric columns, the feature map of ", map.dataset, " asks for ", data::id_columns(map),
                         " and ", data::numeric_columns(map), kRemedy));
  }
  verify();
  std::vector<const Field*> columns;
  for (const Field& field : map.fields) {
    if (field.type == FieldType::numeric) continue;
    columns.insert(columns.end(), static_cast<size_t>(field.type == FieldType::sequence ? field.max_len : 1), &field);
  }
  parallel_for(rows_, kBlockRows, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      for (size_t c = 0; c < columns.size(); ++c) {
        const int32_t id = ids(row)[c];
        if (id < 0 || id >= columns[c]->vocab_size) {
          throw InputError(cat(path_, ": row ", row, ", field ", columns[c]->name, ": id ", id, " is outside of [0, ",
                               columns[c]->vocab_size, ")", kRemedy));
        }
      }
    }
  });
}

int64_t id_columns(const FeatureMap& map) {
  int64_t n = 0;
  for (const Field& field : map.fields) {
    if (field.type != FieldType::numeric) n += field.type == FieldType::sequence ? field.max_len : 1;
  }
  return n;
}

int64_t numeric_columns(const FeatureMap& map) {
  return std::count_if(map.fields.begin(), map.fields.end(),
                       [](const Field& field) { return field.type == FieldType::numeric; });
}

}  // namespace kdef::data
