#include "data/profile/column_profile.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "data/encode/row_groups.h"
#include "data/raw/row_source.h"

namespace kdef::data {
namespace {

// Whether a name can stand in a configuration and on a line.
bool has_text(const std::string& name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

void add(ColumnProfile& column, std::string_view cell, Part part) {
  if (cell.empty()) {
    ++column.missing[static_cast<size_t>(part)];
    return;
  }
  const auto value = static_cast<size_t>(column.values.insert(cell));
  if (value >= column.count[0].size()) {
    for (auto& count : column.count) count.resize(value + 1);
  }
  ++column.count[static_cast<size_t>(part)][value];
}

// Where the rows of a file belong.
struct FilePart {
  const RowParts* parts = nullptr;  // null: all to `part`
  Part part = Part::train;
  Part of(int64_t row) const { return parts == nullptr ? part : parts->part(row); }
};

// Slot `slot` of the chunks, whose first row has the number `first` in its file.
void add_rows(ColumnProfile& column, std::span<const Chunk> chunks, int64_t slot, int64_t first,
              const FilePart& where) {
  Values::Scratch scratch;
  for (const Chunk& chunk : chunks) {
    const TypedColumn* typed = chunk.typed_column(slot);
    for (int64_t row = 0; row < chunk.rows(); ++row) {
      const Part part = where.of(first + row);
      if (typed == nullptr) {
        add(column, chunk.cell(row, slot), part);
      } else if (!typed->lists) {
        add(column, typed->cell(row, scratch), part);
      } else {
        column.lists = true;
        column.longest = std::max(column.longest, typed->end(row) - typed->begin(row));
        for (int64_t i = typed->begin(row); i < typed->end(row); ++i) add(column, typed->cell(i, scratch), part);
      }
    }
    first += chunk.rows();
  }
}

void read_file(const DatasetConfig& config, const std::string& path, const FilePart& where, FileProfile& profile,
               const ProgressListener& progress) {
  const auto source = open_rows(path, config);
  for (const FileState& file : source->files()) {
    if (!file.regular) {
      throw InputError(cat(file.path, ": is a pipe; training reads the rows again: write them to a file"));
    }
  }
  if (profile.columns.empty()) {
    source->select({config.label});  // which must be there
    std::map<std::string, int> seen;
    for (const std::string& name : source->columns()) ++seen[name];
    for (const std::string& name : source->columns()) {
      if (!has_text(name) || seen[name] > 1) {
        profile.unnamed.push_back(name);
      } else {
        profile.columns.emplace_back().name = name;
      }
    }
  }
  std::vector<std::string> names;
  for (const ColumnProfile& column : profile.columns) names.push_back(column.name);
  source->select(names);
  RowGroups groups(*source, "reading", progress);
  int64_t first = 0;
  while (groups.next()) {
    groups.run(names.size(),
               [&](size_t c) { add_rows(profile.columns[c], groups.chunks(), static_cast<int64_t>(c), first, where); });
    for (int64_t row = first; row < first + groups.rows_in_group(); ++row) {
      ++profile.rows[static_cast<size_t>(where.of(row))];
    }
    first += groups.rows_in_group();
  }
  for (const std::string& warning : source->warnings()) profile.warnings.push_back(warning);
}

}  // namespace

int64_t ColumnProfile::distinct(int64_t min_count) const {
  const std::vector<int64_t>& train = count[0];
  return std::count_if(train.begin(), train.end(), [&](int64_t n) { return n >= min_count; });
}

double ColumnProfile::unseen(Part part, int64_t min_count) const {
  int64_t all = 0, unseen = 0;
  for (int64_t value = 0; value < values.size(); ++value) {
    all += count_of(part, value);
    if (count_of(Part::train, value) < min_count) unseen += count_of(part, value);
  }
  return all == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(unseen) / static_cast<double>(all);
}

const ColumnProfile& FileProfile::column(const std::string& name) const {
  const auto it = std::find_if(columns.begin(), columns.end(), [&](const auto& c) { return c.name == name; });
  KDEF_CHECK(it != columns.end(), "FileProfile: no column '", name, "'");
  return *it;
}

FileProfile profile(const DatasetConfig& config, const ProgressListener& progress) {
  FileProfile profile;
  std::optional<RowParts> parts;
  if (config.splits()) parts.emplace(config, progress);
  read_file(config, config.train_data, {parts ? &*parts : nullptr, Part::train}, profile, progress);
  if (!config.valid_data.empty()) read_file(config, config.valid_data, {nullptr, Part::valid}, profile, progress);
  if (!config.test_data.empty()) read_file(config, config.test_data, {nullptr, Part::test}, profile, progress);
  return profile;
}

}  // namespace kdef::data
