#include "kdef/study/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "core/base/error.h"
#include "kdef/study/plot.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

using plot::escape;
using plot::fixed;

constexpr double kLeastSpectrum = 1e-7;  // below, singular values of fp32 numbers are rounding
constexpr size_t kMostTables = 6;        // embedding tables that get a line each
constexpr size_t kMostOpenRuns = 3;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// ---- What a run is, in words.

std::string ensemble_label(const ExperimentConfig& config) {
  std::string label = name_of(config.model.kind);
  if (config.model.kind == EnsembleKind::kdef) {
    const ObjectiveConfig& o = config.model.objective;
    label = "KDEF";
    if (!o.teach) label += o.peer ? ", DML only" : ", label loss only";
    if (o.teach && !o.peer) label += ", KD only";
    if (o.examination == Examination::detached) label += ", detached weights";
    if (o.examination == Examination::equal) label += ", equal weights";
  }
  if (!config.model.shared_embedding) label += ", own embeddings";
  return label;
}

std::string network_label(const StudentConfig& student) {
  std::string label = student.network;
  for (size_t i = 0; i < student.hidden_units.size(); ++i) label += cat(i == 0 ? " " : "-", student.hidden_units[i]);
  return label;
}

// "3 \u00d7 mlp 400-400"; without `counted`, "mlp 400-400".
std::string networks_label(const ExperimentConfig& config, bool counted) {
  std::vector<std::pair<std::string, int>> kinds;
  for (const StudentConfig& student : config.model.students) {
    const std::string name = network_label(student);
    const auto known = std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.first == name; });
    if (known == kinds.end())
      kinds.emplace_back(name, 1);
    else
      ++known->second;
  }
  std::string label;
  for (const auto& [name, count] : kinds) {
    label += cat(label.empty() ? "" : ", ", counted && count > 1 ? cat(count, " \u00d7 ") : "", name);
  }
  return label;
}

bool heads_trained(const ExperimentConfig& config) { return config.model.kind != EnsembleKind::concat; }

std::string run_label(const RunRecord& run) {
  const std::string networks = networks_label(run.config, true);
  const bool single = run.config.model.students.size() == 1 && run.config.model.kind != EnsembleKind::kdef;
  return single ? cat("Single ", networks) : cat(ensemble_label(run.config), ", ", networks);
}

// ---- Numbers of runs.

double mean_abundance(const RunRecord& run) { return run.collapse ? run.collapse->mean_abundance() : kNone; }

// ---- Pieces of HTML.

std::string fact(const std::string& name, const std::string& value, const std::string& more = "") {
  return cat("<div><dt>", name, "</dt><dd>", value, more.empty() ? "" : cat("<small>", more, "</small>"),
             "</dd></div>");
}

std::string notes(const std::vector<std::string>& all) {
  if (all.empty()) return "";
  std::string html = "<ul class=\"notes\">";
  for (const std::string& note : all) html += cat("<li>", escape(note), "</li>");
  return html + "</ul>";
}

std::string code(const std::vector<std::string>& lines) {
  std::string html = "<pre>";
  for (const std::string& line : lines) html += escape(line) + "\n";
  return html + "</pre>";
}

std::string plus_minus(const Statistic& s, int decimals) {
  if (!std::isfinite(s.deviation)) return fixed(s.mean, decimals);
  return cat(fixed(s.mean, decimals), "<small>\u00b1 ", fixed(s.deviation, decimals), "</small>");
}

std::string signed_fixed(double value, int decimals) { return cat(value > 0 ? "+" : "", fixed(value, decimals)); }

// The weakest student's value is the least AUC, but the greatest error.
const char* weakest(const Metric& metric) { return metric.higher_is_better ? "least" : "greatest"; }

// What some run of these groups has measured; the default metrics where none is finished.
MetricList measured(const std::vector<Group>& groups) {
  PerMetric<bool> some;
  for (const Group& g : groups) {
    for (const Metric* m : g.measured) some[*m] = true;
  }
  MetricList metrics;
  for (const Metric& m : kMetrics) {
    if (some[m]) metrics.push_back(&m);
  }
  return metrics.empty() ? metrics_of(default_task()) : metrics;
}

