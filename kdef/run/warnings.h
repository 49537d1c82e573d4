// What makes a training or a prediction worthless without being an error. Each warning is one line that names the
// column, the figure and the remedy; whoever shows it puts "warning: " before it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "kdef/config/config.h"
#include "kdef/measure/evaluation.h"

namespace kdef {

/// How many rows have no value of a field that the vocabulary knows: all their ids are out-of-vocabulary or padding.
class UnknownValues {
 public:
  explicit UnknownValues(const data::FeatureMap& map);
  /// The ids of one row.
  void add(const int32_t* ids);
  void add(const data::Batch& batch);
  /// Of every field of ids, in their order, the share of the rows. NaN where no row was added.
  std::vector<double> shares() const;
  /// Whether warnings() has a line.
  bool any() const;
  /// One line for each field that is unknown in at least 99 % of the rows. `what` names the rows: a key or a file. A
  /// value of the file `path` and a word of the vocabulary are shown as examples, where the file can be read twice.
  std::vector<std::string> warnings(const std::string& what, const std::string& path,
                                    const data::Encoder& encoder) const;

 private:
  struct Column {
    std::string name;
    int64_t first, count;  // of the id columns
    int32_t unknown;       // the id that is out-of-vocabulary
    int64_t rows = 0;      // without a known value
  };
  double share(const Column& column) const;     // of the rows
  bool is_unknown(const Column& column) const;  // it has a line in warnings()
  std::vector<Column> columns_;
  int64_t id_columns_ = 0, rows_ = 0;
};

/// The rows that choose and judge a model, looked through once for warnings and summaries.
struct UnknownRows {
  UnknownValues valid, test;
};
/// Reads all encoded validation and test rows.
UnknownRows count_unknown(const data::PreparedData& data);

/// Before a training: fields whose values are unknown in validation or test rows, vocabularies that min_categr_count
/// has emptied, numbers that are a million times larger than the other inputs (in the first 100,000 rows) and not
/// normalized, epochs of fewer than 20 steps.
std::vector<std::string> data_warnings(const ExperimentConfig& config, const data::PreparedData& data,
                                       const UnknownRows& unknown);

/// Throws InputError where a monitored metric has no value for the validation rows, because all of them have one label.
void check_monitored(const ExperimentConfig& config, const data::Prepared& prepared);

/// After a training: a line if the log loss of the validation rows is larger than that of the constant prediction
/// `click_rate`, the share of clicks in the training rows. Otherwise an empty text.
std::string baseline_warning(const Evaluation& valid, double click_rate);

}  // namespace kdef
