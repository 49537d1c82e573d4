#include "data/raw/column_source.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kdef::data {

ColumnSource::ColumnSource(const std::string& path, const char* format)
    : RowSource(path), bytes_(ByteSource::open_raw(path)) {
  if (!bytes_->state().regular) {
    throw InputError(cat(path, ": is a pipe, and ", format, " is read from files alone; write the rows to a file"));
  }
}

void ColumnSource::set_parts(const std::vector<int64_t>& rows, int64_t chunk_rows) {
  chunk_rows_ = std::min(kChunkRows, chunk_rows);
  rows_ = 0;
  ends_.clear();
  for (const int64_t part : rows) ends_.push_back(rows_ += part);
}

// A chunk is a range of rows of one part.
bool ColumnSource::read(Chunk& chunk) {
  if (next_ == rows_) {
    read_bytes(std::numeric_limits<int64_t>::max());
    return false;
  }
  read_bytes(static_cast<int64_t>(fraction() * static_cast<double>(files()[0].size)));
  const int64_t end = *std::upper_bound(ends_.begin(), ends_.end(), next_);
  chunk.source = this;
  chunk.first_line = next_ + 1;
  chunk.capacity = std::min({chunk_rows_, max_rows_, end - next_});
  next_ += chunk.capacity;
  return true;
}

// Reads the file up to byte `until`, or to its end.
void ColumnSource::read_bytes(int64_t until) {
  block_.resize(size_t{1} << 20);
  while (bytes_ && hashed_ < until) {
    const size_t n = bytes_->read(block_.data(), block_.size());
    hashed_ += static_cast<int64_t>(n);
    if (n == block_.size()) continue;
    state_ = bytes_->state();
    bytes_.reset();
    block_ = {};
  }
}

double ColumnSource::fraction() const {
  return rows_ > 0 ? static_cast<double>(next_) / static_cast<double>(rows_) : 1;
}

size_t ColumnSource::part_of(const Chunk& chunk) const {
  return static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), chunk.first_line - 1) - ends_.begin());
}

void ColumnSource::parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const {
  for (Chunk& chunk : chunks) {
    chunk.cells.clear();
    chunk.typed.assign(selection().size(), {});
    chunk.lines.resize(static_cast<size_t>(chunk.capacity));
    std::iota(chunk.lines.begin(), chunk.lines.end(), chunk.first_line);
    open_[part_of(chunk)].resize(selection().size());
  }
  struct Task {
    size_t part, slot;
    Streams* streams;
  };
  std::vector<Task> tasks;
  for (auto& [part, streams] : open_) {
    for (size_t slot = 0; slot < streams.size(); ++slot) tasks.push_back({part, slot, &streams});
  }
  for_each_index(tasks.size(),
                 [&](size_t i) { parse_column(*tasks[i].streams, tasks[i].part, tasks[i].slot, chunks); });
  for (const Chunk& chunk : chunks) {
    const size_t part = part_of(chunk);
    if (chunk.first_line - 1 + chunk.capacity == ends_[part]) open_.erase(part);
    if (chunk.first_line - 1 + chunk.capacity == rows_) close();
  }
  if (then) for_each_index(chunks.size(), then);
}

void ColumnSource::parse_column(Streams& streams, size_t part, size_t slot, std::span<Chunk> chunks) const {
  for (Chunk& chunk : chunks) {
    if (part_of(chunk) != part) continue;
    if (streams[slot] == nullptr) streams[slot] = open_column(part, selected_columns()[slot]);
    chunk.typed[slot] = streams[slot]->read(chunk.capacity);
  }
}

}  // namespace kdef::data
