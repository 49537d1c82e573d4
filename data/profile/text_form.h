// How a text file is cut into cells: found from its beginning, where nobody has written it down.
#pragma once

#include <string>
#include <vector>

#include "data/schema.h"

namespace kdef::data {

struct TextForm {
  std::string separator = ",";  // one byte
  Quote quote = Quote::double_quote;
  std::vector<std::string> columns;  // c1, c2, ...: the file has no header line; empty: it has one
};

/// The form of CSV or TSV text, plain or compressed, from its first 64 KiB. `label` is the name of the label column.
///   separator  the one of , TAB ; | by which all rows have the same number of cells; of several the one that gives the
///              most cells; a blank where none of these does
///   quote      none where cells in double quotes would leave rows of different lengths, or text behind a closing quote
///   header     line 1 is one if it names the label, is text above a column of numbers, or counts four columns or more
///              from 0 or 1 on where no other row does; else it is none if it holds a number, an empty cell or a cell
///              twice
/// InputError for a file that cannot be opened, is no text, has one cell in every row, or no line end in 64 KiB.
TextForm find_text_form(const std::string& path, const std::string& label);

}  // namespace kdef::data
