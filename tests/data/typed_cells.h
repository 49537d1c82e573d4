// What files with types hold, as texts.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "data/raw/row_source.h"

namespace kdef::data {

using Rows = std::vector<std::vector<std::string>>;

/// The cells of a file as text, row by row; the values of a list with blanks between them, "?" where one is missing.
inline Rows cells_of(RowSource& source, const std::vector<std::string>& names) {
  source.select(names);
  Rows rows;
  for (Chunk chunk; source.read(chunk);) {
    source.parse(chunk);
    for (int64_t r = 0; r < chunk.rows(); ++r) {
      EXPECT_EQ(chunk.line(r), static_cast<int64_t>(rows.size()) + 1);
      rows.emplace_back();
      for (size_t c = 0; c < names.size(); ++c) {
        const TypedColumn& column = *chunk.typed_column(static_cast<int64_t>(c));
        std::string text;
        for (int64_t i = column.begin(r); i < column.end(r); ++i) {
          Values::Scratch scratch;
          text += (text.empty() ? "" : " ") + (column.is_missing(i) ? "?" : std::string(column.cell(i, scratch)));
        }
        rows.back().push_back(text);
      }
    }
  }
  return rows;
}

}  // namespace kdef::data
