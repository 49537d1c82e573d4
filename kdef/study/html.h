// Small pieces of HTML that the parts of a page share. The classes are those of plot::style_sheet().
//
// Arguments whose names end in _html go into the page unchanged; all other text is escaped here.
#pragma once

#include <string>
#include <vector>

#include "kdef/run/record.h"

namespace kdef::html {

/// A figure with its name, and in small print `more_html`.
std::string fact(const std::string& name_html, const std::string& value_html, const std::string& more_html = "");
/// A list of sentences; nothing for an empty list.
std::string notes(const std::vector<std::string>& all);
/// The name of a key, which may be broken behind its underscores.
std::string key(const std::string& name);
std::string code(const std::vector<std::string>& lines);
/// The decimals of a metric that are shown: four significant digits of a value below 1; more where the largest of the
/// deviations over seeds (NaN: none) is so small that it would have fewer than two.
int shown_decimals(const Metric& metric, const std::vector<double>& deviations = {});
/// The metrics that have a picture of their own: the normalized entropy has none where the log loss has one, since it
/// is the log loss in another unit.
MetricList drawn(const MetricList& metrics);
/// A cell of a table that has the best value of its column.
std::string best(const std::string& html);
/// "0.8123 \u00b1 0.0012"; without a finite deviation the mean alone.
std::string plus_minus(const Statistic& s, int decimals);
/// With a plus sign where it is positive.
std::string signed_fixed(double value, int decimals);
/// The id of a run's section, by its place in Report::runs.
std::string anchor(size_t run);

}  // namespace kdef::html
