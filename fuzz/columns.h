// What holds for the columns of every file with types.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/raw/row_source.h"
#include "fuzz/fuzz.h"

namespace kdef::data {

/// Reads every column of the source that `open` gives, alone and in chunks of several sizes. A column may be refused.
inline void read_columns(const std::function<std::unique_ptr<RowSource>()>& open) {
  int64_t size = 1;
  const std::vector<std::string> names = open()->columns();
  for (const std::string& name : names) {
    const std::unique_ptr<RowSource> one = open();
    try {
      one->select({name});
    } catch (const Error&) {
      continue;
    }
    one->limit_rows(size = size * 5 % 4099);
    int64_t rows = 0;
    for (Chunk chunk; one->read(chunk); rows += chunk.rows()) {
      one->parse(chunk);
      const TypedColumn& column = *chunk.typed_column(0);
      for (int64_t row = 0; row < chunk.rows(); ++row) {
        fuzz::require(column.begin(row) <= column.end(row), "lists follow each other");
        Values::Scratch scratch;
        for (int64_t i = column.begin(row); i < column.end(row); ++i) column.cell(i, scratch);
      }
    }
    fuzz::require(rows == one->lines(), "as many rows as the file has");
  }
}

}  // namespace kdef::data
