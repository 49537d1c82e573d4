#include "kdef/study/sweep.h"

#include "apps/commands.h"
#include "apps/sweep_runner.h"
#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"

namespace kdef::apps {
namespace {

// What varies where --over is not given.
constexpr const char* kStudents = "1,2,3,4,5";
constexpr const char* kEnsembles = "kdef,mean,sum,concat";

template <class Integer>
std::vector<Integer> integers(const std::string& option, const std::string& list, Integer min) {
  std::vector<Integer> all;
  for (const std::string& item : split(list, ',')) {
    Integer value = 0;
    if (!read_number(item, value) || value < min) {
      throw InputError(
          cat("--", option, ": expected integers of at least ", min, ", separated by commas, found '", item, "'"));
    }
    all.push_back(value);
  }
  return all;
}

std::vector<EnsembleKind> ensembles(const std::string& option, const std::string& list) {
  std::vector<EnsembleKind> all;
  for (const std::string& item : split(list, ',')) {
    std::vector<std::string> names;
    const size_t before = all.size();
    for (const EnsembleType& type : ensemble_types()) {
      names.emplace_back(type.name);
      if (item == type.name) all.push_back(type.kind);
    }
    if (all.size() == before) {
      throw InputError(cat("--", option, ": expected ", ensembles_where([](const EnsembleType&) { return true; }),
                           ", separated by commas, found '", item, "'", did_you_mean(item, names)));
    }
  }
  return all;
}

// The axes in the order of the table's columns. Without --over, ensembles and students vary even if nothing says so.
std::vector<Axis> axes(const Parsed& parsed) {
  const bool varies = parsed.has("over");
  std::vector<Axis> all;
  const std::string option = parsed.has("objectives") ? "objectives" : "ensembles";
  if (parsed.has("objectives") && parsed.has("ensembles")) {
    throw InputError("--objectives and --ensembles are the same list; give one of them");
  }
  if (parsed.has(option.c_str()) || !varies) {
    all.push_back(
        ensembles_axis(ensembles(option, parsed.has(option.c_str()) ? parsed.text(option.c_str()) : kEnsembles)));
  }
  if (parsed.has("students") || !varies) {
    all.push_back(
        students_axis(integers<int64_t>("students", parsed.has("students") ? parsed.text("students") : kStudents, 1)));
  }
  if (!varies) return all;
  for (const std::string& text : parsed.options["over"].as<std::vector<std::string>>()) all.push_back(parse_axis(text));
  return all;
}

SweepConfig sweep_config(const Parsed& parsed) {
  SweepConfig config;
  config.config_dir = parsed.text("config");
  config.experiment = parsed.text("expid");
  config.overrides = parsed.rest;
  config.axes = axes(parsed);
  config.seed_count = parsed.integer("seeds", 1);
  constexpr int64_t kMaxSeeds = 1000;
  if (config.seed_count > kMaxSeeds) {
    throw InputError(cat("--seeds: expected at most ", kMaxSeeds, ", found ", config.seed_count));
  }
  if (parsed.has("seed-list")) config.seeds = integers<uint64_t>("seed-list", parsed.text("seed-list"), 0);
  config.directory = parsed.text("out");
  return config;
}

}  // namespace

int sweep(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options);
  const auto list = [] { return po::value<std::string>()->value_name("LIST"); };
  options.add_options()("over", po::value<std::vector<std::string>>()->composing()->value_name("KEY=LIST"),
                        "values of a key, separated by commas; may be given for several keys");
  options.add_options()("students", list(), cat("numbers of students (without --over: ", kStudents, ")").c_str());
  options.add_options()("ensembles", list(), cat("kinds of ensembles (without --over: ", kEnsembles, ")").c_str());
  options.add_options()("objectives", list(),
                        "the same list by objectives: kdef, final, self_ensemble, tri_bce; mean, sum and concat are "
                        "objective none with that ensemble");
  options.add_options()("seeds", po::value<int64_t>()->value_name("N")->default_value(1),
                        "number of seeds, counted up from the configuration's seed");
  options.add_options()("seed-list", list(), "the seeds themselves, instead of --seeds");
  add_sweep_options(options);
  const auto parsed =
      parse({"sweep", "--config DIR --expid ID --out DIR [--over KEY=LIST] [--students LIST] [key=value...]",
             "Trains an experiment once for every choice of values, each run in a directory of\n"
             "DIR/runs. What varies: the kind of ensemble, the number of students, any key with\n"
             "--over, and the seed. The data is prepared once. Writes DIR/sweep.csv and DIR/sweep.md:\n"
             "mean and standard deviation over seeds. --jobs N trains N runs at a time. Run the same\n"
             "command again to continue after Ctrl-C or kill: finished runs are kept, an interrupted\n"
             "run is resumed. Longer lists add runs.\n"
             "A run that fails does not stop the others; the exit status is that of the gravest\n"
             "failure. kdef report DIR shows the result as a page.\n"
             "\n"
             "  kdef sweep --config clicks --expid KDEF --out grid \\\n"
             "    --over learning_rate=1e-3,1e-2 --over 'hidden_units=[16],[32,32]'",
             Synopsis::Rest::overrides},
            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  Sweep sweep(sweep_config(*parsed));
  if (!parsed->flag("dry-run")) load_config(*parsed);  // prints the keys without effect
  return run_sweep(sweep, *parsed);
}

}  // namespace kdef::apps