std::string anchor(size_t run) { return cat("run-", run + 1); }

// ---- One run.

std::string facts(const RunRecord& run) {
  std::string html = "<dl class=\"facts\">";
  if (run.finished()) {
    const Evaluation& e = run.best();
    const std::string data = run.test ? "Test" : "Validation";
    for (const Metric* m : e.ensemble.measured()) {
      html += fact(cat(data, " ", m->title), fixed(e.ensemble[*m], m->decimals),
                   run.test ? cat("validation ", fixed(run.valid->ensemble[*m], m->decimals)) : "");
    }
    if (e.students.size() > 1 && heads_trained(run.config)) {
      const Metric& main = main_metric(e);
      const StudentSpread spread = student_spread(e);
      html += fact("Gain over its students\u2019 mean", signed_fixed(e.ensemble[main] - spread.mean, main.decimals),
                   cat("in ", main.title));
      html += fact(cat("Students\u2019 ", main.title), fixed(spread.mean, main.decimals),
                   cat(weakest(main), " ", fixed(spread.weakest, main.decimals), ", standard deviation ",
                       fixed(spread.deviation, main.decimals)));
    }
  }
  if (run.parameters) html += fact("Parameters", cat(*run.parameters));
  if (!run.evaluations.empty()) {
    const auto& last = run.evaluations.back();
    html += fact("Training", cat(last.epoch, last.epoch == 1 ? " epoch" : " epochs"),
                 cat(last.step, " steps, ", fixed(last.seconds, 0), " s"));
  }
  return html + "</dl>";
}

std::string learning_curves(const RunRecord& run) {
  const auto& all = run.evaluations;
  if (all.empty()) return "";
  // Epochs where each has one evaluation, otherwise steps.
  bool epochs = true;
  for (size_t i = 1; i < all.size(); ++i) epochs = epochs && all[i].epoch > all[i - 1].epoch;
  const auto x = [&](const TrainingListener::Evaluated& e) { return static_cast<double>(epochs ? e.epoch : e.step); };
  const size_t students =
      heads_trained(run.config) && run.config.model.students.size() > 1 ? run.config.model.students.size() : 0;

  const auto chart = [&](const Metric& metric) {
    plot::Chart c;
    const std::string what = heading(metric);
    c.title = cat(what, " on the validation data");
    c.x = {.label = epochs ? "epoch" : "step", .whole = true};
    c.y = {.label = what, .decimals = metric.decimals};
    for (size_t k = 0; k < students; ++k) {
      plot::Series s{.name = cat("student ", k + 1), .style = static_cast<int>(k)};
      for (const auto& e : all) {
        if (k < e.valid.students.size()) s.points.push_back({x(e), e.valid.students[k][metric]});
      }
      c.series.push_back(std::move(s));
    }
    plot::Series ensemble{.name = run.config.model.students.size() > 1 ? "ensemble" : "network", .emphasized = true};
    for (const auto& e : all) {
      ensemble.points.push_back({x(e), e.valid.ensemble[metric]});
      if (run.model_step && e.step == *run.model_step) c.mark = {x(e), "the model that was kept"};
    }
    c.series.push_back(std::move(ensemble));
    c.note =
        cat(students > 0 ? "The ensemble and every student alone, after each evaluation." : "After each evaluation.",
            c.mark ? " The dotted line marks the model that was kept." : "");
    return plot::figure(c);
  };
  std::string html = "<h3>Learning curves</h3><div class=\"figures\">";
  for (const Metric* m : all.back().valid.ensemble.measured()) html += chart(*m);
  return html + "</div>";
}

