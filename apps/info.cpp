#include <iomanip>
#include <iostream>

#include "apps/commands.h"
#include "data/encode/feature_map.h"
#include "kdef/run/run.h"

namespace kdef::apps {

// Of a model of a feature map, for which no data vouches: 8 GiB.
static constexpr int64_t kMaxValues = int64_t{1} << 31;

int info(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options);
  options.add_options()("feature-map", po::value<std::string>()->value_name("FILE"),
                        "take the fields from a feature map (JSON); no data is needed then");
  const auto parsed = parse({"info", "--config DIR --expid ID [--feature-map FILE.json] [key=value...]",
                             "Prints the networks of an experiment and the shape of every parameter. The last line\n"
                             "is 'parameters N'. Without --feature-map, the data is prepared if its cache is\n"
                             "missing.",
                             Synopsis::Rest::overrides},
                            options, arguments);
  if (!parsed) return kDone;
  const bool from_map = parsed->has("feature-map");
  const ExperimentConfig config = load_config(*parsed, !from_map);
  const data::FeatureMap map = from_map ? data::load_feature_map(parsed->text("feature-map"))
                                        : data::prepare(config.dataset, cache_directory(config)).map;
  nn::Builder build = nn::Builder::zeros();
  if (from_map) build.limit_values(kMaxValues);
  const Ensemble model(config.model, embedding_fields(map), build);
  std::cout << config.id << ": " << name_of(config.model.kind) << " of " << model.student_count() << " over "
            << map.fields.size() << " fields of '" << map.dataset << "', embedding dimension "
            << config.model.embedding_dim << "\n";
  size_t width = 0;
  for (const nn::Parameter& p : model.parameters()) width = std::max(width, p.name.size());
  for (const nn::Parameter& p : model.parameters()) {
    std::cout << "  " << std::left << std::setw(static_cast<int>(width)) << p.name << "  " << p.tensor.shape() << "\n";
  }
  std::cout << "parameters " << model.parameter_count() << "\n";
  return kDone;
}

}  // namespace kdef::apps
