#include "kdef/study/comparison.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
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

// A column of the table of groups.
struct Column {
  std::string title;
  std::function<std::string(const RunGroup&)> cell;
  /// Of figures, what the best one is chosen by; null where none is best.
  std::function<double(const RunGroup&)> value = nullptr;
  std::optional<Metric> metric = std::nullopt;  // says which value is better
};

// A figure over seeds, with as many digits as all groups together call for.
Column figure_column(const std::string& title, const std::vector<RunGroup>& groups, const Metric& metric,
                     const std::function<Statistic(const RunGroup&)>& of) {
  std::vector<double> deviations;
  for (const RunGroup& g : groups) deviations.push_back(of(g).deviation);
  const int decimals = html::shown_decimals(metric, deviations);
  return {title,
          [=](const RunGroup& g) {
            const Statistic s = of(g);
            return std::isfinite(s.mean) ? plus_minus(s, decimals) : "";
          },
          [=](const RunGroup& g) { return of(g).mean; }, metric};
}

std::string experiments_of(const RunGroup& g) {
  return cat(escape(g.experiment), g.experiments > 1 ? cat("<small>and ", g.experiments - 1, " more</small>") : "");
}

// The main metric stands beside the name, where it is seen on a phone.
std::vector<Column> columns_of(const std::vector<RunGroup>& groups, const std::string& data) {
  const MetricList metrics = measured_in(groups);
  const Metric& main = metrics[0];
  std::vector<Column> all{
      {"ensemble", [](const RunGroup& g) { return escape(cat(ensemble_name(g), ", ", g.networks)); }}};
  const auto add_metric = [&](const Metric& m) {
    all.push_back(
        figure_column(cat(data, " ", m.title()), groups, m, [m](const RunGroup& g) { return g.summary.metrics[m]; }));
  };
  add_metric(main);
  if (std::any_of(groups.begin(), groups.end(), [&](const auto& g) { return g.experiment != groups[0].experiment; }))
    all.push_back({"experiment", experiments_of});
  for (const auto& setting : groups[0].settings) {
    all.push_back(
        {html::key(setting.first), [key = setting.first](const RunGroup& g) { return escape(g.settings.at(key)); }});
  }
  for (size_t i = 1; i < metrics.size(); ++i) add_metric(metrics[i]);
  all.push_back({"students", [](const RunGroup& g) { return cat(g.students); }});
  all.push_back({"finished runs", [](const RunGroup& g) {
                   return g.summary.runs == g.runs.size() ? cat(g.summary.runs)
                                                          : cat(g.summary.runs, " of ", g.runs.size());
                 }});
  const auto of_students = [](Statistic Summary::*value) {
    return [value](const RunGroup& g) { return g.students > 1 ? g.summary.*value : Statistic(); };
  };
  all.push_back(
      figure_column(cat("students\u2019 mean ", main.title()), groups, main, of_students(&Summary::student_mean)));
  all.push_back(figure_column(cat("weakest student\u2019s ", main.title()), groups, main,
                              of_students(&Summary::student_weakest)));
  Column gain = figure_column("gain over students\u2019 mean", groups, main, of_students(&Summary::gain));
  gain.value = nullptr;  // weak students make it large
  gain.cell = [cell = gain.cell](const RunGroup& g) { return cat(g.summary.gain.mean > 0 ? "+" : "", cell(g)); };
  gain.cell = [cell = gain.cell](const RunGroup& g) { return g.students > 1 ? cell(g) : ""; };
  all.push_back(std::move(gain));
  all.push_back(
      {"students\u2019 distance to the ensemble", [](const RunGroup& g) { return plus_minus(g.summary.distance, 4); }});
  all.push_back({"information abundance", [](const RunGroup& g) { return plus_minus(g.summary.abundance, 2); }});
  return all;
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

// The cells of a column, the best one marked where there are several.
std::vector<std::string> cells_of(const Column& column, const std::vector<RunGroup>& groups) {
  double best = std::nan("");
  size_t values = 0;
  for (const RunGroup& g : groups) {
    const double value = column.value ? column.value(g) : std::nan("");
    if (!std::isfinite(value)) continue;
    ++values;
    if (std::isnan(best) || column.metric->better(value, best)) best = value;
  }
  std::vector<std::string> cells;
  for (const RunGroup& g : groups) {
    const std::string cell = column.cell(g);
    cells.push_back(values > 1 && column.value(g) == best ? html::best(cell) : cell);
  }
  return cells;
}

std::string comparison_table(const std::vector<RunGroup>& groups, const std::string& data) {
  const std::vector<RunGroup> sorted = in_order(groups, measured_in(groups)[0]);
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows(sorted.size());
  for (const Column& column : columns_of(groups, data)) {
    titles.push_back(column.title);
    const std::vector<std::string> cells = cells_of(column, sorted);
    for (size_t i = 0; i < cells.size(); ++i) rows[i].push_back(cells[i]);
  }
  return cat(
      plot::table(titles, rows),
      "<p class=\"unit\">Mean \u00b1 standard deviation (of the sample) over the finished runs of a line, which "
      "differ in their seed. The best value of a column is in bold. All figures are of the best model, on the ",
      data,
      " data. Distance to the ensemble is the mean of |p \u2212 q| over rows and students: the more the students fall "
      "apart, the larger it is. Information abundance is that of the students\u2019 last hidden layers, averaged over "
      "the students; "
      "compare it only between layers of the same width.</p>",
      html::notes(remarks(groups)));
}

// A single student's group, repeated under the name of every kind of ensemble that it stands for (trained_as) and that
// has no single student of its own.
std::vector<RunGroup> with_single_students(const std::vector<RunGroup>& groups) {
  std::vector<RunGroup> all = groups;
  const auto is_alone = [&](const RunGroup& g) {  // in its experiment
    return std::none_of(groups.begin(), groups.end(),
                        [&](const RunGroup& o) { return o.experiment == g.experiment && o.students > 1; });
  };
  for (RunGroup& g : all) {  // on no line, since the others may have other settings
    if (is_alone(g)) g.ensemble = ensemble_name(g);
  }
  for (const RunGroup& one : groups) {
    if (one.students != 1 || one.ensemble != name_of(EnsembleKind::mean) || is_alone(one)) continue;
    for (const RunGroup& other : groups) {
      const bool known = std::any_of(all.begin(), all.end(), [&](const RunGroup& g) {
        return g.ensemble == other.ensemble && g.kinds == other.kinds && g.settings == one.settings && g.students == 1;
      });
      if (known || trained_as(other.kind, 1) != one.kind || other.kinds != one.kinds ||
          other.experiment != one.experiment || other.settings != one.settings)
        continue;
      all.push_back(one);
      all.back().ensemble = other.ensemble;
      all.back().kind = other.kind;
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const RunGroup& a, const RunGroup& b) {
    return std::tie(a.kind, a.students) < std::tie(b.kind, b.students);
  });
  return all;
}

constexpr size_t kEnoughForBars = 5;  // seeds, from which on a deviation says more than they do

// The style of every line, the same in all charts. A plain kind of ensemble has the style of its kind; a second line of
// the kind has one that is free, and not in the colour of KDEF.
class LineStyles {
 public:
  int of(const std::string& name, const RunGroup& g) {
    const auto known = styles_.find(name);
    if (known != styles_.end()) return known->second;
    const int kdef = ensemble_style(EnsembleKind::kdef);
    int style = ensemble_style(g.kind);
    const bool is_plain =
        g.settings.empty() && (g.kind != EnsembleKind::kdef || g.ensemble == "KDEF") && !name.starts_with(kOneNetwork);
    if (!is_plain || taken_.count(style) != 0) {
      // Above the styles of all kinds: those may still come. The first one has the colour of concat, the rarest kind.
      const int first_free = plot::kColours + ensemble_style(EnsembleKind::concat);
      for (style = first_free; style % plot::kColours == kdef || taken_.count(style) != 0;) ++style;
    }
    taken_.insert(style);
    return styles_[name] = style;
  }

 private:
  std::map<std::string, int> styles_;
  std::set<int> taken_;
};

// Whether two of the groups have one name but for their experiment.
bool differ_in_experiment(const std::vector<RunGroup>& groups) {
  std::set<std::tuple<std::string, std::string, std::string, size_t>> seen;
  return std::any_of(groups.begin(), groups.end(), [&](const RunGroup& g) {
    return !seen.insert({g.ensemble, g.kinds, settings_label(g), g.students}).second;
  });
}

// `ensemble`, with what else tells the lines of a chart of `groups` apart.
std::string line_name(const std::vector<RunGroup>& groups, const RunGroup& g, const std::string& ensemble) {
  const bool networks =
      std::any_of(groups.begin(), groups.end(), [&](const RunGroup& o) { return o.kinds != groups[0].kinds; });
  return cat(ensemble, networks ? ", " + g.kinds : "", g.settings.empty() ? "" : ", " + settings_label(g),
             differ_in_experiment(groups) ? cat(" (", g.experiment, ")") : "");
}

// One line per kind of ensemble and network over the number of students.
std::string over_students(const std::vector<RunGroup>& groups, const plot::Chart& like,
                          const std::function<Statistic(const Summary&)>& value) {
  size_t most_runs = 0;
  for (const RunGroup& g : groups) most_runs = std::max(most_runs, g.summary.runs);

  plot::Chart c = like;
  LineStyles styles;
  bool bars = false, singles = false;
  for (const RunGroup& g : groups) {
    const std::string name = line_name(groups, g, g.ensemble);
    const int style = styles.of(name, g);
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
    if (s.values.size() < 2) continue;
    if (most_runs >= kEnoughForBars) {
      bars = true;
    } else {
      singles = true;
      for (const double v : s.values) line->singles.push_back({p.x, v});
    }
  }
  if (c.series.empty()) return "";
  if (bars) c.note += " Bars: one standard deviation over seeds.";
  if (singles) c.note += " Small dots: each seed; the line goes through their means.";
  return plot::figure(c);
}

std::string charts(const std::vector<RunGroup>& groups, const std::string& data) {
  struct Shown {
    std::string title, note, label;
    int decimals;
    std::function<Statistic(const Summary&)> value;
  };
  std::vector<Shown> all;
  const MetricList metrics = measured_in(groups);
  const Metric& main = metrics[0];
  for (const Metric& m : html::drawn(metrics)) {
    all.push_back({cat(m.heading(), " of the ensemble, ", data, " data"), m.which_is_better(), m.title(),
                   html::shown_decimals(m), [m](const Summary& s) { return s.metrics[m]; }});
  }
  const int decimals = html::shown_decimals(main);
  all.push_back({cat("Students\u2019 mean ", main.title(), ", ", data, " data"),
                 "The mean over the students, each alone.", main.title(), decimals,
                 [](const Summary& s) { return s.student_mean; }});
  all.push_back({cat("Weakest student\u2019s ", main.title(), ", ", data, " data"), "The weakest student of each run.",
                 main.title(), decimals, [](const Summary& s) { return s.student_weakest; }});
  all.push_back({"Distance of the students to the ensemble",
                 "Mean of |p \u2212 q|: the more the students fall apart, the larger it is.", "|p \u2212 q|", 4,
                 [](const Summary& s) { return s.distance; }});
  all.push_back({"Information abundance of the last hidden layer",
                 "Mean over students: how many of its dimensions a layer uses.", "information abundance", 2,
                 [](const Summary& s) { return s.abundance; }});
  all.push_back(
      {"Time of training", "Evaluations included.", "seconds", 1, [](const Summary& s) { return s.seconds; }});
  std::string page = "<div class=\"figures\">";
  for (const Shown& shown : all) {
    plot::Chart c;
    c.title = shown.title;
    c.note = shown.note;
    c.x = {.label = "number of students", .whole = true};
    c.y = {.label = shown.label, .decimals = shown.decimals};
    page += over_students(groups, c, shown.value);
  }
  return page + "</div>";
}

// Every ensemble with its students: what is drawn where no line has two numbers of students.
std::string beside_students(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups,
                            const std::string& data) {
  const Metric main = measured_in(groups)[0];
  plot::Ranking all{.title = cat(main.heading(), " of the ensembles and of their students, ", data, " data"),
                    .note = cat("Small dots: every student alone. ", main.which_is_better()),
                    .axis = {.label = main.title(), .decimals = html::shown_decimals(main)},
                    .from_zero = false};
  LineStyles styles;
  bool students = false;
  for (const RunGroup& g : groups) {
    const Statistic& s = g.summary.metrics[main];
    if (!std::isfinite(s.mean)) continue;  // no run has finished
    const std::string ensemble = g.students > 1 ? cat(ensemble_name(g), " of ", g.students) : ensemble_name(g);
    const std::string name = line_name(groups, g, ensemble);
    plot::Ranking::Row row{.name = name, .value = s.mean, .deviation = s.deviation, .style = styles.of(name, g)};
    for (const size_t i : g.runs) {
      if (g.students < 2 || !runs[i].finished() || !ensemble_type(g.kind).trains_output_layers()) continue;
      for (const Quality& q : (g.on_test ? *runs[i].test : *runs[i].valid).students) row.parts.push_back(q[main]);
    }
    students = students || !row.parts.empty();
    all.rows.push_back(std::move(row));
  }
  return students ? cat("<div class=\"figures\">", plot::figure(all), "</div>") : "";
}

}  // namespace

