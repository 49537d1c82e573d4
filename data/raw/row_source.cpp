#include "data/raw/row_source.h"

#include <algorithm>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/parallel.h"
#include "core/base/text.h"
#include "data/raw/csv_reader.h"
#include "data/raw/h5_reader.h"
#include "data/raw/npz_reader.h"
#include "data/raw/parquet.h"
#include "data/raw/part_files.h"
#include "data/raw/row_format.h"
#include "data/raw/svm_reader.h"

namespace kdef::data {
namespace {

// The name of a column for a message: control characters of a binary file must not reach the terminal.
std::string without_controls(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return name;
}

std::string list_of(const std::vector<std::string>& columns) {
  constexpr size_t kShownBytes = 2000;
  std::string list;
  for (const std::string& column : columns) {
    if (list.size() > kShownBytes) return list + ", ...";
    list += (list.empty() ? "" : ", ") + without_controls(column);
  }
  return list;
}

// Whether a name is a number.
bool looks_like_data(const std::vector<std::string>& columns) {
  return std::any_of(columns.begin(), columns.end(), [](const std::string& name) {
    double value;
    return read_number(name, value);
  });
}

}  // namespace

const TypedColumn* Chunk::flat_column(int64_t slot) const {
  const TypedColumn* column = typed_column(slot);
  if (column != nullptr && column->lists) {
    throw InputError(cat(file(), ": column ", source->selection()[static_cast<size_t>(slot)],
                         " holds lists; set its type to sequence, or leave it out"));
  }
  return column;
}

void RowSource::set_columns(std::vector<std::string> names) {
  columns_ = std::move(names);
  slots_.assign(columns_.size(), -1);
}

bool RowSource::has_column(const std::string& name) const {
  return std::find(columns_.begin(), columns_.end(), name) != columns_.end();
}

std::string RowSource::hint_of_header() const {
  return looks_like_data(columns_)
             ? "; line 1 looks like data: if the file has no header line, name its columns by the "
               "key `columns`"
             : " (wrong separator or a missing header line?)";
}

void RowSource::select(const std::vector<std::string>& names) {
  std::fill(slots_.begin(), slots_.end(), -1);
  constexpr size_t kTwice = SIZE_MAX;
  std::unordered_map<std::string_view, size_t> places;
  for (size_t c = 0; c < columns_.size(); ++c) {
    const auto [place, is_new] = places.emplace(columns_[c], c);
    if (!is_new) place->second = kTwice;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const auto at = places.find(names[i]);
    if (at == places.end()) {
      const std::string near = did_you_mean(names[i], columns_);
      throw InputError(cat(path_, ": no column '", names[i], "'", near, "; the columns are ", list_of(columns_),
                           near.empty() ? hint_of_header() : ""));
    }
    if (at->second == kTwice) {
      throw InputError(cat(path_, ": two columns are named '", without_controls(names[i]), "'; rename one of them"));
    }
    int32_t& slot = slots_[at->second];
    KDEF_CHECK(slot < 0, "RowSource::select: column '", names[i], "' is named twice");
    slot = static_cast<int32_t>(i);
  }
  selection_ = names;
}

std::vector<size_t> RowSource::selected_columns() const {
  std::vector<size_t> columns(selection_.size());
  for (size_t c = 0; c < slots_.size(); ++c) {
    if (slots_[c] >= 0) columns[static_cast<size_t>(slots_[c])] = c;
  }
  return columns;
}

void RowSource::parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const {
  for_each_index(chunks.size(), [&](size_t i) {
    parse(chunks[i]);
    if (then) then(i);
  });
}

std::vector<Chunk::Cell*> RowSource::make_cells(Chunk& chunk, int64_t rows) const {
  chunk.capacity = rows;
  chunk.cells.resize(selection_.size() * static_cast<size_t>(rows));
  chunk.typed.clear();
  chunk.lines.clear();
  std::vector<Chunk::Cell*> places(columns_.size());
  for (size_t c = 0; c < places.size(); ++c) {
    places[c] = slots_[c] < 0 ? nullptr : chunk.cells.data() + slots_[c] * rows;
  }
  return places;
}

namespace {

std::unique_ptr<RowSource> open_file(const std::string& path, const DatasetConfig& config, const std::string& optional,
                                     CsvReader::Empty empty) {
  const RowFormat format = row_format(path);
  if (format == RowFormat::parquet) return open_parquet(path);
  if (format == RowFormat::h5) return std::make_unique<H5Reader>(path);
  if (format == RowFormat::npz) return std::make_unique<NpzReader>(path);
  if (format == RowFormat::svm && config.columns.empty()) return std::make_unique<SvmReader>(path, config.label);
  return std::make_unique<CsvReader>(path, config.separator, config.columns, optional, config.quote, empty);
}

}  // namespace

std::unique_ptr<RowSource> open_rows(const std::string& path, const DatasetConfig& config,
                                     const std::string& optional) {
  if (names_part_files(path)) return std::make_unique<PartFiles>(path, part_files(path), config, optional);
  return open_file(path, config, optional, CsvReader::Empty::refused);
}

std::unique_ptr<RowSource> open_rows_of_member(const std::string& path, const DatasetConfig& config,
                                               const Group& group) {
  if (!names_part_files(path)) return group.is_first() ? open_rows(path, config) : nullptr;
  const std::vector<std::string> files = part_files(path);
  std::vector<int64_t> sizes;
  for (const std::string& file : files) {
    // A part may have bytes and no line, as a gzip of nothing: it weighs nothing, so that it goes to a member with
    // rows.
    const bool is_empty = row_format(file) == RowFormat::text && open_part(file, config)->columns().empty();
    sizes.push_back(is_empty ? 0 : file_state(file).size);
  }
  const auto [first, end] = files_of_member(sizes, group.rank(), group.size());
  if (first == end) return nullptr;
  const auto at = files.begin();
  return std::make_unique<PartFiles>(
      path, std::vector(at + static_cast<ptrdiff_t>(first), at + static_cast<ptrdiff_t>(end)), config);
}

std::unique_ptr<RowSource> open_part(const std::string& path, const DatasetConfig& config,
                                     const std::string& optional) {
  return open_file(path, config, optional, CsvReader::Empty::allowed);
}

}  // namespace kdef::data
