#include "kdef/study/run_section.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "core/base/error.h"
#include "kdef/study/findings.h"
#include "kdef/study/html.h"
#include "kdef/study/labels.h"
#include "kdef/study/plot.h"
#include "kdef/study/summary.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

using html::shown_decimals;
using plot::escape;
using plot::fixed;

constexpr double kMinSpectrum = 1e-7;  // below, singular values of fp32 numbers are rounding noise
constexpr size_t kMaxTables = 6;       // up to so many embedding tables get a line each

// Whether the figures of single students mean anything.
bool students_trained(const RunRecord& run) { return ensemble_type(run.config.model.kind).trains_output_layers(); }

int style_of(const RunRecord& run) { return ensemble_style(run.config.model.kind); }

std::string main_name(const RunRecord& run) { return run.config.model.students.size() > 1 ? "ensemble" : "network"; }

std::string facts(const RunRecord& run) {
  std::string page = "<dl class=\"facts\">";
  if (run.finished()) {
    const Evaluation& e = run.best();
    const std::string data = run.test ? "Test" : "Validation";
    for (const Metric& m : e.ensemble.measured()) {
      const int decimals = shown_decimals(m);
      page += html::fact(cat(data, " ", m.title()), fixed(e.ensemble[m], decimals),
                         run.test ? cat("validation ", fixed(run.valid->ensemble[m], decimals)) : "");
    }
    if (e.students.size() > 1 && students_trained(run)) {
      const Metric main = main_metric(e);
      const int decimals = shown_decimals(main);
      const StudentSpread spread = student_spread(e);
      page += html::fact(
          cat("Students\u2019 mean ", main.title()), fixed(spread.mean, decimals),
          cat("weakest ", fixed(spread.weakest, decimals), ", standard deviation ", fixed(spread.deviation, decimals)));
    }
  }
  if (run.parameters) page += html::fact("Parameters", grouped(*run.parameters));
  if (!run.evaluations.empty()) {
    const auto& last = run.evaluations.back();
    page += html::fact("Training", cat(last.epoch, last.epoch == 1 ? " epoch" : " epochs"),
                       cat(grouped(last.step), " steps, ", fixed(last.seconds, last.seconds < 10 ? 1 : 0), " s"));
  }
  return page + "</dl>";
}

std::string learning_curves(const RunRecord& run) {
  const auto& all = run.evaluations;
  if (all.empty()) return "";
  // The x axis counts epochs if each has one evaluation, otherwise steps.
  bool epochs = true;
  for (size_t i = 1; i < all.size(); ++i) epochs = epochs && all[i].epoch > all[i - 1].epoch;
  const auto x = [&](const TrainingListener::Evaluated& e) { return static_cast<double>(epochs ? e.epoch : e.step); };
  const size_t students =
      students_trained(run) && run.config.model.students.size() > 1 ? run.config.model.students.size() : 0;

  const auto chart = [&](const Metric& metric) {
    const std::string what = metric.heading();
    plot::Chart c;
    plot::Series training{.name = "training rows", .style = 1, .reference = true};
    for (const auto& e : all) {
      if (e.train.has(metric)) training.points.push_back({x(e), e.train[metric]});
    }
    const bool has_training = !training.points.empty();
    c.title = cat(what, " on the validation data", has_training ? " and on training rows" : "");
    c.x = {.label = epochs ? "epoch" : "step", .whole = true};
    c.y = {.label = what, .decimals = shown_decimals(metric)};
    if (has_training) c.series.push_back(std::move(training));
    for (size_t k = 0; k < students; ++k) {
      plot::Series s{.name = cat("student ", k + 1), .style = student_style(k)};
      for (const auto& e : all) {
        if (k < e.valid.students.size()) s.points.push_back({x(e), e.valid.students[k][metric]});
      }
      c.series.push_back(std::move(s));
    }
    plot::Series ensemble{.name = main_name(run), .style = style_of(run), .emphasized = true};
    for (const auto& e : all) {
      ensemble.points.push_back({x(e), e.valid.ensemble[metric]});
      if (run.model_step && e.step == *run.model_step) c.mark = {x(e), "the model that was kept"};
    }
    c.series.push_back(std::move(ensemble));
    c.note = cat(
        students > 0 ? "The ensemble and every student alone, after each evaluation." : "After each evaluation.",
        c.mark ? " The dotted line marks the model that was kept." : "",
        has_training ? cat(" Training rows: a sample, measured in the same way. If their loss falls while that of the "
                           "validation data rises, the ",
                           main_name(run), " learns them by heart.")
                     : "");
    return plot::figure(c);
  };
  std::string page = "<h3>Learning curves</h3><div class=\"figures\">";
  for (const Metric& m : html::drawn(all.back().valid.ensemble.measured())) page += chart(m);
  return page + "</div>";
}

