// Rows of files that hold an array per column, each from its first element to its last: .npz and HDF5.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/raw/column_source.h"
#include "data/raw/npy.h"

namespace kdef::data {

/// An array [rows] is a column; [rows, columns] is one whose cells are lists.
class ArraySource : public ColumnSource {
 public:
  /// InputError also for columns with other numbers of rows.
  void select(const std::vector<std::string>& names) override;

 protected:
  /// Fills `out` with the next bytes of an array; InputError where they are not there.
  using Elements = std::function<void(char* out, size_t bytes)>;

  /// `remedy` ends the messages: "; write it by ...".
  ArraySource(const std::string& path, const char* format, std::string remedy);
  /// Called once, by the constructor of a format. InputError for a row that memory cannot hold.
  void set_arrays(std::vector<std::string> names, std::vector<NpyArray> arrays);
  const NpyArray& array(size_t column) const { return arrays_[column]; }
  /// Before the column is selected. InputError as of set_arrays().
  void set_array(size_t column, const NpyArray& array);
  /// "PATH: array 'NAME'".
  std::string where(const std::string& name) const;
  /// The elements of a column from the first one on. Thread-safe.
  virtual Elements open_array(size_t column) const = 0;
  /// All elements of a column of texts that memory holds; null: open_array() has them.
  virtual std::shared_ptr<const Values> texts(size_t) const { return nullptr; }
  const std::string& remedy() const { return remedy_; }

 private:
  std::unique_ptr<ColumnStream> open_column(size_t part, size_t column) const final;
  void check_row(const std::string& name, const NpyArray& array) const;

  const std::string remedy_;
  std::vector<NpyArray> arrays_;  // by column
};

}  // namespace kdef::data