std::string students(const RunRecord& run) {
  if (!run.finished() || run.best().students.size() < 2) return "";
  const Evaluation& e = run.best();
  const std::string data = run.test ? "test" : "validation";
  const bool distances =
      heads_trained(run.config) && run.collapse && run.collapse->distance_to_ensemble.size() == e.students.size();
  std::string html = "<h3>Students alone</h3>";
  html += heads_trained(run.config) ? "<p>Every student is a network of its own and can be served alone, at a fraction "
                                      "of the ensemble\u2019s cost.</p>"
                                    : "<p>The output layers of a concat ensemble\u2019s students are not trained: what "
                                      "they give alone means nothing.</p>";
  const MetricList metrics = e.ensemble.measured();
  const Metric& main = main_metric(e);
  std::vector<std::string> header = {"", "network"};
  std::vector<std::vector<std::string>> rows = {
      {"<strong>ensemble</strong>", escape(networks_label(run.config, true))}};
  for (const Metric* m : metrics) {
    header.push_back(cat(data, " ", m->title));
    rows[0].push_back(fixed(e.ensemble[*m], m->decimals));
  }
  header.push_back(cat(main.title, " less the ensemble\u2019s"));
  rows[0].push_back("");
  if (distances) {
    header.push_back("mean |p<sub>m</sub> \u2212 q|");
    rows[0].push_back("");
  }
  plot::Chart c;
  c.title = cat(heading(main), " on the ", data, " data, student by student");
  c.note = "Each student alone; the line is the ensemble.";
  c.x = {.label = "student", .whole = true};
  c.y = {.label = main.title, .decimals = main.decimals};
  plot::Series alone{.name = "student", .line = false},
      together{.name = "ensemble", .emphasized = true, .markers = false};
  for (size_t k = 0; k < e.students.size(); ++k) {
    const Quality& q = e.students[k];
    const double x = static_cast<double>(k + 1);
    alone.points.push_back({x, q[main]});
    together.points.push_back({x, e.ensemble[main]});
    rows.push_back({cat("student ", k + 1),
                    k < run.config.model.students.size() ? escape(network_label(run.config.model.students[k])) : ""});
    for (const Metric* m : metrics) rows.back().push_back(fixed(q[*m], m->decimals));
    rows.back().push_back(signed_fixed(q[main] - e.ensemble[main], main.decimals));
    if (distances) rows.back().push_back(fixed(run.collapse->distance_to_ensemble[k], 5));
  }
  c.series = {alone, together};
  html += plot::table(header, rows);
  if (heads_trained(run.config)) html += cat("<div class=\"figures\">", plot::figure(c), "</div>");
  return html;
}

plot::Chart spectrum_chart(const std::string& title, const std::string& note) {
  plot::Chart c;
  c.title = title;
  c.note = note;
  c.x = {.label = "singular value, by size", .whole = true};
  c.y = {.label = "relative to the largest", .log = true, .least = kLeastSpectrum};
  return c;
}

plot::Series spectrum_series(const MatrixRecord& m, int style) {
  plot::Series s{.name = m.name, .style = style};
  for (size_t i = 0; i < m.relative_spectrum.size(); ++i)
    s.points.push_back({static_cast<double>(i + 1), m.relative_spectrum[i]});
  return s;
}

std::string embedding_spectra(const std::vector<MatrixRecord>& tables) {
  if (tables.size() <= kMostTables) {
    plot::Chart c = spectrum_chart("Spectra of the embedding tables", "One line per table, without its padding row.");
    for (size_t i = 0; i < tables.size(); ++i) c.series.push_back(spectrum_series(tables[i], static_cast<int>(i)));
    return plot::figure(c);
  }
  // Of tables of one width, over those that have an i-th singular value at all.
  plot::Chart c = spectrum_chart("Spectra of the embedding tables", cat("Median and middle half of ", tables.size(),
                                                                        " tables, without their padding rows."));
  std::map<int64_t, std::vector<std::vector<double>>> widths;
  for (const MatrixRecord& m : tables) {
    auto& values = widths[m.measures.columns];
    const size_t rank =
        std::min(m.relative_spectrum.size(), static_cast<size_t>(std::max<int64_t>(m.measures.rows, 0)));
    values.resize(std::max(values.size(), rank));
    for (size_t i = 0; i < rank; ++i) values[i].push_back(m.relative_spectrum[i]);
  }
  for (auto& [columns, values] : widths) {
    plot::Series s{.name = cat(columns, " columns"), .style = static_cast<int>(c.series.size()), .band = true};
    for (size_t i = 0; i < values.size(); ++i) {
      std::vector<double>& v = values[i];
      std::sort(v.begin(), v.end());
      const auto quantile = [&](double share) {
        return v[static_cast<size_t>(share * static_cast<double>(v.size() - 1) + 0.5)];
      };
      s.points.push_back({static_cast<double>(i + 1), quantile(0.5), quantile(0.25), quantile(0.75)});
    }
    c.series.push_back(std::move(s));
  }
  return plot::figure(c);
}

