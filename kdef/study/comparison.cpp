#include "kdef/study/comparison.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "core/base/error.h"
#include "core/base/names.h"
#include "kdef/study/effects.h"
#include "kdef/study/html.h"
#include "kdef/study/labels.h"
#include "kdef/study/plot.h"

namespace kdef {
namespace {

using html::plus_minus;
using plot::escape;
using plot::fixed;

std::string data_name(const std::vector<RunGroup>& groups) {
  const bool on_test =
      std::all_of(groups.begin(), groups.end(), [](const RunGroup& g) { return g.summary.runs == 0 || g.on_test; });
  return on_test ? "test" : "validation";
}

MetricList measured(const std::vector<RunGroup>& groups) {
  std::vector<const Summary*> summaries;
  for (const RunGroup& g : groups) summaries.push_back(&g.summary);
  return measured_by(summaries);
}

std::vector<std::string> table_row(const RunGroup& g, const MetricList& metrics) {
  const Summary& s = g.summary;
  const int decimals = metrics[0].decimals();
  const auto of_students = [&](const Statistic& value) {
    return g.students > 1 && std::isfinite(value.mean) ? plus_minus(value, decimals) : "";
  };
  std::vector<std::string> row = {cat(escape(g.ensemble), ", ", escape(g.networks))};
  for (const auto& setting : g.settings) row.push_back(escape(setting.second));
  row.insert(row.end(), {cat(g.students), s.runs == g.runs.size() ? cat(s.runs) : cat(s.runs, " of ", g.runs.size())});
  for (const Metric& m : metrics) row.push_back(plus_minus(s.metrics[m], m.decimals()));
  const std::string gain = of_students(s.gain);
  row.insert(row.end(), {of_students(s.student_mean), of_students(s.student_weakest),
                         gain.empty() ? "" : cat(s.gain.mean > 0 ? "+" : "", gain), plus_minus(s.abundance, 2)});
  return row;
}

// "KDEF, 3 x mlp 16-8, learning_rate 0.01".
std::string group_label(const RunGroup& g) {
  std::string label = cat(g.ensemble, ", ", g.networks);
  if (const std::string settings = settings_label(g); !settings.empty()) label += ", " + settings;
  return label;
}

// Sentences about groups whose mean is not what it seems.
std::vector<std::string> remarks(const std::vector<RunGroup>& groups) {
  std::vector<std::string> all;
  for (const RunGroup& g : groups) {
    const std::string name = cat(g.experiment, " (", group_label(g), ")");
    if (g.repeated > 0) {
      all.push_back(cat(name, ": ", g.repeated, g.repeated == 1 ? " run repeats" : " runs repeat",
                        " the settings and the seed of another run. Repeated trainings count more than once."));
    }
    if (!g.differing.empty()) {
      all.push_back(cat(name, ": the runs differ in more than their seed: ", joined(g.differing),
                        ". The mean is over data at different places."));
    }
  }
  return all;
}

std::string experiments_of(const RunGroup& g) {
  return cat(escape(g.experiment), g.experiments > 1 ? cat("<small>and ", g.experiments - 1, " more</small>") : "");
}

// The groups as the table lists them: where keys vary, the best first; otherwise as they are.
std::vector<RunGroup> in_order(const std::vector<RunGroup>& groups, const Metric& main) {
  std::vector<RunGroup> sorted = groups;
  if (groups[0].settings.empty()) return sorted;
  std::stable_sort(sorted.begin(), sorted.end(), [&](const RunGroup& a, const RunGroup& b) {
    const double x = a.summary.metrics[main].mean, y = b.summary.metrics[main].mean;
    return main.better(x, y) || (!std::isnan(x) && std::isnan(y));
  });
  return sorted;
}

std::string comparison_table(const std::vector<RunGroup>& groups, const std::string& data) {
  const bool experiments = std::any_of(groups.begin(), groups.end(),
                                       [&](const RunGroup& g) { return g.experiment != groups[0].experiment; });
  const MetricList metrics = measured(groups);
  std::vector<std::string> titles{"ensemble"};
  for (const auto& setting : groups[0].settings) titles.push_back(html::key(setting.first));
  titles.insert(titles.end(), {"students", "finished runs"});
  for (const Metric& m : metrics) titles.push_back(cat(data, " ", m.title()));
  titles.insert(titles.end(),
                {cat("students\u2019 mean ", metrics[0].title()), cat("weakest student\u2019s ", metrics[0].title()),
                 "gain over students\u2019 mean", "information abundance"});
  if (experiments) titles.insert(titles.begin() + 1, "experiment");
  std::vector<std::vector<std::string>> rows;
  for (const RunGroup& g : in_order(groups, metrics[0])) {
    rows.push_back(table_row(g, metrics));
    if (experiments) rows.back().insert(rows.back().begin() + 1, experiments_of(g));
  }
  return cat(
      plot::table(titles, rows),
      "<p class=\"unit\">Mean \u00b1 standard deviation (of the sample) over the finished runs of a line, which "
      "differ in their seed. All figures are of the best model, on the ",
      data,
      " data. Information abundance is that of the students\u2019 last hidden layers, averaged over the students; "
      "compare it only between layers of the same width.</p>",
      html::notes(remarks(groups)));
}

// A single student's group, repeated under the name of every kind of ensemble that it stands for (trained_as) and that
// has no single student of its own.
std::vector<RunGroup> with_single_students(const std::vector<RunGroup>& groups) {
  std::vector<RunGroup> all = groups;
  for (const RunGroup& one : groups) {
    if (one.students != 1 || one.ensemble != name_of(EnsembleKind::mean)) continue;
    for (const RunGroup& other : groups) {
      const bool known = std::any_of(all.begin(), all.end(), [&](const RunGroup& g) {
        return g.ensemble == other.ensemble && g.kinds == other.kinds && g.settings == one.settings && g.students == 1;
      });
      if (known || trained_as(other.kind, 1) != one.kind || other.kinds != one.kinds ||
          other.experiment != one.experiment || other.settings != one.settings)
        continue;
      all.push_back(one);
      all.back().ensemble = other.ensemble;
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const RunGroup& a, const RunGroup& b) { return a.students < b.students; });
  return all;
}

// One line per kind of ensemble and network over the number of students.
std::string over_students(const std::vector<RunGroup>& groups, const plot::Chart& like,
                          const std::function<Statistic(const Summary&)>& value) {
  std::set<std::tuple<std::string, std::string, std::string, size_t>> seen;
  bool experiments = false;  // whether names need the experiment, since two groups would share a point
  for (const RunGroup& g : groups) {
    experiments = experiments || !seen.insert({g.ensemble, g.kinds, settings_label(g), g.students}).second;
  }
  std::set<std::string> kinds;
  for (const RunGroup& g : groups) kinds.insert(g.kinds);

  plot::Chart c = like;
  std::vector<std::string> names;  // of all lines, so that a line has the same style in every chart
  for (const RunGroup& g : groups) {
    const std::string name =
        cat(g.ensemble, kinds.size() > 1 ? ", " + g.kinds : "", g.settings.empty() ? "" : ", " + settings_label(g),
            experiments ? cat(" (", g.experiment, ")") : "");
    const int style = static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin());
    if (style == static_cast<int>(names.size())) names.push_back(name);
    const Statistic s = value(g.summary);
    if (!std::isfinite(s.mean)) continue;
    auto line = std::find_if(c.series.begin(), c.series.end(), [&](const auto& known) { return known.style == style; });
    if (line == c.series.end()) {
      c.series.push_back({.name = name, .style = style});
      line = std::prev(c.series.end());
    }
    plot::Point p{static_cast<double>(g.students), s.mean};
    if (std::isfinite(s.deviation)) p.low = s.mean - s.deviation, p.high = s.mean + s.deviation;
    line->points.push_back(p);
  }
  return c.series.empty() ? "" : plot::figure(c);
}

std::string charts(const std::vector<RunGroup>& groups, const std::string& data) {
  struct Shown {
    std::string title, note, label;
    int decimals;
    std::function<Statistic(const Summary&)> value;
  };
  std::vector<Shown> all;
  const MetricList metrics = measured(groups);
  const Metric& main = metrics[0];
  for (const Metric& m : metrics) {
    all.push_back({cat(m.heading(), " of the ensemble, ", data, " data"), m.which_is_better(), m.title(), m.decimals(),
                   [m](const Summary& s) { return s.metrics[m]; }});
  }
  all.push_back({cat("Students\u2019 mean ", main.title(), ", ", data, " data"),
                 "The mean over the students, each alone.", main.title(), main.decimals(),
                 [](const Summary& s) { return s.student_mean; }});
  all.push_back({cat("Weakest student\u2019s ", main.title(), ", ", data, " data"), "The weakest student of each run.",
                 main.title(), main.decimals(), [](const Summary& s) { return s.student_weakest; }});
  all.push_back({"Information abundance of the last hidden layer",
                 "Mean over students: how many of its dimensions a layer uses.", "information abundance", 2,
                 [](const Summary& s) { return s.abundance; }});
  std::string page = "<div class=\"figures\">";
  for (const Shown& shown : all) {
    plot::Chart c;
    c.title = shown.title;
    c.note = shown.note + " Bars: one standard deviation over seeds.";
    c.x = {.label = "number of students", .whole = true};
    c.y = {.label = shown.label, .decimals = shown.decimals};
    page += over_students(groups, c, shown.value);
  }
  return page + "</div>";
}

}  // namespace

