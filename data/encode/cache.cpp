#include "data/encode/cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kdef::data {
namespace {

constexpr char kMagic[8] = {'K', 'D', 'E', 'F', 'B', 'I', 'N', '\n'};
constexpr uint32_t kByteOrder = 0x01020304;
constexpr int64_t kMaxColumns = int64_t{1} << 24;  // of one kind; keeps the bytes of a row from overflowing
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

namespace {

// Maps the whole file, without a look at its content; {nullptr, 0} where it is too short for header and footer.
std::pair<void*, size_t> map_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string message = cat(path, ": the encoded file cannot be opened: ", std::strerror(errno));
    if (errno == ENOENT) throw InputError(message + "; prepare the data first");
    throw SystemError(message);
  }
  struct stat info;
  const bool known = ::fstat(fd, &info) == 0;
  void* mapping = nullptr;
  size_t bytes = 0;
  if (known && S_ISREG(info.st_mode) && info.st_size >= static_cast<off_t>(sizeof(Header) + sizeof(Footer))) {
    bytes = static_cast<size_t>(info.st_size);
    mapping = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  ::close(fd);
  if (!known || mapping == MAP_FAILED) {
    throw SystemError(cat(path, ": cannot be mapped into memory: ", std::strerror(error)));
  }
  return {mapping, bytes};
}

// Refuses a header that this program did not write.
void check_header(const Header& header, const std::string& path) {
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
  for (const int64_t columns : {header.id_columns, header.numeric_columns}) {
    if (columns < 0 || columns > kMaxColumns) {
      throw InputError(
          cat(path, ": the header names ", columns, " columns of one kind, which no encoded file has", kRemedy));
    }
  }
}

}  // namespace

EncodedFile::EncodedFile(const std::string& path) : path_(path) {
  std::tie(content_.mapping, content_.bytes) = map_file(path);
  if (content_.bytes == 0) throw InputError(cat(path, ": too short for an encoded file (truncated?)", kRemedy));
  try {
    read_ends();
  } catch (...) {
    unmap();
    throw;
  }
}

// Takes columns and rows from header and footer.
void EncodedFile::read_ends() {
  const std::byte* begin = static_cast<const std::byte*>(content_.mapping);
  Header header;
  std::memcpy(&header, begin, sizeof(header));
  check_header(header, path_);
  content_.id_columns = header.id_columns;
  content_.numeric_columns = header.numeric_columns;
  content_.stride = 4 * (header.id_columns + header.numeric_columns + 1);
  Footer footer;
  const std::byte* end = begin + content_.bytes;
  std::memcpy(&footer, end - sizeof(footer), sizeof(footer));
  const uint64_t body = content_.bytes - sizeof(Header) - sizeof(Footer);
  // The bound on rows comes first: it keeps the products from overflowing.
  const bool fits = footer.rows >= 0 &&
                    static_cast<uint64_t>(footer.rows) <= body / static_cast<uint64_t>(content_.stride) &&
                    body == static_cast<uint64_t>(footer.rows * content_.stride + 4 * blocks(footer.rows));
  const size_t crc_bytes = fits ? static_cast<size_t>(4 * blocks(footer.rows)) : 0;
  if (!fits || footer.crc != footer_crc(footer, end - sizeof(footer) - crc_bytes, crc_bytes)) {
    throw InputError(cat(path_, ": truncated or damaged (", content_.bytes,
                         " bytes, the end is not that of an encoded file)", kRemedy));
  }
  content_.rows = footer.rows;
  content_.fingerprint = footer.crc;
  content_.body = begin + sizeof(Header);
}

EncodedFile::~EncodedFile() { unmap(); }

EncodedFile::EncodedFile(EncodedFile&& other) noexcept { *this = std::move(other); }

EncodedFile& EncodedFile::operator=(EncodedFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  path_ = std::move(other.path_);
  content_ = std::exchange(other.content_, {});
  return *this;
}

void EncodedFile::unmap() {
  if (content_.mapping != nullptr) ::munmap(content_.mapping, content_.bytes);
  content_ = {};
}

void EncodedFile::will_need(int64_t row, int64_t count) const {
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t begin = (record(row) - static_cast<const std::byte*>(content_.mapping)) / page * page;
  const int64_t end = record(std::min(row + count, content_.rows)) - static_cast<const std::byte*>(content_.mapping);
  // Only advice: what fails here is read when it is used.
  ::madvise(static_cast<std::byte*>(content_.mapping) + begin, static_cast<size_t>(end - begin), MADV_WILLNEED);
}

void EncodedFile::verify() const {
  const std::byte* crcs = record(content_.rows);
  parallel_for(blocks(content_.rows), 1, [&](int64_t block, int64_t) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, content_.rows - first);
    uint32_t stored;
    std::memcpy(&stored, crcs + 4 * block, 4);
    if (crc32(record(first), static_cast<size_t>(count * content_.stride)) != stored) {
      throw InputError(
          cat(path_, ": rows ", first, " to ", first + count - 1, " are damaged (checksum mismatch)", kRemedy));
    }
  });
}

void EncodedFile::verify(const FeatureMap& map) const {
  if (content_.id_columns != data::id_columns(map) || content_.numeric_columns != data::numeric_columns(map)) {
    throw InputError(cat(path_, ": has ", content_.id_columns, " id and ", content_.numeric_columns,
                         " numeric columns, the feature map of ", map.dataset, " asks for ", data::id_columns(map),
                         " and ", data::numeric_columns(map), kRemedy));
  }
  verify();
  std::vector<const Field*> columns;
  for (const Field& field : map.fields) {
    if (field.type == FieldType::numeric) continue;
    columns.insert(columns.end(), static_cast<size_t>(field.type == FieldType::sequence ? field.max_len : 1), &field);
  }
  parallel_for(content_.rows, kBlockRows, [&](int64_t first, int64_t last) {
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
