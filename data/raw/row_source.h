// Where rows come from: a source gives chunks of whole rows, one after the other, and cuts a chunk into cells. Reading
// is serial; chunks are parsed independently of each other, so that threads share that work. A new format of files is
// one class, and one line in open_rows().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/schema.h"

namespace kdef::data {

/// Some whole rows. RowSource::read() fills `text` and `first_line`, RowSource::parse() the rest.
struct Chunk {
  struct Cell {
    uint32_t offset, size;  // bytes of `text`
  };

  int64_t rows() const { return static_cast<int64_t>(lines.size()); }
  /// `slot`: position in the selection.
  std::string_view cell(int64_t row, int64_t slot) const {
    const Cell& c = cells[static_cast<size_t>(slot * capacity + row)];
    return {text.data() + c.offset, c.size};
  }
  /// Where the row begins: the line of a file, or the number of a row in memory, from 1.
  int64_t line(int64_t row) const { return lines[static_cast<size_t>(row)]; }

  std::string text;
  int64_t first_line = 1;
  int64_t capacity = 0;        // rows that a column of `cells` can hold; at least rows()
  std::vector<Cell> cells;     // column by column: they are counted and encoded by columns
  std::vector<int64_t> lines;  // per row
};

class RowSource {
 public:
  virtual ~RowSource() = default;

  /// Names the source in messages: the path of a file.
  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  bool has_column(const std::string& name) const;
  /// The columns whose cells parse() keeps, in this order; no name twice. InputError, with the names of all columns,
  /// for a column that the source does not have.
  void select(const std::vector<std::string>& names);

  /// The next whole rows; false at the end.
  virtual bool read(Chunk& chunk) = 0;
  /// Cuts a chunk that read() filled into cells. Thread-safe. InputError for a row with too few or too many cells.
  virtual void parse(Chunk& chunk) const = 0;
  /// Share of the source that has been read, in [0, 1].
  virtual double fraction() const = 0;

 protected:
  explicit RowSource(std::string path) : path_(std::move(path)) {}
  /// Sets the names of the columns. InputError where two are equal.
  void set_columns(std::vector<std::string> names);
  /// Makes `chunk` ready for at most `rows` rows of selected cells, and returns for every column of the source where
  /// its cells go; nullptr: nowhere.
  std::vector<Chunk::Cell*> make_cells(Chunk& chunk, int64_t rows) const;

 private:
  std::string path_;
  std::vector<std::string> columns_;
  std::vector<int32_t> slots_;  // per column: its place in the selection, -1 if none
  int64_t selected_ = 0;
};

/// Opens a file of raw rows by its name: CSV and TSV, plain or compressed. A file without header may lack the column
/// `optional` of `config.columns` (the label of rows to predict). InputError for a missing, empty or unknown file.
std::unique_ptr<RowSource> open_rows(const std::string& path, const DatasetConfig& config,
                                     const std::string& optional = "");

}  // namespace kdef::data
