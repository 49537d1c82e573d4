// The description of a data set: its files, its columns, and how a column becomes input of a model. The structs are
// filled from dataset_config.yaml (kdef/config/config.h), from a feature map (feature_map.h) or by a program.
// The settings mean the same as in FuxiCTR: vocabulary sizes and parameter counts agree with published runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kdef::data {

enum class FieldType { categorical, sequence, numeric };
enum class CellType { str, integer, real };  // `dtype` in the configuration: str, int, float
enum class Preprocess {
  none,
  convert_to_bucket,
  extract_country_code,
  bucketize_age,
  // Of a time YYMMDDHH (Avazu's column `hour`): the hour; 0 to 6, Sunday is 0; 1 on Saturday and Sunday, else 0.
  convert_hour,
  convert_weekday,
  convert_weekend
};
enum class Pooling { average, sum, none };       // of a sequence field; none: concatenated ids are refused
enum class Padding { post, pre };                // where padding goes and which end is cut: post keeps the first ids
enum class PretrainUsage { init, sum, concat };  // how the vectors of a pretrained table become an embedding
enum class Normalizer { none, standard, min_max };
enum class Quote { double_quote, none };      // none: a quote is a byte like any other
enum class LabelKind { click, number };       // click: 0 or 1; number: any finite number
enum class SplitType { sequential, random };  // which rows of train_data become validation and test rows

/// One input column, as configured. field_keys.h has a row for each member except `where`.
struct FieldConfig {
  std::string name;
  FieldType type = FieldType::categorical;
  CellType cell = CellType::str;
  bool active = true;                  // false: the column is not used
  std::string column;                  // the column of the raw file that it reads; empty: `name`
  std::optional<std::string> fill_na;  // replaces missing cells; it is never in the vocabulary
  bool fill_by_type = false;           // a missing number is 0, a value like any other; fill_na replaces it
  // Cells that are missing, as empty cells always are. Not set: the data set's, or, on a column of numbers with
  // fill_na, the usual markers (NaN, NULL, ...).
  std::optional<std::vector<std::string>> na_values;
  Preprocess preprocess = Preprocess::none;  // applied after fill_na; where `column` is another one, before it
  std::optional<int64_t> min_categr_count;   // overrides the data set's
  std::string splitter = "^";                // sequence: between tokens
  int64_t max_len = 0;                       // sequence: ids that are kept; 0: as many as the longest training cell has
  Padding padding = Padding::post;
  Pooling pooling = Pooling::average;
  Normalizer normalizer = Normalizer::none;  // numeric
  bool remap = true;                         // false: the cells are ids
  int64_t id_count = 0;                      // then: they are below this; 0: the largest one of the training rows + 1
  std::string pretrained_emb;                // the file of a table of vectors (encode/pretrained.h); empty: none
  int64_t pretrain_dim = 0;                  // then: their length
  bool freeze_emb = true;                    // then: they are not trained
  PretrainUsage pretrain_usage = PretrainUsage::init;
  std::optional<int64_t> embedding_dim;  // overrides the model's
  int64_t linear = 0;                    // width of a linear layer behind the embedding; 0: there is none
  std::string share_embedding;           // name of an earlier field whose vocabulary and table it uses
  std::string source;                    // user, item, context or another word: the group that FLEN puts it into
  std::string where;                     // "file:line:column" of the entry, for messages

  /// The column of the raw file that it reads.
  const std::string& raw_column() const { return column.empty() ? name : column; }
  /// Whether it is made from another column.
  bool is_made() const { return raw_column() != name; }
  /// Whether its cells are ids, of which none is made.
  bool has_ids() const { return !remap && type != FieldType::numeric; }
};

/// One data set, as configured.
struct DatasetConfig {
  std::string id;                                 // the entry's key
  std::string data_root = "../data/";             // the encoded cache is in data_root/id
  std::string train_data, valid_data, test_data;  // raw files; valid and test may be empty
  bool rebuild = true;    // false: the files hold ids, as FuxiCTR's prepared data do, and every field has remap false
  std::string separator;  // between cells; empty: by file name (.tsv -> tab, else comma)
  std::vector<std::string> columns;  // names of the columns of a file without header; empty: header line
  Quote quote = Quote::double_quote;
  std::optional<std::vector<std::string>> na_values;  // of the fields that do not set their own
  std::vector<FieldConfig> fields;                    // in model order
  std::string label = "label";
  LabelKind label_kind = LabelKind::click;  // the task decides
  bool label_whole = false;                 // a number with a fraction is refused
  std::vector<std::string> label_positive;  // click: the texts that are label 1, all others are 0; empty: 0 and 1
  std::optional<double> label_threshold;    // click: numbers above it are label 1, others 0
  std::string weight;                       // column of the rows' weights, finite and >= 0; empty: all rows count as 1
  std::string group;         // column of groups, for metrics by group; equal texts, equal group; may be empty
  bool group_by_id = false;  // `group` names a field instead, not a sequence: equal ids or numbers, equal group
  int64_t min_categr_count = 1;
  // Rows of train_data that become validation and test rows: a fraction of all rows below 1, otherwise a number of
  // rows; 0: those of valid_data and test_data.
  double valid_size = 0, test_size = 0;
  SplitType split_type = SplitType::sequential;
  std::string split_by;       // sequential: by the numbers or texts of this column; empty: in the order of the file
  int64_t split_seed = 2024;  // random
  // A vocabulary file (encode/encoder.h) whose ids, scales and lengths are kept, so that the weights of its model fit;
  // empty: they are made from the training rows. With `grow_vocabulary`, values that it lacks get ids behind its own.
  std::string base_vocabulary;
  bool grow_vocabulary = false;
  /// Whether rows of train_data become validation or test rows.
  bool splits() const { return valid_size > 0 || test_size > 0; }
};

/// One encoded input field of a model: the settings of its embedding table. A member that FieldConfig has, too, has the
/// same name: the table of keys (field_keys.h) copies it.
struct Field {
  std::string name;
  FieldType type = FieldType::categorical;
  int64_t vocab_size = 0;  // rows of the table: 0 is padding, the last one out-of-vocabulary; numeric: 0
  int64_t oov_idx = 0;     // out-of-vocabulary where pretrained words follow it; 0: it is the last row
  int64_t max_len = 1;     // ids in a row: 1 unless a sequence
  Pooling pooling = Pooling::average;
  int64_t pretrain_dim = 0;  // above 0: the table has pretrained vectors of this length
  bool freeze_emb = true;
  PretrainUsage pretrain_usage = PretrainUsage::init;
  std::optional<int64_t> embedding_dim;
  std::string share_embedding;  // uses that field's table

  int64_t out_of_vocabulary() const { return oov_idx > 0 ? oov_idx : vocab_size - 1; }
  std::string source;  // the group of fields that it belongs to
  int64_t linear = 0;  // width of a linear layer behind the embedding; 0: there is none
};

/// The encoded schema: fields in model order.
struct FeatureMap {
  std::string dataset;
  std::string label = "label";
  std::vector<Field> fields;
};

}  // namespace kdef::data
