// Where rows come from: a source gives chunks of whole rows, one after the other, and cuts a chunk into cells. Reading
// is serial; threads share the parsing, by chunks or by columns. A source of text gives cells of text; a format with
// types gives typed columns. A new format of files is one class, and one line in open_rows().
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/group.h"
#include "data/raw/byte_source.h"
#include "data/raw/typed_column.h"
#include "data/schema.h"

namespace kdef::data {

class RowSource;

/// Some whole rows. RowSource::read() fills `source`, `text` and `first_line`, RowSource::parse() the rest: `cells` or
/// `typed`, one of which is empty.
struct Chunk {
  struct Cell {
    uint32_t offset, size;  // bytes of `text`
  };

  int64_t rows() const { return static_cast<int64_t>(lines.size()); }
  /// `slot`: position in the selection. nullptr: the source gives text.
  const TypedColumn* typed_column(int64_t slot) const {
    return typed.empty() ? nullptr : &typed[static_cast<size_t>(slot)];
  }
  /// The same; InputError for a column of lists.
  const TypedColumn* flat_column(int64_t slot) const;
  /// Of a source that gives text.
  std::string_view cell(int64_t row, int64_t slot) const {
    const Cell& c = cells[static_cast<size_t>(slot * capacity + row)];
    return {text.data() + c.offset, c.size};
  }
  /// Where the row begins: the line of a file, or the number of a row in memory, from 1.
  int64_t line(int64_t row) const { return lines[static_cast<size_t>(row)]; }

  /// Names the rows in messages: the path of the file that they stand in.
  const std::string& file() const;

  const RowSource* source = nullptr;  // what cuts the text into cells
  std::string text;
  int64_t first_line = 1;
  int64_t capacity = 0;            // rows that a column of `cells` can hold; at least rows()
  std::vector<Cell> cells;         // column by column: they are counted and encoded by columns
  std::vector<TypedColumn> typed;  // one per selected column
  std::vector<int64_t> lines;      // per row
};

class RowSource {
 public:
  virtual ~RowSource() = default;

  /// Names the source in messages: the path of a file.
  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  /// The names that were selected.
  const std::vector<std::string>& selection() const { return selection_; }
  bool has_column(const std::string& name) const;
  /// The columns whose cells parse() keeps, in this order; no name twice. InputError for a column that the source has
  /// twice or, with the names of all columns, not at all.
  virtual void select(const std::vector<std::string>& names);

  /// Bounds the rows of a chunk from now on, where an encoded row is far longer than its text.
  virtual void limit_rows(int64_t rows) { max_rows_ = rows; }

  /// The next whole rows; false at the end.
  virtual bool read(Chunk& chunk) = 0;
  /// Cuts a chunk that read() filled into cells. Thread-safe where the source gives text; typed columns are parsed in
  /// the order of their chunks. InputError for a row with too few or too many cells.
  virtual void parse(Chunk& chunk) const = 0;
  /// Whether chunks can be parsed in any order, and so by any thread; else threads share the columns.
  virtual bool parses_chunks() const { return true; }
  /// Does so for chunks in the order of read(), with all threads, and calls then(i) once chunk i is parsed.
  virtual void parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const;
  /// Share of the source that has been read, in [0, 1].
  virtual double fraction() const = 0;

  // ---- After the last row has been read and parsed.

  /// The files that the rows came from.
  virtual std::vector<FileState> files() const { return {}; }
  /// How many lines of text the rows took. There are fewer rows where lines are blank or a cell holds a line end.
  virtual int64_t lines() const = 0;
  /// What was read in a way that its writer may not have meant, a sentence each.
  virtual std::vector<std::string> warnings() const { return {}; }

 protected:
  explicit RowSource(std::string path) : path_(std::move(path)) {}
  /// How the names of the columns may have been misread, behind a message about a missing one.
  virtual std::string hint_of_header() const;
  /// Sets the names of the columns. Columns that are not selected may have any names, equal or empty.
  void set_columns(std::vector<std::string> names);
  /// Of every selected column its place among columns().
  std::vector<size_t> selected_columns() const;
  /// Makes `chunk` ready for at most `rows` rows of selected cells, and returns for every column of the source where
  /// its cells go; nullptr: nowhere.
  std::vector<Chunk::Cell*> make_cells(Chunk& chunk, int64_t rows) const;

 private:
  std::string path_;
  std::vector<std::string> columns_;
  std::vector<int32_t> slots_;  // per column: its place in the selection, -1 if none
  std::vector<std::string> selection_;

 protected:
  int64_t max_rows_ = std::numeric_limits<int64_t>::max();  // of a chunk
};

inline const std::string& Chunk::file() const { return source->path(); }

/// Opens raw rows: a CSV or TSV file, plain or compressed, "-" for standard input, a Parquet, .npz or HDF5 file, a
/// folder of such files, or a pattern that they match (part_files.h). A file without header may lack the column
/// `optional` of `config.columns` (the label of rows to predict). InputError for a missing, empty or unknown file.
std::unique_ptr<RowSource> open_rows(const std::string& path, const DatasetConfig& config,
                                     const std::string& optional = "");
/// Opens the rows of `path` that a member of a group reads: of several files some (files_of_member()), of one file all
/// in the first member. Null where it reads none.
std::unique_ptr<RowSource> open_rows_of_member(const std::string& path, const DatasetConfig& config,
                                               const Group& group);
/// Opens the rows of one file, which may be empty: then it has no columns and no rows.
std::unique_ptr<RowSource> open_part(const std::string& path, const DatasetConfig& config,
                                     const std::string& optional = "");

}  // namespace kdef::data
