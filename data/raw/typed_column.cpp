#include "data/raw/typed_column.h"

#include <charconv>
#include <cmath>

namespace kdef::data {

std::string_view Values::cell(size_t place, Scratch& scratch) const {
  if (is_text()) return bytes_of(place);
  char *const begin = scratch.data(), *end = begin, *const limit = begin + scratch.size() - 2;
  if (kind == Kind::integer) end = std::to_chars(begin, limit, integers[place]).ptr;
  if (kind == Kind::unsigned_integer) end = std::to_chars(begin, limit, static_cast<uint64_t>(integers[place])).ptr;
  if (kind == Kind::single) end = std::to_chars(begin, limit, static_cast<float>(reals[place])).ptr;
  if (kind == Kind::real) end = std::to_chars(begin, limit, reals[place]).ptr;
  const std::string_view digits(begin, static_cast<size_t>(end - begin));
  if (!is_integer() && std::isfinite(reals[place]) && digits.find_first_of(".e") == std::string_view::npos) {
    *end++ = '.';
    *end++ = '0';
  }
  return {begin, static_cast<size_t>(end - begin)};
}

void TypedColumn::keep(const std::vector<int64_t>& rows) {
  std::vector<int32_t> kept;
  std::vector<int64_t> kept_ends;
  for (const int64_t row : rows) {
    for (int64_t i = begin(row); i < end(row); ++i) kept.push_back(place(i));
    if (lists) kept_ends.push_back(static_cast<int64_t>(kept.size()));
  }
  places = std::move(kept);
  ends = std::move(kept_ends);
}

}  // namespace kdef::data
