#include "data/encode/cache.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kdef::data {
namespace {

constexpr char kMagic[8] = {'K', 'D', 'E', 'F', 'B', 'I', 'N', '\n'};
constexpr uint32_t kByteOrder = 0x01020304;
constexpr const char* kRemedy = "; delete the folder and prepare the data again";

// A column that follows the label. An unused entry is all zero.
struct ExtraColumn {
  char name[12];
  enum Type : uint32_t { none, f32, i32 } type;
};
static_assert(sizeof(ExtraColumn) == 16);

// The extra columns that this program knows, in their order in a row.
constexpr struct {
  ExtraColumn column;
  bool RowLayout::*present;
} kExtraColumns[] = {{{"weight", ExtraColumn::f32}, &RowLayout::weights},
                     {{"group", ExtraColumn::i32}, &RowLayout::groups}};

struct Header {
  char magic[8];
  uint32_t byte_order, version;
  int64_t id_columns, numeric_columns;
  ExtraColumn extra[4];
  uint32_t block_rows, reserved[6];
  uint32_t crc;  // of the bytes before it
};
static_assert(sizeof(Header) == 128);

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

Header make_header(const RowLayout& layout) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.byte_order = kByteOrder;
  header.version = kCacheVersion;
  header.id_columns = layout.id_columns;
  header.numeric_columns = layout.numeric_columns;
  ExtraColumn* extra = header.extra;
  for (const auto& known : kExtraColumns) {
    if (layout.*known.present) *extra++ = known.column;
  }
  header.block_rows = kBlockRows;
  header.crc = header_crc(header);
  return header;
}

// Throws InputError for a header that this program did not write.
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
}

RowLayout layout_of(const Header& header, const std::string& path) {
  for (const int64_t columns : {header.id_columns, header.numeric_columns}) {
    if (columns < 0 || columns > kMaxColumns) {
      throw InputError(
          cat(path, ": the header names ", columns, " columns of one kind, which no encoded file has", kRemedy));
    }
  }
  RowLayout layout{header.id_columns, header.numeric_columns};
  const ExtraColumn* extra = header.extra;
  for (const auto& known : kExtraColumns) {
    if (std::memcmp(extra, &known.column, sizeof(ExtraColumn)) != 0) continue;
    layout.*known.present = true;
    ++extra;
  }
  if (std::memcmp(make_header(layout).extra, header.extra, sizeof(header.extra)) != 0) {
    throw InputError(cat(path, ": the header names an extra column that this program does not know", kRemedy));
  }
  return layout;
}

}  // namespace

int64_t words_of(const RowLayout& layout) {
  return layout.id_columns + layout.numeric_columns + 1 + layout.weights + layout.groups;
}

void encode_records(const Batch& batch, const RowLayout& layout, std::vector<uint32_t>& records) {
  const size_t ids = static_cast<size_t>(layout.id_columns), numerics = static_cast<size_t>(layout.numeric_columns);
  const size_t words = static_cast<size_t>(words_of(layout)), rows = static_cast<size_t>(batch.rows);
  KDEF_CHECK(batch.labels.size() == rows, "encode_records: the batch has no labels");
  KDEF_CHECK(batch.weights.size() == (layout.weights ? rows : 0) && batch.groups.size() == (layout.groups ? rows : 0),
             "encode_records: ", batch.weights.size(), " weights and ", batch.groups.size(),
             " groups do not fit the layout of the file");
  records.resize(rows * words);
  for (size_t b = 0; b < rows; ++b) {
    uint32_t* record = records.data() + b * words;
    if (ids > 0) std::memcpy(record, batch.ids.data() + b * ids, 4 * ids);
    if (numerics > 0) std::memcpy(record + ids, batch.numerics.data() + b * numerics, 4 * numerics);
    record += ids + numerics;
    std::memcpy(record++, &batch.labels[b], 4);
    if (layout.weights) std::memcpy(record++, &batch.weights[b], 4);
    if (layout.groups) *record = static_cast<uint32_t>(batch.groups[b]);
  }
}

EncodedWriter::EncodedWriter(const std::string& path, const RowLayout& layout) : layout_(layout), file_(path) {
  const Header header = make_header(layout);
  file_.write(&header, sizeof(header));
}

void EncodedWriter::append(const Batch& batch) {
  encode_records(batch, layout_, buffer_);
  append(buffer_);
}