std::string matrix_table(const std::vector<MatrixRecord>& matrices) {
  std::vector<std::vector<std::string>> rows;
  for (const MatrixRecord& m : matrices) {
    const Spectrum& s = m.measures;
    rows.push_back({escape(m.name), cat(s.rows, " \u00d7 ", s.columns), fixed(s.information_abundance, 2),
                    fixed(s.effective_rank, 2), fixed(s.stable_rank, 2), fixed(s.participation_ratio, 2)});
  }
  return plot::table({"matrix", "rows \u00d7 columns", "information abundance", "effective rank", "stable rank",
                      "participation ratio"},
                     rows);
}

std::string abundance_history(const RunRecord& run) {
  if (run.collapse_history.empty()) return "";
  plot::Chart c;
  c.title = "Information abundance during training";
  c.note = "Of the last hidden layer of every student.";
  c.x = {.label = "step", .whole = true};
  c.y = {.label = "information abundance", .decimals = 2};
  for (const CollapseRecord& record : run.collapse_history) {
    const std::vector<MatrixRecord> layers = record.last_layers();
    for (size_t k = 0; k < layers.size(); ++k) {
      if (k == c.series.size()) c.series.push_back({.name = cat("student ", k + 1), .style = static_cast<int>(k)});
      c.series[k].points.push_back({static_cast<double>(record.step), layers[k].measures.information_abundance});
    }
  }
  return plot::figure(c);
}

std::string collapse(const RunRecord& run) {
  if (!run.collapse && run.collapse_history.empty()) return "";
  std::string html = "<h3>How many dimensions are used</h3><div class=\"figures\">";
  if (run.collapse) {
    const CollapseRecord& r = *run.collapse;
    const std::vector<MatrixRecord> last = r.last_layers();
    if (!last.empty()) {
      plot::Chart c = spectrum_chart("Spectra of the students\u2019 last hidden layers",
                                     cat("Singular values over ", r.rows,
                                         " rows. A line that falls early uses few of its dimensions; it ends where "
                                         "values are under 10\u207b\u2077, which is rounding."));
      for (size_t k = 0; k < last.size(); ++k) c.series.push_back(spectrum_series(last[k], static_cast<int>(k)));
      html += plot::figure(c);
    }
    if (!r.embeddings.empty()) html += embedding_spectra(r.embeddings);
    html += abundance_history(run);
    if (heads_trained(run.config) && r.disagreement.size() > 1) {
      plot::HeatMap map;
      map.title = "Disagreement between students";
      map.note = cat("How far the predictions of two students lie apart; mean over all pairs ",
                     plot::significant(r.mean_disagreement, 3), ". Mean distance to the ensemble, |p \u2212 q|: ",
                     plot::significant(r.mean_distance_to_ensemble, 3), ".");
      map.unit = "Mean squared difference of probabilities";
      map.values = r.disagreement;
      for (size_t k = 0; k < r.disagreement.size(); ++k) map.names.push_back(cat("student ", k + 1));
      html += plot::figure(map);
    }
    html += "</div>";
    html += matrix_table(r.layers);
    html += cat("<details class=\"values\"><summary>The same of ", r.embeddings.size(),
                r.embeddings.size() == 1 ? " embedding table" : " embedding tables", "</summary>",
                matrix_table(r.embeddings), "</details>");
    html +=
        "<p class=\"unit\">Information abundance: the sum of the singular values over the largest, between 1 and the "
        "rank. All of the "
        "uncentred matrix but the participation ratio. Values compare only between matrices of the same width.</p>";
  } else {
    html += abundance_history(run) + "</div>";
  }
  return html;
}

