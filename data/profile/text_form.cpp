#include "data/profile/text_form.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

#include "core/base/error.h"
#include "data/raw/byte_source.h"
#include "data/raw/cell_numbers.h"

namespace kdef::data {
namespace {

constexpr size_t kHeadBytes = size_t{1} << 16;
constexpr std::string_view kSeparators = ",\t;| ";

using Row = std::vector<std::string>;

// The whole rows at the beginning of a file under one form.
struct Cut {
  std::vector<Row> rows;
  bool odd = false;  // text stands behind a closing quote, or a quote takes half of the head

  size_t width() const { return rows.empty() ? 0 : rows[0].size(); }
  double even() const {
    const auto same = std::count_if(rows.begin(), rows.end(), [&](const Row& row) { return row.size() == width(); });
    return rows.empty() ? 0 : static_cast<double>(same) / static_cast<double>(rows.size());
  }
};

// `whole`: the text is the whole file, and its last row may lack the line end.
Cut cut(std::string_view text, bool whole, char separator, Quote quote) {
  Cut result;
  Row row;
  std::string cell;
  size_t begun = 0;  // where the row begins
  bool quoted = false, closed = false;
  const auto end_cell = [&] {
    row.push_back(cell);
    cell.clear();
    closed = false;
  };
  const auto end_row = [&](size_t next) {
    if (!cell.empty() && cell.back() == '\r') cell.pop_back();
    const bool blank = row.empty() && cell.empty() && !closed;
    end_cell();
    if (!blank) result.rows.push_back(row);
    row.clear();
    begun = next;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        cell += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        cell += text[i++];
      } else {
        quoted = false;
        closed = true;
      }
    } else if (c == '"' && quote == Quote::double_quote && cell.empty() && !closed) {
      quoted = true;
    } else if (c == separator) {
      end_cell();
    } else if (c == '\n') {
      end_row(i + 1);
    } else {
      if (closed && c != '\r') result.odd = true;
      cell += c;
    }
  }
  if (quoted && (whole || 2 * (text.size() - begun) > text.size())) result.odd = true;
  if (whole && begun < text.size() && !quoted) end_row(text.size());
  return result;
}

bool is_number(const std::string& cell) { return cell_number(cell).has_value(); }

// 0, 1, 2, ... or 1, 2, 3, ...: what pandas writes as names where there are none. Three numbers may do so by chance.
bool counts_up(const Row& cells) {
  constexpr size_t kFewest = 4;
  if (cells.size() < kFewest) return false;
  const std::optional<double> first = cell_number(cells[0]);
  if (!first || (*first != 0 && *first != 1)) return false;
  for (size_t c = 0; c < cells.size(); ++c) {
    if (cell_number(cells[c]) != *first + static_cast<double>(c)) return false;
  }
  return true;
}

bool has_header(const std::vector<Row>& rows, const std::string& label) {
  const Row& first = rows[0];
  if (counts_up(first) && std::none_of(rows.begin() + 1, rows.end(), counts_up)) return true;
  if (std::find(first.begin(), first.end(), label) != first.end() && !is_number(label)) return true;
  const std::set<std::string> different(first.begin(), first.end());
  const bool is_data = different.size() < first.size() || std::any_of(first.begin(), first.end(), [](const auto& cell) {
                         return cell.empty() || is_number(cell);
                       });
  for (size_t c = 0; c < first.size() && rows.size() > 1; ++c) {
    if (first[c].empty() || is_number(first[c])) continue;
    const bool above_numbers = std::all_of(rows.begin() + 1, rows.end(), [&](const Row& row) {
      return c < row.size() && (row[c].empty() || is_number(row[c]));
    });
    const bool any = std::any_of(rows.begin() + 1, rows.end(), [&](const Row& row) { return !row[c].empty(); });
    if (above_numbers && any) return true;
  }
  return !is_data;
}

}  // namespace

TextForm find_text_form(const std::string& path, const std::string& label) {
  const auto source = ByteSource::open(path);
  std::string text(source->peek(kHeadBytes));
  const bool whole = text.size() < kHeadBytes;
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (text.find('\n') == std::string::npos) std::replace(text.begin(), text.end(), '\r', '\n');
  if (text.find_first_not_of("\r\n") == std::string::npos) {
    throw InputError(cat(path, ": the file is empty; it needs rows of cells"));
  }
  struct Found {
    TextForm form;
    Cut cut;
  };
  std::optional<Found> best;
  const auto rank = [](const Cut& c) { return std::tuple(!c.odd, c.even(), c.width()); };
  const auto fits = [&] { return best && !best->cut.odd && best->cut.even() == 1; };
  for (const Quote quote : {Quote::double_quote, Quote::none}) {
    if (fits()) break;
    for (const char separator : kSeparators) {
      if (separator == ' ' && fits()) break;  // many texts hold blanks
      Cut tried = cut(text, whole, separator, quote);
      if (tried.width() < 2 || (best && rank(tried) <= rank(best->cut))) continue;
      best = Found{{std::string(1, separator), quote, {}}, std::move(tried)};
    }
  }
  const size_t begin = text.find_first_not_of("\r\n");
  if (!best && !whole && text.find('\n', begin) == std::string::npos) {
    throw InputError(cat(path, ": line ",
                         1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(begin), '\n'),
                         " has more than 64 KiB, from which the form of a text is found; describe the file in a "
                         "dataset_config.yaml by hand"));
  }
  if (!best) {
    throw InputError(cat(path, ": line 1 has one cell; none of the separators comma, tab, semicolon, | and blank cuts ",
                         "its rows into columns"));
  }
  if (!has_header(best->cut.rows, label)) {
    for (size_t c = 1; c <= best->cut.width(); ++c) best->form.columns.push_back(cat("c", c));
  }
  return best->form;
}

}  // namespace kdef::data
