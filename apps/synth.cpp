#include "data/builtin/synth.h"

#include <iostream>

#include "apps/commands.h"
#include "apps/progress.h"
#include "core/base/error.h"
#include "kdef/measure/metrics.h"

namespace kdef::apps {

int synth(const Arguments& arguments) {
  const data::SynthConfig standard;
  po::options_description options;
  options.add_options()("shape", po::value<std::string>()->value_name("SHAPE")->default_value(standard.shape),
                        "default, criteo, criteo-small, ml-1m, or the file of a feature map (JSON)");
  options.add_options()("rows", po::value<int64_t>()->value_name("N")->default_value(standard.rows),
                        "number of rows; train, valid and test get 8 : 1 : 1");
  options.add_options()("seed", po::value<int64_t>()->value_name("S")->default_value(2024),
                        "seed; the same seed gives the same bytes");
  options.add_options()("out", po::value<std::string>()->value_name("DIR")->required(), "folder to write into");
  options.add_options()(
      "positive-rate",
      po::value<double>()->value_name("R")->default_value(standard.positive_rate, cat(standard.positive_rate)),
      "expected share of clicks");
  options.add_options()("signal",
                        po::value<double>()->value_name("S")->default_value(standard.signal, cat(standard.signal)),
                        "standard deviation of the true logit; a larger one means less noise in the labels");
  options.add_options()("overwrite", po::bool_switch(), "replace files of the same names in the folder");
  const auto parsed = parse({"synth", "[--shape SHAPE] [--rows N] [--seed S] --out DIR",
                             "Writes synthetic click data: ids follow Zipf's law, and single fields, pairs and\n"
                             "triples of fields determine the click probability. Writes train.csv, valid.csv,\n"
                             "test.csv, and dataset_config.yaml and model_config.yaml for kdef train."},
                            options, arguments);
  if (!parsed) return kDone;

  data::SynthConfig config;
  config.shape = parsed->text("shape");
  config.rows = parsed->integer("rows", 10);
  config.seed = static_cast<uint64_t>(parsed->integer("seed", 0));
  config.out_dir = parsed->text("out");
  config.overwrite = parsed->flag("overwrite");
  config.positive_rate = parsed->options["positive-rate"].as<double>();
  config.signal = parsed->options["signal"].as<double>();
  if (!(config.positive_rate > 0 && config.positive_rate < 1)) {
    throw InputError(cat("--positive-rate: expected a number between 0 and 1, found ", config.positive_rate));
  }
  if (!(config.signal > 0 && config.signal < 100)) {
    throw InputError(cat("--signal: expected a number between 0 and 100, found ", config.signal));
  }

  data::SynthResult result;
  {
    ProgressDisplay display(0);
    result = data::synthesize(config, [&](const data::Progress& p) { display.preparing(p); });
  }
  std::cout << "Wrote " << config.out_dir << ": " << result.train_rows << " training, " << result.valid_rows
            << " validation, " << result.test_rows << " test rows\n"
            << "The true click probabilities have AUC " << auc(result.test_logits, result.test_labels)
            << " on the test rows; no model can be expected to do better\n"
            << "Train with: " << program_name() << " train --config " << config.out_dir << " --expid KDEF\n";
  return kDone;
}

}  // namespace kdef::apps
