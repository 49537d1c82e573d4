#include "kdef/run/warnings.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>

#include "data/raw/cells.h"
#include "data/raw/row_source.h"

namespace kdef {
namespace {

constexpr int64_t kSample = 100000;     // training rows whose numbers are looked at
constexpr double kUnknownShare = 0.99;  // of the rows: from it on a field is told
constexpr double kLargeRatio = 1e6;     // of a numeric field to the other inputs
constexpr int64_t kFewSteps = 20;       // of an epoch

std::string percent(double share) { return significant_digits(100 * share, 3) + " %"; }

// The value of a column in the first row of a file, as a message shows it; empty where the file cannot be read again.
std::string first_value(const std::string& path, const data::DatasetConfig& config, const std::string& column) {
  std::error_code absent;
  if (!std::filesystem::is_regular_file(path, absent)) return "";
  try {
    const auto source = data::open_rows(path, config, config.label);
    source->select({column});
    data::Chunk chunk;
    if (!source->read(chunk)) return "";
    source->parse(chunk);
    if (chunk.rows() == 0) return "";
    data::Values::Scratch scratch;
    const data::TypedColumn* typed = chunk.typed_column(0);
    return data::printable(typed == nullptr ? chunk.cell(0, 0) : typed->cell(0, scratch));
  } catch (const std::exception&) {
    return "";  // the warning stands without an example
  }
}

double median(std::vector<float>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return static_cast<double>(*middle);
}

void warn_of_unknown_values(const data::DatasetConfig& config, const data::PreparedData& data,
                            const UnknownRows& unknown, std::vector<std::string>& warnings) {
  std::optional<data::Encoder> encoder;  // made for the first warning: vocabularies may be large
  const auto check = [&](const char* what, const std::string& path, const UnknownValues& values) {
    if (!values.any()) return;
    if (!encoder) encoder = data::Encoder::parse(data.vocabulary, "vocabulary");
    for (std::string& line : values.warnings(what, path, *encoder)) warnings.push_back(std::move(line));
  };
  check("valid_data", config.valid_data, unknown.valid);
  check("test_data", config.test_data, unknown.test);
}

void warn_of_empty_vocabularies(const ExperimentConfig& config, const data::FeatureMap& map,
                                std::vector<std::string>& warnings) {
  for (const data::Field& field : map.fields) {
    if (field.type == data::FieldType::numeric || field.vocab_size > 2 || !field.share_embedding.empty()) continue;
    if (!config.dataset.rebuild) continue;
    const auto& fields = config.dataset.fields;
    const auto settings =
        std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.name == field.name; });
    const int64_t count = settings != fields.end() && settings->min_categr_count ? *settings->min_categr_count
                                                                                 : config.dataset.min_categr_count;
    warnings.push_back(cat("column ", field.name, ": ",
                           count == 1 ? "has no value in train_data"
                                      : cat("no value occurs min_categr_count = ", count, " times in train_data"),
                           ", so all rows have the same id; ", count == 1 ? "" : "lower min_categr_count, or ",
                           "leave the column out"));
  }
}

// Of numbers that say nothing, and of those that drown the other inputs.
void warn_of_numbers(const ExperimentConfig& config, const data::EncodedFile& train,
                     std::vector<std::string>& warnings) {
  const auto columns = static_cast<size_t>(train.numeric_columns());
  const int64_t rows = std::min(train.rows(), kSample);
  if (columns == 0 || rows == 0) return;
  std::vector<double> largest(columns), medians(columns);
  std::vector<bool> constant(columns);
  for (size_t c = 0; c < columns; ++c) {
    std::vector<float> sizes;
    bool differ = false;
    for (int64_t row = 0; row < rows; ++row) {
      differ = differ || train.numerics(row)[c] != train.numerics(0)[c];
      sizes.push_back(std::abs(train.numerics(row)[c]));
    }
    constant[c] = !differ && rows > 1;
    largest[c] = static_cast<double>(*std::max_element(sizes.begin(), sizes.end()));
    medians[c] = median(sizes);
  }
  size_t c = 0;
  for (const data::FieldConfig& field : config.dataset.fields) {
    if (!field.active || field.type != data::FieldType::numeric) continue;
    double others = 1;  // embeddings and normalized numbers are near 1
    for (size_t other = 0; other < columns; ++other) {
      if (other != c) others = std::max(others, medians[other]);
    }
    if (field.normalizer == data::Normalizer::none && largest[c] >= kLargeRatio * others) {
      warnings.push_back(cat("column ", field.name, ": its numbers reach ", significant_digits(largest[c], 2),
                             ", the other inputs are near ", significant_digits(others, 2),
                             "; scale them with normalizer: StandardScaler or MinMaxScaler"));
    }
    if (constant[c]) {
      warnings.push_back(cat("column ", field.name, ": all of the ", rows == train.rows() ? "" : "first ", rows,
                             " training rows have the same number; check that the file has the column's values, or "
                             "leave the column out"));
    }
    ++c;
  }
}

void warn_of_few_steps(const ExperimentConfig& config, int64_t rows, std::vector<std::string>& warnings) {
  const int64_t size = std::min(config.training.batch_size, rows);
  const int64_t steps = size == 0 ? 0 : (rows + size - 1) / size;
  if (steps == 0 || steps >= kFewSteps) return;
  const int64_t lower = std::max<int64_t>(1, rows / kFewSteps);
  warnings.push_back(cat("an epoch has ", steps, steps == 1 ? " step (" : " steps (", rows,
                         " training rows, batch_size ", config.training.batch_size, "); ",
                         lower < size ? cat("a batch_size of at most ", lower, " gives ", kFewSteps, " or more")
                                      : "more rows are needed to learn from"));
}

}  // namespace

