#include "bindings/c/arrow_rows.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "data/raw/cells.h"

namespace kdef {
namespace {

using data::TypedColumn;
using data::Values;

// What a format string of the Arrow C data interface says of the values.
struct Type {
  Values::Kind kind = Values::Kind::integer;
  int bytes = 0;       // of an element, or of an offset of text; 0: one bit, or none
  bool null = false;   // no element has a value
  int list_bytes = 0;  // above 0: lists, whose offsets have so many bytes
};

std::optional<Type> type_of(std::string_view format) {
  using Kind = Values::Kind;
  if (format == "+l") return Type{.list_bytes = 4};
  if (format == "+L") return Type{.list_bytes = 8};
  if (format.size() != 1) return std::nullopt;
  switch (format[0]) {
    case 'n':
      return Type{.null = true};
    case 'b':
      return Type{.kind = Kind::integer, .bytes = 0};
    case 'c':
      return Type{.kind = Kind::integer, .bytes = 1};
    case 'C':
      return Type{.kind = Kind::unsigned_integer, .bytes = 1};
    case 's':
      return Type{.kind = Kind::integer, .bytes = 2};
    case 'S':
      return Type{.kind = Kind::unsigned_integer, .bytes = 2};
    case 'i':
      return Type{.kind = Kind::integer, .bytes = 4};
    case 'I':
      return Type{.kind = Kind::unsigned_integer, .bytes = 4};
    case 'l':
      return Type{.kind = Kind::integer, .bytes = 8};
    case 'L':
      return Type{.kind = Kind::unsigned_integer, .bytes = 8};
    case 'f':
      return Type{.kind = Kind::single, .bytes = 4};
    case 'g':
      return Type{.kind = Kind::real, .bytes = 8};
    case 'u':
    case 'z':
      return Type{.kind = Kind::text, .bytes = 4};
    case 'U':
    case 'Z':
      return Type{.kind = Kind::text, .bytes = 8};
    default:
      return std::nullopt;
  }
}

template <class T>
T element(const void* buffer, int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const char*>(buffer) + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

bool bit(const void* buffer, int64_t i) { return (static_cast<const uint8_t*>(buffer)[i / 8] >> (i % 8) & 1) != 0; }

// An integer of `bytes` bytes; an unsigned one by its bits.
int64_t integer(const void* buffer, int64_t i, int bytes, bool is_unsigned) {
  switch (bytes) {
    case 0:
      return bit(buffer, i);
    case 1:
      return is_unsigned ? int64_t{element<uint8_t>(buffer, i)} : int64_t{element<int8_t>(buffer, i)};
    case 2:
      return is_unsigned ? int64_t{element<uint16_t>(buffer, i)} : int64_t{element<int16_t>(buffer, i)};
    case 4:
      return is_unsigned ? int64_t{element<uint32_t>(buffer, i)} : int64_t{element<int32_t>(buffer, i)};
    default:
      return element<int64_t>(buffer, i);
  }
}

// One column, or what it refers to: the elements of its lists, the values of its dictionary.
class Column {
 public:
  // `where` begins messages. InputError for a type that is not read, and for structs that do not fit it.
  Column(const ArrowSchema* schema, const ArrowArray* array, const std::string& where) : array_(array), where_(where) {
    if (schema == nullptr || array == nullptr || schema->format == nullptr) fail("a struct is missing");
    const std::optional<Type> type = type_of(schema->format);
    if (!type) {
      throw InputError(cat(where, " has the Arrow format '", schema->format,
                           "', which is not read; cast it to numbers or text, or to a list of them"));
    }
    type_ = *type;
    if (array->length < 0 || array->offset < 0) fail("its length or its offset is negative");
    const int64_t buffers = type_.null ? 0 : type_.kind == Values::Kind::text ? 3 : 2;
    if (array->n_buffers != buffers || (buffers > 0 && array->buffers == nullptr)) {
      fail(cat("it has ", array->n_buffers, " buffers, its type needs ", buffers));
    }
    // A buffer of no elements may be null.
    for (int64_t b = 1; b < buffers && array->length > 0; ++b) {
      if (array->buffers[b] == nullptr && !(b == 2 && offset(array->offset) == offset(end()))) fail("a buffer is null");
    }
    if (type_.list_bytes > 0) {
      if (schema->n_children != 1 || array->n_children != 1) fail("a list has one child");
      child_ = std::make_unique<Column>(schema->children[0], array->children[0], where);
      if (child_->type_.list_bytes > 0) fail("its lists are nested");
    }
    if (schema->dictionary != nullptr) {
      const bool whole = type_.kind == Values::Kind::integer || type_.kind == Values::Kind::unsigned_integer;
      if (!whole || type_.bytes == 0 || type_.list_bytes > 0) fail("its indices are no integers");
      dictionary_ = std::make_unique<Column>(schema->dictionary, array->dictionary, where);
      if (dictionary_->type_.list_bytes > 0 || dictionary_->dictionary_) {
        throw InputError(cat(where,
                             " has a dictionary of lists or of another dictionary's words, which is not read; "
                             "cast the column to its values"));
      }
    }
  }

  int64_t end() const { return array_->offset + array_->length; }

  // Rows [first, first + count) behind the offset.
  TypedColumn read(int64_t first, int64_t count) const {
    if (first + count > array_->length) fail(cat("it has ", array_->length, " values, fewer than the rows"));
    first += array_->offset;
    return type_.list_bytes > 0 ? lists(first, count) : dictionary_ ? words(first, count) : values(first, count);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw InputError(cat(where_, " is no valid Arrow array: ", why));
  }
  bool is_null(int64_t i) const {
    return type_.null || (array_->null_count != 0 && array_->buffers[0] != nullptr && !bit(array_->buffers[0], i));
  }
  int64_t offset(int64_t i) const {
    const int bytes = type_.list_bytes > 0 ? type_.list_bytes : type_.bytes;
    if (type_.list_bytes == 0 && type_.kind != Values::Kind::text) return i;
    return array_->buffers[1] == nullptr ? 0 : integer(array_->buffers[1], i, bytes, false);
  }
  void add(int64_t i, Values& to) const {
    switch (to.kind) {
      case Values::Kind::text: {
        const int64_t begin = offset(i), stop = offset(i + 1);
        if (begin < 0 || stop < begin) fail("its offsets do not ascend");
        to.add({static_cast<const char*>(array_->buffers[2]) + begin, static_cast<size_t>(stop - begin)});
        return;
      }
      case Values::Kind::single:
        to.reals.push_back(double{element<float>(array_->buffers[1], i)});
        return;
      case Values::Kind::real:
        to.reals.push_back(element<double>(array_->buffers[1], i));
        return;
      default:
        to.integers.push_back(integer(array_->buffers[1], i, type_.bytes, to.kind == Values::Kind::unsigned_integer));
    }
  }
  TypedColumn values(int64_t first, int64_t count) const {
    auto all = std::make_shared<Values>();
    all->kind = type_.kind;
    TypedColumn column;
    for (int64_t i = first; i < first + count; ++i) {
      const bool null = is_null(i);
      column.places.push_back(null ? TypedColumn::kMissing : static_cast<int32_t>(all->size()));
      if (!null) add(i, *all);
    }
    column.values = std::move(all);
    return column;
  }
  TypedColumn words(int64_t first, int64_t count) const {
    const int64_t size = dictionary_->array_->length;
    std::vector<int64_t> indices;  // -1: null
    for (int64_t i = first; i < first + count; ++i) {
      const int64_t index =
          is_null(i) ? -1 : integer(array_->buffers[1], i, type_.bytes, type_.kind == Values::Kind::unsigned_integer);
      if (!is_null(i) && (index < 0 || index >= size)) fail(cat("index ", index, " is not in its dictionary"));
      indices.push_back(index);
    }
    TypedColumn column;
    if (size <= count) {
      const TypedColumn known = dictionary_->read(0, size);
      column.dictionary = true;
      column.values = known.values;
      for (const int64_t i : indices) column.places.push_back(i < 0 ? TypedColumn::kMissing : known.place(i));
      return column;
    }
    // A few rows do not pay for a large dictionary.
    auto all = std::make_shared<Values>();
    all->kind = dictionary_->type_.kind;
    for (const int64_t i : indices) {
      const int64_t at = i < 0 ? -1 : dictionary_->array_->offset + i;
      const bool null = at < 0 || dictionary_->is_null(at);
      column.places.push_back(null ? TypedColumn::kMissing : static_cast<int32_t>(all->size()));
      if (!null) dictionary_->add(at, *all);
    }
    column.values = std::move(all);
    return column;
  }
  TypedColumn lists(int64_t first, int64_t count) const {
    const int64_t begin = offset(first), stop = offset(first + count);
    if (begin < 0 || stop < begin) fail("its offsets do not ascend");
    const TypedColumn elements = child_->read(begin, stop - begin);
    TypedColumn column;
    column.values = elements.values;
    column.dictionary = elements.dictionary;
    column.lists = true;
    for (int64_t row = first; row < first + count; ++row) {
      const int64_t from = offset(row), to = offset(row + 1);
      if (from < begin || to < from || to > stop) fail("its offsets do not ascend");
      for (int64_t i = from; i < to && !is_null(row); ++i) column.places.push_back(elements.place(i - begin));
      column.ends.push_back(static_cast<int64_t>(column.places.size()));
    }
    if (column.places.empty()) column.values = std::make_shared<Values>();
    return column;
  }

  const ArrowArray* array_;
  const std::string where_;
  Type type_;
  std::unique_ptr<Column> child_, dictionary_;
};

}  // namespace

ArrowRows::ArrowRows(const ArrowSchema& schema, const ArrowArray& batch, const std::string& name)
    : RowSource(name), schema_(schema), batch_(batch), rows_(batch.length) {
  if (schema.release == nullptr || batch.release == nullptr) throw InputError(cat(name, ": has been released"));
  if (schema.format == nullptr || std::string_view(schema.format) != "+s") {
    throw InputError(cat(name, ": its Arrow format is '", schema.format == nullptr ? "" : schema.format,
                         "'; a record batch is a struct, '+s'"));
  }
  if (schema.n_children != batch.n_children) {
    throw InputError(cat(name, ": the schema has ", schema.n_children, " columns, the array ", batch.n_children,
                         "; give the schema of this batch"));
  }
  if (schema.n_children < 0 || batch.length < 0 || batch.offset < 0 ||
      (schema.n_children > 0 && (schema.children == nullptr || batch.children == nullptr))) {
    throw InputError(cat(
        name, ": is no valid Arrow array: its length, offset or number of columns is negative, or children is null"));
  }
  if (batch.n_buffers > 0 && batch.buffers != nullptr && batch.buffers[0] != nullptr && batch.null_count != 0) {
    for (int64_t i = 0; i < rows_; ++i) {
      if (!bit(batch.buffers[0], batch.offset + i)) {
        throw InputError(cat(name, ":", i + 1, ": the row itself is null; a record batch has nulls in its columns"));
      }
    }
  }
  std::vector<std::string> names;
  for (int64_t c = 0; c < schema.n_children; ++c) {
    const ArrowSchema* child = schema.children[c];
    names.emplace_back(child == nullptr || child->name == nullptr ? "" : child->name);
  }
  set_columns(std::move(names));
}

void ArrowRows::select(const std::vector<std::string>& names) {
  RowSource::select(names);
  for (const size_t c : selected_columns()) {
    Column(schema_.children[c], batch_.children[c], cat(path(), ": column ", data::printable(columns()[c])));
  }
}

bool ArrowRows::read(data::Chunk& chunk) {
  chunk.source = this;
  chunk.first_line = next_ + 1;
  chunk.capacity = std::min({kChunkRows, max_rows_, rows_ - next_});
  next_ += chunk.capacity;
  return chunk.capacity > 0;
}

void ArrowRows::parse(data::Chunk& chunk) const {
  chunk.cells.clear();
  chunk.typed.clear();
  chunk.lines.resize(static_cast<size_t>(chunk.capacity));
  std::iota(chunk.lines.begin(), chunk.lines.end(), chunk.first_line);
  for (const size_t c : selected_columns()) {
    const Column column(schema_.children[c], batch_.children[c],
                        cat(path(), ": column ", data::printable(columns()[c])));
    chunk.typed.push_back(column.read(batch_.offset + chunk.first_line - 1, chunk.capacity));
  }
}

double ArrowRows::fraction() const { return rows_ > 0 ? static_cast<double>(next_) / static_cast<double>(rows_) : 1; }

}  // namespace kdef
