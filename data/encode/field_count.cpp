#include "data/encode/field_count.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "data/encode/encoder.h"

namespace kdef::data {

// One piece of machine code for every caller, so that its roundings are the same.
[[gnu::noinline]] void Moments::add(std::span<const double> numbers) {
  for (const double number : numbers) {
    const double delta = number - mean;
    mean += delta / static_cast<double>(++count);
    squares += delta * (number - mean);
    min = std::min(min, number);
    max = std::max(max, number);
  }
}

FieldCount::FieldCount(const FieldConfig& field, std::optional<std::pair<double, double>> scale)
    : cells_(field), scale_(scale) {
  if (field.type == FieldType::sequence) max_len_ = field.max_len;
  if (field.type == FieldType::numeric && field.normalizer == Normalizer::none) scale_ = {0, 1};
}

// The number of a word, which is not counted.
int32_t FieldCount::number_of(std::string_view word) {
  const size_t index = static_cast<size_t>(words_.insert(word));
  if (index == counts_.size()) counts_.push_back(0);
  return static_cast<int32_t>(index + 1);
}

int32_t FieldCount::count(int32_t number) {
  ++counts_[static_cast<size_t>(number - 1)];
  return number;
}

void FieldCount::read(std::span<const Chunk> chunks, int64_t slot, std::string& packed) {
  ids_.clear();
  scaled_.clear();
  numbers_.clear();
  for (const Chunk& chunk : chunks) {
    if (cells_.field().has_ids()) {
      read_ids(chunk, slot);
    } else if (!chunk.typed.empty()) {
      read_typed(chunk, slot);
    } else if (cells_.field().type == FieldType::categorical && cells_.verbatim()) {
      read_words(chunk.rows(), [&](int64_t row) { return chunk.cell(row, slot); });
    } else {
      read_cells(chunk, slot);
    }
  }
  moments_.add(numbers_);
  pack(packed);
}

// Counts cells that are words without a conversion; cell(row) is the text of one. They are looked up in blocks.
template <class Cell>
void FieldCount::read_words(int64_t rows, Cell&& cell) {
  std::array<std::string_view, 256> texts;
  const int64_t piece = static_cast<int64_t>(texts.size());
  for (int64_t first = 0; first < rows; first += piece) {
    const size_t n = static_cast<size_t>(std::min(piece, rows - first));
    for (size_t i = 0; i < n; ++i) texts[i] = cells_.verbatim_word(cell(first + static_cast<int64_t>(i)));
    ids_.resize(ids_.size() + n);
    int32_t* id = ids_.data() + ids_.size() - n;
    words_.insert({texts.data(), n}, id);
    counts_.resize(static_cast<size_t>(words_.size()));
    for (size_t i = 0; i < n; ++i) ++counts_[static_cast<size_t>(id[i]++)];
  }
}

void FieldCount::read_cells(const Chunk& chunk, int64_t slot) {
  CellReader::Scratch scratch;
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    const Place place{chunk.file(), chunk.line(row)};
    const std::string_view cell = chunk.cell(row, slot);
    switch (cells_.field().type) {
      case FieldType::categorical:
        ids_.push_back(count(recent_.id(cell, [&] { return number_of(cells_.word(cell, place, scratch)); })));
        break;
      case FieldType::sequence:
        read_sequence(cell);
        break;
      case FieldType::numeric:
        read_number(cells_.number(cell, place), place);
        break;
    }
  }
}

void FieldCount::read_typed(const Chunk& chunk, int64_t slot) {
  const bool is_sequence = cells_.field().type == FieldType::sequence;
  const TypedColumn& column = is_sequence ? *chunk.typed_column(slot) : *chunk.flat_column(slot);
  CellReader::Scratch scratch;
  if (cells_.field().type == FieldType::categorical && cells_.verbatim() && !column.dictionary &&
      column.values->is_text()) {
    read_words(chunk.rows(), [&](int64_t row) { return column.cell(row, scratch); });
    return;
  }
  if (cells_.field().type == FieldType::numeric) return read_numbers(chunk, column);
  typed_.begin(column);
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    const Place place{chunk.file(), chunk.line(row)};
    if (is_sequence) {
      read_typed_sequence(column, row);
    } else {
      ids_.push_back(
          count(typed_.id(row, [&](std::string_view cell) { return number_of(cells_.word(cell, place, scratch)); })));
    }
  }
}

// What replaces a missing number is read once.
void FieldCount::read_numbers(const Chunk& chunk, const TypedColumn& column) {
  const bool plain = !column.values->is_text() && cells_.takes_numbers();
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    const Place place{chunk.file(), chunk.line(row)};
    const bool missing = column.is_missing(row);
    double value = filler_;
    if (!missing) value = plain ? column.values->number(static_cast<size_t>(column.place(row))) : std::nan("");
    if (!std::isfinite(value)) value = cells_.number(column, row, place);
    if (missing) filler_ = value;
    read_number(value, place);
  }
}

void FieldCount::read_ids(const Chunk& chunk, int64_t slot) {
  const size_t rows = static_cast<size_t>(chunk.rows()), columns = static_cast<size_t>(max_len_);
  ids_.resize(ids_.size() + rows * columns);
  int32_t* const out = ids_.data() + ids_.size() - rows * columns;
  encode_ids(cells_, chunk, slot, max_len_, max_len_, out);
  for (size_t i = 0; i < rows * columns; ++i) largest_ = std::max<int64_t>(largest_, out[i]);
}

