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
  ArrayStream(const NpyArray& array, std::shared_ptr<const Values> texts) : array_(array), texts_(std::move(texts)) {}

  TypedColumn read(int64_t rows) override {
    TypedColumn column;
    auto values = std::make_shared<Values>();
    values->kind = array_.kind();
    if (texts_ != nullptr) {
      for (int64_t i = 0; i < rows * array_.columns(); ++i) values->add(texts_->bytes_of(next_++));
    } else {
      buffer_.resize(static_cast<size_t>(rows * array_.row_bytes()));
      take_(buffer_.data(), buffer_.size());
      array_.append(buffer_.data(), rows * array_.columns(), *values);
    }
    column.values = std::move(values);
    column.lists = array_.columns() != 1;
    for (int64_t row = 1; column.lists && row <= rows; ++row) column.ends.push_back(row * array_.columns());
    return column;
  }

 private:
  const NpyArray array_;
  const std::function<void(char*, size_t)> take_;
  std::vector<char> buffer_;
  const std::shared_ptr<const Values> texts_;  // or these, from next_ on
  size_t next_ = 0;
};

}  // namespace

ArraySource::ArraySource(const std::string& path, const char* format, std::string remedy)
    : ColumnSource(path, format), remedy_(std::move(remedy)) {}

std::string ArraySource::where(const std::string& name) const { return cat(path(), ": array ", printable(name)); }

void ArraySource::set_arrays(std::vector<std::string> names, std::vector<NpyArray> arrays) {
  for (size_t c = 0; c < names.size(); ++c) check_row(names[c], arrays[c]);
  if (names.empty()) throw InputError(cat(path(), ": holds no arrays", remedy_));
  arrays_ = std::move(arrays);
  set_columns(std::move(names));
}

void ArraySource::set_array(size_t column, const NpyArray& array) {
  check_row(columns()[column], array);
  arrays_[column] = array;
}

void ArraySource::check_row(const std::string& name, const NpyArray& array) const {
  if (array.row_bytes() > kMaxRowBytes) throw InputError(cat(where(name), ": a row has more than 64 MiB"));
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
  if (auto all = texts(column)) return std::make_unique<ArrayStream>(arrays_[column], std::move(all));
  return std::make_unique<ArrayStream>(arrays_[column], open_array(column));
}

}  // namespace kdef::data