std::string settings_label(const RunGroup& group) {
  std::string label;
  for (const auto& [key, value] : group.settings) label += cat(label.empty() ? "" : ", ", key, " ", value);
  return label;
}

std::string comparison(const std::vector<RunGroup>& groups) {
  const std::string data = data_name(groups);
  const std::string table = comparison_table(groups, data) + effects(groups, measured(groups)[0], data);
  const std::vector<RunGroup> drawn = with_single_students(groups);
  std::map<std::tuple<std::string, std::string, std::string>, std::set<size_t>> sizes;
  for (const RunGroup& g : drawn) {
    if (g.summary.runs > 0) sizes[{g.ensemble, g.kinds, settings_label(g)}].insert(g.students);
  }
  constexpr size_t kMaxLines = 12;
  const bool one_size = std::none_of(sizes.begin(), sizes.end(), [](const auto& s) { return s.second.size() > 1; });
  if (one_size || sizes.size() > kMaxLines) return table;
  const bool repeated = drawn.size() > groups.size();
  return cat(table, "<h3>Against the number of students</h3>",
             repeated ? cat("<p class=\"unit\">", one_student_note(), "</p>") : "", charts(drawn, data));
}

std::string run_list(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups) {
  const MetricList metrics = measured(groups);
  std::vector<std::vector<std::string>> rows;
  for (const RunGroup& g : groups) {
    for (const size_t i : g.runs) {
      const RunRecord& run = runs[i];
      std::vector<std::string> row = {cat("<a href=\"#", html::anchor(i), "\">", escape(run_label(run)), "</a>"),
                                      escape(run.config.id)};
      for (const auto& setting : g.settings) row.push_back(escape(setting.second));
      row.push_back(cat(run.config.training.seed));
      if (run.finished()) {
        const Evaluation& e = run.best();
        row.push_back(run.test ? "test" : "validation");
        for (const Metric& m : metrics) row.push_back(fixed(e.ensemble[m], m.decimals()));
      } else {
        row.push_back("not finished");
        row.resize(row.size() + metrics.size());
      }
      rows.push_back(row);
    }
  }
  std::vector<std::string> titles{"run", "experiment"};
  for (const auto& setting : groups[0].settings) titles.push_back(html::key(setting.first));
  titles.insert(titles.end(), {"seed", "data"});
  for (const Metric& m : metrics) titles.push_back(m.title());
  return "<h3>Every run</h3>" + plot::table(titles, rows);
}

}  // namespace kdef