std::string group_label(const RunGroup& g) {
  std::string label = cat(ensemble_name(g), ", ", g.networks);
  if (const std::string settings = settings_label(g); !settings.empty()) label += ", " + settings;
  return label;
}

std::string data_name(const std::vector<RunGroup>& groups) {
  const bool on_test =
      std::all_of(groups.begin(), groups.end(), [](const RunGroup& g) { return g.summary.runs == 0 || g.on_test; });
  return on_test ? "test" : "validation";
}

MetricList measured_in(const std::vector<RunGroup>& groups) {
  std::vector<const Summary*> summaries;
  for (const RunGroup& g : groups) summaries.push_back(&g.summary);
  return measured_by(summaries);
}

std::string settings_label(const RunGroup& group) {
  std::string label;
  for (const auto& [key, value] : group.settings) label += cat(label.empty() ? "" : ", ", key, " ", value);
  return label;
}

std::string comparison(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups) {
  const std::string data = data_name(groups);
  const std::string table = comparison_table(groups, data) + effects(groups, measured_in(groups)[0], data);
  const std::vector<RunGroup> drawn = with_single_students(groups);
  std::map<std::tuple<std::string, std::string, std::string>, std::set<size_t>> sizes;
  for (const RunGroup& g : drawn) {
    if (g.summary.runs > 0) sizes[{g.ensemble, g.kinds, settings_label(g)}].insert(g.students);
  }
  constexpr size_t kMaxLines = 12;
  const bool one_size = std::none_of(sizes.begin(), sizes.end(), [](const auto& s) { return s.second.size() > 1; });
  if (sizes.size() > kMaxLines) return table;
  if (one_size) return cat(table, beside_students(runs, groups, data));
  const bool repeated = drawn.size() > groups.size();
  return cat(table, "<h3>Against the number of students</h3>",
             repeated ? cat("<p class=\"unit\">", one_student_note(), "</p>") : "", charts(drawn, data));
}

