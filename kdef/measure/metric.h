// The table of metrics. Configuration, evaluation, result files, tables and plots iterate over metrics of it: a new one
// is a row here and a function in metrics.h.
#pragma once

#include <compare>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"
#include "kdef/measure/metrics.h"
#include "kdef/measure/metrics_cuda.h"
#include "kdef/method/task.h"

namespace kdef {

/// Which of two values is the better one.
enum class Direction { higher, lower, nearer_to_one };

struct MetricRow {
  const char* key;         // in JSON, CSV and TensorBoard
  const char* name;        // in the configuration's `metrics` and `monitor`, as FuxiCTR writes it
  const char* other_name;  // a second name that the configuration accepts; null: there is none
  const char* title;       // in tables, plots and messages
  const char* meaning;
  Direction direction;
  int decimals;            // in tables and plots
  data::LabelKind labels;  // the labels that it is defined for
  /// Of one column of scores. `weights` has one entry per row, or none: then every row counts once.
  double (*of_rows)(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights);
  /// Of each column of scores f32 [n, columns] with labels f32 [n, 1] on a CUDA device, without weights. Null: the
  /// scores are copied to the host and measured there, as they are where rows have weights.
  std::vector<double> (*of_columns)(const Tensor& scores, const Tensor& labels);
  /// Of rows in groups, in place of of_rows; `groups` has the number of each row's group. Null: groups do not matter.
  double (*of_groups)(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                      std::span<const int64_t> groups) = nullptr;
  /// Of the k best rows of each group, in place of of_groups. Null: the metric has no k.
  double (*of_best)(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                    std::span<const int64_t> groups, int64_t k) = nullptr;
};

inline constexpr MetricRow kMetrics[] = {
    {"auc", "AUC", nullptr, "AUC", "area under the ROC curve", Direction::higher, 6, data::LabelKind::click, auc,
     cuda::auc_of_columns},
    {"logloss", "logloss", "binary_crossentropy", "log loss", "mean cross-entropy", Direction::lower, 6,
     data::LabelKind::click, log_loss, cuda::log_loss_of_columns},
    {"normalized_entropy", "normalized_entropy", "NE", "normalized entropy",
     "log loss divided by that of the constant that predicts the rows' click rate; above 1 a model is worse than it",
     Direction::lower, 6, data::LabelKind::click, normalized_entropy, cuda::normalized_entropy_of_columns},
    {"gauc", "gAUC", nullptr, "group AUC", "mean AUC of the groups with both classes, weighted by their rows",
     Direction::higher, 6, data::LabelKind::click, nullptr, nullptr, group_auc},
    {"avg_auc", "avgAUC", nullptr, "mean AUC of groups", "mean AUC of the groups with both classes, each counted once",
     Direction::higher, 6, data::LabelKind::click, nullptr, nullptr, mean_group_auc},
    {"mrr", "MRR", nullptr, "MRR",
     "mean reciprocal rank: of 1 / rank over all clicks of a group, then over the groups; 0 for a group without clicks",
     Direction::higher, 6, data::LabelKind::click, nullptr, nullptr, mean_reciprocal_rank},
    {"ndcg", "NDCG", nullptr, "NDCG",
     "normalized discounted cumulative gain of the k best rows of each group, the mean over groups; 0 for a group "
     "without clicks; written NDCG(k=5), NDCG(5) or NDCG@5, and NDCG is k = 1",
     Direction::higher, 6, data::LabelKind::click, nullptr, nullptr, nullptr, ndcg},
    {"pr_auc", "PR_AUC", nullptr, "PR-AUC", "area under the precision-recall curve by steps (average precision)",
     Direction::higher, 6, data::LabelKind::click, average_precision, nullptr},
    {"predicted_over_actual", "predicted_over_actual", "PCOC", "predicted / actual",
     "calibration: sum of the predictions divided by the number of clicks", Direction::nearer_to_one, 6,
     data::LabelKind::click, predicted_over_actual, nullptr},
    {"ece", "ECE", nullptr, "calibration error",
     "expected calibration error: mean distance of mean prediction and click rate in 10 bins of equal row count",
     Direction::lower, 6, data::LabelKind::click, calibration_error, nullptr},
    {"brier", "Brier", nullptr, "Brier score", "mean squared difference of prediction and click", Direction::lower, 6,
     data::LabelKind::click, brier_score, nullptr},
    {"rmse", "RMSE", nullptr, "RMSE", "root of the mean squared error", Direction::lower, 6, data::LabelKind::number,
     rmse, nullptr},
    {"mae", "MAE", nullptr, "MAE", "mean absolute error", Direction::lower, 6, data::LabelKind::number, mae, nullptr},
};

/// The largest k of a metric that has one.
inline constexpr int64_t kMaxCutoff = 1000000;

/// A row of the table with its k, where it has one. Metrics are ordered by row, then by k.
class Metric {
 public:
  /// Throws Error where k is not in [1, kMaxCutoff]; a row without k ignores it.
  explicit Metric(const MetricRow& row, int64_t k = 1);

