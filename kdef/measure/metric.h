// The table of metrics. Configuration, evaluation, result files, tables and plots iterate over it: a new metric is a
// row here and a function in metrics.h.
#pragma once

#include <array>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"
#include "kdef/measure/metrics.h"
#include "kdef/method/task.h"
#if defined(KDEF_HAS_CUDA)
#include "kdef/measure/metrics_cuda.h"
#define KDEF_DEVICE_METRIC(function) cuda::function
#else
#define KDEF_DEVICE_METRIC(function) nullptr
#endif

namespace kdef {

struct Metric {
  const char* key;         // in JSON, CSV and TensorBoard
  const char* name;        // in the configuration's `metrics` and `monitor`, as FuxiCTR writes it
  const char* other_name;  // a second name that the configuration accepts; null: there is none
  const char* title;       // in tables, plots and messages
  bool higher_is_better;
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

  /// Of one column of scores with labels `y`. Empty weights `w`: every row counts once. Empty `groups`: all rows are
  /// one group.
  double of(std::span<const double> scores, std::span<const float> y, std::span<const float> w,
            std::span<const int64_t> groups = {}) const {
    return of_groups == nullptr ? of_rows(scores, y, w) : of_groups(scores, y, w, groups);
  }

  /// Whether value `a` is a better one than `b`; false where one of them is NaN.
  bool better(double a, double b) const { return higher_is_better ? a > b : a < b; }
};

inline constexpr Metric kMetrics[] = {
    {"auc", "AUC", nullptr, "AUC", true, 6, data::LabelKind::click, auc, KDEF_DEVICE_METRIC(auc_of_columns)},
    {"logloss", "logloss", "binary_crossentropy", "log loss", false, 6, data::LabelKind::click, log_loss,
     KDEF_DEVICE_METRIC(log_loss_of_columns)},
    {"gauc", "gAUC", nullptr, "group AUC", true, 6, data::LabelKind::click, nullptr, nullptr, group_auc},
    {"pr_auc", "PR_AUC", nullptr, "PR-AUC", true, 6, data::LabelKind::click, average_precision, nullptr},
    {"rmse", "RMSE", nullptr, "RMSE", false, 6, data::LabelKind::number, rmse, nullptr},
    {"mae", "MAE", nullptr, "MAE", false, 6, data::LabelKind::number, mae, nullptr},
};
#undef KDEF_DEVICE_METRIC

inline constexpr size_t kMetricCount = std::size(kMetrics);

/// Some rows of the table, in its order.
using MetricList = std::vector<const Metric*>;

/// The row with this key. Throws Error where there is none.
const Metric& metric_of_key(std::string_view key);
/// The row that a configuration names; null where there is none.
const Metric* find_metric(std::string_view name);
/// The names that a configuration may use: first every `name`, then every `other_name`.
std::vector<std::string> metric_names();
/// What an evaluation of this task always measures; the first is the main one.
MetricList metrics_of(const Task& task);
/// These and the metrics that a configuration names, in the order of the table. Throws InputError for a metric that is
/// not defined for the task's labels.
MetricList metrics_to_measure(const Task& task, const std::vector<std::string>& names);
/// The title with a capital first letter.
std::string heading(const Metric& metric);

/// One T per row of the table.
template <class T>
class PerMetric {
 public:
  T& operator[](const Metric& metric) { return values_[static_cast<size_t>(&metric - kMetrics)]; }
  const T& operator[](const Metric& metric) const { return values_[static_cast<size_t>(&metric - kMetrics)]; }
  T& operator[](std::string_view key) { return (*this)[metric_of_key(key)]; }
  const T& operator[](std::string_view key) const { return (*this)[metric_of_key(key)]; }

 private:
  std::array<T, kMetricCount> values_{};
};

/// How good one model is: a value for each metric that was measured. NaN: undefined, as the AUC of one class.
class Quality {
 public:
  Quality() = default;
  Quality(std::initializer_list<std::pair<std::string_view, double>> values) {
    for (const auto& [key, value] : values) set(key, value);
  }
  bool has(const Metric& metric) const { return values_[metric].has_value(); }
  /// NaN also where the metric was not measured.
  double operator[](const Metric& metric) const {
    return values_[metric].value_or(std::numeric_limits<double>::quiet_NaN());
  }
  double operator[](std::string_view key) const { return (*this)[metric_of_key(key)]; }
  void set(const Metric& metric, double value) { values_[metric] = value; }
  void set(std::string_view key, double value) { set(metric_of_key(key), value); }
  /// The metrics that have a value, in the order of the table.
  MetricList measured() const;

 private:
  PerMetric<std::optional<double>> values_;
};

/// One column of scores, measured. `weights` and `groups` may be empty.
Quality measure(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                std::span<const int64_t> groups, const MetricList& metrics);

/// Each column of scores f32 [n, columns], measured where the tensors are; labels f32 [n, 1]. Weights f32 [n, 1], or
/// undefined. Groups i64 [n] on the host, or undefined. A column with a score that is not a number has NaN for every
/// metric.
std::vector<Quality> measure_columns(const Tensor& scores, const Tensor& labels, const Tensor& weights,
                                     const Tensor& groups, const MetricList& metrics);

}  // namespace kdef