// Rows of figures, each with a quality, the best value of every metric marked.
class QualityTable {
 public:
  explicit QualityTable(MetricList metrics) : metrics_(std::move(metrics)) {}
  // `more`: cells behind the metrics.
  void add(const std::string& name, const Quality& quality, std::vector<std::string> more = {}) {
    names_.push_back(name);
    qualities_.push_back(quality);
    more_.push_back(std::move(more));
  }
  std::string html(const std::string& data, const std::vector<std::string>& more_titles = {}) const {
    std::vector<std::string> header = {""};
    std::vector<std::vector<std::string>> rows;
    for (const std::string& name : names_) rows.push_back({name});
    for (const Metric& m : metrics_) {
      header.push_back(cat(data, " ", m.title()));
      double best = std::nan("");
      for (const Quality& q : qualities_) {
        if (std::isnan(best) || m.better(q[m], best)) best = q[m];
      }
      for (size_t i = 0; i < rows.size(); ++i) {
        const std::string text = fixed(qualities_[i][m], shown_decimals(m));
        rows[i].push_back(qualities_[i][m] == best ? html::best(text) : text);
      }
    }
    header.insert(header.end(), more_titles.begin(), more_titles.end());
    for (size_t i = 0; i < rows.size(); ++i) rows[i].insert(rows[i].end(), more_[i].begin(), more_[i].end());
    return plot::table(header, rows);
  }

 private:
  MetricList metrics_;
  std::vector<std::string> names_;
  std::vector<Quality> qualities_;
  std::vector<std::vector<std::string>> more_;
};

std::string baselines(const RunRecord& run) {
  if (!run.baseline || !run.finished()) return "";
  const auto rows = [&](const Baseline::Rows& r) -> const Quality& { return run.test ? r.test : r.valid; };
  if (rows(run.baseline->constant).measured().empty()) return "";
  QualityTable table(run.best().ensemble.measured());
  table.add("constant click rate", rows(run.baseline->constant));
  table.add("logistic regression", rows(run.baseline->logistic_regression));
  table.add(cat("this ", main_name(run)), run.best().ensemble);
  return cat("<h3>What it has to beat</h3>", table.html(run.test ? "test" : "validation"),
             "<p class=\"unit\">The constant is the click rate of the training rows. The best value of a column is in "
             "bold.</p>");
}

std::string data_rows(const RunRecord& run) {
  if (!run.data) return "";
  const DataSummary& d = *run.data;
  std::vector<std::string> header{"", "rows"};
  if (d.train.clicks) header.insert(header.end(), {"clicks", "click rate"});
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const char* name, const DataSummary::Rows& part) {
    rows.push_back({name, grouped(part.rows)});
    if (!part.clicks) return;
    const double rate = static_cast<double>(*part.clicks) / static_cast<double>(part.rows);
    rows.back().insert(rows.back().end(), {grouped(*part.clicks), fixed(100 * rate, 2) + " %"});
  };
  add("training", d.train);
  add("validation", d.valid);
  add("test", d.test);
  return plot::table(header, rows);
}

