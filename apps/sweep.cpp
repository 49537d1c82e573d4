#include "kdef/study/sweep.h"

#include <iostream>

#include "apps/commands.h"
#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/stop_signals.h"
#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"

namespace kdef::apps {
namespace {

template <class Integer>
std::vector<Integer> integers(const Parsed& parsed, const char* option, Integer min) {
  std::vector<Integer> all;
  for (const std::string& item : split(parsed.text(option), ',')) {
    Integer value = 0;
    if (!read_number(item, value) || value < min) {
      throw InputError(
          cat("--", option, ": expected integers of at least ", min, ", separated by commas, found '", item, "'"));
    }
    all.push_back(value);
  }
  return all;
}

std::vector<EnsembleKind> ensembles(const Parsed& parsed) {
  std::vector<EnsembleKind> all;
  for (const std::string& item : split(parsed.text("ensembles"), ',')) {
    std::vector<std::string> names;
    const size_t before = all.size();
    for (const EnsembleType& type : ensemble_types()) {
      names.emplace_back(type.name);
      if (item == type.name) all.push_back(type.kind);
    }
    if (all.size() == before) {
      throw InputError(cat("--ensembles: expected ", ensembles_where([](const EnsembleType&) { return true; }),
                           ", separated by commas, found '", item, "'", did_you_mean(item, names)));
    }
  }
  return all;
}

std::string describe(const SweepRun& run) {
  return cat(name_of(run.config.model.kind), ", ", run.config.model.students.size(),
             run.config.model.students.size() == 1 ? " student" : " students", ", seed ", run.config.training.seed);
}

void print_plan(const Sweep& sweep) {
  size_t open = 0;
  for (size_t i = 0; i < sweep.plan().size(); ++i) {
    std::cout << name_of(sweep.state(i)) << "  " << sweep.run_directory(i) << "\n";
    open += sweep.state(i) != SweepState::finished;
  }
  std::cout << sweep.plan().size() << " runs, " << open << " to train";
  if (const auto left = sweep.seconds_left(); left && open > 0) std::cout << ", about " << clock_time(*left);
  std::cout << "\n";
}

SweepConfig sweep_config(const Parsed& parsed) {
  SweepConfig config;
  config.config_dir = parsed.text("config");
  config.experiment = parsed.text("expid");
  config.overrides = parsed.rest;
  config.students = integers<int64_t>(parsed, "students", 1);
  config.ensembles = ensembles(parsed);
  config.seed_count = parsed.integer("seeds", 1);
  constexpr int64_t kMaxSeeds = 1000;
  if (config.seed_count > kMaxSeeds) {
    throw InputError(cat("--seeds: expected at most ", kMaxSeeds, ", found ", config.seed_count));
  }
  if (parsed.has("seed-list")) config.seeds = integers<uint64_t>(parsed, "seed-list", 0);
  config.directory = parsed.text("out");
  return config;
}

// Trains what is open, shows progress, and stops on Ctrl-C.
int run_and_show(Sweep& sweep, RunOptions each) {
  const StopSignals stop;
  ProgressDisplay display(sweep.plan()[0].config.training.epochs);
  each.preparing = [&](const data::Progress& p) {
    if (stop.requested()) throw StoppedWhilePreparing{};
    display.preparing(p);
  };
  each.listener = display.listener();
  each.listener.stop_requested = [&] { return stop.requested(); };
  const auto starting = [&](size_t i) {
    const auto left = sweep.seconds_left();
    display.line(cat("\nRun ", i + 1, " of ", sweep.plan().size(), ": ", describe(sweep.plan()[i]),
                     sweep.state(i) == SweepState::started ? ", resumed" : "",
                     left ? cat("; about ", clock_time(*left), " left of the sweep") : ""));
  };
  bool whole = false;
  try {
    whole = sweep.run(each, starting);
  } catch (const StoppedWhilePreparing&) {
  }
  const SweepTable table = sweep.table();
  if (!whole) {
    display.line(cat("Interrupted with ", table.finished, " of ", table.planned,
                     " runs finished; run the same command again to continue"));
    return kInterrupted;
  }
  display.line(cat("\n", to_markdown(table), "\n", table.finished, " of ", table.planned,
                   " runs: ", sweep.files().csv(), " and ", sweep.files().markdown(), ". Next: ", program_name(),
                   " report ", sweep.files().directory(), " --out ", sweep.files().directory(), "/report.html"));
  return table.failures.empty() ? kDone : kCheckFailed;
}

}  // namespace

int sweep(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options);
  const auto list = [] { return po::value<std::string>()->value_name("LIST"); };
  options.add_options()("students", list()->default_value("1,2,3,4,5"), "numbers of students");
  options.add_options()("ensembles", list()->default_value("kdef,mean,sum,concat"), "kinds of ensembles");
  options.add_options()("seeds", po::value<int64_t>()->value_name("N")->default_value(1),
                        "number of seeds, counted up from the configuration's seed");
  options.add_options()("seed-list", list(), "the seeds themselves, instead of --seeds");
  options.add_options()("out", po::value<std::string>()->value_name("DIR")->required(), "directory of the sweep");
  options.add_options()("dry-run", po::bool_switch(), "list the runs and their states, and stop");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed =
      parse({"sweep", "--config DIR --expid ID --out DIR [--students LIST] [key=value...]",
             "Trains an experiment for every kind of ensemble, number of students and seed, one run\n"
             "after the other, into DIR/runs. Writes DIR/sweep.csv and DIR/sweep.md: mean and standard\n"
             "deviation over seeds. Run the same command again to continue after Ctrl-C or kill:\n"
             "finished runs are kept, an interrupted run is resumed. Longer lists add runs. kdef\n"
             "report DIR shows the result as a page.",
             Synopsis::Rest::overrides},
            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const SweepConfig config = sweep_config(*parsed);
  RunOptions each;
  each.device = use_device(*parsed);

  Sweep sweep(config);
  if (parsed->flag("dry-run")) {
    print_plan(sweep);
    return kDone;
  }
  load_config(*parsed);  // prints the keys without effect
  return run_and_show(sweep, each);
}

}  // namespace kdef::apps
