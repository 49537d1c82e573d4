// A column of rows as a format with types has it: numbers and texts that nobody prints to parse them again.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kdef::data {

/// Values of one kind.
struct Values {
  enum class Kind : uint8_t { integer, unsigned_integer, single, real, text };  // single: a real of fp32
  using Scratch = std::array<char, 40>;

  Kind kind = Kind::integer;
  std::vector<int64_t> integers;  // of an integer kind; unsigned ones by their bits
  std::vector<double> reals;      // of single and real
  std::string bytes;              // text: all values, one after the other
  std::vector<uint64_t> ends;     // text: where each value ends

  bool is_text() const { return kind == Kind::text; }
  bool is_integer() const { return kind == Kind::integer || kind == Kind::unsigned_integer; }
  size_t size() const { return is_text() ? ends.size() : is_integer() ? integers.size() : reals.size(); }
  void add(std::string_view text) {
    bytes += text;
    ends.push_back(bytes.size());
  }
  /// Of kind text.
  std::string_view bytes_of(size_t place) const {
    const uint64_t begin = place == 0 ? 0 : ends[place - 1];
    return {bytes.data() + begin, static_cast<size_t>(ends[place] - begin)};
  }
  /// Of the other kinds, in fp64.
  double number(size_t place) const {
    if (!is_integer()) return reals[place];
    return kind == Kind::integer ? static_cast<double>(integers[place])
                                 : static_cast<double>(static_cast<uint64_t>(integers[place]));
  }
  /// The cell that holds the value in a text file: an integer in decimal, a real in its shortest form with a point
  /// (0.1, 2.0). A view of the value or of `scratch`.
  std::string_view cell(size_t place, Scratch& scratch) const;
};

/// The cells of one column of a chunk.
struct TypedColumn {
  static constexpr int32_t kMissing = -1;

  std::shared_ptr<const Values> values;
  std::vector<int32_t> places;  // of every value, where it stands in `values`, or kMissing; empty: one after the other
  bool dictionary = false;      // values that are equal have one place; chunks may share `values`
  bool lists = false;           // a row is a list of values, else it is one value
  std::vector<int64_t> ends;    // of the lists: where the values of each row end

  int64_t begin(int64_t row) const { return !lists ? row : row == 0 ? 0 : ends[static_cast<size_t>(row) - 1]; }
  int64_t end(int64_t row) const { return lists ? ends[static_cast<size_t>(row)] : row + 1; }
  int32_t place(int64_t i) const { return places.empty() ? static_cast<int32_t>(i) : places[static_cast<size_t>(i)]; }
  /// Whether value i is missing: it is null, or not a number.
  bool is_missing(int64_t i) const {
    const int32_t at = place(i);
    return at < 0 ||
           (!values->reals.empty() && values->reals[static_cast<size_t>(at)] != values->reals[static_cast<size_t>(at)]);
  }
  /// The cell that holds value i in a text file, empty where it is missing.
  std::string_view cell(int64_t i, Values::Scratch& scratch) const {
    return is_missing(i) ? std::string_view() : values->cell(static_cast<size_t>(place(i)), scratch);
  }
  /// Leaves these rows, which ascend, in place of all.
  void keep(const std::vector<int64_t>& rows);
};

}  // namespace kdef::data