std::string commands(const RunRecord& run) {
  const RunFiles files(run.directory);
  const std::string dir = shell_word(run.directory), again = shell_word(run.directory + "-again");
  const data::DatasetConfig& data = run.config.dataset;
  const std::string file = shell_word(data.test_data.empty() ? data.valid_data : data.test_data);
  std::vector<std::string> lines = {
      cat("kdef train --config ", shell_word(files.config()), " --run ", again),
      cat("kdef evaluate --run ", dir, " --data ", file),
      cat("kdef predict --run ", dir, " --data ", file, " --students --out predictions.txt"),
      cat("kdef collapse --run ", dir, " --json ", shell_word(files.collapse())),
      cat("kdef report ", dir, " --out report.html")};
  // Training an exported model's configuration would make another model.
  if (!run.exported.empty()) lines.erase(lines.begin());
  return cat("<h3>To repeat it</h3>", code(lines));
}

std::string section(const RunRecord& run) {
  return cat("<p class=\"lead\">Data set ", escape(run.config.dataset_id), ", experiment ", escape(run.config.id),
             ", seed ", run.config.training.seed, ", directory <code>", escape(run.directory), "</code></p>",
             facts(run), notes(run.notes), learning_curves(run), students(run), collapse(run), commands(run),
             "<details class=\"values\"><summary>Configuration: every key, as it was resolved</summary>",
             code({to_yaml(run.config)}), "</details>");
}

// ---- Several runs.

// One student is the same network in every kind of ensemble but concat, and a sweep trains it once, as mean (sweep.h):
// its group, under the name of every kind that has none of its own.
std::vector<Group> with_single_students(const std::vector<Group>& groups) {
  std::vector<Group> all = groups;
  for (const Group& one : groups) {
    if (one.students != 1 || one.ensemble != "mean") continue;
    for (const Group& other : groups) {
      const bool known = std::any_of(all.begin(), all.end(), [&](const Group& g) {
        return g.ensemble == other.ensemble && g.kinds == other.kinds && g.students == 1;
      });
      if (known || !other.heads_trained || other.kinds != one.kinds || other.experiment != one.experiment) continue;
      all.push_back(one);
      all.back().ensemble = other.ensemble;
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Group& a, const Group& b) { return a.students < b.students; });
  return all;
}

