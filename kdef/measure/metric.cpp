#include "kdef/measure/metric.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "core/base/names.h"

namespace kdef {

#if !defined(KDEF_HAS_CUDA)
// In a build without CUDA no scores are on a device.
namespace cuda {
std::vector<double> auc_of_columns(const Tensor&, const Tensor&) { return {}; }
std::vector<double> log_loss_of_columns(const Tensor&, const Tensor&) { return {}; }
std::vector<double> normalized_entropy_of_columns(const Tensor&, const Tensor&) { return {}; }
}  // namespace cuda
#endif

Metric::Metric(const MetricRow& row, int64_t k) : row_(&row), k_(row.of_best != nullptr ? k : 0) {
  KDEF_CHECK(k >= 1 && k <= kMaxCutoff, "metric ", row.name, ": k is ", k, "; expected 1 to ", kMaxCutoff);
}

std::string Metric::key() const { return k_ > 0 ? cat(row_->key, "_", k_) : row_->key; }
std::string Metric::name() const { return k_ > 0 ? cat(row_->name, "(k=", k_, ")") : row_->name; }
std::string Metric::title() const { return k_ > 0 ? cat(row_->title, "@", k_) : row_->title; }

std::string Metric::heading() const {
  std::string text = title();
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

double Metric::of(std::span<const double> scores, std::span<const float> y, std::span<const float> w,
                  std::span<const int64_t> groups) const {
  if (row_->of_best != nullptr) return row_->of_best(scores, y, w, groups, k_);
  return row_->of_groups != nullptr ? row_->of_groups(scores, y, w, groups) : row_->of_rows(scores, y, w);
}

double Metric::judged(double value) const {
  return row_->direction == Direction::nearer_to_one ? std::abs(value - 1) : value;
}

bool Metric::better(double a, double b) const {
  return higher_is_better() ? judged(a) > judged(b) : judged(a) < judged(b);
}

const char* Metric::which_is_better() const {
  switch (row_->direction) {
    case Direction::higher:
      return "Higher is better.";
    case Direction::lower:
      return "Lower is better.";
    case Direction::nearer_to_one:
      return "Nearer to 1 is better.";
  }
  throw Error("no such direction");
}

// The metric of a row and of the text of its k; nothing where the text is no number or out of range.
static std::optional<Metric> with_cutoff(const MetricRow& row, std::string_view text) {
  int64_t k = 0;
  if (row.of_best == nullptr || !read_number(text, k) || k < 1 || k > kMaxCutoff) return std::nullopt;
  return Metric(row, k);
}

std::optional<Metric> find_metric_key(std::string_view key) {
  const MetricRow* plain = find_row(kMetrics, key, &MetricRow::key);
  if (plain != nullptr && plain->of_best == nullptr) return Metric(*plain);
  const size_t end = key.rfind('_');
  if (end == std::string_view::npos) return std::nullopt;
  const MetricRow* row = find_row(kMetrics, key.substr(0, end), &MetricRow::key);
  return row == nullptr ? std::nullopt : with_cutoff(*row, key.substr(end + 1));
}

Metric metric_of_key(std::string_view key) {
  const std::optional<Metric> metric = find_metric_key(key);
  if (!metric) throw Error(cat("no metric has the key '", key, "'"));
  return *metric;
}

std::optional<Metric> find_metric(std::string_view text) {
  std::string name = lower_case(text);
  std::erase(name, ' ');
  const size_t end = std::min(name.find_first_of("(@"), name.size());
  const std::string stem = name.substr(0, end);
  const auto row = std::find_if(std::begin(kMetrics), std::end(kMetrics), [&](const MetricRow& r) {
    return lower_case(r.name) == stem || (r.other_name != nullptr && lower_case(r.other_name) == stem);
  });
  if (row == std::end(kMetrics)) return std::nullopt;
  if (end == name.size()) return Metric(*row);
  std::string_view k = std::string_view(name).substr(end + 1);
  if (name[end] == '@') return with_cutoff(*row, k);
  if (!k.ends_with(')')) return std::nullopt;
  k.remove_suffix(1);
  if (k.empty()) k = "1";
  if (k.starts_with("k=")) k.remove_prefix(2);
  return with_cutoff(*row, k);
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const MetricRow& row : kMetrics) names.push_back(Metric(row).name());
  return names;
}

std::string metrics_markdown() {
  std::string text = "| Metric | Also | Labels | Groups | What it is |\n| --- | --- | --- | --- | --- |\n";
  for (const MetricRow& row : kMetrics) {
    const Metric m(row);
    std::string better = m.which_is_better();
    better[0] = static_cast<char>(better[0] - 'A' + 'a');
    better.pop_back();
    text += cat("| `", m.name(), "` | ", row.other_name == nullptr ? "" : cat("`", row.other_name, "`"), " | ",
                row.labels == data::LabelKind::click ? "clicks" : "numbers", " | ", m.by_groups() ? "yes" : "", " | ",
                row.meaning, "; ", better, " |\n");
  }
  return text;
}

MetricList metrics_of(const Task& task) {
  MetricList metrics;
  for (const std::string_view key : task.metrics) metrics.push_back(metric_of_key(key));
  return metrics;
}

MetricList metrics_to_measure(const Task& task, const std::vector<std::string>& names) {
  const MetricList standard = metrics_of(task);
  std::set<Metric> asked(standard.begin(), standard.end());
  for (const std::string& name : names) {
    const std::optional<Metric> m = find_metric(name);
    if (!m || m->labels() != task.labels) {
      std::vector<std::string> known;
      for (const MetricRow& other : kMetrics) {
        if (other.labels == task.labels) known.push_back(Metric(other).name());
      }
      throw InputError(
          cat("metric ", name, " is not defined for the labels of task ", task.name, "; defined are ", joined(known)));
    }
    asked.insert(*m);
  }
  return {asked.begin(), asked.end()};
}

Quality measure(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                std::span<const int64_t> groups, const Measures& what) {
  Quality quality;
  for (const Metric& m : what.metrics) quality.set(m, m.of(scores, labels, weights, groups));
  if (what.calibration) quality.calibration = calibration_bins(scores, labels, weights);
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
                                     const Tensor& groups, const Measures& what) {
  const int64_t n = scores.shape()[0];
  KDEF_CHECK(
      labels.numel() == n && (!weights.defined() || weights.numel() == n) && (!groups.defined() || groups.numel() == n),
      "metrics: ", describe(scores), " with labels ", describe(labels));
  const auto columns = static_cast<size_t>(scores.shape()[1]);
  std::vector<Quality> all(columns);
  Measures on_host{{}, what.calibration};
  for (const Metric& m : what.metrics) {
    if (scores.device().is_cpu() || weights.defined() || m.row().of_columns == nullptr) {
      on_host.metrics.push_back(m);
      continue;
    }
    const std::vector<double> values = m.row().of_columns(scores, labels);
    for (size_t k = 0; k < columns; ++k) all[k].set(m, values[k]);
  }
  if (on_host.metrics.empty() && !on_host.calibration) return all;
  const std::vector<float> host_scores = scores.to_vector<float>(), host_labels = labels.to_vector<float>(),
                           host_weights = weights.defined() ? weights.to_vector<float>() : std::vector<float>();
  const std::vector<int64_t> host_groups = groups.defined() ? groups.to_vector<int64_t>() : std::vector<int64_t>();
  for (size_t k = 0; k < columns; ++k) {
    const std::vector<double> one = column_of(host_scores, columns, k);
    const bool numbers = std::none_of(one.begin(), one.end(), [](double s) { return std::isnan(s); });
    const Quality measured = numbers ? measure(one, host_labels, host_weights, host_groups, on_host) : Quality();
    for (const Metric& m : on_host.metrics) all[k].set(m, measured[m]);
    all[k].calibration = measured.calibration;
  }
  return all;
}

}  // namespace kdef
