// Metrics as lines to read.
#pragma once

#include <string>

#include "kdef/measure/evaluation.h"

namespace kdef::apps {

/// "0.902606", or "undefined" where there is but one class.
std::string metric_text(double value);

/// `who`, AUC and log loss. No final newline.
std::string quality_line(const std::string& who, const Quality& quality);

/// Under `what`, AUC and log loss of the ensemble and, where there is more than one, of every student. No final
/// newline.
std::string quality_lines(const std::string& what, const Evaluation& evaluation);

}  // namespace kdef::apps
