// Encodes raw rows by the vocabularies of a prepared data set.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "data/encode/targets.h"
#include "data/encode/vocabulary.h"
#include "data/raw/cells.h"
#include "data/raw/row_source.h"
#include "data/schema.h"

namespace kdef::data {

/// Whether a field has a vocabulary that is not another field's.
bool owns_vocabulary(const FieldConfig& field);

/// Everything that turns a raw row into the input of a model: the settings of the fields, vocabularies and scales.
/// Immutable and thread-safe. Its file needs no other file: a trained model carries a copy.
class Encoder {
 public:
  /// One active field. Fields that share an embedding share the vocabulary; a numeric field has no vocabulary.
  struct Column {
    CellReader cells;
    std::shared_ptr<const Vocabulary> vocabulary;
    double shift = 0, scale = 1;  // numeric: (x - shift) * scale
  };
  /// `config`: how files are read. Its fields are replaced by those of `columns`, whose max_len must be known.
  Encoder(DatasetConfig config, std::vector<Column> columns);

  /// From a cache directory or the file itself. InputError for a missing, truncated, damaged or foreign file.
  static Encoder load(const std::string& path);
  /// The same from the bytes of the file; `path` is for messages.
  static Encoder parse(const std::string& bytes, const std::string& path);
  void save(const std::string& path) const;
  /// Everything but the words, as the JSON of that file.
  std::string schema() const;
  /// The encoder of a schema. `vocabulary` gives the words of each field that has its own (owns_vocabulary), in their
  /// order. InputError, which begins with `path` and ends with `remedy`, for JSON that schema() does not write.
  static Encoder of_schema(std::string_view json, const std::string& path, const std::string& remedy,
                           const std::function<std::shared_ptr<Vocabulary>(const FieldConfig&)>& vocabulary);
  static constexpr const char* kFileName = "vocabulary.kdefvoc";

  const FeatureMap& feature_map() const { return map_; }
  const DatasetConfig& config() const { return config_; }
  const std::vector<Column>& columns() const { return columns_; }
  /// Of rows that are encoded with all targets.
  const RowLayout& layout() const { return layout_; }
  int64_t id_columns() const { return layout_.id_columns; }
  int64_t numeric_columns() const { return layout_.numeric_columns; }

  /// Selects in `source` what encode() reads: the fields, and `targets`.
  RowSlots select(RowSource& source, Targets targets) const;
  /// Encodes all rows of a parsed chunk of such a source, with the labels and weights that have a slot. Groups by
  /// text are left out: their numbers depend on the rows before (GroupNumbers). InputError with file and line for a bad
  /// cell.
  void encode(const Chunk& chunk, const RowSlots& slots, Batch& out) const;
  /// Fills the groups of encoded rows where the data set has them by the ids of a field (DatasetConfig::group_by_id).
  void group_by_id(Batch& rows) const;

 private:
  // Each fills a column of a batch, or the columns of one sequence, from `out` on.
  void encode_numbers(const Column& column, const Chunk& chunk, int64_t slot, float* out) const;
  void encode_words(const Column& column, const Chunk& chunk, int64_t slot, int32_t* out) const;
  void encode_sequences(const Column& column, const Chunk& chunk, int64_t slot, int32_t* out) const;

  DatasetConfig config_;
  std::vector<Column> columns_;
  FeatureMap map_;
  RowLayout layout_;
  int64_t group_ids_ = -1, group_numbers_ = -1;  // the column of ids or of numbers that tells groups apart
};

/// The ids of one sequence cell: at most max_len, padded with 0.
void encode_sequence(const std::vector<int32_t>& tokens, int64_t max_len, Padding padding, int32_t* out);

/// The ids of a chunk of a field whose cells are ids, [rows, max_len] in a matrix of `stride` columns from `out` on.
void encode_ids(const CellReader& cells, const Chunk& chunk, int64_t slot, int64_t max_len, int64_t stride,
                int32_t* out);

/// The rows of a source, encoded, in their order. The columns may stand in any order, with others among them. The
/// encoder must outlive this object. Errors are those of RowSource and Encoder::encode.
class RawFile {
 public:
  /// With `labels` the rows have labels, and weights and groups if the data set has them. Without, none of them is
  /// read: their columns may hold anything, or be missing.
  RawFile(const Encoder& encoder, const std::string& path, bool labels);
  RawFile(const Encoder& encoder, std::unique_ptr<RowSource> source, bool labels);
  /// Where the rows come from, for what is to be said after the last one.
  const RowSource& source() const { return *source_; }
  /// The next rows, at most `max_rows`; false at the end.
  bool next(Batch& batch, int64_t max_rows = 4096);

 private:
  bool read_group();

  const Encoder& encoder_;
  std::unique_ptr<RowSource> source_;
  RowSlots slots_;
  GroupNumbers groups_;
  std::vector<Chunk> chunks_;
  std::vector<Batch> encoded_;
  size_t at_ = 0, count_ = 0;  // the batch of encoded_ that is being given out, and the number of batches
  int64_t row_ = 0;            // of this batch
};

}  // namespace kdef::data