void EncodedWriter::append(std::span<const uint32_t> records) {
  const size_t words = static_cast<size_t>(words_of(layout_));
  const auto rows = static_cast<int64_t>(records.size() / words);
  for (int64_t b = 0; b < rows;) {
    const int64_t count = std::min(rows - b, kBlockRows - in_block_);
    crc_ = crc32(records.data() + static_cast<size_t>(b) * words, static_cast<size_t>(count) * 4 * words, crc_);
    b += count;
    in_block_ += count;
    if (in_block_ == kBlockRows) {
      block_crcs_.push_back(std::exchange(crc_, 0));
      in_block_ = 0;
    }
  }
  file_.write(records.data(), records.size() * 4);
  rows_ += rows;
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
  MappedFile file(path, "; prepare the data first");
  const size_t bytes = file.size();
  if (bytes < sizeof(Header) + sizeof(Footer)) {
    throw InputError(cat(path, ": too short for an encoded file (truncated?)", kRemedy));
  }
  Header header;
  std::memcpy(&header, file.data(), sizeof(header));
  check_header(header, path);
  content_.layout = layout_of(header, path);
  content_.row_bytes = 4 * words_of(content_.layout);
  Footer footer;
  const std::byte* end = file.data() + bytes;
  std::memcpy(&footer, end - sizeof(footer), sizeof(footer));
  const uint64_t body = bytes - sizeof(Header) - sizeof(Footer);
  // The bound on rows comes first: it keeps the products from overflowing.
  const bool fits = footer.rows >= 0 &&
                    static_cast<uint64_t>(footer.rows) <= body / static_cast<uint64_t>(content_.row_bytes) &&
                    body == static_cast<uint64_t>(footer.rows * content_.row_bytes + 4 * blocks_of(footer.rows));
  const size_t crc_bytes = fits ? static_cast<size_t>(4 * blocks_of(footer.rows)) : 0;
  if (!fits || footer.crc != footer_crc(footer, end - sizeof(footer) - crc_bytes, crc_bytes)) {
    throw InputError(
        cat(path, ": truncated or damaged (", bytes, " bytes, the end is not that of an encoded file)", kRemedy));
  }
  content_.rows = footer.rows;
  content_.fingerprint = footer.crc;
  content_.rows_begin = file.data() + sizeof(Header);
  content_.file = std::move(file);
}

EncodedFile& EncodedFile::operator=(EncodedFile&& other) noexcept {
  if (this == &other) return *this;
  path_ = std::move(other.path_);
  content_ = std::exchange(other.content_, {});
  return *this;
}

void EncodedFile::will_need(int64_t row, int64_t count) const {
  content_.file.will_need(sizeof(Header) + static_cast<size_t>(row * content_.row_bytes),
                          static_cast<size_t>(count * content_.row_bytes));
}

void EncodedFile::verify() const {
  parallel_for(blocks_of(rows()), 1, [&](int64_t block, int64_t) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows() - first);
    uint32_t stored;
    std::memcpy(&stored, record(rows()) + 4 * block, 4);
    if (crc32(record(first), static_cast<size_t>(count * row_bytes())) != stored) {
      throw InputError(
          cat(path_, ": rows ", first, " to ", first + count - 1, " are damaged (checksum mismatch)", kRemedy));
    }
  });
}

void EncodedFile::verify(const FeatureMap& map) const {
  const RowLayout wanted = data::layout_of(map);
  if (id_columns() != wanted.id_columns || numeric_columns() != wanted.numeric_columns) {
    throw InputError(cat(path_, ": has ", id_columns(), " id and ", numeric_columns(),
                         " numeric columns, the feature map of ", map.dataset, " asks for ", wanted.id_columns, " and ",
                         wanted.numeric_columns, kRemedy));
  }
  verify();
  std::vector<const Field*> columns;
  for (const Field& field : map.fields) {
    if (field.type == FieldType::numeric) continue;
    columns.insert(columns.end(), static_cast<size_t>(field.type == FieldType::sequence ? field.max_len : 1), &field);
  }
  parallel_for(rows(), kBlockRows, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) check_row(row, columns);
  });
}

void EncodedFile::check_row(int64_t row, const std::vector<const Field*>& columns) const {
  for (size_t c = 0; c < columns.size(); ++c) {
    const int32_t id = ids(row)[c];
    if (id < 0 || id >= columns[c]->vocab_size) {
      throw InputError(cat(path_, ": row ", row, ", field ", columns[c]->name, ": id ", id, " is outside of [0, ",
                           columns[c]->vocab_size, ")", kRemedy));
    }
  }
  if (layout().weights && !(weight(row) >= 0 && std::isfinite(weight(row)))) {
    throw InputError(cat(path_, ": row ", row, ": weight ", weight(row), " is not a finite number >= 0", kRemedy));
  }
}

}  // namespace kdef::data
