#include "data/raw/memory_rows.h"

#include <algorithm>
#include <limits>

#include "core/base/error.h"

namespace kdef::data {

MemoryRows::MemoryRows(std::vector<std::string> columns, std::span<const std::string_view> cells,
                       const std::string& name)
    : RowSource(name), cells_(cells) {
  set_columns(std::move(columns));
  if (width() == 0 || cells.size() % static_cast<size_t>(width()) != 0) {
    throw InputError(cat(name, ": ", cells.size(), " cells do not make rows of ", width(), " columns"));
  }
  rows_ = static_cast<int64_t>(cells.size()) / width();
}

// A chunk is a range of rows; parse() copies their selected cells.
bool MemoryRows::read(Chunk& chunk) {
  chunk.source = this;
  chunk.first_line = next_ + 1;
  chunk.capacity = std::min({kChunkRows, max_rows_, rows_ - next_});
  next_ += chunk.capacity;
  return chunk.capacity > 0;
}

void MemoryRows::parse(Chunk& chunk) const {
  const std::vector<Chunk::Cell*> places = make_cells(chunk, chunk.capacity);
  chunk.text.clear();
  for (int64_t row = 0; row < chunk.capacity; ++row) {
    const std::string_view* cells = cells_.data() + (chunk.first_line - 1 + row) * width();
    for (size_t c = 0; c < places.size(); ++c) {
      if (places[c] == nullptr) continue;
      places[c][row] = {static_cast<uint32_t>(chunk.text.size()), static_cast<uint32_t>(cells[c].size())};
      chunk.text.append(cells[c]);
    }
    if (chunk.text.size() > std::numeric_limits<uint32_t>::max()) {
      throw InputError(cat(path(), ":", chunk.first_line + row, ": the cells up to this row are longer than 4 GiB"));
    }
    chunk.lines.push_back(chunk.first_line + row);
  }
}

double MemoryRows::fraction() const { return rows_ > 0 ? static_cast<double>(next_) / static_cast<double>(rows_) : 1; }

}  // namespace kdef::data
