#include "data/raw/row_source.h"

#include <algorithm>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/names.h"
#include "data/raw/csv_reader.h"

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

}  // namespace

void RowSource::set_columns(std::vector<std::string> names) {
  columns_ = std::move(names);
  std::unordered_set<std::string> seen;
  for (const std::string& name : columns_) {
    if (!seen.insert(name).second) {
      throw InputError(cat(path_, ": two columns are named '", without_controls(name), "'; rename one of them"));
    }
  }
  slots_.assign(columns_.size(), -1);
}

bool RowSource::has_column(const std::string& name) const {
  return std::find(columns_.begin(), columns_.end(), name) != columns_.end();
}

void RowSource::select(const std::vector<std::string>& names) {
  std::fill(slots_.begin(), slots_.end(), -1);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto at = std::find(columns_.begin(), columns_.end(), names[i]);
    if (at == columns_.end()) {
      throw InputError(cat(path_, ": no column '", names[i], "'", did_you_mean(names[i], columns_),
                           "; the columns are ", list_of(columns_), " (wrong separator or a missing header line?)"));
    }
    int32_t& slot = slots_[static_cast<size_t>(at - columns_.begin())];
    KDEF_CHECK(slot < 0, "RowSource::select: column '", names[i], "' is named twice");
    slot = static_cast<int32_t>(i);
  }
  selected_ = static_cast<int64_t>(names.size());
}

std::vector<Chunk::Cell*> RowSource::make_cells(Chunk& chunk, int64_t rows) const {
  chunk.capacity = rows;
  chunk.cells.resize(static_cast<size_t>(selected_ * rows));
  chunk.lines.clear();
  std::vector<Chunk::Cell*> places(columns_.size());
  for (size_t c = 0; c < places.size(); ++c) {
    places[c] = slots_[c] < 0 ? nullptr : chunk.cells.data() + slots_[c] * rows;
  }
  return places;
}

std::unique_ptr<RowSource> open_rows(const std::string& path, const DatasetConfig& config,
                                     const std::string& optional) {
  return std::make_unique<CsvReader>(path, config.separator, config.columns, optional);
}

}  // namespace kdef::data
