#include <algorithm>
#include <filesystem>
#include <iostream>
#include <utility>

#include "apps/commands.h"
#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/terminal.h"
#include "core/base/error.h"
#include "core/io/file.h"
#include "data/encode/feature_map.h"
#include "data/feed/batching.h"
#include "kdef/measure/importance.h"
#include "kdef/run/run.h"
#include "kdef/train/run_files.h"

namespace kdef::apps {
namespace {

void append(data::Batch& all, const data::Batch& batch) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(all.ids, batch.ids);
  add(all.numerics, batch.numerics);
  add(all.labels, batch.labels);
  add(all.weights, batch.weights);
  add(all.groups, batch.groups);
  all.rows += batch.rows;
}

// The first `most` rows, or all, of --data, of valid_data, or of the validation rows that the run has taken from
// train_data.
data::Batch read_rows(const Parsed& parsed, const Run& run, int64_t most) {
  const data::DatasetConfig& dataset = run.config().dataset;
  data::Batch all, batch;
  if (parsed.has("data") || dataset.valid_size == 0) {
    data::RawFile rows(run.encoder(), run_data(parsed, dataset.valid_data, "valid_data"), true);
    while (all.rows < most && rows.next(batch, std::min<int64_t>(4096, most - all.rows))) append(all, batch);
    return all;
  }
  const data::PreparedData data = data::prepare_and_open(dataset, cache_directory(run.config()));
  if (data.vocabulary != data::read_text(RunFiles(parsed.text("run")).vocabulary())) {
    throw InputError(cat(dataset.train_data, ": has changed since the run was trained; name rows with --data FILE"));
  }
  data::Loader loader(*data.valid, 4096, false, 0);
  loader.start_epoch(0);
  while (all.rows < most && loader.next(batch)) append(all, batch);
  return all;
}

}  // namespace

int importance(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(),
                        "run directory of kdef train, or a file of kdef export --out FILE.kdef");
  options.add_options()("data", po::value<std::string>()->value_name("FILE"),
                        "raw rows with labels (default: the validation rows of the run)");
  options.add_options()("rows", po::value<int64_t>()->value_name("N")->default_value(20000),
                        "use the first N rows, or all if there are fewer");
  options.add_options()("shuffles", po::value<int64_t>()->value_name("N")->default_value(5), "shuffles of each field");
  options.add_options()(
      "json", po::value<std::string>()->value_name("FILE"),
      "where to write all metrics as JSON (default: importance.json of the run, which kdef report shows)");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed = parse(
      {"importance", "--run DIR [--data FILE]",
       "Measures how much a model needs each field: the values of the field are shuffled among the rows, and the\n"
       "metrics are measured again. Prints the fields with the change of AUC and log loss, mean and standard\n"
       "deviation over the shuffles, the most important first. Fields that say the same share their importance.\n"
       "Uses the first rows of the data, in its order: 20,000, or as --rows says."},
      options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const int64_t rows = parsed->integer("rows", 1), shuffles = parsed->integer("shuffles", 1);
  std::error_code absent;
  if (!parsed->has("json") && std::filesystem::is_regular_file(parsed->text("run"), absent)) {
    throw InputError(cat("--json is missing: ", parsed->text("run"), " is no directory, where the result would stand"));
  }
  const Run run(parsed->text("run"), use_device(*parsed));
  const MetricList metrics = metrics_of(run.model().task());
  const data::Batch batch = read_rows(*parsed, run, rows);
  Importance result;
  {
    ProgressDisplay display(0);
    result = measure_importance(run.model(), run.encoder().feature_map(), batch, run.config().training.batch_size,
                                shuffles, run.config().training.seed, metrics, [&](double share) {
                                  display.preparing({"shuffling fields", batch.rows, share});
                                });
  }
  // AUC and log loss, or RMSE and MAE.
  const Metric main = metrics.at(0), loss = metrics.at(1);
  std::stable_sort(result.fields.begin(), result.fields.end(),
                   [&](const FieldImportance& a, const FieldImportance& b) { return a.change[loss] > b.change[loss]; });
  print("%s rows, %s shuffles of each field. As it is:\n%s\n\n", grouped(result.rows).c_str(),
        grouped(shuffles).c_str(), quality_text(result.quality).c_str());
  print("%-24s %26s %26s\n", "field, shuffled", main.title().c_str(), loss.title().c_str());
  for (const FieldImportance& field : std::as_const(result).fields) {
    const std::string name = field.name.size() > 24 ? field.name.substr(0, 22) + ".." : field.name;
    const auto cell = [&](const Metric& m) {
      const double change = field.change[m];
      return cat(change < 0 ? "" : "+", fixed_point(change, 5),
                 shuffles < 2 ? "" : cat(" +- ", fixed_point(field.deviation[m], 5)));
    };
    print("%-24s %26s %26s\n", name.c_str(), cell(main).c_str(), cell(loss).c_str());
  }
  result.data = parsed->has("data") ? parsed->text("data") : "validation rows";
  const std::string file = parsed->has("json") ? parsed->text("json") : RunFiles(parsed->text("run")).importance();
  write_file(file, to_json(result) + "\n", NamedBy::user);
  return kDone;
}

}  // namespace kdef::apps
