#include "data/encode/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <span>
#include <utility>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/encode/row_groups.h"
#include "data/encode/vocabulary.h"

namespace kdef::data {
namespace {

// The words of a column, and of every row the place of its word.
struct Words {
  StringSet words;
  std::vector<int32_t> of_row;

  void read(std::span<const Chunk> chunks, const std::string& column) {
    Values::Scratch scratch;
    for (const Chunk& chunk : chunks) {
      const TypedColumn* typed = chunk.flat_column(0);
      for (int64_t row = 0; row < chunk.rows(); ++row) {
        const std::string_view cell = typed == nullptr ? chunk.cell(row, 0) : typed->cell(row, scratch);
        if (cell.empty()) {
          throw InputError(cat(chunk.file(), ":", chunk.line(row), ": column ", column,
                               ": the cell is empty; split_by needs a value in every row"));
        }
        of_row.push_back(static_cast<int32_t>(words.insert(cell)));
      }
    }
  }

  // Places of the words in ascending order.
  std::vector<int32_t> sorted() const {
    std::vector<int32_t> order(static_cast<size_t>(words.size()));
    std::iota(order.begin(), order.end(), 0);
    std::vector<double> numbers(order.size());
    const bool are_numbers = std::all_of(order.begin(), order.end(), [&](int32_t i) {
      double& number = numbers[static_cast<size_t>(i)];
      return read_number(words[i], number) && std::isfinite(number);
    });
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      if (!are_numbers) return words[a] < words[b];
      const double x = numbers[static_cast<size_t>(a)], y = numbers[static_cast<size_t>(b)];
      return x != y ? x < y : a < b;
    });
    return order;
  }

  // The rows in ascending order of their words, rows of one word in their own order.
  std::vector<int64_t> rows_in_order() const {
    std::vector<int64_t> begin(static_cast<size_t>(words.size()));
    for (const int32_t word : of_row) ++begin[static_cast<size_t>(word)];
    int64_t at = 0;
    for (const int32_t word : sorted()) at += std::exchange(begin[static_cast<size_t>(word)], at);
    std::vector<int64_t> order(of_row.size());
    for (size_t row = 0; row < of_row.size(); ++row) {
      order[static_cast<size_t>(begin[static_cast<size_t>(of_row[row])]++)] = static_cast<int64_t>(row);
    }
    return order;
  }
};

// Rows of a part: `size` below 1 is a fraction.
int64_t rows_of(double size, int64_t rows, const char* key, const std::string& path) {
  if (size == 0) return 0;
  const auto n = static_cast<int64_t>(size < 1 ? std::floor(size * static_cast<double>(rows)) : size);
  if (n >= 1 && n < rows) return n;
  throw InputError(cat(path, ": ", key, " ", shortest(size), " of ", rows, " rows is ", n,
                       " rows; training and this part need at least one row each"));
}

}  // namespace

RowParts::RowParts(const DatasetConfig& config, const ProgressListener& progress) {
  const std::string& path = config.train_data;
  const auto source = open_rows(path, config);
  for (const FileState& file : source->files()) {
    if (!file.regular) {
      throw InputError(
          cat(file.path, ": is a pipe, and to split its rows they are read several times; write them to a file"));
    }
  }
  const bool by_column = !config.split_by.empty();
  source->select(by_column ? std::vector{config.split_by} : std::vector<std::string>());
  Words words;
  RowGroups groups(*source, "splitting", progress);
  while (groups.next()) {
    groups.run(by_column, [&](size_t) { words.read(groups.chunks(), config.split_by); });
  }
  rows_ = groups.rows();
  test_ = rows_of(config.test_size, rows_, "test_size", path);
  valid_ = rows_of(config.valid_size, rows_, "valid_size", path);
  if (test_ + valid_ >= rows_) {
    throw InputError(
        cat(path, ": ", valid_, " validation and ", test_, " test rows leave no training rows of ", rows_));
  }
  if (by_column) assign(words.rows_in_order());
  if (config.split_type == SplitType::random) shuffle(static_cast<uint32_t>(config.split_seed));
}

void RowParts::assign(const std::vector<int64_t>& order) {
  parts_.assign(static_cast<size_t>(rows_), Part::train);
  for (int64_t i = rows_ - test_ - valid_; i < rows_; ++i) {
    parts_[static_cast<size_t>(order[static_cast<size_t>(i)])] = i < rows_ - test_ ? Part::valid : Part::test;
  }
}

// Fisher and Yates from the end, with numpy's way of drawing a number in [0, i]: bits of MT19937 under the smallest
// mask that covers i, until one is not larger.
void RowParts::shuffle(uint32_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(rows_));
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 bits(seed);
  for (uint64_t i = order.size() - 1; i > 0; --i) {
    uint64_t mask = i;
    for (const int shift : {1, 2, 4, 8, 16, 32}) mask |= mask >> shift;
    uint64_t drawn;
    do {
      const uint64_t low = bits();
      drawn = (i <= UINT32_MAX ? low : low << 32 | bits()) & mask;
    } while (drawn > i);
    std::swap(order[i], order[drawn]);
  }
  assign(order);
}

Part RowParts::part(int64_t row) const {
  if (!parts_.empty()) return parts_[static_cast<size_t>(row)];
  return row < rows_ - test_ - valid_ ? Part::train : row < rows_ - test_ ? Part::valid : Part::test;
}

void keep_rows(Chunk& chunk, int64_t first, const RowFilter& filter) {
  if (filter.parts == nullptr) return;
  const int64_t slots = static_cast<int64_t>(chunk.cells.size()) / std::max<int64_t>(1, chunk.capacity);
  std::vector<int64_t> kept;
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    if (filter.parts->part(first + row) == filter.part) kept.push_back(row);
  }
  for (int64_t slot = 0; slot < slots; ++slot) {
    Chunk::Cell* cells = chunk.cells.data() + slot * chunk.capacity;
    for (size_t i = 0; i < kept.size(); ++i) cells[i] = cells[kept[i]];
  }
  for (TypedColumn& column : chunk.typed) column.keep(kept);
  for (size_t i = 0; i < kept.size(); ++i) chunk.lines[i] = chunk.lines[static_cast<size_t>(kept[i])];
  chunk.lines.resize(kept.size());
}

}  // namespace kdef::data
