#include "kdef/study/run_section.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/error.h"
#include "kdef/study/html.h"
#include "kdef/study/labels.h"
#include "kdef/study/plot.h"
#include "kdef/study/summary.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

using plot::escape;
using plot::fixed;

constexpr double kMinSpectrum = 1e-7;  // below, singular values of fp32 numbers are rounding noise
constexpr size_t kMaxTables = 6;       // up to so many embedding tables get a line each

// Whether the figures of single students mean anything.
bool students_trained(const RunRecord& run) { return ensemble_type(run.config.model.kind).trains_output_layers(); }

std::string facts(const RunRecord& run) {
  std::string page = "<dl class=\"facts\">";
  if (run.finished()) {
    const Evaluation& e = run.best();
    const std::string data = run.test ? "Test" : "Validation";
    for (const Metric& m : e.ensemble.measured()) {
      page += html::fact(cat(data, " ", m.title()), fixed(e.ensemble[m], m.decimals()),
                         run.test ? cat("validation ", fixed(run.valid->ensemble[m], m.decimals())) : "");
    }
    if (e.students.size() > 1 && students_trained(run)) {
      const Metric main = main_metric(e);
      const StudentSpread spread = student_spread(e);
      page += html::fact("Gain over its students\u2019 mean",
                         html::signed_fixed(e.ensemble[main] - spread.mean, main.decimals()), cat("in ", main.title()));
      page += html::fact(cat("Students\u2019 ", main.title()), fixed(spread.mean, main.decimals()),
                         cat("weakest ", fixed(spread.weakest, main.decimals()), ", standard deviation ",
                             fixed(spread.deviation, main.decimals())));
    }
  }
  if (run.parameters) page += html::fact("Parameters", cat(*run.parameters));
  if (!run.evaluations.empty()) {
    const auto& last = run.evaluations.back();
    page += html::fact("Training", cat(last.epoch, last.epoch == 1 ? " epoch" : " epochs"),
                       cat(last.step, " steps, ", fixed(last.seconds, 0), " s"));
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
    c.title = cat(what, " on the validation data");
    c.x = {.label = epochs ? "epoch" : "step", .whole = true};
    c.y = {.label = what, .decimals = metric.decimals()};
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
  std::string page = "<h3>Learning curves</h3><div class=\"figures\">";
  for (const Metric& m : all.back().valid.ensemble.measured()) page += chart(m);
  return page + "</div>";
}

std::string students(const RunRecord& run) {
  if (!run.finished() || run.best().students.size() < 2) return "";
  const Evaluation& e = run.best();
  const std::string data = run.test ? "test" : "validation";
  const bool distances =
      students_trained(run) && run.collapse && run.collapse->distance_to_ensemble.size() == e.students.size();
  std::string page = "<h3>Students alone</h3>";
  page +=
      students_trained(run)
          ? "<p>Every student is a network of its own and can be served alone, at a fraction "
            "of the ensemble\u2019s cost.</p>"
          : "<p>The output layers of a concat ensemble\u2019s students are not trained: the figures of a student alone "
            "mean nothing.</p>";
  const MetricList metrics = e.ensemble.measured();
  const Metric main = main_metric(e);
  std::vector<std::string> header = {"", "network"};
  std::vector<std::vector<std::string>> rows = {
      {"<strong>ensemble</strong>", escape(networks_label(run.config, true))}};
  for (const Metric& m : metrics) {
    header.push_back(cat(data, " ", m.title()));
    rows[0].push_back(fixed(e.ensemble[m], m.decimals()));
  }
  header.push_back(cat(main.title(), " minus the ensemble\u2019s"));
  rows[0].push_back("");
  if (distances) {
    header.push_back("mean |p<sub>m</sub> \u2212 q|");
    rows[0].push_back("");
  }
  plot::Chart c;
  c.title = cat(main.heading(), " on the ", data, " data, student by student");
  c.note = "Each student alone; the line is the ensemble.";
  c.x = {.label = "student", .whole = true};
  c.y = {.label = main.title(), .decimals = main.decimals()};
  plot::Series alone{.name = "student", .line = false},
      together{.name = "ensemble", .emphasized = true, .markers = false};
  for (size_t k = 0; k < e.students.size(); ++k) {
    const Quality& q = e.students[k];
    const double x = static_cast<double>(k + 1);
    alone.points.push_back({x, q[main]});
    together.points.push_back({x, e.ensemble[main]});
    rows.push_back({cat("student ", k + 1),
                    k < run.config.model.students.size() ? escape(network_label(run.config.model.students[k])) : ""});
    for (const Metric& m : metrics) rows.back().push_back(fixed(q[m], m.decimals()));
    rows.back().push_back(html::signed_fixed(q[main] - e.ensemble[main], main.decimals()));
    if (distances) rows.back().push_back(fixed(run.collapse->distance_to_ensemble[k], 5));
  }
  c.series = {alone, together};
  page += plot::table(header, rows);
  if (students_trained(run)) page += cat("<div class=\"figures\">", plot::figure(c), "</div>");
  return page;
}

// Predicted against observed click rates, with the diagonal on which they are equal.
plot::Chart calibration_chart(const std::string& title, const std::string& name, const Quality& quality) {
  plot::Chart c;
  c.title = title;
  c.x = {.label = "mean prediction", .decimals = 5};
  c.y = {.label = "click rate", .decimals = 5};
  plot::Series equal{.name = "predicted = observed", .markers = false}, bins{.name = name, .emphasized = true};
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
  plot::Chart all = calibration_chart(cat("Predicted and observed click rates, ", data, " data"),
                                      several ? "ensemble" : "network", e.ensemble);
  all.note =
      cat("The rows in order of their prediction, in ", kCalibrationBins,
          " bins of equal count. Below the line, the model predicts more clicks than there are; above it, fewer.");
  std::string page = cat("<h3>Calibration</h3><div class=\"figures\">", plot::figure(all), "</div>");
  if (!several || !students_trained(run)) return page;
  std::string students;
  for (size_t k = 0; k < e.students.size(); ++k) {
    if (e.students[k].calibration.empty()) continue;
    const std::string name = cat("student ", k + 1);
    students += plot::figure(calibration_chart(cat("Calibration of ", name, ", ", data, " data"), name, e.students[k]));
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
    for (size_t i = 0; i < tables.size(); ++i) c.series.push_back(spectrum_series(tables[i], static_cast<int>(i)));
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
      if (k == c.series.size()) c.series.push_back({.name = cat("student ", k + 1), .style = static_cast<int>(k)});
      c.series[k].points.push_back({static_cast<double>(record.step), layers[k].spectrum.information_abundance});
    }
  }
  return plot::figure(c);
}

