// Rows of .npz files, as numpy.savez and numpy.savez_compressed write them: an array per column, [rows], or [rows,
// columns] where a row has a list. FuxiCTR writes its prepared data so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/raw/column_source.h"
#include "data/raw/npy.h"

namespace kdef::data {

class NpzReader : public ColumnSource {
 public:
  /// Throws InputError for a file that is no archive of arrays.
  explicit NpzReader(const std::string& path);
  /// InputError also for columns with other numbers of rows.
  void select(const std::vector<std::string>& names) override;

 protected:
  std::unique_ptr<ColumnStream> open_column(size_t part, size_t column) const override;

 private:
  std::vector<NpyArray> arrays_;  // by column
  std::vector<uint64_t> members_;
};

}  // namespace kdef::data
