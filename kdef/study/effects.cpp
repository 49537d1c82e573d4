#include "kdef/study/effects.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "core/base/text.h"
#include "kdef/study/html.h"
#include "kdef/study/plot.h"

namespace kdef {
namespace {

using plot::escape;
using plot::fixed;

// A value of a key, and the metric of the groups that have it.
struct Effect {
  std::string value;
  std::optional<double> number;  // the value, if it is one
  std::vector<double> results;
  double best = std::nan(""), mean = std::nan("");
};

// What a table of effects is of: a key, or what the labels of groups tell.
struct Subject {
  std::string name;
  std::function<std::string(const RunGroup&)> value;
};

std::vector<Subject> subjects_of(const std::vector<RunGroup>& groups) {
  std::vector<Subject> all = {{"ensemble", [](const RunGroup& g) { return g.ensemble; }},
                              {"networks", [](const RunGroup& g) { return g.kinds; }},
                              {"students", [](const RunGroup& g) { return cat(g.students); }}};
  for (const auto& setting : groups[0].settings) {
    all.push_back({setting.first, [key = setting.first](const RunGroup& g) { return g.settings.at(key); }});
  }
  return all;
}

// The values, numbers by size and before words.
std::vector<Effect> effects_of(const std::vector<RunGroup>& groups, const Subject& subject, const Metric& metric) {
  std::vector<Effect> effects;
  for (const RunGroup& g : groups) {
    const std::string value = subject.value(g);
    auto known = std::find_if(effects.begin(), effects.end(), [&](const Effect& e) { return e.value == value; });
    if (known == effects.end()) {
      double number = 0;
      const bool is_number = read_number(value, number) && std::isfinite(number);
      effects.push_back({value, is_number ? std::optional(number) : std::nullopt, {}});
      known = std::prev(effects.end());
    }
    const double result = g.summary.metrics[metric].mean;
    if (std::isfinite(result)) known->results.push_back(result);
  }
  for (Effect& e : effects) {
    e.mean = statistic(e.results).mean;
    for (const double r : e.results) {
      if (std::isnan(e.best) || metric.better(r, e.best)) e.best = r;
    }
  }
  std::stable_sort(effects.begin(), effects.end(), [](const Effect& a, const Effect& b) {
    if (a.number && b.number) return *a.number < *b.number;
    return a.number.has_value() && !b.number.has_value();
  });
  return effects;
}

std::string table_of(const std::string& key, const std::vector<Effect>& effects, const Metric& metric) {
  const auto best_of = [&](double Effect::*of) {
    double best = std::nan("");
    for (const Effect& e : effects) {
      if (std::isnan(best) || metric.better(e.*of, best)) best = e.*of;
    }
    return best;
  };
  const double best = best_of(&Effect::best), mean = best_of(&Effect::mean);
  const auto value = [&](double v, double best_value) {
    const std::string text = fixed(v, html::shown_decimals(metric));
    return v == best_value ? html::best(text) : text;
  };
  std::vector<std::vector<std::string>> rows;
  for (const Effect& e : effects) {
    rows.push_back({escape(e.value), cat(e.results.size()), value(e.best, best), value(e.mean, mean)});
  }
  return plot::table({html::key(key), "lines", cat("best ", metric.title()), cat("mean ", metric.title())}, rows);
}

// Nothing for fewer than three numbers.
std::string chart_of(const std::string& key, const std::vector<Effect>& effects, const Metric& metric,
                     const std::string& data) {
  constexpr size_t kFewest = 3;
  constexpr double kWide = 20;  // a range of which the small values would lie on each other
  if (effects.size() < kFewest) return "";
  plot::Series best{.name = "best", .points = {}, .style = 0}, mean{.name = "mean", .points = {}, .style = 1};
  double low = HUGE_VAL, high = -HUGE_VAL;
  bool whole = true;
  for (const Effect& e : effects) {
    if (!e.number) return "";
    low = std::min(low, *e.number), high = std::max(high, *e.number);
    whole = whole && *e.number == std::floor(*e.number);
    best.points.push_back({*e.number, e.best});
    mean.points.push_back({*e.number, e.mean});
  }
  plot::Chart c;
  c.title = cat(metric.heading(), " against ", key, ", ", data, " data");
  c.note = cat("The best and the mean over the lines of the table with this value. ", metric.which_is_better());
  const bool log = low > 0 && high > kWide * low;
  c.x = {.label = key, .whole = whole && !log, .log = log};
  c.y = {.label = metric.title(), .decimals = html::shown_decimals(metric)};
  const bool one_each =
      std::all_of(effects.begin(), effects.end(), [](const Effect& e) { return e.results.size() < 2; });
  if (one_each) {
    best.name = metric.title();
    c.note = metric.which_is_better();
    c.series = {best};
  } else {
    c.series = {best, mean};
  }
  return plot::figure(c);
}

}  // namespace

std::string effects(const std::vector<RunGroup>& groups, const Metric& metric, const std::string& data) {
  if (groups.empty() || groups[0].settings.empty()) return "";
  std::string tables, figures;
  for (const Subject& subject : subjects_of(groups)) {
    const std::vector<Effect> found = effects_of(groups, subject, metric);
    if (found.size() < 2) continue;
    tables += table_of(subject.name, found, metric);
    figures += chart_of(subject.name, found, metric, data);
  }
  if (tables.empty()) return "";
  return cat("<h3>What each key does</h3><p class=\"unit\">The ", escape(metric.title()), " on the ", data,
             " data, over the lines of the table above that have the value.</p>", tables,
             figures.empty() ? "" : cat("<div class=\"figures\">", figures, "</div>"));
}

}  // namespace kdef
