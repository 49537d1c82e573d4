// What each key of a grid does to quality, as a section of a page.
#pragma once

#include <string>
#include <vector>

#include "kdef/measure/metric.h"
#include "kdef/study/groups.h"

namespace kdef {

/// For every key in which the groups of one data set differ, and their ensembles, networks and students: a table of its
/// values with the best and the mean of the metric over the groups that have the value, and for numbers a chart of the
/// same. Nothing if no key varies. `data` names the data in headings.
std::string effects(const std::vector<RunGroup>& groups, const Metric& metric, const std::string& data);

}  // namespace kdef
