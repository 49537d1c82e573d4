#include "data/raw/reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "core/base/error.h"
#include "core/base/nearest.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace kdef::data {
namespace {

bool blank(const char* p, const char* end) { return p == end || (end - p == 1 && *p == '\r'); }

// A column's name for a message: a file that is no text must not steer the terminal.
std::string without_controls(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return name;
}

char separator_of(const std::string& path, const std::string& separator) {
  if (separator == "\\t") return '\t';
  if (separator.size() == 1 && separator != "\n" && separator != "\r" && separator != "\"") return separator[0];
  if (!separator.empty()) {
    throw InputError(cat("separator '", separator, "' of ", path,
                         ": it must be one character, not a quote or a line end; for example ',' or '\\t'"));
  }
  std::string name = path;
  for (const char* compressed : {".gz", ".zst"}) {
    if (name.ends_with(compressed)) name.resize(name.size() - std::strlen(compressed));
  }
  return name.ends_with(".tsv") ? '\t' : ',';
}

// Which of n <= 64 bytes are `separator` or a line end: a bit each, the first byte's lowest.
uint64_t delimiters(const char* p, size_t n, char separator) {
  char padded[64];
  if (n < 64) {  // bytes behind a text are not read
    std::memcpy(padded, p, n);
    std::memset(padded + n, 0, 64 - n);
    p = padded;
  }
  uint64_t bits = 0;
#ifdef __SSE2__
  const __m128i cell = _mm_set1_epi8(separator), row = _mm_set1_epi8('\n');
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + i);
    const __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, cell), _mm_cmpeq_epi8(bytes, row));
    bits |= static_cast<uint64_t>(_mm_movemask_epi8(ends)) << (16 * i);
  }
#else
  for (int i = 0; i < 64; ++i) bits |= static_cast<uint64_t>(p[i] == separator || p[i] == '\n') << i;
#endif
  return n < 64 ? bits & ((uint64_t{1} << n) - 1) : bits;
}

}  // namespace

RowReader::RowReader(const std::string& path, const std::string& separator, const std::vector<std::string>& columns,
                     const std::string& optional)
    : path_(path), separator_(separator_of(path, separator)), source_(ByteSource::open(path)) {
  fill();
  if (pending_.starts_with("\xEF\xBB\xBF")) pending_.erase(0, 3);
  while (!pending_.empty()) {  // the first row: the header, or proof that the columns fit
    const size_t end = std::min(pending_.find('\n'), pending_.size());
    if (!blank(pending_.data(), pending_.data() + end)) break;
    line_ += end < pending_.size();
    pending_.erase(0, end + 1);
    if (pending_.empty()) fill();
  }
  if (pending_.empty()) throw InputError(cat(path_, ": the file is empty; it needs rows of cells"));
  read_columns(columns, optional);
  std::unordered_set<std::string> seen;
  for (const std::string& name : columns_) {
    if (!seen.insert(name).second) {
      throw InputError(cat(path_, ": two columns are named '", without_controls(name), "'; rename one of them"));
    }
  }
  slots_.assign(columns_.size(), -1);
}

void RowReader::read_columns(const std::vector<std::string>& named, const std::string& optional) {
  std::string text = pending_;
  std::vector<Chunk::Cell> cells;
  char* stop;
  while ((stop = parse_row(text.data(), text.data() + text.size(), &cells, text.data())) == nullptr ||
         (stop[-1] != '\n' && !ended_)) {
    if (ended_ || pending_.size() > kMaxRowBytes) {
      if (ended_) throw InputError(cat(path_, ":", line_, ": a quote that begins in this row is not closed"));
      too_long();
    }
    fill();
    text = pending_;
    cells.clear();
  }
  if (named.empty()) {
    for (const Chunk::Cell& c : cells) columns_.emplace_back(text, c.offset, c.size);
    const size_t used = static_cast<size_t>(stop - text.data());
    line_ += std::count(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(used), '\n');
    pending_.erase(0, used);
    return;
  }
  columns_ = named;
  const auto left_out = std::find(columns_.begin(), columns_.end(), optional);
  if (cells.size() + 1 == columns_.size() && left_out != columns_.end()) columns_.erase(left_out);
}

