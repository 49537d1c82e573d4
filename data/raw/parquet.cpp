#include "data/raw/parquet.h"

#include <arrow/io/file.h>
#include <arrow/memory_pool.h>
#include <parquet/column_reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/schema.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "data/raw/cells.h"
#include "data/raw/column_source.h"

namespace kdef::data {
namespace {

constexpr int64_t kStreamBytes = int64_t{1} << 18;  // that are read ahead of a column
constexpr int64_t kLevels = 8192;                   // of a batch
constexpr int64_t kMaxBuffer = int64_t{256} << 20;  // bytes of a page or a dictionary
constexpr int64_t kMaxElements = int64_t{1} << 27;  // of the lists of one column in one chunk

[[noreturn]] void damaged(const std::string& path, const std::string& why) {
  throw InputError(cat(path, ": not a readable Parquet file: ", why, "; write it again"));
}

// Arrow makes a buffer of the size that the header of a page says, and fills it, before it reads the page. Writers make
// pages of about one MiB.
class BoundedPool : public ::arrow::ProxyMemoryPool {
 public:
  BoundedPool() : ProxyMemoryPool(::arrow::default_memory_pool()) {}
  ::arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override {
    return size > kMaxBuffer ? refusal(size) : ProxyMemoryPool::Allocate(size, alignment, out);
  }
  ::arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment, uint8_t** ptr) override {
    return new_size > kMaxBuffer ? refusal(new_size) : ProxyMemoryPool::Reallocate(old_size, new_size, alignment, ptr);
  }

