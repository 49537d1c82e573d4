// What decides which model of a training, and which training of a search, is best.
#pragma once

#include <map>
#include <string>

#include "kdef/measure/metric.h"

namespace kdef {

/// The weighted sum of metrics with the weights of TrainingConfig::monitor; of the distance to 1 for a metric whose
/// best value is 1. Throws InputError for a metric that was not measured.
double monitored(const Quality& quality, const std::map<std::string, double>& monitor);

}  // namespace kdef
