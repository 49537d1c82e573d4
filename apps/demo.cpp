#include <algorithm>
#include <cmath>
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
#include "kdef/study/report.h"
#include "kdef/train/run_files.h"

namespace kdef::apps {
namespace {

constexpr const char* kReport = "/report.html";

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

// "AUC +0.0151, log loss -0.0120": how `quality` differs from `other`.
std::string difference(const Quality& quality, const Quality& other) {
  std::string text;
  for (const char* key : {"auc", "logloss"}) {
    const Metric m = metric_of_key(key);
    const double by = quality[m] - other[m];
    text += cat(text.empty() ? "" : ", ", m.title(), by < 0 ? " -" : " +", fixed_point(std::abs(by), m.decimals() - 2));
  }
  return text;
}

// "is better than WHAT in both metrics", or what else is true.
std::string standing(const Quality& a, const Quality& b, const std::string& what) {
  const Metric auc = metric_of_key("auc"), log_loss = metric_of_key("logloss");
  const bool first = auc.better(a[auc], b[auc]), second = log_loss.better(a[log_loss], b[log_loss]);
  const char* where = first && second ? "in both metrics" : first ? "in AUC alone" : "in log loss alone";
  return cat(first || second ? cat("is better than ", what, " ", where) : cat("is no better than ", what), "\n  (",
             difference(a, b), ")");
}

// What the table says, in sentences that hold for any figures.
std::string reading(const std::vector<Contestant>& all) {
  const auto of = [&](const char* experiment) -> const Evaluation& {
    const auto c =
        std::find_if(all.begin(), all.end(), [&](const auto& x) { return std::string(x.experiment) == experiment; });
    return c->result.has_test ? c->result.test : c->result.valid;
  };
  const Evaluation &kdef = of("KDEF"), &mean = of("mean"), &sum = of("sum"), &single = of("single");
  const Metric auc = metric_of_key("auc");
  const auto against_one = [&](const char* name, const Evaluation& e) {
    return cat(name, " ", standing(e.ensemble, single.ensemble, "one network"), ".\n");
  };
  return cat(against_one("The sum ensemble", sum), against_one("The mean ensemble", mean), against_one("KDEF", kdef),
             "KDEF ", standing(kdef.ensemble, mean.ensemble, "the mean ensemble"), ".\n",
             "Students alone, AUC: ", students_range(kdef), " of KDEF,\n  ", students_range(mean), " of mean, ",
             students_range(sum), " of sum; one network has ", short_text(auc, single.ensemble[auc]), ".\n",
             "One seed of each; docs/results.md has more.");
}

// Writes the built-in data, or converts the data set that the user named.
void make_data(const Parsed& parsed, const std::string& data_dir) {
  ProgressDisplay display(0);
  if (parsed.rest.empty()) {
    data::SynthConfig synth;
    synth.shape = parsed.text("shape");
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
  names.emplace_back(kReport + 1);
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
  options.add_options()("rows", po::value<int64_t>()->value_name("N")->default_value(80000),
                        "rows of the built-in data");
  options.add_options()("shape", po::value<std::string>()->value_name("SHAPE")->default_value("criteo-small"),
                        "shape of the built-in data, as in kdef synth");
  options.add_options()("seed", po::value<int64_t>()->value_name("S")->default_value(7), "seed of the built-in data");
  options.add_options()("overwrite", po::bool_switch(), "replace an earlier demo in the folder");
  add_threads_option(options);
  const auto parsed = parse({"demo", "[PATH] [--out DIR]",
                             "Trains one network, the plain sum and mean ensembles of 3 and a KDEF ensemble of 3, one\n"
                             "after the other, compares them, and writes a report. It uses built-in data, or\n"
                             "MovieLens-1M at PATH: ml-1m.zip as GroupLens publishes it, or its folder.",
                             Synopsis::Rest::paths},
                            options, arguments);
  if (!parsed) return kDone;
  if (parsed->rest.size() > 1) throw InputError("kdef demo takes at most one PATH; see kdef demo --help");
  use_threads(*parsed);
  const std::string out = parsed->text("out"), data_dir = out + "/data";
  std::vector<Contestant> contestants{{"single", "one network", {}},
                                      {"sum", "sum ensemble of 3, no teaching", {}},
                                      {"mean", "mean ensemble of 3, no teaching", {}},
                                      {"KDEF", "KDEF, 3 students", {}}};
  if (!parsed->flag("overwrite")) refuse_to_replace_demo(out, contestants);
  make_data(*parsed, data_dir);
  for (Contestant& c : contestants) {
    const ExperimentConfig config =
        load_experiment(data_dir, c.experiment, {cat("data_root=", out, "/cache"), "baseline=none"});
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
  std::vector<std::string> runs;
  for (const Contestant& c : contestants) runs.push_back(cat(out, "/", c.experiment));
  write_file(out + kReport, to_html(read_report(runs)));
  print("\n%s\n\nThe same as a page to look at, with curves: %s%s\n", reading(contestants).c_str(), out.c_str(),
        kReport);
  print(
      "Configuration and data: %s. Runs: %s/{single,sum,mean,KDEF}.\n\n"
      "Next, predictions of the model, or an ensemble of five:\n"
      "  %s predict --run %s/KDEF \\\n    --data %s/test.csv --out predictions.txt\n"
      "  %s train --config %s --expid KDEF \\\n    --run %s/KDEF-5 num_student=5\n",
      data_dir.c_str(), out.c_str(), program_name().c_str(), out.c_str(), data_dir.c_str(), program_name().c_str(),
      data_dir.c_str(), out.c_str());
  return kDone;
}

}  // namespace kdef::apps