// The columns whose rows most often have no known value, and the others folded.
std::string data_columns(const RunRecord& run) {
  constexpr size_t kShown = 5;
  if (!run.data || run.data->columns.empty()) return "";
  std::vector<ColumnSummary> columns = run.data->columns;
  const auto unknown = [](const ColumnSummary& c) { return std::isnan(c.valid_unknown) ? 0 : c.valid_unknown; };
  std::stable_sort(columns.begin(), columns.end(),
                   [&](const auto& a, const auto& b) { return unknown(a) > unknown(b); });
  const auto table = [](std::span<const ColumnSummary> some) {
    const auto share = [](double x) { return std::isfinite(x) ? fixed(100 * x, 2) + " %" : fixed(x, 2); };
    std::vector<std::vector<std::string>> rows;
    for (const ColumnSummary& c : some) {
      rows.push_back({escape(c.name), c.seen < 0 ? "" : grouped(c.seen), grouped(c.kept), share(c.valid_unknown),
                      share(c.test_unknown)});
    }
    return plot::table({"column", "values", "with an id", "validation rows without an id", "test rows without an id"},
                       rows);
  };
  const std::span<const ColumnSummary> all(columns);
  std::string page = table(all.first(std::min(kShown, all.size())));
  if (all.size() > kShown) {
    page += cat("<details class=\"values\"><summary>The other ", all.size() - kShown, " columns</summary>",
                table(all.subspan(kShown)), "</details>");
  }
  return page;
}

std::string data_section(const RunRecord& run) {
  const std::string rows = data_rows(run);
  if (rows.empty()) return "";
  const std::string columns = data_columns(run);
  return cat("<h3>Data</h3><div class=\"figures\"><div>", rows, "</div><div>", columns, "</div></div>",
             columns.empty()
                 ? ""
                 : "<p class=\"unit\">A value has an id if it occurs often enough in the training rows. The "
                   "columns are in the order of their validation rows without an id, the largest share "
                   "first: such a column tells the model little of new rows.</p>");
}

plot::Ranking importance_ranking(const Importance& importance, const Metric& metric, int style) {
  constexpr size_t kMost = 20;
  plot::Ranking ranking;
  const double sign = metric.higher_is_better() ? -1 : 1;
  ranking.title = cat(metric.heading(), metric.higher_is_better() ? " lost" : " added", " where a column is shuffled");
  ranking.axis = {.label = cat(metric.higher_is_better() ? "loss of " : "rise of ", metric.title()),
                  .decimals = metric.decimals() - 1};
  for (const FieldImportance& f : importance.fields)
    ranking.rows.push_back({f.name, sign * f.change[metric], f.deviation[metric], style});
  std::stable_sort(ranking.rows.begin(), ranking.rows.end(),
                   [](const auto& a, const auto& b) { return a.value > b.value; });
  const size_t all = ranking.rows.size();
  if (all > kMost) ranking.rows.resize(kMost);
  ranking.note = cat(all > kMost ? cat("The ", kMost, " most important of ", all, " columns. ") : "",
                     importance.shuffles > 1
                         ? cat("Mean of ", importance.shuffles, " shuffles; the bar is their standard deviation.")
                         : "One shuffle.");
  return ranking;
}

std::string importance(const RunRecord& run) {
  if (!run.importance || run.importance->fields.empty()) return "";
  const Importance& i = *run.importance;
  std::string figures;
  for (const Metric& m : html::drawn(i.quality.measured())) {
    if (i.fields[0].change.has(m)) figures += plot::figure(importance_ranking(i, m, style_of(run)));
  }
  return cat("<h3>Which columns matter</h3><p class=\"unit\">Measured on ", grouped(i.rows), " rows",
             i.data.empty() ? "" : cat(" (", escape(i.data), ")"),
             ". Columns that say the same share their importance: each alone seems to matter less.</p><div "
             "class=\"figures\">",
             figures, "</div>");
}

