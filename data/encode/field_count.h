// The counting pass over one field of the training rows; internal to data/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/group.h"
#include "data/encode/recent_cells.h"
#include "data/encode/value_ids.h"
#include "data/encode/vocabulary.h"
#include "data/raw/cells.h"
#include "data/raw/row_source.h"

namespace kdef::data {

/// Mean and spread of numbers that come one after the other: Welford's running mean and sum of squared deviations.
struct Moments {
  /// The result depends on the order of the numbers, and not on how they are cut into calls.
  void add(std::span<const double> numbers);

  int64_t count = 0;
  double mean = 0, squares = 0;
  double min = std::numeric_limits<double>::infinity(), max = -min;
};

/// Counts the words of a categorical or sequence field, or the moments of a numeric one. The cells become provisional
/// numbers: of a word its index in the order of first appearance + 1, of padding 0, of an id itself.
class FieldCount {
 public:
  /// The max_len of a sequence must be known. `scale`: shift and scale of a numeric field, where they do not follow
  /// from its cells; a field without normalizer has (0, 1).
  explicit FieldCount(const FieldConfig& field, std::optional<std::pair<double, double>> scale = {});

  /// Counts the cells of a group of rows and packs their numbers. Packed ids are a byte that says their width (1, 2 or
  /// 4 bytes), then rows * max_len() ids of this width; packed numeric cells are one number per row: a scaled float
  /// where is_scaled(), else the double itself. InputError with file and line for a bad cell.
  void read(std::span<const Chunk> chunks, int64_t slot, std::string& packed);

  const CellReader& cells() const { return cells_; }
  /// Of a field whose cells are ids: how many there are, its own number or the largest one + 1.
  int64_t id_count() const { return std::max(cells_.field().id_count, largest_ + 1); }
  /// Ids per row; 1 unless a sequence.
  int64_t max_len() const { return max_len_; }
  /// Words in the order of their provisional numbers, and how often each was seen.
  const StringSet& words() const { return words_; }
  const std::vector<int64_t>& counts() const { return counts_; }
  /// Whether shift and scale of a numeric field were known before its cells.
  bool is_scaled() const { return scale_.has_value(); }
  /// Shift and scale of a numeric field: x becomes (x - shift) * scale. A constant column is only shifted. InputError
  /// where fp64 cannot hold them.
  std::pair<double, double> scaling() const;

  // ---- Where the members of a group have counted different rows.

  /// The words and their counts, or the largest id: what add_counted() of another member takes. Numbers are not in it.
  Group::Bytes counted() const;
  /// Adds what another member has counted. Words keep their provisional numbers; new ones get the numbers behind them.
  void add_counted(const Group::Bytes& counted);
  /// Of a numeric field whose scale is not known: the moments of its cells.
  Moments& moments() { return moments_; }
  /// The same of cells that read() has packed.
  void add_moments(const std::string& packed);

 private:
  int32_t number_of(std::string_view word);
  int32_t count(int32_t number);
  template <class Cell>
  void read_words(int64_t rows, Cell&& cell);
  void read_cells(const Chunk& chunk, int64_t slot);
  void read_sequence(std::string_view cell);
  void read_typed(const Chunk& chunk, int64_t slot);
  void read_numbers(const Chunk& chunk, const TypedColumn& column);
  void read_typed_sequence(const TypedColumn& column, int64_t row);
  void add_tokens();
  void read_ids(const Chunk& chunk, int64_t slot);
  void read_number(double value, const Place& place);
  void pack(std::string& packed) const;
  template <class T>
  void pack_as(std::string& packed) const;

  CellReader cells_;
  int64_t max_len_ = 1;
  StringSet words_;
  std::vector<int64_t> counts_;
  int64_t largest_ = 0;  // of the ids
  std::optional<std::pair<double, double>> scale_;
  Moments moments_;                                           // of a numeric field whose scale is not known
  double filler_ = std::numeric_limits<double>::quiet_NaN();  // of a missing number in typed columns, once it is known
  // Of the group being read, [rows, max_len].
  std::vector<int32_t> ids_;
  std::vector<float> scaled_;
  std::vector<double> numbers_;
  std::vector<int32_t> tokens_;
  RecentCells recent_;
  ValueIds typed_;
};

/// A packed column of ids of a FieldCount.
class PackedIds {
 public:
  /// `packed` and `table` must outlive this object; `table` has the final id of every provisional number. nullptr: the
  /// numbers are the ids.
  PackedIds(const std::string& packed, int64_t max_len, const int32_t* table)
      : data_(packed.data() + 1), width_(packed[0]), max_len_(max_len), table_(table) {}

  /// Writes the final ids of rows [first, last) into a matrix of `stride` columns.
  void translate(int64_t first, int64_t last, int32_t* out, int64_t stride) const;

 private:
  template <class T>
  void translate_as(int64_t first, int64_t last, int32_t* out, int64_t stride) const;

  const char* data_;
  int width_;
  int64_t max_len_;
  const int32_t* table_;
};

/// Bytes of a packed column of numbers.
template <class T>
void pack_column(const std::vector<T>& values, std::string& packed) {
  packed.assign(reinterpret_cast<const char*>(values.data()), sizeof(T) * values.size());
}

}  // namespace kdef::data