// One line per kind of ensemble and network over the number of students.
std::string over_students(const std::vector<Group>& groups, const plot::Chart& like, bool of_students,
                          const std::function<Statistic(const Group&)>& value) {
  std::set<std::tuple<std::string, std::string, size_t>> seen;
  bool experiments = false;  // tell apart what else would share a point
  for (const Group& g : groups) experiments = experiments || !seen.insert({g.ensemble, g.kinds, g.students}).second;
  std::set<std::string> kinds;
  for (const Group& g : groups) kinds.insert(g.kinds);

  plot::Chart c = like;
  std::vector<std::string> names;  // of all lines, so that a line looks the same in every chart
  for (const Group& g : groups) {
    const std::string name =
        cat(g.ensemble, kinds.size() > 1 ? ", " + g.kinds : "", experiments ? cat(" (", g.experiment, ")") : "");
    const int style = static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin());
    if (style == static_cast<int>(names.size())) names.push_back(name);
    const Statistic s = value(g);
    if ((of_students && !g.heads_trained) || !std::isfinite(s.mean)) continue;
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

std::string comparison(const std::vector<Group>& groups) {
  const bool on_test =
      std::all_of(groups.begin(), groups.end(), [](const Group& g) { return g.finished == 0 || g.on_test; });
  const std::string data = on_test ? "test" : "validation";
  const bool experiments =
      std::any_of(groups.begin(), groups.end(), [&](const Group& g) { return g.experiment != groups[0].experiment; });
  const MetricList metrics = measured(groups);
  const Metric& main = *metrics[0];
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> remarks;
  for (const Group& g : groups) {
    rows.push_back({cat(escape(g.ensemble), ", ", escape(g.networks)), cat(g.students),
                    g.finished == g.runs.size() ? cat(g.finished) : cat(g.finished, " of ", g.runs.size())});
    for (const Metric* m : metrics) rows.back().push_back(plus_minus(g.metrics[*m], m->decimals));
    if (experiments) rows.back().insert(rows.back().begin() + 1, escape(g.experiment));
    const bool students = g.students > 1 && g.heads_trained && g.finished > 0;
    rows.back().push_back(students ? plus_minus(g.student_mean, main.decimals) : "");
    rows.back().push_back(students ? plus_minus(g.student_weakest, main.decimals) : "");
    rows.back().push_back(students ? cat(g.gain.mean > 0 ? "+" : "", plus_minus(g.gain, main.decimals)) : "");
    rows.back().push_back(plus_minus(g.abundance, 2));
    if (g.repeated > 0) {
      remarks.push_back(
          cat("Of the runs of ", g.experiment, " (", g.ensemble, ", ", g.networks, ") ", g.repeated,
              " repeat the settings and the seed of another: a training that was made twice counts twice."));
    }
    if (!g.differing.empty()) {
      std::string keys;
      for (const std::string& key : g.differing) keys += cat(keys.empty() ? "" : ", ", key);
      remarks.push_back(cat("The runs of ", g.experiment, " (", g.ensemble, ", ", g.networks,
                            ") differ in more than their seed: ", keys, ". Their mean is that of different settings."));
    }
  }
  std::vector<std::string> titles{"ensemble", "students", "finished runs"};
  for (const Metric* m : metrics) titles.push_back(cat(data, " ", m->title));
  titles.insert(titles.end(),
                {cat("students\u2019 mean ", main.title), cat("students\u2019 ", weakest(main), " ", main.title),
                 "gain over students\u2019 mean", "information abundance"});
  if (experiments) titles.insert(titles.begin() + 1, "experiment");
  std::string html = plot::table(titles, rows);
  html +=
      cat("<p class=\"unit\">Mean \u00b1 standard deviation (of the sample) over the finished runs, which differ in "
          "their seed; of the best model, on the ",
          data,
          " data. Information abundance: of the students\u2019 last hidden layers, their mean; it compares only "
          "between layers of the same width.</p>",
          notes(remarks));

  const std::vector<Group> drawn = with_single_students(groups);
  std::map<std::pair<std::string, std::string>, std::set<size_t>> sizes;
  for (const Group& g : drawn) {
    if (g.finished > 0) sizes[{g.ensemble, g.kinds}].insert(g.students);
  }
  if (std::none_of(sizes.begin(), sizes.end(), [](const auto& s) { return s.second.size() > 1; })) return html;
  plot::Chart c;
  c.x = {.label = "number of students", .whole = true};
  const std::string bars = " Bars: one standard deviation over seeds.";
  html += "<h3>Against the number of students</h3>";
  if (drawn.size() > groups.size()) {
    html +=
        "<p class=\"unit\">One student is the same network in every kind of ensemble but concat: the run trained as "
        "mean stands for all.</p>";
  }
  html += "<div class=\"figures\">";
  for (const Metric* m : metrics) {
    c.title = cat(heading(*m), " of the ensemble, ", data, " data");
    c.note = (m->higher_is_better ? "Higher is better." : "Lower is better.") + bars;
    c.y = {.label = m->title, .decimals = m->decimals};
    html += over_students(drawn, c, false, [m](const Group& g) { return g.metrics[*m]; });
  }
  c.title = cat("Students\u2019 mean ", main.title, ", ", data, " data");
  c.note = "Each student alone, then their mean." + bars;
  c.y = {.label = main.title, .decimals = main.decimals};
  html += over_students(drawn, c, true, [](const Group& g) { return g.student_mean; });
  c.title = cat("Students\u2019 ", weakest(main), " ", main.title, ", ", data, " data");
  c.note = "The weakest student of each run." + bars;
  html += over_students(drawn, c, true, [](const Group& g) { return g.student_weakest; });
  c.title = "Information abundance of the last hidden layer";
  c.note = "Mean over students: how many of its dimensions a layer uses." + bars;
  c.y = {.label = "information abundance", .decimals = 2};
  html += over_students(drawn, c, false, [](const Group& g) { return g.abundance; });
  return html + "</div>";
}

std::string run_list(const std::vector<RunRecord>& runs, const std::vector<Group>& groups) {
  const MetricList metrics = measured(groups);
  std::vector<std::vector<std::string>> rows;
  for (const Group& g : groups) {
    for (const size_t i : g.runs) {
      const RunRecord& run = runs[i];
      std::vector<std::string> row = {cat("<a href=\"#", anchor(i), "\">", escape(run_label(run)), "</a>"),
                                      escape(run.config.id), cat(run.config.training.seed)};
      if (run.finished()) {
        const Evaluation& e = run.best();
        row.push_back(run.test ? "test" : "validation");
        for (const Metric* m : metrics) row.push_back(fixed(e.ensemble[*m], m->decimals));
      } else {
        row.push_back("not finished");
        row.resize(row.size() + metrics.size());
      }
      rows.push_back(row);
    }
  }
  std::vector<std::string> titles{"run", "experiment", "seed", "data"};
  for (const Metric* m : metrics) titles.push_back(m->title);
  return "<h3>Every run</h3>" + plot::table(titles, rows);
}

}  // namespace

