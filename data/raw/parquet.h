// Rows of Parquet files, by Arrow C++, where this program is built with it (KDEF_PARQUET). No other file includes
// headers of Arrow.
#pragma once

#include <memory>
#include <string>

#include "data/raw/row_source.h"

namespace kdef::data {

/// Whether this program reads Parquet files.
bool reads_parquet();

/// The rows of a Parquet file: columns of booleans, integers, floating-point numbers and texts, and of lists of them; a
/// null is a missing cell. The parts of the file are its row groups. InputError for a damaged file and for a column of
/// another type, and, in a program without Arrow, for every file, with the way out.
std::unique_ptr<RowSource> open_parquet(const std::string& path);

}  // namespace kdef::data
