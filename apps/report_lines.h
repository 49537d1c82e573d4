// Metrics as lines of text.
#pragma once

#include <string>
#include <vector>

#include "kdef/measure/evaluation.h"

namespace kdef::apps {

/// "0.902606", or "undefined" for NaN, as the AUC of one class.
std::string metric_text(const Metric& metric, double value);

/// With two decimals fewer.
std::string short_text(const Metric& metric, double value);

/// The shorter one of its names in a configuration ("NE"), for titles of columns: lines fit 80 columns.
std::string column_title(const Metric& metric);

/// The main metric of the worst and the best student, "0.7640-0.7654"; empty where there is one student.
std::string students_range(const Evaluation& evaluation);

/// "AUC 0.902606   log loss 0.345": every metric that was measured.
std::string quality_text(const Quality& quality);

/// `who` and every metric that was measured. No final newline.
std::string quality_line(const std::string& who, const Quality& quality);

/// A table: a line of titles, then one for each row of the data. No final newline.
struct ComparisonRow {
  std::string name;
  Quality quality;
};
std::string comparison_table(const std::string& title, const std::vector<ComparisonRow>& rows);

/// The metrics of the ensemble, under the name `what`; then those of every student if there are several. No final
/// newline.
std::string quality_lines(const std::string& what, const Evaluation& evaluation);

}  // namespace kdef::apps