bool RowReader::has_column(const std::string& name) const {
  return std::find(columns_.begin(), columns_.end(), name) != columns_.end();
}

void RowReader::select(const std::vector<std::string>& names) {
  std::fill(slots_.begin(), slots_.end(), -1);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto at = std::find(columns_.begin(), columns_.end(), names[i]);
    if (at == columns_.end()) {
      std::string list;
      for (const std::string& column : columns_) {
        if (list.size() > 2000) {
          list += ", ...";
          break;
        }
        list += (list.empty() ? "" : ", ") + without_controls(column);
      }
      throw InputError(cat(path_, ": no column '", names[i], "'", did_you_mean(names[i], columns_),
                           "; the columns are ", list, " (wrong separator or a missing header line?)"));
    }
    slots_[static_cast<size_t>(at - columns_.begin())] = static_cast<int32_t>(i);
  }
  selected_ = static_cast<int64_t>(names.size());
}

void RowReader::too_long() const {
  throw InputError(cat(path_, ":", line_, ": this row is longer than ", kMaxRowBytes >> 20,
                       " MiB; is a quote not closed, or is the file binary?"));
}

// Appends up to kChunkBytes to pending_.
void RowReader::fill() {
  const size_t before = pending_.size();
  pending_.resize(before + kChunkBytes);
  const size_t got = source_->read(pending_.data() + before, kChunkBytes);
  pending_.resize(before + got);
  if (got < kChunkBytes) ended_ = true;
}

// Bytes of `text` up to and including the last row that is surely complete.
size_t RowReader::whole_rows(std::string& text) const {
  if (std::memchr(text.data(), '"', text.size()) == nullptr) {
    const size_t at = text.rfind('\n');
    return at == std::string::npos ? 0 : at + 1;
  }
  char *p = text.data(), *end = p + text.size();
  while (p != end) {
    char* next = parse_row(p, end, nullptr, nullptr);
    if (next == nullptr || next[-1] != '\n') break;
    p = next;
  }
  return static_cast<size_t>(p - text.data());
}

bool RowReader::read(Chunk& chunk) {
  size_t whole;
  for (;;) {
    if (!ended_ && pending_.size() < kChunkBytes) fill();
    whole = ended_ ? pending_.size() : whole_rows(pending_);
    if (whole > 0 || ended_) break;
    if (pending_.size() > kMaxRowBytes) too_long();
    fill();
  }
  if (whole == 0) return false;
  chunk.first_line_ = line_;
  chunk.text_.assign(pending_, whole);  // the text itself changes hands, only the row cut off is copied
  chunk.text_.swap(pending_);
  chunk.text_.resize(whole);
  chunk.column_ = std::count(chunk.text_.begin(), chunk.text_.end(), '\n');
  line_ += chunk.column_;
  ++chunk.column_;  // the last row may lack its line end
  return true;
}

// One row beginning at p; returns the first byte after its line end, or `end`. nullptr: a quote is open at the end.
// With `cells`, quotes are resolved in place and the cells noted as offsets from `base`; otherwise nothing is written.
char* RowReader::parse_row(char* p, char* end, std::vector<Chunk::Cell>* cells, const char* base) const {
  for (;;) {
    char* start = p;
    char* out = p;
    const bool quoted = p != end && *p == '"';
    if (quoted) {
      ++start;
      ++out;
      for (++p;;) {
        char* quote = static_cast<char*>(std::memchr(p, '"', static_cast<size_t>(end - p)));
        if (quote == nullptr) return nullptr;
        const bool doubled = quote + 1 != end && quote[1] == '"';
        const size_t n = static_cast<size_t>(quote - p) + doubled;
        if (cells != nullptr) std::memmove(out, p, n);
        out += n;
        p = quote + 1 + doubled;
        if (!doubled) break;
      }
    }
    char* rest = p;  // what follows a closing quote belongs to the cell, as it stands
    while (p != end && *p != separator_ && *p != '\n') ++p;
    const bool row_ends = p == end || *p == '\n';
    size_t n = static_cast<size_t>(p - rest);
    if (row_ends && n > 0 && p[-1] == '\r') --n;
    if (cells != nullptr) {
      if (quoted) std::memmove(out, rest, n);
      cells->push_back({static_cast<uint32_t>(start - base), static_cast<uint32_t>(out + n - start)});
    }
    if (row_ends) return p == end ? p : p + 1;
    ++p;
  }
}

