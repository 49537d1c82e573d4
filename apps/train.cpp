#include <filesystem>
#include <iostream>

#include "apps/commands.h"
#include "apps/process_group.h"
#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/stop_signals.h"
#include "kdef/run/run.h"
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
    return load_resolved(parsed.text("config"), parsed.rest);
  }
  if (!config && !expid && parsed.flag("resume") && parsed.has("run")) {
    return load_resolved(RunFiles(parsed.text("run")).config(), parsed.rest);
  }
  const std::string missing = config ? "--expid ID is missing" : expid ? "--config DIR is missing" : "both are missing";
  throw InputError(
      cat("kdef train needs --config DIR and --expid ID (or --config RUN/config.yaml, or --resume and --run "
          "DIR): ",
          missing, "; see kdef train --help"));
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
    display.line(cat(config.id, ": ", name_of(config.model.kind), " ensemble of ", model.student_count(), ", ",
                     model.parameter_count(), " parameters, ", prepared.train_rows, " training rows, run directory ",
                     run.directory));
  };
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
  const auto parsed = parse({"train", "--config DIR --expid ID [--run DIR] [--resume] [key=value...]",
                             description.c_str(), Synopsis::Rest::overrides},
                            options, arguments);
  if (!parsed) return kDone;
  if (parsed->flag("keys")) {
    std::cout << keys_markdown();
    return kDone;
  }
  use_threads(*parsed);
  ProcessGroup processes;
  return processes.run([&] {
    RunOptions run;
    run.resume = parsed->flag("resume");
    run.overwrite = parsed->flag("overwrite");
    run.device = use_device(*parsed);
    const ExperimentConfig config = experiment(*parsed);
    run.directory = parsed->has("run") ? parsed->text("run") : default_run_directory(config);
    return run_and_show(config, run);
  });
}

}  // namespace kdef::apps
