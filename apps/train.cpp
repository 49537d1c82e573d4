#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <optional>

#include "apps/commands.h"
#include "apps/process_group.h"
#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/stop_signals.h"
#include "core/base/integers.h"
#include "core/base/names.h"
#include "core/io/file.h"
#include "kdef/config/yaml_value.h"
#include "kdef/run/rate_test.h"
#include "kdef/run/run.h"
#include "kdef/run/run_path.h"
#include "kdef/train/run_files.h"

namespace kdef::apps {
namespace {

std::string run_files_text() {
  std::string text;
  for (const RunFile& file : RunFiles::table()) {
    const std::string name = file.name;
    text += cat(text.empty() ? "" : "\n", "  ", name, std::string(30 - name.size(), ' '), file.meaning);
  }
  return text;
}

// The experiment by its name, by a run's config.yaml, or by the run that is resumed.
ExperimentConfig experiment(const Parsed& parsed) {
  const bool config = parsed.has("config"), expid = parsed.has("expid");
  std::error_code absent;
  if (config && expid) return load_config(parsed);
  if (config && std::filesystem::is_regular_file(parsed.text("config"), absent)) {
    if (begins_as_model_file(parsed.text("config"))) check_is_directory(parsed.text("config"));
    return load_resolved(parsed.text("config"), parsed.rest);
  }
  if (!config && !expid && parsed.flag("resume") && parsed.has("run")) {
    check_is_directory(parsed.text("run"));
    return load_resolved(RunFiles(parsed.text("run")).config(), parsed.rest);
  }
  const std::string missing = config ? "--expid ID is missing" : expid ? "--config DIR is missing" : "both are missing";
  throw InputError(
      cat("kdef train needs --config DIR and --expid ID (or --config RUN/config.yaml, or --resume and --run "
          "DIR): ",
          missing, "; see kdef train --help"));
}

// Rows, clicks and steps: two lines.
std::string data_lines(const data::Prepared& prepared, const ExperimentConfig& config) {
  const int64_t size = std::min(config.training.batch_size, prepared.train_rows);
  const double clicks = static_cast<double>(prepared.train_positives) / static_cast<double>(prepared.train_rows);
  const bool has_clicks = config.model.task->labels == data::LabelKind::click;
  return cat(grouped(prepared.train_rows), " training rows",
             has_clicks ? cat(", ", significant_digits(100 * clicks, 3), " % clicks") : "", ", ",
             grouped(divide_up(prepared.train_rows, size)), " steps an epoch\n", grouped(prepared.valid_rows),
             " validation rows, ", grouped(prepared.test_rows), " test rows");
}

// The columns whose validation rows most often lack a value with an id, and which file has the others.
std::string column_table(std::vector<ColumnSummary> columns, const std::string& file) {
  constexpr double kWorthALine = 0.01;
  constexpr size_t kMost = 8;
  std::stable_sort(columns.begin(), columns.end(),
                   [](const ColumnSummary& a, const ColumnSummary& b) { return a.valid_unknown > b.valid_unknown; });
  const auto shown = std::count_if(columns.begin(), columns.end(),
                                   [&](const ColumnSummary& c) { return c.valid_unknown >= kWorthALine; });
  const size_t count = std::min(kMost, static_cast<size_t>(shown));
  if (columns.empty()) return "";
  if (count == 0) {
    return cat("Of each of ", columns.size(),
               " columns fewer than 1 % of the validation rows have an unknown value:\n  ", file);
  }
  const auto cell = [](const std::string& text, size_t width) {
    return std::string(width - std::min(width, text.size()), ' ') + text;
  };
  const auto share = [](double x) { return std::isnan(x) ? "" : significant_digits(100 * x, 3) + " %"; };
  std::string text = "column               values   with id   rows without an id: valid      test";
  for (size_t i = 0; i < count; ++i) {
    const ColumnSummary& c = columns[i];
    const std::string name = c.name.size() > 16 ? c.name.substr(0, 14) + ".." : c.name;
    text += cat("\n", name, std::string(16 - name.size(), ' '), cell(c.seen < 0 ? "" : grouped(c.seen), 11),
                cell(grouped(c.kept), 10), cell(share(c.valid_unknown), 28), cell(share(c.test_unknown), 10));
  }
  const size_t others = columns.size() - count;
  return others == 0 ? text : cat(text, "\n", others, others == 1 ? " other column: " : " other columns: ", file);
}

// What the model has to beat, and a sentence where it does not.
std::string comparison(const Baseline& baseline, const TrainingResult& result, const std::string& name) {
  const auto rows = result.has_test ? &Baseline::Rows::test : &Baseline::Rows::valid;
  const Quality &model = (result.has_test ? result.test : result.valid).ensemble,
                &regression = baseline.logistic_regression.*rows;
  std::string text = comparison_table(
      result.has_test ? "test rows" : "validation rows",
      {{"constant click rate", baseline.constant.*rows}, {"logistic regression", regression}, {name, model}});
  std::vector<std::string> lost;
  for (const Metric& m : model.measured()) {
    if (m.better(regression[m], model[m])) lost.push_back(m.title());
  }
  return lost.empty() ? text : cat(text, "\nThe logistic regression is better in ", joined(lost), ".");
}

// Trains, shows progress on `display`, and stops on Ctrl-C.
int run_and_show(const ExperimentConfig& config, RunOptions run) {
  ProgressDisplay display(config.training.epochs);
  const StopSignals stop;
  run.preparing = [&](const data::Progress& p) {
    if (stop.requested()) throw StoppedWhilePreparing{};
    display.preparing(p);
  };
  run.ready = [&](const data::Prepared& prepared, const Ensemble& model) {
    const int64_t students = model.student_count();
    display.line(cat(config.id, ": ",
                     students == 1 ? "one network" : cat(name_of(config.model.kind), " ensemble of ", students), ", ",
                     grouped(model.parameter_count()), " parameters, in ", run.directory));
    display.line(data_lines(prepared, config));
  };
  run.summarized = [&](const std::vector<ColumnSummary>& columns) {
    const std::string table = column_table(columns, RunFiles(run.directory).data());
    if (!table.empty()) display.line(table);
  };
  std::optional<Baseline> baseline;
  run.baseline = [&](const Baseline& b) { baseline = b; };
  run.listener = display.listener();
  bool any_step = false;
  run.listener.step = [&any_step, show = run.listener.step](const TrainingListener::Step& s) {
    any_step = true;
    show(s);
  };
  run.listener.stop_requested = [&] { return stop.requested(); };
  TrainingResult result;
  try {
    result = run_experiment(config, run);
  } catch (const StoppedWhilePreparing&) {
    display.line("Interrupted while preparing the data; nothing was written");
    if (!Group::current().is_alone()) throw;  // the others may wait for this member
    return kInterrupted;
  }
  if (result.interrupted) {
    display.line(cat("Interrupted after step ", result.steps, "; continue with: ", program_name(), " train --run ",
                     run.directory, " --resume"));
    return kInterrupted;
  }
  if (!any_step) display.line("This training was already finished.");
  display.line(cat("Done in ", clock_time(result.seconds), ", ", result.steps, " steps. The best model:"));
  display.line(quality_lines("valid", result.valid));
  if (result.has_test) display.line(quality_lines("test", result.test));
  if (baseline) display.line("\n" + comparison(*baseline, result, config.id));
  return kDone;
}

// Some of the steps, a line each: the rate, the smoothed loss, and its place between the lowest and the highest.
std::string rate_table(const RateTest& test) {
  constexpr size_t kLines = 25, kWidth = 50;
  const std::vector<RateTest::Point>& points = test.points;
  double low = points[0].smoothed, high = low;
  for (const RateTest::Point& p : points) low = std::min(low, p.smoothed), high = std::max(high, p.smoothed);
  std::string text = "learning rate      loss";
  const size_t lines = std::min(kLines, points.size());
  for (size_t i = 0; i < lines; ++i) {
    const RateTest::Point& p = points[lines == 1 ? 0 : i * (points.size() - 1) / (lines - 1)];
    const double share = high > low ? (p.smoothed - low) / (high - low) : 0;
    const std::string rate = scientific(p.rate, 1), loss = fixed_point(p.smoothed, 4);
    text += cat("\n", std::string(13 - std::min<size_t>(13, rate.size()), ' '), rate,
                std::string(10 - std::min<size_t>(10, loss.size()), ' '), loss, "  |",
                std::string(static_cast<size_t>(std::lround(share * (kWidth - 1))), ' '), "*");
  }
  return text;
}

int find_rate(const ExperimentConfig& config, const Parsed& parsed) {
  RateTest test;
  const RateTestConfig how;
  {
    ProgressDisplay display(0);
    const StopSignals stop;
    try {
      test = find_learning_rate(config, how, use_device(parsed), [&](const data::Progress& p) {
        if (stop.requested()) throw StoppedWhilePreparing{};
        display.preparing(p);
      });
    } catch (const StoppedWhilePreparing&) {
      display.line("Interrupted; nothing was written");
      return kInterrupted;
    }
  }
  if (parsed.has("json")) write_file(parsed.text("json"), to_json(test) + "\n", NamedBy::user);
  if (test.points.empty())
    throw CheckError("the loss of the first step is not finite, so no learning rate can be found");
  const std::string last = scientific(test.points.back().rate, 1);
  std::cout << rate_table(test) << "\n\n"
            << test.points.size() << " steps; the loss holds the terms of the objective and the regularizers.\n";
  if (static_cast<int64_t>(test.points.size()) < how.steps)
    std::cout << "At " << last << " the loss goes up, and the test ended.\n";
  if (test.proposed > 0) {
    std::cout << "The loss is lowest at " << scientific(test.lowest_at, 1)
              << ". A tenth of it is proposed:\n  learning_rate=" << scientific(test.proposed, 0)
              << "   (now: " << shortest(config.training.optimizer.learning_rate) << ")\n";
  } else {
    std::cout << "The loss never went down: no rate is proposed. Check the data and the model.\n";
  }
  return kDone;
}

}  // namespace

int train(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options, false);
  options.add_options()("run", po::value<std::string>()->value_name("DIR"),
                        "run directory (default: model_root/dataset_id/experiment)");
  options.add_options()("resume", po::bool_switch(),
                        "continue from the checkpoint of the run; without --config, with the configuration of the run");
  options.add_options()("overwrite", po::bool_switch(), "replace the run in the run directory");
  options.add_options()("init", po::value<std::string>()->value_name("RUN"),
                        "start from the weights and vocabularies of this run (key init)");
  options.add_options()("grow-vocabulary", po::bool_switch(),
                        "with --init: values that the run does not know get ids (key grow_vocabulary)");
  options.add_options()("find-rate", po::bool_switch(),
                        "train no run, but a new model for 200 steps while the learning rate rises from 1e-6 to 1; "
                        "print the loss and a proposed rate, and stop");
  options.add_options()("json", po::value<std::string>()->value_name("FILE"),
                        "with --find-rate: also write the rate and the loss of every step as JSON");
  options.add_options()("keys", po::bool_switch(),
                        "print all configuration keys with their defaults and meanings, and stop");
  add_device_option(options);
  add_threads_option(options);
  const std::string description =
      cat("Trains an experiment and evaluates it. The data is prepared first if its cache is\n"
          "missing or stale. Ctrl-C saves a checkpoint and stops with exit status 130. To repeat\n"
          "a finished run, give its config.yaml and no --expid: --config RUN/config.yaml.\n"
          "Later settings win: default < Base < experiment < data set < key=value.\n\n"
          "The run directory then holds:\n",
          run_files_text());
  auto parsed = parse({"train", "--config DIR --expid ID [--run DIR] [--resume] [key=value...]", description.c_str(),
                       Synopsis::Rest::overrides},
                      options, arguments);
  if (!parsed) return kDone;
  if (parsed->flag("keys")) {
    std::cout << keys_markdown();
    return kDone;
  }
  if (parsed->has("init")) parsed->rest.push_back("init=" + yaml_text(parsed->text("init")));
  if (parsed->flag("grow-vocabulary")) parsed->rest.push_back("grow_vocabulary=true");
  if (parsed->has("json") && !parsed->flag("find-rate")) throw InputError("--json belongs to --find-rate; give both");
  if (parsed->flag("find-rate") && (parsed->has("run") || parsed->flag("resume") || parsed->flag("overwrite")))
    throw InputError("--find-rate writes no run; leave out --run, --resume and --overwrite");
  use_threads(*parsed);
  ProcessGroup processes;
  return processes.run([&] {
    RunOptions run;
    run.resume = parsed->flag("resume");
    run.overwrite = parsed->flag("overwrite");
    run.device = use_device(*parsed);
    const ExperimentConfig config = experiment(*parsed);
    if (parsed->flag("find-rate")) return find_rate(config, *parsed);
    run.directory = parsed->has("run") ? parsed->text("run") : default_run_directory(config);
    return run_and_show(config, run);
  });
}

}  // namespace kdef::apps