void FieldCount::read_sequence(std::string_view cell) {
  tokens_.clear();
  cells_.tokens(cell, [&](std::string_view token, bool is_padding) {
    tokens_.push_back(is_padding ? 0 : count(number_of(token)));
  });
  add_tokens();
}

void FieldCount::read_typed_sequence(const TypedColumn& column, int64_t row) {
  token_ids(
      cells_, column, row, typed_, [&](std::string_view token) { return number_of(token); }, tokens_);
  for (const int32_t number : tokens_) {
    if (number > 0) count(number);
  }
  add_tokens();
}

void FieldCount::add_tokens() {
  ids_.resize(ids_.size() + static_cast<size_t>(max_len_));
  encode_sequence(tokens_, max_len_, cells_.field().padding, ids_.data() + ids_.size() - max_len_);
}

void FieldCount::read_number(double value, const Place& place) {
  if (scale_) {
    scaled_.push_back(cells_.scaled(value, scale_->first, scale_->second, place));
    return;
  }
  numbers_.push_back(value);
}

void FieldCount::pack(std::string& packed) const {
  if (is_scaled()) {
    pack_column(scaled_, packed);
  } else if (cells_.field().type == FieldType::numeric) {
    pack_column(numbers_, packed);
  } else if (std::max(words_.size(), largest_) < 1 << 8) {
    pack_as<uint8_t>(packed);
  } else if (std::max(words_.size(), largest_) < 1 << 16) {
    pack_as<uint16_t>(packed);
  } else {
    pack_as<int32_t>(packed);
  }
}

template <class T>
void FieldCount::pack_as(std::string& packed) const {
  packed.resize(1 + ids_.size() * sizeof(T));
  packed[0] = static_cast<char>(sizeof(T));
  char* out = packed.data() + 1;
  for (size_t i = 0; i < ids_.size(); ++i) {
    const T id = static_cast<T>(ids_[i]);
    std::memcpy(out + i * sizeof(T), &id, sizeof(T));
  }
}

std::pair<double, double> FieldCount::scaling() const {
  if (scale_) return *scale_;
  double shift = 0, scale = 1;
  switch (cells_.field().normalizer) {
    case Normalizer::standard:
      shift = moments_.mean;
      if (moments_.max > moments_.min) scale = 1 / std::sqrt(moments_.squares / static_cast<double>(moments_.count));
      break;
    case Normalizer::min_max:
      shift = moments_.min;
      if (moments_.max > moments_.min) scale = 1 / (moments_.max - moments_.min);
      break;
    case Normalizer::none:
      break;
  }
  if (!std::isfinite(shift) || !std::isnormal(scale)) {
    throw InputError(cat("column ", cells_.field().name, ": its training cells range from ", shortest(moments_.min),
                         " to ", shortest(moments_.max),
                         ", and no normalizer can scale that in fp64; correct the cells"));
  }
  return {shift, scale};
}

// The largest id, the number of words, the count and the size of each, and their bytes.
Group::Bytes FieldCount::counted() const {
  std::vector<int64_t> numbers = {largest_, words_.size()};
  std::string text;
  for (int64_t i = 0; i < words_.size(); ++i) {
    numbers.push_back(counts_[static_cast<size_t>(i)]);
    numbers.push_back(static_cast<int64_t>(words_[i].size()));
    text += words_[i];
  }
  const auto head = std::as_bytes(std::span(numbers)), tail = std::as_bytes(std::span(text));
  Group::Bytes bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

void FieldCount::add_counted(const Group::Bytes& counted) {
  const auto number = [&](int64_t i) {
    int64_t value;
    std::memcpy(&value, counted.data() + 8 * i, sizeof value);
    return value;
  };
  const int64_t words = number(1);
  const char* text = reinterpret_cast<const char*>(counted.data()) + 16 * (words + 1);
  largest_ = std::max(largest_, number(0));
  for (int64_t i = 0; i < words; ++i) {
    const int64_t count = number(2 * i + 2), size = number(2 * i + 3);
    const int32_t known = number_of({text, static_cast<size_t>(size)});
    counts_[static_cast<size_t>(known - 1)] += count;
    text += size;
  }
}

void FieldCount::add_moments(const std::string& packed) {
  if (packed.empty()) return;
  numbers_.resize(packed.size() / sizeof(double));
  std::memcpy(numbers_.data(), packed.data(), packed.size());
  moments_.add(numbers_);
}

template <class T>
void PackedIds::translate_as(int64_t first, int64_t last, int32_t* out, int64_t stride) const {
  for (int64_t row = first; row < last; ++row) {
    for (int64_t k = 0; k < max_len_; ++k) {
      T number;
      std::memcpy(&number, data_ + static_cast<size_t>(row * max_len_ + k) * sizeof(T), sizeof(T));
      out[row * stride + k] = table_ == nullptr ? static_cast<int32_t>(number) : table_[number];
    }
  }
}

void PackedIds::translate(int64_t first, int64_t last, int32_t* out, int64_t stride) const {
  if (width_ == 1) return translate_as<uint8_t>(first, last, out, stride);
  if (width_ == 2) return translate_as<uint16_t>(first, last, out, stride);
  translate_as<int32_t>(first, last, out, stride);
}

}  // namespace kdef::data
