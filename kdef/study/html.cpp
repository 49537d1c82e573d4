#include "kdef/study/html.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "kdef/study/plot.h"

namespace kdef::html {

using plot::escape;
using plot::fixed;

std::string fact(const std::string& name_html, const std::string& value_html, const std::string& more_html) {
  return cat("<div><dt>", name_html, "</dt><dd>", value_html,
             more_html.empty() ? "" : cat("<small>", more_html, "</small>"), "</dd></div>");
}

std::string notes(const std::vector<std::string>& all) {
  if (all.empty()) return "";
  std::string html = "<ul class=\"notes\">";
  for (const std::string& note : all) html += cat("<li>", escape(note), "</li>");
  return html + "</ul>";
}

std::string key(const std::string& name) {
  std::string html;
  for (const char c : name) html += c == '_' ? std::string("_<wbr>") : escape(std::string(1, c));
  return html;
}

std::string code(const std::vector<std::string>& lines) {
  std::string html = "<pre>";
  for (const std::string& line : lines) html += escape(line) + "\n";
  return html + "</pre>";
}

int shown_decimals(const Metric& metric, const std::vector<double>& deviations) {
  double largest = 0;
  for (const double d : deviations) {
    if (std::isfinite(d)) largest = std::max(largest, d);
  }
  const int most = metric.decimals(), fewest = most - 2;
  if (!(largest > 0)) return fewest;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(largest))), fewest, most);
}

MetricList drawn(const MetricList& metrics) {
  const Metric loss = metric_of_key("logloss"), entropy = metric_of_key("normalized_entropy");
  MetricList all = metrics;
  if (std::find(all.begin(), all.end(), loss) != all.end()) std::erase(all, entropy);
  return all;
}

std::string best(const std::string& html) { return cat("<strong class=\"best\">", html, "</strong>"); }

std::string plus_minus(const Statistic& s, int decimals) {
  if (!std::isfinite(s.deviation)) return fixed(s.mean, decimals);
  return cat(fixed(s.mean, decimals), "<small>\u00b1 ", fixed(s.deviation, decimals), "</small>");
}

std::string signed_fixed(double value, int decimals) { return cat(value > 0 ? "+" : "", fixed(value, decimals)); }

std::string anchor(size_t run) { return cat("run-", run + 1); }

}  // namespace kdef::html