std::string disagreement(const CollapseReport& r) {
  plot::HeatMap map;
  map.title = "Disagreement between students";
  map.note =
      cat("How far the predictions of two students are apart; mean over all pairs ",
          plot::significant(r.mean_disagreement, 3),
          ". Mean distance to the ensemble, |p \u2212 q|: ", plot::significant(r.mean_distance_to_ensemble, 3), ".");
  map.unit = "Mean squared difference of probabilities";
  map.values = r.disagreement;
  for (size_t k = 0; k < r.disagreement.size(); ++k) map.names.push_back(cat("student ", k + 1));
  return plot::figure(map);
}

std::string collapse(const RunRecord& run) {
  if (!run.collapse && run.collapse_history.empty()) return "";
  std::string page = "<h3>How many dimensions are used</h3><div class=\"figures\">";
  if (run.collapse) {
    const CollapseReport& r = *run.collapse;
    const std::vector<CollapseReport::Entry> last = r.last_layers();
    if (!last.empty()) {
      plot::Chart c = spectrum_chart("Spectra of the students\u2019 last hidden layers",
                                     cat("Singular values over ", r.rows,
                                         " rows. If a line falls early, its layer uses few dimensions. Values below "
                                         "10\u207b\u2077 are rounding noise and are not drawn."));
      for (size_t k = 0; k < last.size(); ++k) c.series.push_back(spectrum_series(last[k], static_cast<int>(k)));
      page += plot::figure(c);
    }
    if (!r.embeddings.empty()) page += embedding_spectra(r.embeddings);
    page += abundance_history(run);
    if (students_trained(run) && r.disagreement.size() > 1) page += disagreement(r);
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
      cat("kdef collapse --run ", dir, " --json ", shell_word(files.collapse())),
      cat("kdef report ", dir, " --out report.html")};
  // Training the configuration of an exported or imported model would give a different model.
  if (!run.is_trained_here()) lines.erase(lines.begin());
  return cat("<h3>Commands that repeat this run</h3>", html::code(lines));
}

}  // namespace

std::string run_section(const RunRecord& run) {
  std::vector<std::string> notes = run.notes;
  if (run.finished() && run.best().ensemble["normalized_entropy"] > 1) {
    notes.push_back(
        "The normalized entropy is above 1: predicting the click rate of these rows for every row would have a smaller "
        "log loss.");
  }
  return cat("<p class=\"lead\">Data set ", escape(run.config.dataset_id), ", experiment ", escape(run.config.id),
             ", seed ", run.config.training.seed, ", directory <code>", escape(run.directory), "</code></p>",
             facts(run), html::notes(notes), learning_curves(run), students(run), calibration(run), collapse(run),
             commands(run), "<details class=\"values\"><summary>Configuration: every key, resolved</summary>",
             html::code({to_yaml(run.config)}), "</details>");
}

}  // namespace kdef