void RowReader::parse(Chunk& chunk) const {
  const size_t width = columns_.size(), column = static_cast<size_t>(chunk.column_);
  chunk.cells_.resize(static_cast<size_t>(selected_) * column);
  chunk.lines_.clear();
  // Per column of the file: where its cells go, nullptr if nowhere.
  std::vector<Chunk::Cell*> places(width);
  for (size_t c = 0; c < width; ++c) {
    places[c] = slots_[c] < 0 ? nullptr : chunk.cells_.data() + static_cast<size_t>(slots_[c]) * column;
  }
  if (std::memchr(chunk.text_.data(), '"', chunk.text_.size()) == nullptr) {
    parse_plain(chunk, places);
  } else {
    parse_quoted(chunk, places);
  }
}

void RowReader::check_width(size_t found, int64_t line) const {
  const size_t width = columns_.size();
  if (found == width) return;
  throw InputError(cat(path_, ":", line, ": the row has ", found, found == 1 ? " cell, " : " cells, ", width,
                       " are expected; ",
                       found < width ? "fill in the missing cells" : "quote cells that hold the separator",
                       ", or correct separator and columns"));
}

// Without quotes every separator ends a cell and every line end a row.
void RowReader::parse_plain(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const {
  const char* const base = chunk.text_.data();
  const size_t size = chunk.text_.size(), width = columns_.size();
  int64_t line = chunk.first_line_;
  size_t row = 0, cell = 0, found = 0;  // where row and cell begin, cells of the row so far
  const auto end_cell = [&](size_t end) {
    if (found < width && places[found] != nullptr) {
      places[found][chunk.lines_.size()] = {static_cast<uint32_t>(cell), static_cast<uint32_t>(end - cell)};
    }
    ++found;
    cell = end + 1;
  };
  const auto end_row = [&](size_t end) {
    const size_t text_end = end > row && base[end - 1] == '\r' ? end - 1 : end;
    if (text_end > row) {
      end_cell(text_end);
      check_width(found, line);
      chunk.lines_.push_back(line);
    }
    ++line;
    row = cell = end + 1;
    found = 0;
  };
  for (size_t at = 0; at < size; at += 64) {
    const size_t n = std::min<size_t>(64, size - at);
    for (uint64_t ends = delimiters(base + at, n, separator_); ends != 0; ends &= ends - 1) {
      const size_t end = at + static_cast<size_t>(std::countr_zero(ends));
      if (base[end] == '\n') {
        end_row(end);
      } else {
        end_cell(end);
      }
    }
  }
  if (row < size) end_row(size);
}

void RowReader::parse_quoted(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const {
  char* const base = chunk.text_.data();
  char* const end = base + chunk.text_.size();
  std::vector<Chunk::Cell> row;
  int64_t line = chunk.first_line_;
  for (char* p = base; p != end;) {
    char* stop = static_cast<char*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
    if (stop == nullptr) stop = end;
    if (blank(p, stop)) {
      p = stop == end ? end : stop + 1;
      ++line;
      continue;
    }
    // Line ends are counted first: resolving quotes moves bytes.
    char* const next = parse_row(p, end, nullptr, base);
    if (next == nullptr) throw InputError(cat(path_, ":", line, ": a quote that begins in this row is not closed"));
    const int64_t lines = std::count(p, next, '\n');
    row.clear();
    parse_row(p, end, &row, base);
    check_width(row.size(), line);
    for (size_t c = 0; c < row.size(); ++c) {
      if (places[c] != nullptr) places[c][chunk.lines_.size()] = row[c];
    }
    chunk.lines_.push_back(line);
    line += lines;
    p = next;
  }
}

}  // namespace kdef::data