  const MetricRow& row() const { return *row_; }
  std::string key() const;    // "auc", "ndcg_5"
  std::string name() const;   // "AUC", "NDCG(k=5)"
  std::string title() const;  // "AUC", "NDCG@5"
  /// The title with a capital first letter.
  std::string heading() const;
  int decimals() const { return row_->decimals; }
  data::LabelKind labels() const { return row_->labels; }
  bool by_groups() const { return row_->of_groups != nullptr || row_->of_best != nullptr; }

  /// Of one column of scores with labels `y`. Empty weights `w`: every row counts once. Empty `groups`: all rows are
  /// one group.
  double of(std::span<const double> scores, std::span<const float> y, std::span<const float> w,
            std::span<const int64_t> groups = {}) const;

  /// What decides between values, and what `monitor` adds up: the value, or |value - 1| where the nearest to 1 is best.
  double judged(double value) const;
  bool higher_is_better() const { return row_->direction == Direction::higher; }  // of what judged() gives
  /// Whether value `a` is a better one than `b`; false where one of them is NaN.
  bool better(double a, double b) const;
  /// "Higher is better."
  const char* which_is_better() const;

  auto operator<=>(const Metric&) const = default;

 private:
  const MetricRow* row_;
  int64_t k_;  // 0: the row has none
};

/// Some metrics, in their order.
using MetricList = std::vector<Metric>;

/// The metric with this key; nothing where there is none.
std::optional<Metric> find_metric_key(std::string_view key);
/// The metric with this key. Throws Error where there is none.
Metric metric_of_key(std::string_view key);
/// The metric that a configuration names; nothing where there is none. Upper and lower case letters are equal, and
/// blanks do not count. The k of NDCG is written NDCG(k=5), NDCG(5) or NDCG@5. Without one it is 1, the default of
/// FuxiCTR's class NDCG (where a configuration has to write NDCG() for it).
std::optional<Metric> find_metric(std::string_view name);
/// The names of all rows, with k = 1.
std::vector<std::string> metric_names();
/// The table as Markdown.
std::string metrics_markdown();
/// What an evaluation of this task always measures; the first is the main one.
MetricList metrics_of(const Task& task);
/// These and the metrics that a configuration names, in their order. Throws InputError for a metric that is not defined
/// for the task's labels.
MetricList metrics_to_measure(const Task& task, const std::vector<std::string>& names);

/// A T for each of some metrics.
template <class T>
class PerMetric {
 public:
  bool has(const Metric& metric) const { return values_.contains(metric); }
  T& operator[](const Metric& metric) { return values_[metric]; }
  /// T() where there is none.
  T operator[](const Metric& metric) const {
    const auto found = values_.find(metric);
    return found == values_.end() ? T() : found->second;
  }
  T& operator[](std::string_view key) { return (*this)[metric_of_key(key)]; }
  T operator[](std::string_view key) const { return (*this)[metric_of_key(key)]; }
  MetricList metrics() const {
    MetricList all;
    for (const auto& entry : values_) all.push_back(entry.first);
    return all;
  }

 private:
  std::map<Metric, T> values_;
};

/// How good one model is: a value for each metric that was measured. NaN: undefined, as the AUC of one class.
class Quality {
 public:
  Quality() = default;
  Quality(std::initializer_list<std::pair<std::string_view, double>> values) {
    for (const auto& [key, value] : values) set(key, value);
  }
  bool has(const Metric& metric) const { return values_.has(metric); }
  /// NaN also where the metric was not measured.
  double operator[](const Metric& metric) const {
    return has(metric) ? values_[metric] : std::numeric_limits<double>::quiet_NaN();
  }
  double operator[](std::string_view key) const { return (*this)[metric_of_key(key)]; }
  void set(const Metric& metric, double value) { values_[metric] = value; }
  void set(std::string_view key, double value) { set(metric_of_key(key), value); }
  /// The metrics that have a value, in their order.
  MetricList measured() const { return values_.metrics(); }

  std::vector<CalibrationBin> calibration;  // calibration_bins(); none where nobody asked for them

 private:
  PerMetric<double> values_;
};

/// What to measure of scores.
struct Measures {
  MetricList metrics;
  bool calibration = false;  // Quality::calibration too; the labels are clicks
};

/// One column of scores, measured. `weights` and `groups` may be empty.
Quality measure(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                std::span<const int64_t> groups, const Measures& what);

/// Each column of scores f32 [n, columns], measured where the tensors are, or after one copy of them to the host for
/// what has no function for the device; labels f32 [n, 1]. Weights f32 [n, 1], or undefined. Groups i64 [n] on the
/// host, or undefined. A column with a score that is not a number has NaN for every metric, and no bins.
std::vector<Quality> measure_columns(const Tensor& scores, const Tensor& labels, const Tensor& weights,
                                     const Tensor& groups, const Measures& what);

}  // namespace kdef
