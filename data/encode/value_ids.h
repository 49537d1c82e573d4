// The ids of the values of typed columns, so that a value becomes a word once and not in every row; internal to data/.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "data/raw/cells.h"
#include "data/raw/typed_column.h"

namespace kdef::data {

/// Numbers of 64 bits and their ids: open addressing, 32 to 64 bytes for each.
class NumberIds {
 public:
  /// The id of `number`; that of make(), which may throw, where it is new.
  template <class Make>
  int32_t id(uint64_t number, Make&& make) {
    Entry* entry = find(number);
    if (entry->id1 == 0) {
      const int32_t id = make();
      if (2 * (size_ + 1) > entries_.size()) grow();
      entry = find(number);
      *entry = {number, static_cast<uint32_t>(id) + 1};
      ++size_;
    }
    return static_cast<int32_t>(entry->id1 - 1);
  }

 private:
  struct Entry {
    uint64_t number = 0;
    uint32_t id1 = 0;  // id + 1; 0: the entry is empty
  };
  Entry* find(uint64_t number) {
    // Multiplicative hashing, as in RecentCells; the product's high bits depend on all bits below them.
    uint64_t hash = number * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 32;
    const size_t mask = entries_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      if (entries_[at].id1 == 0 || entries_[at].number == number) return &entries_[at];
    }
  }
  void grow() {
    const std::vector<Entry> before = std::exchange(entries_, std::vector<Entry>(2 * entries_.size()));
    for (const Entry& entry : before) {
      if (entry.id1 != 0) *find(entry.number) = entry;
    }
  }

  std::vector<Entry> entries_ = std::vector<Entry>(64);
  size_t size_ = 0;
};

/// The ids of values, for one column after the other. make(cell) gives the id of the cell that holds a value in a text
/// file (TypedColumn::cell); it may throw.
class ValueIds {
 public:
  /// Before the first id of a column.
  void begin(const TypedColumn& column) {
    column_ = &column;
    if (!column.dictionary || column.values == values_) return;
    values_ = column.values;
    by_place_.assign(values_->size(), kNew);
  }
  template <class Make>
  int32_t id(int64_t i, Make&& make) {
    Values::Scratch scratch;
    if (column_->is_missing(i)) {
      if (missing_ == kNew) missing_ = make(std::string_view());
      return missing_;
    }
    const size_t place = static_cast<size_t>(column_->place(i));
    const Values& values = *column_->values;
    const auto made = [&] { return make(values.cell(place, scratch)); };
    if (column_->dictionary) {
      int32_t& id = by_place_[place];
      if (id == kNew) id = made();
      return id;
    }
    if (values.is_text()) return made();
    return numbers_.id(values.is_integer() ? static_cast<uint64_t>(values.integers[place])
                                           : std::bit_cast<uint64_t>(values.reals[place]),
                       made);
  }

 private:
  static constexpr int32_t kNew = std::numeric_limits<int32_t>::min();
  const TypedColumn* column_ = nullptr;
  std::shared_ptr<const Values> values_;  // of the dictionary that by_place_ is about
  std::vector<int32_t> by_place_;
  int32_t missing_ = kNew;
  NumberIds numbers_;
};

/// The ids of the tokens of a sequence: of the elements of a list, or of the parts of a cell. id_of(token) is that of a
/// token that is not padding, whose id is 0.
template <class IdOf>
void token_ids(const CellReader& cells, const TypedColumn& column, int64_t row, ValueIds& ids, IdOf&& id_of,
               std::vector<int32_t>& tokens) {
  tokens.clear();
  if (!column.lists) {
    Values::Scratch scratch;
    cells.tokens(column.cell(row, scratch),
                 [&](std::string_view token, bool is_padding) { tokens.push_back(is_padding ? 0 : id_of(token)); });
    return;
  }
  for (int64_t i = column.begin(row); i < column.end(row); ++i) {
    tokens.push_back(
        ids.id(i, [&](std::string_view element) { return cells.is_padding(element) ? 0 : id_of(element); }));
  }
}

}  // namespace kdef::data
