#include <filesystem>
#include <iostream>

#include "apps/commands.h"
#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/stop_signals.h"
#include "kdef/run/run.h"

namespace kdef::apps {

int train(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options, false);
  options.add_options()("run", po::value<std::string>()->value_name("DIR"),
                        "run directory (default: model_root/dataset_id/experiment)");
  options.add_options()("resume", po::bool_switch(),
                        "go on from the run directory's checkpoint; with --run alone, by its own config.yaml");
  options.add_options()("overwrite", po::bool_switch(), "replace the run that the directory holds");
  options.add_options()("keys", po::bool_switch(), "print every configuration key, its default and meaning, and stop");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed =
      parse({"train", "--config DIR --expid ID [--run DIR] [--resume] [key=value...]",
             "Trains an experiment, evaluates it, and leaves in the run directory: config.yaml (every\n"
             "key, resolved), metrics.jsonl (one line per evaluation), model.safetensors (the best\n"
             "model), checkpoint/ (to resume), vocabulary.kdefvoc, collapse.json, result.json. The data is\n"
             "prepared first where its cache is missing or stale. Ctrl-C saves a checkpoint and stops with exit\n"
             "status 130. A finished run is repeated from its own configuration, --config RUN/config.yaml,\n"
             "without --expid. Settings: default < Base < experiment < data set < key=value.",
             Synopsis::Rest::overrides},
            options, arguments);
  if (!parsed) return kDone;
  if (parsed->flag("keys")) {
    std::cout << keys_markdown();
    return kDone;
  }
  use_threads(*parsed);
  RunOptions run;
  run.resume = parsed->flag("resume");
  run.overwrite = parsed->flag("overwrite");
  run.device = use_device(*parsed);
  ExperimentConfig config;
  std::error_code absent;
  if (parsed->has("config") && parsed->has("expid")) {
    config = load_config(*parsed);
  } else if (parsed->has("config") && std::filesystem::is_regular_file(parsed->text("config"), absent)) {
    config = load_resolved(parsed->text("config"), parsed->rest);
  } else if (run.resume && parsed->has("run")) {
    config = load_resolved(parsed->text("run") + "/config.yaml", parsed->rest);
  } else {
    throw InputError(
        "kdef train needs --config DIR and --expid ID (or --config RUN/config.yaml, or --resume and --run DIR); "
        "see kdef train --help");
  }
  run.directory = parsed->has("run") ? parsed->text("run") : default_run_directory(config);

  ProgressDisplay display(config.epochs);
  const StopSignals stop;
  run.preparing = [&](const data::Progress& p) {
    if (stop.requested()) throw StoppedWhilePreparing{};
    display.preparing(p);
  };
  run.ready = [&](const data::Prepared& prepared, const Ensemble& model) {
    display.line(cat(config.id, ": ", name_of(config.ensemble), " ensemble of ", model.student_count(), ", ",
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
    return kInterrupted;
  }
  if (result.interrupted) {
    display.line(cat("Interrupted after step ", result.steps, "; go on with: ", program_name(), " train --run ",
                     run.directory, " --resume"));
    return kInterrupted;
  }
  if (!any_step) display.line("This training had finished before.");
  display.line(cat("Done in ", clock_time(result.seconds), ", ", result.steps, " steps. The best model:"));
  display.line(quality_lines("valid", result.valid));
  if (result.has_test) display.line(quality_lines("test", result.test));
  return kDone;
}

}  // namespace kdef::apps
