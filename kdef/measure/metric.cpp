#include "kdef/measure/metric.h"

#include <algorithm>
#include <cmath>

#include "core/base/names.h"

namespace kdef {

const Metric& metric_of_key(std::string_view key) {
  const Metric* metric = find_row(kMetrics, key, &Metric::key);
  if (metric == nullptr) throw Error(cat("no metric has the key '", key, "'"));
  return *metric;
}

const Metric* find_metric(std::string_view name) {
  if (const Metric* metric = find_row(kMetrics, name)) return metric;
  for (const Metric& m : kMetrics) {
    if (m.other_name != nullptr && m.other_name == name) return &m;
  }
  return nullptr;
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names = row_names(kMetrics);
  for (const Metric& m : kMetrics) {
    if (m.other_name != nullptr) names.push_back(m.other_name);
  }
  return names;
}

MetricList metrics_of(const Task& task) {
  MetricList metrics;
  for (const std::string_view key : task.metrics) metrics.push_back(&metric_of_key(key));
  return metrics;
}

MetricList metrics_to_measure(const Task& task, const std::vector<std::string>& names) {
  PerMetric<bool> asked;
  for (const Metric* m : metrics_of(task)) asked[*m] = true;
  for (const std::string& name : names) {
    const Metric* m = find_metric(name);
    if (m == nullptr || m->labels != task.labels) {
      std::vector<std::string> known;
      for (const Metric& other : kMetrics) {
        if (other.labels == task.labels) known.push_back(other.name);
      }
      throw InputError(
          cat("metric ", name, " is not defined for the labels of task ", task.name, "; defined are ", joined(known)));
    }
    asked[*m] = true;
  }
  MetricList metrics;
  for (const Metric& m : kMetrics) {
    if (asked[m]) metrics.push_back(&m);
  }
  return metrics;
}

std::string heading(const Metric& metric) {
  std::string text = metric.title;
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

MetricList Quality::measured() const {
  MetricList metrics;
  for (const Metric& m : kMetrics) {
    if (has(m)) metrics.push_back(&m);
  }
  return metrics;
}

Quality measure(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                std::span<const int64_t> groups, const MetricList& metrics) {
  Quality quality;
  for (const Metric* m : metrics) quality.set(*m, m->of(scores, labels, weights, groups));
  return quality;
}

namespace {

// Column `column` of scores [n, columns] on the host.
std::vector<double> column_of(const std::vector<float>& scores, size_t columns, size_t column) {
  std::vector<double> one;
  for (size_t i = column; i < scores.size(); i += columns) one.push_back(static_cast<double>(scores[i]));
  return one;
}

}  // namespace

std::vector<Quality> measure_columns(const Tensor& scores, const Tensor& labels, const Tensor& weights,
                                     const Tensor& groups, const MetricList& metrics) {
  const int64_t n = scores.shape()[0];
  KDEF_CHECK(
      labels.numel() == n && (!weights.defined() || weights.numel() == n) && (!groups.defined() || groups.numel() == n),
      "metrics: ", describe(scores), " with labels ", describe(labels));
  const auto columns = static_cast<size_t>(scores.shape()[1]);
  std::vector<Quality> all(columns);
  std::vector<float> host_scores, host_labels, host_weights;
  const std::vector<int64_t> host_groups = groups.defined() ? groups.to_vector<int64_t>() : std::vector<int64_t>();
  for (const Metric* m : metrics) {
    if (!scores.device().is_cpu() && !weights.defined() && m->of_columns != nullptr) {
      const std::vector<double> values = m->of_columns(scores, labels);
      for (size_t k = 0; k < columns; ++k) all[k].set(*m, values[k]);
      continue;
    }
    if (host_labels.empty() && n > 0) {
      host_scores = scores.to_vector<float>();
      host_labels = labels.to_vector<float>();
      if (weights.defined()) host_weights = weights.to_vector<float>();
    }
    for (size_t k = 0; k < columns; ++k) {
      const std::vector<double> one = column_of(host_scores, columns, k);
      const bool numbers = std::none_of(one.begin(), one.end(), [](double s) { return std::isnan(s); });
      all[k].set(
          *m, numbers ? m->of(one, host_labels, host_weights, host_groups) : std::numeric_limits<double>::quiet_NaN());
    }
  }
  return all;
}

}  // namespace kdef