Report read_report(const std::vector<std::string>& directories) {
  namespace fs = std::filesystem;
  Report report;
  for (const std::string& given : directories) {
    std::error_code error;
    std::string directory = given;
    while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
    if (!fs::is_directory(directory, error)) {
      throw InputError(cat(directory, ": is no folder; name the directories of runs, or of a sweep"));
    }
    if (fs::exists(RunFiles(directory).config(), error)) {
      report.runs.push_back(read_run(directory));
      continue;
    }
    if (!fs::is_directory(directory + "/runs", error)) {
      throw InputError(cat(directory, ": holds neither a run (config.yaml) nor a sweep (runs/NAME/config.yaml)"));
    }
    const size_t before = report.runs.size();
    for (const auto& entry : fs::directory_iterator(directory + "/runs", error)) {
      const std::string run = entry.path().string();
      if (!fs::is_directory(run, error)) continue;
      try {
        report.runs.push_back(read_run(run));
      } catch (const InputError& e) {
        report.notes.push_back(cat("A run was left out: ", e.what()));
      }
    }
    if (report.runs.size() == before) {
      throw InputError(cat(directory, "/runs: holds no run that can be read",
                           report.notes.empty() ? "" : cat("; ", report.notes.back())));
    }
  }
  const auto order = [](const RunRecord& r) {
    return std::make_tuple(r.config.dataset_id, r.config.model.kind, ensemble_label(r.config),
                           networks_label(r.config, false), r.config.model.students.size(),
                           networks_label(r.config, true), r.config.id, r.config.training.seed, r.directory);
  };
  std::sort(report.runs.begin(), report.runs.end(), [&](const auto& a, const auto& b) { return order(a) < order(b); });
  // A directory that was named twice, however it was written, counts once.
  std::set<std::string> seen;
  std::erase_if(report.runs, [&](const RunRecord& r) {
    std::error_code error;
    const std::filesystem::path place = std::filesystem::weakly_canonical(r.directory, error);
    return !seen.insert(error ? r.directory : place.string()).second;
  });
  std::sort(report.notes.begin(), report.notes.end());
  return report;
}