std::string students(const RunRecord& run) {
  if (!run.finished() || run.best().students.size() < 2) return "";
  const Evaluation& e = run.best();
  const std::string data = run.test ? "test" : "validation";
  const std::vector<StudentConfig>& networks = run.config.model.students;
  const bool distances =
      students_trained(run) && run.collapse && run.collapse->distance_to_ensemble.size() == e.students.size();
  const bool one_kind = std::all_of(networks.begin(), networks.end(), [&](const StudentConfig& s) {
    return network_label(s) == network_label(networks[0]);
  });
  std::string page = "<h3>Students alone</h3>";
  page +=
      students_trained(run)
          ? "<p>Every student is a network of its own and can be served alone, at a fraction "
            "of the ensemble\u2019s cost.</p>"
          : "<p>The output layers of a concat ensemble\u2019s students are not trained: the figures of a student alone "
            "mean nothing.</p>";
  const Metric main = main_metric(e);
  const int decimals = shown_decimals(main);
  QualityTable table(html::drawn(e.ensemble.measured()));
  table.add("ensemble", e.ensemble, std::vector<std::string>(distances ? 2 : 1));
  plot::Chart c;
  c.title = cat(main.heading(), " on the ", data, " data, student by student");
  c.note = "Each student alone; the line is the ensemble.";
  c.x = {.label = "student", .whole = true};
  c.y = {.label = main.title(), .decimals = decimals};
  plot::Series alone{.name = "student", .style = student_style(0), .line = false},
      together{.name = "ensemble", .style = style_of(run), .emphasized = true, .markers = false};
  for (size_t k = 0; k < e.students.size(); ++k) {
    const Quality& q = e.students[k];
    const double x = static_cast<double>(k + 1);
    alone.points.push_back({x, q[main]});
    together.points.push_back({x, e.ensemble[main]});
    std::vector<std::string> more = {html::signed_fixed(q[main] - e.ensemble[main], decimals)};
    if (distances) more.push_back(fixed(run.collapse->distance_to_ensemble[k], 4));
    const std::string network =
        one_kind || k >= networks.size() ? "" : cat("<small>", escape(network_label(networks[k])), "</small>");
    table.add(cat("student ", k + 1, network), q, more);
  }
  c.series = {alone, together};
  std::vector<std::string> titles = {cat(main.title(), " minus the ensemble\u2019s")};
  if (distances) titles.push_back("mean |p<sub>m</sub> \u2212 q|");
  const std::string text = table.html(data, titles);
  if (!students_trained(run)) return page + text;
  return cat(page, "<div class=\"figures\"><div>", text, "</div>", plot::figure(c), "</div>");
}

// Predicted against observed click rates, with the diagonal on which they are equal.
plot::Chart calibration_chart(const std::string& title, const std::string& name, const Quality& quality, int style) {
  plot::Chart c;
  c.title = title;
  c.x = {.label = "mean prediction", .decimals = 4};
  c.y = {.label = "click rate", .decimals = 4};
  plot::Series equal{.name = "predicted = observed", .reference = true, .markers = false},
      bins{.name = name, .style = style, .emphasized = true};
  for (const CalibrationBin& bin : quality.calibration) {
    equal.points.push_back({bin.predicted, bin.predicted});
    bins.points.push_back({bin.predicted, bin.observed});
  }
  c.series = {equal, bins};
  return c;
}

std::string calibration(const RunRecord& run) {
  if (!run.finished() || run.best().ensemble.calibration.empty()) return "";
  const Evaluation& e = run.best();
  const bool several = e.students.size() > 1;
  const std::string data = run.test ? "test" : "validation";
  plot::Chart all = calibration_chart(cat("Predicted and observed click rates, ", data, " data"), main_name(run),
                                      e.ensemble, style_of(run));
  all.note =
      cat("The rows in order of their prediction, in ", kCalibrationBins,
          " bins of equal count. Below the line, the model predicts more clicks than there are; above it, fewer.");
  std::vector<std::vector<std::string>> rows;
  for (const CalibrationBin& bin : e.ensemble.calibration) {
    rows.push_back(
        {fixed(bin.predicted, 4), fixed(bin.observed, 4), html::signed_fixed(bin.predicted - bin.observed, 4)});
  }
  std::string page =
      cat("<h3>Calibration</h3><div class=\"figures\">", plot::figure(all), "<div>",
          plot::table({"mean prediction", "click rate", "prediction minus click rate"}, rows), "</div></div>");
  if (!several || !students_trained(run)) return page;
  std::string students;
  for (size_t k = 0; k < e.students.size(); ++k) {
    if (e.students[k].calibration.empty()) continue;
    const std::string name = cat("student ", k + 1);
    students += plot::figure(
        calibration_chart(cat("Calibration of ", name, ", ", data, " data"), name, e.students[k], student_style(k)));
  }
  if (students.empty()) return page;
  return cat(page, "<details class=\"values\"><summary>Calibration of every student</summary><div class=\"figures\">",
             students, "</div></details>");
}

