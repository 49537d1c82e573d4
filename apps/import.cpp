#include "kdef/run/import.h"

#include <iostream>

#include "apps/commands.h"
#include "apps/report_lines.h"

namespace kdef::apps {

int import_weights(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options);
  options.add_options()("weights", po::value<std::string>()->value_name("FILE")->required(),
                        "safetensors file with the state_dict of FuxiCTR's class, or a model.safetensors");
  options.add_options()("vocabulary", po::value<std::string>()->value_name("FILE"),
                        "feature_vocab.json of FuxiCTR: which word each row of a table is (default: the rows are those "
                        "of a vocabulary of kdef)");
  options.add_options()("out", po::value<std::string>()->value_name("DIR")->required(), "run directory to write");
  add_threads_option(options);
  const auto parsed =
      parse({"import", "--config DIR --expid ID --weights FILE [--vocabulary FILE] --out DIR [key=value...]",
             "Makes a run directory from weights that were trained elsewhere, and measures the model.\n"
             "kdef predict, evaluate, report and export read the directory. The experiment names the\n"
             "model and the data that belong to the weights. The data is prepared first if its cache\n"
             "is missing or stale.",
             Synopsis::Rest::overrides},
            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const ExperimentConfig config = load_config(*parsed);
  const std::string weights = parsed->text("weights"), out = parsed->text("out");
  const std::string vocabulary = parsed->has("vocabulary") ? parsed->text("vocabulary") : "";
  const Imported imported = kdef::import_weights(config, weights, vocabulary, out);
  say_warnings(imported.warnings);
  std::cout << weights << ": " << imported.parameters << " parameters, in " << out << "\n"
            << quality_line("valid", imported.valid.ensemble) << "\n";
  if (imported.test) std::cout << quality_line("test", imported.test->ensemble) << "\n";
  return kDone;
}

}  // namespace kdef::apps
