// Encoded rows in memory, as a model takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "data/schema.h"

namespace kdef::data {

/// The most columns of ids, and of numbers, of a row: its bytes cannot overflow.
inline constexpr int64_t kMaxColumns = int64_t{1} << 24;

/// What a row of a batch or of an encoded file consists of, beside its label.
struct RowLayout {
  int64_t id_columns = 0;
  int64_t numeric_columns = 0;
  bool weights = false;  // the rows have weights
  bool groups = false;   // the rows belong to groups

  bool operator==(const RowLayout&) const = default;
};

/// The inputs of `map`, without weights and groups. A sequence has max_len id columns.
inline RowLayout layout_of(const FeatureMap& map) {
  RowLayout layout;
  for (const Field& field : map.fields) {
    switch (field.type) {
      case FieldType::categorical:
        ++layout.id_columns;
        break;
      case FieldType::sequence:
        layout.id_columns += field.max_len;
        break;
      case FieldType::numeric:
        ++layout.numeric_columns;
        break;
    }
  }
  return layout;
}

/// Rows of one layout. Matrices are row-major.
struct Batch {
  int64_t rows = 0;
  std::vector<int32_t> ids;     // [rows, id columns]
  std::vector<float> numerics;  // [rows, numeric columns]
  std::vector<float> labels;    // [rows]; empty where the labels are unknown
  std::vector<float> weights;   // [rows], finite and >= 0; empty: every row counts as 1
  std::vector<int64_t> groups;  // [rows]; rows with equal numbers are one group; empty: there are no groups

  /// Makes space for `new_rows` rows of `layout`, labels included.
  void resize(int64_t new_rows, const RowLayout& layout) {
    const auto count = [&](int64_t columns) { return static_cast<size_t>(new_rows * columns); };
    rows = new_rows;
    ids.resize(count(layout.id_columns));
    numerics.resize(count(layout.numeric_columns));
    labels.resize(count(1));
    weights.resize(count(layout.weights));
    groups.resize(count(layout.groups));
  }
};

}  // namespace kdef::data
