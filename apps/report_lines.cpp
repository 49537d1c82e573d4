#include "apps/report_lines.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kdef::apps {

std::string metric_text(const Metric& metric, double value) {
  return std::isnan(value) ? "undefined" : fixed_point(value, metric.decimals());
}

std::string short_text(const Metric& metric, double value) {
  return std::isnan(value) ? "undefined" : fixed_point(value, metric.decimals() - 2);
}

std::string column_title(const Metric& metric) {
  const char* other = metric.row().other_name;
  return other != nullptr && std::string_view(other).size() < metric.name().size() ? other : metric.name();
}

std::string students_range(const Evaluation& e) {
  if (e.students.size() < 2) return "";
  const Metric main = main_metric(e);
  std::vector<double> values;
  for (const Quality& q : e.students) values.push_back(q[main]);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return short_text(main, *low) + "-" + short_text(main, *high);
}

std::string quality_text(const Quality& q) {
  constexpr size_t kValue = 9;
  std::string line, gap;
  for (const Metric& m : q.measured()) {
    const std::string value = metric_text(m, q[m]);
    line += gap + m.title() + " " + value;
    gap = std::string(value.size() < kValue ? kValue - value.size() : 0, ' ') + "  ";
  }
  return line;
}

std::string quality_line(const std::string& who, const Quality& q) {
  constexpr size_t kWho = 15;
  return "  " + who + std::string(who.size() < kWho ? kWho - who.size() : 0, ' ') + " " + quality_text(q);
}

std::string comparison_table(const std::string& title, const std::vector<ComparisonRow>& rows) {
  size_t width = title.size();
  for (const ComparisonRow& row : rows) width = std::max(width, row.name.size());
  std::string text = title + std::string(width - title.size(), ' ');
  const MetricList metrics = rows.at(0).quality.measured();
  const auto add = [&](const std::string& cell, const Metric& m) {
    const size_t wide = std::max<size_t>(10, column_title(m).size() + 2);
    text += std::string(wide - std::min(wide, cell.size()), ' ') + cell;
  };
  for (const Metric& m : metrics) add(column_title(m), m);
  for (const ComparisonRow& row : rows) {
    text += "\n" + row.name + std::string(width - row.name.size(), ' ');
    for (const Metric& m : metrics) add(metric_text(m, row.quality[m]), m);
  }
  return text;
}

std::string quality_lines(const std::string& what, const Evaluation& e) {
  std::string lines = quality_line(what, e.ensemble);
  if (e.students.size() > 1) {
    for (size_t k = 0; k < e.students.size(); ++k)
      lines += "\n" + quality_line("  student " + std::to_string(k + 1), e.students[k]);
  }
  return lines;
}

}  // namespace kdef::apps
