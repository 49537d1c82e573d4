#include "apps/report_lines.h"

#include <cmath>
#include <cstdio>

namespace kdef::apps {

std::string metric_text(double value) { return std::isnan(value) ? "undefined" : fixed_point(value, 6); }

std::string quality_line(const std::string& who, const Quality& q) {
  char text[160];
  std::snprintf(text, sizeof text, "  %-16s AUC %-9s  log loss %s", who.c_str(), metric_text(q.auc).c_str(),
                metric_text(q.logloss).c_str());
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
