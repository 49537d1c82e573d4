#include "kdef/study/sweep.h"

#include <charconv>
#include <iostream>

#include "apps/commands.h"
#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/stop_signals.h"
#include "core/base/error.h"
#include "core/base/nearest.h"
#include "core/base/text.h"

namespace kdef::apps {
namespace {

template <class Integer>
std::vector<Integer> integers(const Parsed& parsed, const char* option, Integer min) {
  std::vector<Integer> all;
  for (const std::string& item : split(parsed.text(option), ',')) {
    Integer value = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (error != std::errc() || end != item.data() + item.size() || value < min) {
      throw InputError(
          cat("--", option, ": expected integers of at least ", min, " with commas between, found '", item, "'"));
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
    for (const EnsembleKind kind : {EnsembleKind::kdef, EnsembleKind::mean, EnsembleKind::sum, EnsembleKind::concat}) {
      names.push_back(name_of(kind));
      if (item == name_of(kind)) all.push_back(kind);
    }
    if (all.size() == before) {
      throw InputError(cat("--ensembles: expected kdef, mean, sum or concat with commas between, found '", item, "'",
                           did_you_mean(item, names)));
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

}  // namespace

int sweep(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options);
  const auto list = [] { return po::value<std::string>()->value_name("LIST"); };
  options.add_options()("students", list()->default_value("1,2,3,4,5"), "numbers of students");
  options.add_options()("ensembles", list()->default_value("kdef,mean,sum,concat"), "kinds of ensembles");
  options.add_options()("seeds", po::value<int64_t>()->value_name("N")->default_value(1),
                        "number of seeds, from that of the configuration upwards");
  options.add_options()("seed-list", list(), "the seeds themselves, instead");
  options.add_options()("out", po::value<std::string>()->value_name("DIR")->required(), "directory of the sweep");
  options.add_options()("dry-run", po::bool_switch(), "list the runs and what is done of them, and stop");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed = parse(
      {"sweep", "--config DIR --expid ID --students 1,2,3 --ensembles kdef,mean --seeds 3 --out DIR [key=value...]",
       "Trains an experiment for every kind of ensemble, number of students and seed, one run after\n"
       "the other into DIR/runs, and writes DIR/sweep.csv and DIR/sweep.md: mean and standard\n"
       "deviation over seeds. Stopped in any way, by Ctrl-C or kill, it goes on when the same command\n"
       "is given again: finished runs are not repeated, and one that was interrupted is resumed. The\n"
       "lists can be made longer later. kdef report DIR draws it.",
       Synopsis::Rest::overrides},
      options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  SweepConfig config;
  config.config_dir = parsed->text("config");
  config.experiment = parsed->text("expid");
  config.overrides = parsed->rest;
  config.students = integers<int64_t>(*parsed, "students", 1);
  config.ensembles = ensembles(*parsed);
  config.seed_count = parsed->integer("seeds", 1);
  constexpr int64_t kMostSeeds = 1000;
  if (config.seed_count > kMostSeeds) {
    throw InputError(cat("--seeds: expected at most ", kMostSeeds, ", found ", config.seed_count));
  }
  if (parsed->has("seed-list")) config.seeds = integers<uint64_t>(*parsed, "seed-list", 0);
  config.directory = parsed->text("out");
  RunOptions each;
  each.device = use_device(*parsed);

  Sweep sweep(config);
  if (parsed->flag("dry-run")) {
    print_plan(sweep);
    return kDone;
  }
  load_config(*parsed);  // for what it says of keys without effect
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
                     " runs finished; the same command goes on with it"));
    return kInterrupted;
  }
  display.line(cat("\n", to_markdown(table), "\n", table.finished, " of ", table.planned, " runs, in ",
                   config.directory, "/sweep.csv and sweep.md. Next: ", program_name(), " report ", config.directory,
                   " --out ", config.directory, "/report.html"));
  return table.failures.empty() ? kDone : kCheckFailed;
}

}  // namespace kdef::apps
