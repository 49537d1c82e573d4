// Cells of CSV files (RFC 4180).
#pragma once

#include <string>
#include <string_view>

namespace kdef {

/// The cell of a CSV file that holds `text`: in quotes where it has a comma, a quote or a line end.
inline std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string cell = "\"";
  for (const char c : text) {
    if (c == '"') cell += '"';
    cell += c;
  }
  return cell + "\"";
}

}  // namespace kdef
