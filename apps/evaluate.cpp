#include <iostream>

#include "apps/commands.h"
#include "apps/process_group.h"
#include "apps/report_lines.h"
#include "kdef/run/run.h"
#include "kdef/run/warnings.h"

namespace kdef::apps {
namespace {

int evaluate_run(const Parsed& parsed) {
  const Run run(parsed.text("run"), use_device(parsed));
  const std::string path = run_data(parsed, run.config().dataset.test_data, "test_data");
  check_divisible(path);
  data::RawFile rows(run.encoder(), path, true);
  const std::string& file = rows.source().path();
  UnknownValues unknown(run.encoder().feature_map());
  const auto next = [&](data::Batch& batch) {
    const bool any = rows.next(batch, run.config().training.batch_size);
    if (any) unknown.add(batch);
    return any;
  };
  const Evaluation result = evaluate_in_turn(run.model(), next, {run.config().training.metrics});
  say_warnings(rows.source().warnings());
  say_warnings(unknown.warnings(file, path, run.encoder()));
  if (result.rows == 0) throw InputError(cat(file, ": has no rows to evaluate"));
  const bool clicks = run.model().task().labels == data::LabelKind::click;
  std::cout << file << ": " << result.rows << " rows" << (clicks ? cat(", ", result.positives, " clicks") : "") << "\n"
            << quality_lines("ensemble", result) << "\n";
  if (clicks && (result.positives == 0 || result.positives == result.rows)) {
    std::cerr << "kdef: " << file << ": every label is " << (result.positives ? 1 : 0)
              << ", so its AUC and normalized entropy are undefined\n";
  }
  std::cout << to_json(result) << "\n";
  return kDone;
}

}  // namespace

int evaluate(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(),
                        "run directory of kdef train, or a file of kdef export --out FILE.kdef");
  options.add_options()("data", po::value<std::string>()->value_name("FILE"),
                        "raw rows with labels; - for standard input (default: test_data of the configuration)");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed = parse({"evaluate", "--run DIR [--data FILE]",
                             "Measures the best model of a run on a file of raw rows: AUC, log loss, normalized\n"
                             "entropy and the other `metrics` of its configuration, for the ensemble and for every\n"
                             "student. The last line is one JSON object. An undefined metric is null: the AUC, if all "
                             "labels are of one class."},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  ProcessGroup processes;
  return processes.run([&] { return evaluate_run(*parsed); });
}

}  // namespace kdef::apps
