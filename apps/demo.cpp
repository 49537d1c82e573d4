#include <algorithm>
#include <filesystem>
#include <iostream>

#include "apps/commands.h"
#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/terminal.h"
#include "core/io/file.h"
#include "data/builtin/movielens.h"
#include "data/builtin/synth.h"
#include "data/builtin/yaml_files.h"
#include "kdef/measure/metrics.h"
#include "kdef/run/run.h"
#include "kdef/train/run_files.h"

namespace kdef::apps {
namespace {

struct Contestant {
  const char* experiment;
  const char* title;
  TrainingResult result;
};

void print_table(const std::vector<Contestant>& all) {
  const MetricList metrics = all[0].result.valid.ensemble.measured();
  print("\n%-31s", "test data");
  for (const Metric& m : metrics) print(" %9s", column_title(m).c_str());
  print("   students' %s\n", column_title(main_metric(all[0].result.valid)).c_str());
  for (const Contestant& c : all) {
    const Evaluation& e = c.result.has_test ? c.result.test : c.result.valid;
    print("%-31s", c.title);
    for (const Metric& m : metrics) print(" %9s", metric_text(m, e.ensemble[m]).c_str());
    print("%s\n", e.students.size() > 1 ? cat("   ", students_range(e)).c_str() : "");
  }
}

// Writes the built-in data, or converts the data set that the user named.
void make_data(const Parsed& parsed, const std::string& data_dir) {
  ProgressDisplay display(0);
  if (parsed.rest.empty()) {
    data::SynthConfig synth;
    // 3000 rows are enough for one batch. A multiple of ten leaves no batch of one row.
    synth.rows = parsed.integer("rows", 3000) / 10 * 10;
    synth.seed = static_cast<uint64_t>(parsed.integer("seed", 0));
    synth.out_dir = data_dir;
    synth.overwrite = parsed.flag("overwrite");
    const data::SynthResult made = data::synthesize(synth, [&](const data::Progress& p) { display.preparing(p); });
    display.line(cat("Built-in data: ", made.train_rows + made.valid_rows + made.test_rows, " synthetic rows in ",
                     data_dir, "; no model can be expected above AUC ",
                     metric_text(metric_of_key("auc"), auc(made.test_logits, made.test_labels))));
  } else {
    const std::string& path = parsed.rest[0];
    if (!data::is_movielens(path)) {
      throw InputError(cat(path,
                           ": is neither ml-1m.zip nor a folder with ratings.dat, users.dat and movies.dat; to "
                           "train on your own data, write a configuration (see the README) and use kdef train"));
    }
    display.line(cat("MovieLens-1M from ", path));
    const data::MovieLensResult made = data::convert_movielens(path, data_dir, 2024, parsed.flag("overwrite"));
    display.line(cat(made.train_rows, " training, ", made.valid_rows, " validation, ", made.test_rows, " test rows"));
  }
}

// Before anything is written. Names the files that are in the way.
void refuse_to_replace_demo(const std::string& out, const std::vector<Contestant>& contestants) {
  std::vector<std::string> names;
  for (const std::string& name : data::builtin_files()) names.push_back("data/" + name);
  for (const Contestant& c : contestants) {
    for (const RunFile& file : RunFiles::table()) names.push_back(cat(c.experiment, "/", file.name));
  }
  refuse_to_replace(out, names, "; give another --out, or --overwrite to replace them");
}

}  // namespace

int demo(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("out", po::value<std::string>()->value_name("DIR")->default_value("demo"),
                        "folder for data and runs");
  options.add_options()("rows", po::value<int64_t>()->value_name("N")->default_value(data::SynthConfig{}.rows),
                        "rows of the built-in data");
  options.add_options()("seed", po::value<int64_t>()->value_name("S")->default_value(2024),
                        "seed of the built-in data");
  options.add_options()("overwrite", po::bool_switch(), "replace an earlier demo in the folder");
  add_threads_option(options);
  const auto parsed = parse({"demo", "[PATH] [--out DIR]",
                             "Trains a KDEF ensemble of 3, a plain mean ensemble of 3 and a single network, one\n"
                             "after the other, and compares them. It uses built-in data, or MovieLens-1M at PATH:\n"
                             "ml-1m.zip as GroupLens publishes it, or its folder.",
                             Synopsis::Rest::paths},
                            options, arguments);
  if (!parsed) return kDone;
  if (parsed->rest.size() > 1) throw InputError("kdef demo takes at most one PATH; see kdef demo --help");
  use_threads(*parsed);
  const std::string out = parsed->text("out"), data_dir = out + "/data";
  std::vector<Contestant> contestants{{"KDEF", "KDEF, 3 students", {}},
                                      {"mean", "mean ensemble of 3, no teaching", {}},
                                      {"single", "a single network", {}}};
  if (!parsed->flag("overwrite")) refuse_to_replace_demo(out, contestants);
  make_data(*parsed, data_dir);
  for (Contestant& c : contestants) {
    const ExperimentConfig config = load_experiment(data_dir, c.experiment, {cat("data_root=", out, "/cache")});
    ProgressDisplay display(config.training.epochs);
    RunOptions run;
    run.directory = cat(out, "/", c.experiment);
    run.overwrite = parsed->flag("overwrite");
    run.preparing = [&](const data::Progress& p) { display.preparing(p); };
    run.ready = [&](const data::Prepared&, const Ensemble& model) {
      display.line(cat("\n", c.title, ": ", model.parameter_count(), " parameters"));
    };
    run.listener = display.listener();
    c.result = run_experiment(config, run);
  }
  print_table(contestants);
  print(
      "\nConfiguration and data: %s. Runs: %s/{KDEF,mean,single}. Next:\n"
      "  %s predict --run %s/KDEF --data %s/test.csv --out predictions.txt\n"
      "  %s train --config %s --expid KDEF --run %s/KDEF-5 num_student=5\n",
      data_dir.c_str(), out.c_str(), program_name().c_str(), out.c_str(), data_dir.c_str(), program_name().c_str(),
      data_dir.c_str(), out.c_str());
  return kDone;
}

}  // namespace kdef::apps
