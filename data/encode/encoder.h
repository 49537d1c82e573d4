// Encodes raw rows by the vocabularies of a prepared data set.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/encode/cache.h"
#include "data/encode/vocabulary.h"
#include "data/raw/cells.h"
#include "data/raw/row_source.h"
#include "data/schema.h"

namespace kdef::data {

/// All that turns a raw row into a model's input: the fields' settings, vocabularies and scales. Immutable and
/// thread-safe. Its file stands alone, so that a trained model can carry a copy.
class Encoder {
 public:
  /// One active field. Fields that share an embedding share the vocabulary; a numeric field has none.
  struct Column {
    CellReader cells;
    std::shared_ptr<const Vocabulary> vocabulary;
    double shift = 0, scale = 1;  // numeric: (x - shift) * scale
  };
  /// `config`: the settings of reading; its fields are those of the columns, max_len resolved.
  Encoder(DatasetConfig config, std::vector<Column> columns);

  /// From a cache directory or the file itself. InputError for a missing, truncated, damaged or foreign file.
  static Encoder load(const std::string& path);
  void save(const std::string& path) const;
  static constexpr const char* kFileName = "vocabulary.kdefvoc";

  const FeatureMap& feature_map() const { return map_; }
  const DatasetConfig& config() const { return config_; }
  const std::vector<Column>& columns() const { return columns_; }
  int64_t id_columns() const { return id_columns_; }
  int64_t numeric_columns() const { return numeric_columns_; }

  /// Selects in `source` what encode() needs: the fields, and the label if `with_label`.
  void select(RowSource& source, bool with_label) const;
  /// Encodes all rows of a parsed chunk of such a reader. InputError with file and line for a bad cell.
  void encode(const Chunk& chunk, const std::string& path, bool with_label, Batch& out) const;

  /// The number a numeric column's value becomes.
  static float scaled(float value, double shift, double scale) {
    return static_cast<float>((static_cast<double>(value) - shift) * scale);
  }

 private:
  void encode_words(const Column& column, const Chunk& chunk, int64_t slot, const std::string& path,
                    int32_t* out) const;

  DatasetConfig config_;
  std::vector<Column> columns_;
  FeatureMap map_;
  int64_t id_columns_ = 0, numeric_columns_ = 0;
};

/// The ids of one sequence cell: at most max_len, padded with 0.
void encode_sequence(const std::vector<int32_t>& tokens, int64_t max_len, Padding padding, int32_t* out);

/// A raw file's rows, encoded, in their order. The columns may stand in any order and others among them. The encoder
/// must outlive it. Errors are those of RowSource and Encoder::encode.
class RawFile {
 public:
  /// Without `need_label` the label column may be absent: then batches have no labels.
  RawFile(const Encoder& encoder, const std::string& path, bool need_label);
  bool has_label() const { return has_label_; }
  /// The next rows, at most `max_rows`; false at the end.
  bool next(Batch& batch, int64_t max_rows = 4096);

 private:
  bool read_group();

  const Encoder& encoder_;
  std::unique_ptr<RowSource> source_;
  bool has_label_;
  std::vector<Chunk> chunks_;
  std::vector<Batch> encoded_;
  size_t at_ = 0, count_ = 0;  // batch of encoded_ being given out, and how many there are
  int64_t row_ = 0;            // of that batch
};

}  // namespace kdef::data