std::string run_list(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups) {
  const MetricList metrics = measured_in(groups);
  std::vector<std::vector<std::string>> rows;
  const auto add_metric = [&](const RunRecord& run, const Metric& m, std::vector<std::string>& row) {
    row.push_back(run.finished() ? fixed(run.best().ensemble[m], html::shown_decimals(m)) : "");
  };
  for (const RunGroup& g : groups) {
    for (const size_t i : g.runs) {
      const RunRecord& run = runs[i];
      std::vector<std::string> row = {cat("<a href=\"#", html::anchor(i), "\">", escape(run_label(run)), "</a>")};
      add_metric(run, metrics[0], row);
      row.push_back(cat(run.config.training.seed));
      for (const auto& setting : g.settings) row.push_back(escape(setting.second));
      for (size_t m = 1; m < metrics.size(); ++m) add_metric(run, metrics[m], row);
      row.push_back(!run.finished() ? run.running ? "running" : "not finished" : run.test ? "test" : "validation");
      row.push_back(escape(run.config.id));
      rows.push_back(row);
    }
  }
  std::vector<std::string> titles{"run", metrics[0].title(), "seed"};
  for (const auto& setting : groups[0].settings) titles.push_back(html::key(setting.first));
  for (size_t m = 1; m < metrics.size(); ++m) titles.push_back(metrics[m].title());
  titles.insert(titles.end(), {"data", "experiment"});
  return "<h3>Every run</h3>" + plot::table(titles, rows);
}

}  // namespace kdef