std::vector<Group> group_runs(const std::vector<RunRecord>& runs) {
  std::vector<Group> groups;
  for (size_t i = 0; i < runs.size(); ++i) {
    const ExperimentConfig& config = runs[i].config;
    Group g;
    g.dataset = config.dataset_id;
    g.experiment = config.id;
    g.ensemble = ensemble_label(config);
    g.networks = networks_label(config, true);
    g.kinds = networks_label(config, false);
    g.students = config.model.students.size();
    g.heads_trained = heads_trained(config);
    const auto key = [](const Group& a) {
      return std::tie(a.dataset, a.experiment, a.ensemble, a.networks, a.students);
    };
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const Group& a) { return key(a) == key(g); });
    Group& group = known == groups.end() ? groups.emplace_back(std::move(g)) : *known;
    group.runs.push_back(i);
    if (!runs[i].finished()) continue;
    ++group.finished;
    group.on_test = group.on_test && runs[i].test.has_value();
  }
  // A data set's figures are all of one kind of data.
  std::map<std::string, bool> on_test;
  for (const Group& g : groups) {
    auto& all = on_test.try_emplace(g.dataset, true).first->second;
    all = all && g.on_test;
  }
  for (Group& g : groups) {
    g.on_test = on_test[g.dataset];
    const auto over = [&](auto value) {
      std::vector<double> values;
      for (const size_t i : g.runs) {
        if (runs[i].finished()) values.push_back(value(g.on_test ? *runs[i].test : *runs[i].valid, runs[i]));
      }
      return statistic(values);
    };
    for (const Metric& m : kMetrics) {
      const auto has = [&](size_t i) { return runs[i].finished() && runs[i].valid->ensemble.has(m); };
      if (std::any_of(g.runs.begin(), g.runs.end(), has)) g.measured.push_back(&m);
      g.metrics[m] = over([&](const Evaluation& e, const RunRecord&) { return e.ensemble[m]; });
    }
    g.gain =
        over([](const Evaluation& e, const RunRecord&) { return e.ensemble[main_metric(e)] - student_spread(e).mean; });
    g.student_mean = over([](const Evaluation& e, const RunRecord&) { return student_spread(e).mean; });
    g.student_weakest = over([](const Evaluation& e, const RunRecord&) { return student_spread(e).weakest; });
    g.abundance = over([](const Evaluation&, const RunRecord& run) { return mean_abundance(run); });
    const ExperimentConfig& first = runs[g.runs[0]].config;
    std::set<std::string> differing;
    for (const size_t i : g.runs) {
      ExperimentConfig other = runs[i].config;
      other.training.seed = first.training.seed;
      for (const KeyDifference& d : differences(first, other)) differing.insert(d.key);
    }
    g.differing.assign(differing.begin(), differing.end());
    std::set<uint64_t> seeds;
    for (const size_t i : g.runs) seeds.insert(runs[i].config.training.seed);
    if (differing.empty()) g.repeated = g.runs.size() - seeds.size();
  }
  return groups;
}

std::string to_html(const Report& report) {
  const std::vector<RunRecord>& runs = report.runs;
  const bool one = runs.size() == 1;
  const std::string title = one ? run_label(runs[0]) : cat(runs.size(), " runs compared");
  std::string html =
      cat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
          "img-src data:\">\n"  // a browser then fetches nothing and runs nothing, whatever the text of a run says
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          escape(title), "</title>\n<style>", plot::style_sheet(), "</style>\n</head>\n<body>\n<header><h1>",
          escape(title), "</h1></header>\n<main>\n");
  html += notes(report.notes);
  if (one) {
    html += section(runs[0]);
  } else {
    const std::vector<Group> groups = group_runs(runs);
    for (size_t first = 0; first < groups.size();) {
      std::vector<Group> of_dataset;
      for (; first < groups.size() && (of_dataset.empty() || groups[first].dataset == of_dataset[0].dataset); ++first)
        of_dataset.push_back(groups[first]);
      html += cat("<section><h2>Data set ", escape(of_dataset[0].dataset), "</h2>", comparison(of_dataset),
                  run_list(runs, of_dataset), "</section>\n");
    }
    html += "<section><h2>Run by run</h2>\n";
    for (size_t i = 0; i < runs.size(); ++i) {
      html += cat("<details class=\"run\"", runs.size() <= kMostOpenRuns ? " open" : "", "><summary>",
                  escape(run_label(runs[i])), " <span>seed ", runs[i].config.training.seed,
                  "</span></summary><div id=\"", anchor(i), "\">", section(runs[i]), "</div></details>\n");
    }
    html += "</section>\n";
  }
  return html + "</main>\n</body>\n</html>\n";
}

}  // namespace kdef
