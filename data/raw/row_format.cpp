#include "data/raw/row_format.h"

#include <algorithm>
#include <filesystem>

#include "core/base/text.h"
#include "data/raw/byte_source.h"
#include "data/raw/h5_reader.h"
#include "data/raw/svm_reader.h"

namespace kdef::data {

RowFormat row_format(const std::string& path) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(path, unknown)) return RowFormat::text;
  const std::string head(ByteSource::open_raw(path)->peek(16));
  // A line of text may begin with these letters; the next bytes of a Parquet file are numbers.
  const bool is_binary = std::any_of(head.begin(), head.end(), [](unsigned char c) { return c < '\t'; });
  if (head.starts_with("PAR1") && is_binary) return RowFormat::parquet;
  if (is_h5(head)) return RowFormat::h5;
  if (head.starts_with("PK") && lower_case(path).ends_with(".npz")) return RowFormat::npz;
  return is_svm_text(ByteSource::open(path)->peek(4096)) ? RowFormat::svm : RowFormat::text;
}

}  // namespace kdef::data