UnknownValues::UnknownValues(const data::FeatureMap& map) {
  for (const data::Field& field : map.fields) {
    if (field.type == data::FieldType::numeric) continue;
    columns_.push_back({field.name, id_columns_, field.max_len, static_cast<int32_t>(field.out_of_vocabulary())});
    id_columns_ += field.max_len;
  }
}

void UnknownValues::add(const int32_t* ids) {
  for (Column& column : columns_) {
    const int32_t* begin = ids + column.first;
    column.rows +=
        std::all_of(begin, begin + column.count, [&](int32_t id) { return id == 0 || id == column.unknown; });
  }
  ++rows_;
}

void UnknownValues::add(const data::Batch& batch) {
  for (int64_t row = 0; row < batch.rows; ++row) add(batch.ids.data() + row * id_columns_);
}

double UnknownValues::share(const Column& column) const {
  return static_cast<double>(column.rows) / static_cast<double>(rows_);
}

std::vector<double> UnknownValues::shares() const {
  std::vector<double> all;
  for (const Column& column : columns_) {
    all.push_back(rows_ > 0 ? share(column) : std::numeric_limits<double>::quiet_NaN());
  }
  return all;
}

bool UnknownValues::is_unknown(const Column& column) const {
  return rows_ > 0 && column.unknown > 1 && share(column) >= kUnknownShare;
}

bool UnknownValues::any() const {
  return std::any_of(columns_.begin(), columns_.end(), [&](const Column& column) { return is_unknown(column); });
}

std::vector<std::string> UnknownValues::warnings(const std::string& what, const std::string& path,
                                                 const data::Encoder& encoder) const {
  std::vector<std::string> lines;
  for (const Column& column : columns_) {
    if (!is_unknown(column)) continue;
    const auto known = std::find_if(encoder.columns().begin(), encoder.columns().end(),
                                    [&](const auto& c) { return c.cells.field().name == column.name; });
    const std::string here = first_value(path, encoder.config(), column.name);
    const std::string there = known != encoder.columns().end() && known->vocabulary && known->vocabulary->has_words() &&
                                      known->vocabulary->word_count() > 0
                                  ? data::printable(known->vocabulary->word(0))
                                  : "";
    lines.push_back(cat("column ", column.name, ": ", percent(share(column)), " of ", rows_, " rows of ", what,
                        " have a value that is not in the vocabulary of train_data",
                        here.empty() ? "" : cat(", as ", here),
                        there.empty() ? "" : cat(" (train_data has ", there, ")"),
                        "; check that both files write the values in the same way"));
  }
  return lines;
}

UnknownRows count_unknown(const data::PreparedData& data) {
  UnknownRows unknown{UnknownValues(data.summary.map), UnknownValues(data.summary.map)};
  const auto scan = [](const std::optional<data::EncodedFile>& file, UnknownValues& values) {
    for (int64_t row = 0; file && row < file->rows(); ++row) values.add(file->ids(row));
  };
  scan(data.valid, unknown.valid);
  scan(data.test, unknown.test);
  return unknown;
}

std::vector<std::string> data_warnings(const ExperimentConfig& config, const data::PreparedData& data,
                                       const UnknownRows& unknown) {
  std::vector<std::string> warnings;
  warn_of_unknown_values(config.dataset, data, unknown, warnings);
  if (config.model.task->labels == data::LabelKind::click) {
    const int64_t positives = data.summary.train_positives;
    if (positives == 0 || positives == data.summary.train_rows) {
      warnings.push_back(cat("every row of train_data has the label ", positives ? 1 : 0,
                             ", and a model cannot learn from one label; check label_col and the rows"));
    }
  }
  warn_of_empty_vocabularies(config, data.summary.map, warnings);
  if (data.train) warn_of_numbers(config, *data.train, warnings);
  warn_of_few_steps(config, data.summary.train_rows, warnings);
  return warnings;
}

void check_monitored(const ExperimentConfig& config, const data::Prepared& prepared) {
  const int64_t positives = prepared.valid_positives, rows = prepared.valid_rows;
  if (config.model.task->labels != data::LabelKind::click || rows == 0 || (positives != 0 && positives != rows)) return;
  const float label = positives == 0 ? 0 : 1;
  for (const auto& [name, weight] : config.training.monitor) {
    const Metric metric = *find_metric(name);
    if (weight == 0 || !std::isnan(metric.of(std::vector<double>{0.5, 0.5}, std::vector<float>{label, label}, {}))) {
      continue;
    }
    throw InputError(cat("every row of valid_data has the label ", label, ": ", metric.title(),
                         " is undefined and cannot choose the best model; give valid_data rows of both labels, or set "
                         "monitor: logloss"));
  }
}

std::string baseline_warning(const Evaluation& valid, double click_rate) {
  const Metric log_loss = metric_of_key("logloss");
  if (!valid.ensemble.has(log_loss) || valid.rows == 0 || !(click_rate > 0 && click_rate < 1)) return "";
  const double rate = static_cast<double>(valid.positives) / static_cast<double>(valid.rows);
  const double constant = -rate * std::log(click_rate) - (1 - rate) * std::log1p(-click_rate);
  const double measured = valid.ensemble[log_loss];
  if (!(measured > constant)) return "";
  return cat("the log loss of valid_data, ", fixed_point(measured, 6), ", is worse than ", fixed_point(constant, 6),
             ", that of predicting the click rate ", significant_digits(click_rate, 3),
             " for every row; try a smaller model, a larger embedding_regularizer or more steps in an epoch");
}

}  // namespace kdef
