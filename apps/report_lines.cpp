#include "apps/report_lines.h"

#include <cmath>
#include <cstdio>

namespace kdef::apps {

std::string metric_text(const Metric& metric, double value) {
  return std::isnan(value) ? "undefined" : fixed_point(value, metric.decimals());
}

std::string quality_line(const std::string& who, const Quality& q) {
  constexpr size_t kWho = 16, kValue = 9;
  std::string line = "  " + who + std::string(who.size() < kWho ? kWho - who.size() : 0, ' ');
  std::string gap = " ";
  for (const Metric& m : q.measured()) {
    const std::string value = metric_text(m, q[m]);
    line += gap + m.title() + " " + value;
    gap = std::string(value.size() < kValue ? kValue - value.size() : 0, ' ') + "  ";
  }
  return line;
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
