// The format of a file of rows, by its first bytes.
#pragma once

#include <string>

namespace kdef::data {

enum class RowFormat { text, svm, parquet, npz, h5 };

/// Text is CSV or TSV, plain or compressed; svm is a text whose first line is a row of libsvm or libffm. The first
/// bytes of a pipe are gone once they are read, so it counts as text.
RowFormat row_format(const std::string& path);

}  // namespace kdef::data
