#include "data/raw/kept_cells.h"

#include <algorithm>

#include "core/base/csv.h"
#include "core/base/error.h"

namespace kdef::data {

KeptCells::KeptCells(std::unique_ptr<RowSource> rows, std::vector<std::string> columns)
    : RowSource(rows->path()), rows_(std::move(rows)), columns_(std::move(columns)) {
  set_columns(rows_->columns());
  rows_->select(columns_);
}

void KeptCells::select(const std::vector<std::string>& names) {
  RowSource::select(names);
  std::vector<std::string> all = names;
  slots_.clear();
  for (const std::string& column : columns_) {
    const auto at = std::find(all.begin(), all.end(), column);
    slots_.push_back(at - all.begin());
    if (at == all.end()) all.push_back(column);
  }
  rows_->select(all);
}

void KeptCells::parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const {
  std::vector<std::vector<std::string>> kept(chunks.size());
  rows_->parse_all(chunks, [&](size_t i) {
    const Chunk& chunk = chunks[i];
    kept[i].resize(static_cast<size_t>(chunk.rows()));
    Values::Scratch scratch;
    for (const int64_t slot : slots_) {
      const TypedColumn* typed = chunk.flat_column(slot);
      for (int64_t row = 0; row < chunk.rows(); ++row) {
        const std::string_view cell = typed == nullptr ? chunk.cell(row, slot) : typed->cell(row, scratch);
        kept[i][static_cast<size_t>(row)] += csv_cell(cell) + ",";
      }
    }
    then(i);
  });
  for (std::vector<std::string>& rows : kept) std::move(rows.begin(), rows.end(), std::back_inserter(cells_));
}

std::string KeptCells::next() {
  KDEF_CHECK(!cells_.empty(), "KeptCells: no row is left");
  std::string cells = std::move(cells_.front());
  cells_.pop_front();
  return cells;
}

}  // namespace kdef::data
