// Metrics as lines to read.
#pragma once

#include <string>

#include "kdef/measure/evaluation.h"

namespace kdef::apps {

/// "0.902606", or "undefined" for NaN, as the AUC of one class.
std::string metric_text(const Metric& metric, double value);

/// `who` and every metric that was measured. No final newline.
std::string quality_line(const std::string& who, const Quality& quality);

/// Under `what`, the metrics of the ensemble and, where there is more than one, of every student. No final newline.
std::string quality_lines(const std::string& what, const Evaluation& evaluation);

}  // namespace kdef::apps
