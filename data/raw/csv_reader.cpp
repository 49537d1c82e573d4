#include "data/raw/csv_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "core/base/error.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace kdef::data {
namespace {

bool blank(const char* p, const char* end) { return p == end || (end - p == 1 && *p == '\r'); }

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_line_end(std::string_view row) {
  if (row.ends_with('\n')) row.remove_suffix(1);
  if (row.ends_with('\r')) row.remove_suffix(1);
  return row;
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

// Whether the cells of a row are names of columns: all of them, in any order, or half of them at their places.
bool names_columns(const std::vector<std::string>& cells, const std::vector<std::string>& columns) {
  size_t in_place = 0;
  for (size_t c = 0; c < std::min(cells.size(), columns.size()); ++c) in_place += cells[c] == columns[c];
  if (in_place > 1 && 2 * in_place >= cells.size()) return true;
  const std::unordered_set<std::string_view> names(columns.begin(), columns.end());
  std::unordered_set<std::string_view> named;
  return std::all_of(cells.begin(), cells.end(),
                     [&](const std::string& cell) { return names.contains(cell) && named.insert(cell).second; });
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

CsvReader::CsvReader(const std::string& path, const std::string& separator, const std::vector<std::string>& columns,
                     const std::string& optional, Quote quote, Empty empty)
    : RowSource(path == "-" ? "standard input" : path),
      separator_(separator_of(path, separator)),
      quotes_(quote == Quote::double_quote),
      source_(ByteSource::open(path)) {
  fill();
  if (pending_.starts_with(kByteOrderMark)) pending_.erase(0, kByteOrderMark.size());
  cr_ = pending_.find('\n') == std::string::npos && pending_.find('\r') != std::string::npos;
  if (cr_) std::replace(pending_.begin(), pending_.end(), '\r', '\n');
  skip_blank_lines();
  if (pending_.empty()) {
    if (empty == Empty::allowed) return;
    throw InputError(cat(this->path(), ": the file is empty; it needs rows of cells"));
  }
  set_columns(read_columns(columns, optional));
  first_line_ = line_;
}

// Skips the empty lines before the first row.
void CsvReader::skip_blank_lines() {
  while (!pending_.empty()) {
    const size_t end = std::min(pending_.find('\n'), pending_.size());
    if (!blank(pending_.data(), pending_.data() + end)) return;
    line_ += end < pending_.size();
    pending_.erase(0, end + 1);
    if (pending_.empty()) fill();
  }
}

std::vector<std::string> CsvReader::read_columns(const std::vector<std::string>& named, const std::string& optional) {
  std::string text = pending_;
  std::vector<Chunk::Cell> cells;
  char* stop;
  while ((stop = parse_row(text.data(), text.data() + text.size(), &cells, text.data())) == nullptr ||
         (stop[-1] != '\n' && !ended_)) {
    if (ended_ || pending_.size() > kMaxRowBytes) {
      if (ended_) throw InputError(cat(path(), ":", line_, ": a quote that begins in this row is not closed"));
      too_long();
    }
    fill();
    text = pending_;
    cells.clear();
  }
  std::vector<std::string> columns = named, first;
  for (const Chunk::Cell& c : cells) first.emplace_back(text, c.offset, c.size);
  if (named.empty()) {
    columns = std::move(first);
    const size_t used = static_cast<size_t>(stop - text.data());
    if (columns.size() > 1) header_ = without_line_end(std::string_view(pending_).substr(0, used));
    line_ += std::count(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(used), '\n');
    pending_.erase(0, used);
    return columns;
  }
  if (names_columns(first, columns)) {
    throw InputError(cat(path(), ":", line_, ": this line is a header: it names columns, as '", first[0],
                         "'; leave the key `columns` out, or remove the line"));
  }
  const auto left_out = std::find(columns.begin(), columns.end(), optional);
  if (cells.size() + 1 == columns.size() && left_out != columns.end()) columns.erase(left_out);
  return columns;
}

void CsvReader::too_long() const {
  throw InputError(cat(path(), ":", line_, ": this row is longer than ", kMaxRowBytes >> 20,
                       " MiB; is a quote not closed, or is the file binary?"));
}

// Appends up to kChunkBytes to pending_.
void CsvReader::fill() {
  const size_t before = pending_.size();
  pending_.resize(before + kChunkBytes);
  const size_t got = source_->read(pending_.data() + before, kChunkBytes);
  pending_.resize(before + got);
  if (cr_) std::replace(pending_.begin() + static_cast<std::ptrdiff_t>(before), pending_.end(), '\r', '\n');
  if (got < kChunkBytes) ended_ = true;
}

// Bytes of `text` up to and including the last row that is surely complete.
size_t CsvReader::whole_rows(std::string& text) const {
  if (!has_quotes(text)) {
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

// Of `whole` bytes, which are whole rows, those of the first max_rows_ rows.
size_t CsvReader::first_rows(std::string& text, size_t whole) const {
  char *p = text.data(), *end = p + whole;
  for (int64_t row = 0; row < max_rows_ && p != end; ++row) {
    p = parse_row(p, end, nullptr, nullptr);
    if (p == nullptr) return whole;  // a quote that is not closed, which parse() tells
  }
  return static_cast<size_t>(p - text.data());
}

bool CsvReader::has_quotes(const std::string& text) const {
  return quotes_ && std::memchr(text.data(), '"', text.size()) != nullptr;
}

bool CsvReader::read(Chunk& chunk) {
  if (!source_) return false;
  size_t whole;
  for (;;) {
    if (!ended_ && pending_.size() < kChunkBytes) fill();
    whole = ended_ ? pending_.size() : whole_rows(pending_);
    if (whole > 0 || ended_) break;
    if (pending_.size() > kMaxRowBytes) too_long();
    fill();
  }
  if (whole == 0) {
    state_ = source_->state();
    source_.reset();
    return false;
  }
  if (max_rows_ < static_cast<int64_t>(whole)) whole = first_rows(pending_, whole);
  chunk.source = this;
  chunk.first_line = line_;
  chunk.text.assign(pending_, whole);  // only the row that is cut off is copied; the text itself changes hands
  chunk.text.swap(pending_);
  chunk.text.resize(whole);
  const int64_t lines = std::count(chunk.text.begin(), chunk.text.end(), '\n');
  chunk.capacity = lines + 1;  // the last row may lack its line end
  line_ += chunk.text.back() == '\n' ? lines : chunk.capacity;
  return true;
}

// One row beginning at p; returns the first byte after its line end, or `end`. nullptr: a quote is open at the end.
// With `cells`, quotes are resolved in place and the cells noted as offsets from `base`; otherwise nothing is written.
// `odd`: set where a quoted cell spans lines and goes on after its closing quote.
char* CsvReader::parse_row(char* p, char* end, std::vector<Chunk::Cell>* cells, const char* base, bool* odd) const {
  for (;;) {
    char* start = p;
    char* out = p;
    const bool quoted = quotes_ && p != end && *p == '"';
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
    char* rest = p;  // text that follows a closing quote belongs to the cell
    while (p != end && *p != separator_ && *p != '\n') ++p;
    const bool row_ends = p == end || *p == '\n';
    size_t n = static_cast<size_t>(p - rest);
    if (row_ends && n > 0 && p[-1] == '\r') --n;
    if (odd != nullptr && quoted && n > 0 && std::memchr(start, '\n', static_cast<size_t>(rest - start)) != nullptr) {
      *odd = true;
    }
    if (cells != nullptr) {
      if (quoted) std::memmove(out, rest, n);
      cells->push_back({static_cast<uint32_t>(start - base), static_cast<uint32_t>(out + n - start)});
    }
    if (row_ends) return p == end ? p : p + 1;
    ++p;
  }
}

void CsvReader::parse(Chunk& chunk) const {
  const std::vector<Chunk::Cell*> places = make_cells(chunk, chunk.capacity);
  if (!has_quotes(chunk.text)) {
    parse_plain(chunk, places);
  } else {
    parse_quoted(chunk, places);
  }
}

void CsvReader::check_width(size_t found, int64_t line) const {
  const size_t width = columns().size();
  if (found == width) return;
  throw InputError(cat(path(), ":", line, ": the row has ", found, found == 1 ? " cell, " : " cells, ", width,
                       " are expected; ",
                       found < width ? "fill in the missing cells" : "quote cells that hold the separator",
                       ", or correct separator and columns"));
}

// Files that were joined have their header lines in the middle.
void CsvReader::check_header_again(std::string_view row, int64_t line) const {
  if (row.size() > header_.size() && row.starts_with(kByteOrderMark)) row.remove_prefix(kByteOrderMark.size());
  if (row != header_) return;
  throw InputError(cat(path(), ":", line,
                       ": this row is the header line again, as where files are joined; remove it, or ",
                       "give the folder that holds the files"));
}

std::vector<std::string> CsvReader::warnings() const {
  if (odd_line_ == kNone) return {};
  return {cat(path(), ":", odd_line_.load(),
              ": a cell of this row begins with a quote, spans lines and goes on after the ",
              "closing quote: rows may have been swallowed; if quotes are characters like any other in this file, set ",
              "quote: none")};
}

// Without quotes every separator ends a cell and every line end a row.
void CsvReader::parse_plain(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const {
  const char* const base = chunk.text.data();
  const size_t size = chunk.text.size(), width = columns().size();
  int64_t line = chunk.first_line;
  size_t row = 0, cell = 0, found = 0;  // where row and cell begin, cells of the row so far
  const auto end_cell = [&](size_t end) {
    if (found < width && places[found] != nullptr) {
      places[found][chunk.lines.size()] = {static_cast<uint32_t>(cell), static_cast<uint32_t>(end - cell)};
    }
    ++found;
    cell = end + 1;
  };
  const auto end_row = [&](size_t end) {
    const size_t text_end = end > row && base[end - 1] == '\r' ? end - 1 : end;
    if (text_end > row) {
      if (const size_t n = text_end - row; n == header_.size() || n == header_.size() + kByteOrderMark.size()) {
        if (!header_.empty()) check_header_again({base + row, n}, line);
      }
      end_cell(text_end);
      check_width(found, line);
      chunk.lines.push_back(line);
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

void CsvReader::parse_quoted(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const {
  char* const base = chunk.text.data();
  char* const end = base + chunk.text.size();
  std::vector<Chunk::Cell> row;
  int64_t line = chunk.first_line;
  for (char* p = base; p != end;) {
    char* stop = static_cast<char*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
    if (stop == nullptr) stop = end;
    if (blank(p, stop)) {
      p = stop == end ? end : stop + 1;
      ++line;
      continue;
    }
    // Line ends are counted first: resolving quotes moves bytes.
    bool odd = false;
    char* const next = parse_row(p, end, nullptr, base, &odd);
    if (next == nullptr) throw InputError(cat(path(), ":", line, ": a quote that begins in this row is not closed"));
    const int64_t lines = std::count(p, next, '\n');
    if (odd) {
      int64_t first = odd_line_;
      while (line < first && !odd_line_.compare_exchange_weak(first, line)) {
      }
    }
    if (!header_.empty()) check_header_again(without_line_end({p, static_cast<size_t>(next - p)}), line);
    row.clear();
    parse_row(p, end, &row, base);
    check_width(row.size(), line);
    for (size_t c = 0; c < row.size(); ++c) {
      if (places[c] != nullptr) places[c][chunk.lines.size()] = row[c];
    }
    chunk.lines.push_back(line);
    line += lines;
    p = next;
  }
}

}  // namespace kdef::data