plot::Chart spectrum_chart(const std::string& title, const std::string& note) {
  plot::Chart c;
  c.title = title;
  c.note = note;
  c.x = {.label = "singular value, by size", .whole = true};
  c.y = {.label = "relative to the largest", .log = true, .min = kMinSpectrum};
  return c;
}

plot::Series spectrum_series(const CollapseReport::Entry& m, int style) {
  plot::Series s{.name = m.name, .style = style};
  for (size_t i = 0; i < m.spectrum.log_spectrum.size(); ++i)
    s.points.push_back({static_cast<double>(i + 1), std::exp(m.spectrum.log_spectrum[i])});
  return s;
}

std::string embedding_spectra(const std::vector<CollapseReport::Entry>& tables) {
  if (tables.size() <= kMaxTables) {
    plot::Chart c = spectrum_chart("Spectra of the embedding tables", "One line per table, without its padding row.");
    for (size_t i = 0; i < tables.size(); ++i) c.series.push_back(spectrum_series(tables[i], student_style(i)));
    return plot::figure(c);
  }
  // For each width: quantiles over the tables of this width that have an i-th singular value.
  plot::Chart c = spectrum_chart("Spectra of the embedding tables", cat("Median and middle half of ", tables.size(),
                                                                        " tables, without their padding rows."));
  std::map<int64_t, std::vector<std::vector<double>>> widths;
  for (const CollapseReport::Entry& m : tables) {
    const Spectrum& of = m.spectrum;
    auto& values = widths[of.columns];
    const size_t rank = std::min(of.log_spectrum.size(), static_cast<size_t>(std::max<int64_t>(of.rows, 0)));
    values.resize(std::max(values.size(), rank));
    for (size_t i = 0; i < rank; ++i) values[i].push_back(std::exp(of.log_spectrum[i]));
  }
  for (auto& [columns, values] : widths) {
    plot::Series s{.name = cat(columns, " columns"), .style = student_style(c.series.size()), .band = true};
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

std::string matrix_table(const std::vector<CollapseReport::Entry>& matrices) {
  std::vector<std::vector<std::string>> rows;
  for (const CollapseReport::Entry& m : matrices) {
    const Spectrum& s = m.spectrum;
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
    const std::vector<CollapseReport::Entry> layers = record.report.last_layers();
    for (size_t k = 0; k < layers.size(); ++k) {
      if (k == c.series.size()) c.series.push_back({.name = cat("student ", k + 1), .style = student_style(k)});
      c.series[k].points.push_back({static_cast<double>(record.step), layers[k].spectrum.information_abundance});
    }
  }
  return plot::figure(c);
}

std::string disagreement(const CollapseReport& r) {
  plot::HeatMap map;
  map.title = "Disagreement between students";
  map.note = cat("How far the predictions of two students are apart; mean over all pairs ",
                 plot::significant(r.mean_disagreement, 3), ".");
  map.unit = "Mean squared difference of probabilities";
  map.values = r.disagreement;
  for (size_t k = 0; k < r.disagreement.size(); ++k) map.names.push_back(cat("student ", k + 1));
  return plot::figure(map);
}

std::string distance_history(const RunRecord& run) {
  if (run.collapse_history.empty()) return "";
  plot::Chart c;
  c.title = "Distance to the ensemble during training";
  c.note = "Of every student: the mean of |p \u2212 q|.";
  c.x = {.label = "step", .whole = true};
  c.y = {.label = "distance", .decimals = 4};
  for (const CollapseRecord& record : run.collapse_history) {
    const std::vector<double>& distance = record.report.distance_to_ensemble;
    for (size_t k = 0; k < distance.size(); ++k) {
      if (k == c.series.size()) c.series.push_back({.name = cat("student ", k + 1), .style = student_style(k)});
      c.series[k].points.push_back({static_cast<double>(record.step), distance[k]});
    }
  }
  return plot::figure(c);
}

// Students of a concat ensemble have no predictions of their own.
std::string students_apart(const RunRecord& run) {
  const CollapseReport& r = run.collapse ? *run.collapse : run.collapse_history.back().report;
  if (!students_trained(run) || r.disagreement.size() < 2) return "";
  return cat("<h3>Whether the students fell apart</h3><p>Mean distance of a student to the ensemble, |p \u2212 q|: <b>",
             fixed(r.mean_distance_to_ensemble, 4),
             "</b>. The more the students fall apart, the larger it is; compare it with that of other trainings on the "
             "same data.</p><div class=\"figures\">",
             run.collapse ? disagreement(r) : "", distance_history(run), "</div>");
}

std::string collapse(const RunRecord& run) {
  if (!run.collapse && run.collapse_history.empty()) return "";
  std::string page = students_apart(run) + "<h3>How many dimensions are used</h3><div class=\"figures\">";
  if (run.collapse) {
    const CollapseReport& r = *run.collapse;
    const std::vector<CollapseReport::Entry> last = r.last_layers();
    if (!last.empty()) {
      plot::Chart c = spectrum_chart("Spectra of the students\u2019 last hidden layers",
                                     cat("Singular values over ", r.rows,
                                         " rows. If a line falls early, its layer uses few dimensions. Values below "
                                         "10\u207b\u2077 are rounding noise and are not drawn."));
      for (size_t k = 0; k < last.size(); ++k) c.series.push_back(spectrum_series(last[k], student_style(k)));
      page += plot::figure(c);
    }
    if (!r.embeddings.empty()) page += embedding_spectra(r.embeddings);
    page += abundance_history(run);
    page += "</div>";
    page += matrix_table(r.layers);
    page += cat("<details class=\"values\"><summary>The same measures of ", r.embeddings.size(),
                r.embeddings.size() == 1 ? " embedding table" : " embedding tables", "</summary>",
                matrix_table(r.embeddings), "</details>");
    page +=
        "<p class=\"unit\">Information abundance is the sum of the singular values divided by the largest: a number "
        "between 1 and the rank. The participation ratio is that of the centred matrix; the other measures are those "
        "of "
        "the uncentred matrix. Compare values only between matrices of the same width.</p>";
  } else {
    page += abundance_history(run) + "</div>";
  }
  return page;
}

std::string commands(const RunRecord& run) {
  const RunFiles files(run.directory);
  const std::string dir = shell_word(run.directory), again = shell_word(run.directory + "-again");
  const data::DatasetConfig& data = run.config.dataset;
  const std::string file = shell_word(!data.test_data.empty()    ? data.test_data
                                      : !data.valid_data.empty() ? data.valid_data
                                                                 : data.train_data);
  std::vector<std::string> lines = {
      cat("kdef train --config ", shell_word(files.config()), " --run ", again),
      cat("kdef evaluate --run ", dir, " --data ", file),
      cat("kdef predict --run ", dir, " --data ", file, " --students --out predictions.txt"),
      cat("kdef importance --run ", dir),
      cat("kdef collapse --run ", dir, " --json ", shell_word(files.collapse())),
      cat("kdef report ", dir, " --out report.html")};
  // Training the configuration of an exported or imported model would give a different model.
  if (!run.is_trained_here()) lines.erase(lines.begin());
  return cat("<h3>Commands that repeat this run</h3>", html::code(lines));
}

}  // namespace

std::string run_section(const RunRecord& run, bool alone) {
  std::vector<std::string> notes = run.notes;
  if (run.finished() && run.best().ensemble["normalized_entropy"] > 1) {
    notes.push_back(
        "The normalized entropy is above 1: predicting the click rate of these rows for every row would have a smaller "
        "log loss.");
  }
  return cat(finding(run, alone), "<p class=\"lead\">Data set ", escape(run.config.dataset_id), ", experiment ",
             escape(run.config.id), ", seed ", run.config.training.seed, ", directory <code>", escape(run.directory),
             "</code></p>", facts(run), html::notes(notes), learning_curves(run), baselines(run), students(run),
             calibration(run), importance(run), data_section(run), collapse(run), commands(run),
             "<details class=\"values\"><summary>Configuration: every key, resolved</summary>",
             html::code({to_yaml(run.config)}), "</details>");
}

}  // namespace kdef
