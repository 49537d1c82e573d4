// Rows of an Arrow record batch, by the Arrow C data interface.
#pragma once

#include <vector>

#include "bindings/c/kdef.h"
#include "data/raw/row_source.h"

namespace kdef {

/// The columns of a record batch, which must outlive this object and is neither changed nor released. A value means
/// what it means in a Parquet file: integers, reals, bool, text and binary, dictionaries of them, lists of them; null
/// is a missing value. Messages name the rows by their number, from 1.
class ArrowRows : public data::RowSource {
 public:
  /// InputError where the structs do not describe a record batch. Columns are looked at when they are selected.
  ArrowRows(const ArrowSchema& schema, const ArrowArray& batch, const std::string& name = "the record batch");

  /// InputError also for a column of a type that is not read.
  void select(const std::vector<std::string>& names) override;
  bool read(data::Chunk& chunk) override;
  void parse(data::Chunk& chunk) const override;
  double fraction() const override;
  int64_t lines() const override { return rows_; }

  static constexpr int64_t kChunkRows = 4096;

 private:
  const ArrowSchema& schema_;
  const ArrowArray& batch_;
  int64_t rows_ = 0, next_ = 0;  // of all, and the first that is not in a chunk yet
};

}  // namespace kdef