 private:
  static ::arrow::Status refusal(int64_t size) {
    return ::arrow::Status::OutOfMemory("a page of ", size, " bytes; those of more than ", kMaxBuffer >> 20,
                                        " MiB are not read");
  }
};

::arrow::MemoryPool* bounded_pool() {
  static BoundedPool pool;
  return &pool;
}

// Calls fn(), and gives exceptions of Arrow as errors of the file.
template <class Fn>
auto reading(const std::string& path, Fn fn) {
  try {
    return fn();
  } catch (const ::parquet::ParquetException& e) {
    damaged(path, e.what());
  }
}

// The leaf of a column, and what its levels mean.
struct Leaf {
  int index = 0;        // in the file
  std::string refusal;  // why the column cannot be read
  Values::Kind kind = Values::Kind::integer;
  bool lists = false;
  int16_t value_level = 0;    // definition level of a value that is there
  int16_t element_level = 0;  // lists: from this level on, a list has an element
};

// What the values of a leaf become; nothing for types that are not read.
std::optional<Values::Kind> kind_of(const ::parquet::ColumnDescriptor& column) {
  using ::parquet::Type;
  const ::parquet::LogicalType* logical = column.logical_type().get();
  const bool is_plain = logical == nullptr || logical->is_none() || logical->is_null();
  switch (column.physical_type()) {
    case Type::BOOLEAN:
      return Values::Kind::integer;
    case Type::INT32:
    case Type::INT64:
      if (is_plain) return Values::Kind::integer;
      if (!logical->is_int()) return std::nullopt;
      return static_cast<const ::parquet::IntLogicalType*>(logical)->is_signed() ? Values::Kind::integer
                                                                                 : Values::Kind::unsigned_integer;
    case Type::FLOAT:
      return Values::Kind::single;
    case Type::DOUBLE:
      return Values::Kind::real;
    case Type::BYTE_ARRAY:
      if (is_plain || logical->is_string() || logical->is_enum() || logical->is_JSON()) return Values::Kind::text;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::string type_name(const ::parquet::ColumnDescriptor& column) {
  const ::parquet::LogicalType* logical = column.logical_type().get();
  const std::string name = logical == nullptr || logical->is_none() ? "" : logical->ToString();
  return name.empty() ? ::parquet::TypeToString(column.physical_type()) : name;
}

// The column at the root of the schema that leaf `index` stands under.
Leaf leaf_of(const ::parquet::SchemaDescriptor& schema, int index) {
  const ::parquet::ColumnDescriptor& column = *schema.Column(index);
  Leaf leaf;
  leaf.index = index;
  leaf.value_level = column.max_definition_level();
  leaf.lists = column.max_repetition_level() > 0;
  const std::optional<Values::Kind> kind = kind_of(column);
  if (kind) leaf.kind = *kind;
  if (!kind) leaf.refusal = cat("has the type ", type_name(column), "; cast it to numbers or text");
  int repeated = 0;
  for (const ::parquet::schema::Node* node = column.schema_node().get(); node->parent() != nullptr;
       node = node->parent()) {
    if (node->is_repeated()) leaf.element_level = 0;
    repeated += node->is_repeated();
    leaf.element_level = static_cast<int16_t>(leaf.element_level + (repeated > 0 && !node->is_required()));
  }
  const ::parquet::schema::Node& root = *schema.GetColumnRoot(index);
  const bool is_list = repeated == 1 && !root.logical_type()->is_map();
  if (!is_list && !root.is_primitive()) leaf.refusal = "has parts; write each of them as a column of its own";
  return leaf;
}

// One column of a row group. The column has the values of the file's dictionary where all of its pages use it.
template <class DType>
class LeafStream : public ColumnStream {
  using Reader = ::parquet::TypedColumnReader<DType>;
  using T = typename DType::c_type;
  static constexpr bool kText = std::is_same_v<T, ::parquet::ByteArray>;

 public:
  LeafStream(std::string path, const Leaf& leaf, std::shared_ptr<::parquet::ColumnReader> reader)
      : path_(std::move(path)),
        leaf_(leaf),
        reader_(std::static_pointer_cast<Reader>(std::move(reader))),
        by_dictionary_(reader_->GetExposedEncoding() == ::parquet::ExposedEncoding::DICTIONARY),
        dictionary_(std::make_shared<Values>(Values{leaf.kind})),
        definitions_(kLevels),
        repetitions_(leaf.lists ? kLevels : 0),
        indices_(by_dictionary_ ? kLevels : 0),
        values_(by_dictionary_ ? nullptr : std::make_unique<T[]>(kLevels)) {}

  TypedColumn read(int64_t rows) override {
    return reading(path_, [&] {
      column_ = {};
      column_.lists = leaf_.lists;
      column_.dictionary = by_dictionary_;
      own_ = {};
      own_.kind = leaf_.kind;
      size_ = 0;
      leaf_.lists ? read_lists(rows) : read_values(rows);
      column_.values = by_dictionary_ ? dictionary_ : std::make_shared<const Values>(std::move(own_));
      return std::move(column_);
    });
  }

 private:
  void read_values(int64_t rows) {
    for (int64_t done = 0; done < rows;) {
      const int64_t n = next(rows - done);
      if (n == 0) damaged(path_, "a column has fewer values than its row group has rows");
      done += n;
      if (value_count_ == n && (by_dictionary_ || column_.places.empty())) {
        push_values(n);
        continue;
      }
      int64_t value = 0;
      for (int64_t i = 0; i < n; ++i) {
        if (value_count_ == n || definitions_[static_cast<size_t>(i)] == leaf_.value_level) {
          push_value(value++);
        } else {
          push_missing();
        }
      }
    }
  }

  // A row begins with repetition level 0. No batch is longer than the rows that have not begun, so that only a batch of
  // one level reaches the row behind the last one; that level is carried to the next column.
  void read_lists(int64_t rows) {
    int64_t begun = begin_with_carried();
    for (int64_t n; (n = next(std::max<int64_t>(1, rows - begun))) > 0;) {
      int64_t value = 0;
      for (int64_t i = 0; i < n; ++i) {
        const int16_t level = definitions_[static_cast<size_t>(i)];
        if (repetitions_[static_cast<size_t>(i)] == 0) {
          if (begun > 0) column_.ends.push_back(size_);
          if (begun++ == rows) return carry(level);
        }
        if (begun == 0) damaged(path_, "a list begins in no row");
        if (level == leaf_.value_level) {
          push_value(value++);
        } else if (level >= leaf_.element_level) {
          push_missing();
        }
      }
      if (size_ > kMaxElements) {
        throw InputError(cat(path_, ": the lists of a column have more than ", kMaxElements, " elements in ", begun,
                             " rows; shorten them"));
      }
    }
    if (begun < rows) damaged(path_, "a column has fewer lists than its row group has rows");
    column_.ends.push_back(size_);
  }

  void carry(int16_t level) {
    carried_ = level;
    carried_value_ = {};
    carried_value_.kind = leaf_.kind;
    if (level != leaf_.value_level) return;
    if (by_dictionary_) {
      carried_place_ = place(0);
    } else {
      append(values_[0], carried_value_);
    }
  }

  // Returns the rows that have begun: one with a level that was carried.
  int64_t begin_with_carried() {
    if (!carried_) return 0;
    const int16_t level = *std::exchange(carried_, std::nullopt);
    if (level == leaf_.value_level) {
      if (by_dictionary_) column_.places.push_back(carried_place_);
      own_ = std::move(carried_value_);
      ++size_;
    } else if (level >= leaf_.element_level) {
      push_missing();
    }
    return 1;
  }

  // Reads up to `levels` levels with their values; returns the number of levels, 0 at the end.
  int64_t next(int64_t levels) {
    levels = std::min(levels, kLevels);
    int16_t* repetitions = leaf_.lists ? repetitions_.data() : nullptr;
    if (!by_dictionary_) {
      return reader_->ReadBatch(levels, definitions_.data(), repetitions, values_.get(), &value_count_);
    }
    const T* words = nullptr;
    int32_t count = 0;
    const int64_t n = reader_->ReadBatchWithDictionary(levels, definitions_.data(), repetitions, indices_.data(),
                                                       &value_count_, &words, &count);
    if (words != nullptr && dictionary_->size() == 0) {
      auto dictionary = std::make_shared<Values>();
      dictionary->kind = leaf_.kind;
      for (int32_t i = 0; i < count; ++i) append(words[i], *dictionary);
      dictionary_ = std::move(dictionary);
    }
    return n;
  }

  // Where value i of the batch stands in the dictionary.
  int32_t place(int64_t i) const {
    const int32_t at = indices_[static_cast<size_t>(i)];
    if (at < 0 || static_cast<size_t>(at) >= dictionary_->size()) outside_dictionary();
    return at;
  }
  [[noreturn]] void outside_dictionary() const { damaged(path_, "a value outside of its dictionary"); }

  // One more value of the column: value i of the batch.
  void push_value(int64_t i) {
    if (by_dictionary_) {
      column_.places.push_back(place(i));
    } else {
      append(values_[static_cast<size_t>(i)], own_);
      if (!column_.places.empty()) column_.places.push_back(static_cast<int32_t>(own_.size()) - 1);
    }
    ++size_;
  }

  // All values of a batch, while no value of the column is missing in `places`.
  void push_values(int64_t n) {
    if (by_dictionary_) {
      const auto words = static_cast<uint32_t>(dictionary_->size());
      const auto outside = [&](int32_t at) { return static_cast<uint32_t>(at) >= words; };
      if (std::any_of(indices_.begin(), indices_.begin() + n, outside)) outside_dictionary();
      column_.places.insert(column_.places.end(), indices_.begin(), indices_.begin() + n);
    } else {
      for (int64_t i = 0; i < n; ++i) append(values_[static_cast<size_t>(i)], own_);
    }
    size_ += n;
  }

  void push_missing() {
    if (column_.places.empty()) {  // the first one: until here, value i stood at place i
      column_.places.resize(static_cast<size_t>(size_));
      std::iota(column_.places.begin(), column_.places.end(), 0);
    }
    column_.places.push_back(TypedColumn::kMissing);
    ++size_;
  }

  void append(const T& value, Values& to) const {
    if constexpr (kText) {
      to.add({reinterpret_cast<const char*>(value.ptr), value.len});
    } else if constexpr (std::is_floating_point_v<T>) {
      to.reals.push_back(static_cast<double>(value));
    } else if constexpr (sizeof(T) == 4) {
      to.integers.push_back(leaf_.kind == Values::Kind::integer ? int64_t{value}
                                                                : int64_t{static_cast<uint32_t>(value)});
    } else {
      to.integers.push_back(static_cast<int64_t>(value));
    }
  }

  const std::string path_;
  const Leaf leaf_;
  const std::shared_ptr<Reader> reader_;
  const bool by_dictionary_;
  std::shared_ptr<const Values> dictionary_;
  // The batch.
  std::vector<int16_t> definitions_, repetitions_;
  std::vector<int32_t> indices_;
  std::unique_ptr<T[]> values_;
  int64_t value_count_ = 0;
  // The column that is being read, and what follows it.
  TypedColumn column_;
  Values own_;
  int64_t size_ = 0;
  std::optional<int16_t> carried_;  // a definition level
  Values carried_value_;
  int32_t carried_place_ = 0;
};

class ParquetReader : public ColumnSource {
 public:
  explicit ParquetReader(const std::string& path) : ColumnSource(path, "a Parquet file") {
    auto file = ::arrow::io::ReadableFile::Open(path);
    if (!file.ok()) damaged(path, file.status().message());
    ::parquet::ReaderProperties properties(bounded_pool());
    properties.enable_buffered_stream();
    properties.set_buffer_size(kStreamBytes);
    reading(path, [&] {
      reader_ = ::parquet::ParquetFileReader::Open(*file, properties);
      read_schema(*reader_->metadata());
    });
  }

  void select(const std::vector<std::string>& names) override {
    RowSource::select(names);
    for (const size_t column : selected_columns()) {
      if (leaves_[column].refusal.empty()) continue;
      throw InputError(
          cat(path(), ": column ", printable(columns()[column]), " ", leaves_[column].refusal, ", or leave it out"));
    }
  }

 protected:
  std::unique_ptr<ColumnStream> open_column(size_t part, size_t column) const override {
    return reading(path(), [&]() -> std::unique_ptr<ColumnStream> {
      const Leaf& leaf = leaves_[column];
      auto reader = reader_->RowGroup(static_cast<int>(part))
                        ->ColumnWithExposeEncoding(leaf.index, ::parquet::ExposedEncoding::DICTIONARY);
      switch (reader->type()) {
        case ::parquet::Type::BOOLEAN:
          return std::make_unique<LeafStream<::parquet::BooleanType>>(path(), leaf, std::move(reader));
        case ::parquet::Type::INT32:
          return std::make_unique<LeafStream<::parquet::Int32Type>>(path(), leaf, std::move(reader));
        case ::parquet::Type::INT64:
          return std::make_unique<LeafStream<::parquet::Int64Type>>(path(), leaf, std::move(reader));
        case ::parquet::Type::FLOAT:
          return std::make_unique<LeafStream<::parquet::FloatType>>(path(), leaf, std::move(reader));
        case ::parquet::Type::DOUBLE:
          return std::make_unique<LeafStream<::parquet::DoubleType>>(path(), leaf, std::move(reader));
        case ::parquet::Type::BYTE_ARRAY:
          return std::make_unique<LeafStream<::parquet::ByteArrayType>>(path(), leaf, std::move(reader));
        default:
          throw Error(cat("parquet: no stream for ", ::parquet::TypeToString(reader->type())));
      }
    });
  }

  void close() const override { reader_.reset(); }

 private:
  void read_schema(const ::parquet::FileMetaData& file) {
    const ::parquet::SchemaDescriptor& schema = *file.schema();
    std::vector<std::string> names;
    const ::parquet::schema::Node* root = nullptr;
    for (int i = 0; i < schema.num_columns(); ++i) {
      const ::parquet::schema::Node* const before = std::exchange(root, schema.GetColumnRoot(i));
      if (root == before) {
        leaves_.back().refusal = "has parts; write each of them as a column of its own";
        continue;
      }
      names.push_back(root->name());
      leaves_.push_back(leaf_of(schema, i));
    }
    if (names.empty()) damaged(path(), "it has no columns");
    std::vector<int64_t> rows;
    for (int part = 0; part < file.num_row_groups(); ++part) {
      rows.push_back(file.RowGroup(part)->num_rows());
      if (rows.back() < 0 || rows.back() > kMaxRows) damaged(path(), "a row group has an impossible number of rows");
    }
    set_columns(std::move(names));
    set_parts(rows);
  }

  static constexpr int64_t kMaxRows = int64_t{1} << 40;           // of a row group: their sum does not overflow
  mutable std::unique_ptr<::parquet::ParquetFileReader> reader_;  // none after the last row
  std::vector<Leaf> leaves_;                                      // by column
};

}  // namespace

bool reads_parquet() { return true; }

std::unique_ptr<RowSource> open_parquet(const std::string& path) { return std::make_unique<ParquetReader>(path); }

}  // namespace kdef::data
