#include "data/raw/array_source.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "data/raw/cells.h"

namespace kdef::data {
namespace {

constexpr int64_t kMaxRowBytes = int64_t{1} << 26;

class ArrayStream : public ColumnStream {
 public:
  ArrayStream(const NpyArray& array, std::function<void(char*, size_t)> take) : array_(array), take_(std::move(take)) {}

  TypedColumn read(int64_t rows) override {
    TypedColumn column;
    auto values = std::make_shared<Values>();
    values->kind = array_.kind();
    buffer_.resize(static_cast<size_t>(rows * array_.row_bytes()));
    take_(buffer_.data(), buffer_.size());
    array_.append(buffer_.data(), rows * array_.columns(), *values);
    column.values = std::move(values);
    column.lists = array_.columns() != 1;
    for (int64_t row = 1; column.lists && row <= rows; ++row) column.ends.push_back(row * array_.columns());
    return column;
  }

 private:
  const NpyArray array_;
  const std::function<void(char*, size_t)> take_;
  std::vector<char> buffer_;
};

}  // namespace

ArraySource::ArraySource(const std::string& path, const char* format, std::string remedy)
    : ColumnSource(path, format), remedy_(std::move(remedy)) {}

std::string ArraySource::where(const std::string& name) const { return cat(path(), ": array ", printable(name)); }

void ArraySource::set_arrays(std::vector<std::string> names, std::vector<NpyArray> arrays) {
  for (size_t c = 0; c < names.size(); ++c) {
    if (arrays[c].row_bytes() > kMaxRowBytes) throw InputError(cat(where(names[c]), ": a row has more than 64 MiB"));
  }
  if (names.empty()) throw InputError(cat(path(), ": holds no arrays", remedy_));
  arrays_ = std::move(arrays);
  set_columns(std::move(names));
}

void ArraySource::select(const std::vector<std::string>& names) {
  RowSource::select(names);
  std::vector<size_t> selected = selected_columns();
  if (selected.empty()) selected.push_back(0);
  int64_t row_bytes = 1;
  for (const size_t c : selected) {
    if (arrays_[c].rows() != arrays_[selected[0]].rows()) {
      throw InputError(cat(where(columns()[c]), " has ", arrays_[c].rows(), " rows, ",
                           printable(columns()[selected[0]]), " has ", arrays_[selected[0]].rows(), remedy_));
    }
    row_bytes += arrays_[c].row_bytes();
  }
  set_parts({arrays_[selected[0]].rows()}, std::max<int64_t>(1, kMaxRowBytes / row_bytes));
}

std::unique_ptr<ColumnStream> ArraySource::open_column(size_t, size_t column) const {
  return std::make_unique<ArrayStream>(arrays_[column], open_array(column));
}

}  // namespace kdef::data
