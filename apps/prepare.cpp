#include "data/encode/prepare.h"

#include <iostream>

#include "apps/commands.h"
#include "apps/process_group.h"
#include "apps/progress.h"
#include "kdef/run/run.h"
#include "kdef/run/run_path.h"

namespace kdef::apps {

namespace {

void say(const data::Prepared& prepared, const std::string& cache) {
  say_warnings(prepared.warnings);
  std::cout << (prepared.made ? "Prepared " : "Up to date: ") << cache << "\n"
            << "  rows (clicks): train " << prepared.train_rows << " (" << prepared.train_positives << "), valid "
            << prepared.valid_rows << " (" << prepared.valid_positives << "), test " << prepared.test_rows << " ("
            << prepared.test_positives << ")\n";
  for (const data::Field& field : prepared.map.fields) {
    std::cout << "  " << field.name << ": ";
    if (field.type == data::FieldType::numeric) {
      std::cout << "numeric\n";
    } else {
      std::cout << field.vocab_size << " ids";
      if (field.type == data::FieldType::sequence) std::cout << ", sequence of up to " << field.max_len;
      std::cout << "\n";
    }
  }
}

}  // namespace

int prepare(const Arguments& arguments) {
  po::options_description options;
  add_config_options(options);
  add_threads_option(options);
  const auto parsed = parse({"prepare", "--config DIR --expid ID [key=value...]",
                             "Encodes the raw files of a data set into the cache data_root/dataset_id: first\n"
                             "vocabularies from the training rows, then all rows as ids. A cache that is up to date\n"
                             "is kept. kdef train prepares data by itself. Several processes, started by mpirun,\n"
                             "divide the files of a folder.",
                             Synopsis::Rest::overrides},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  ProcessGroup processes;
  return processes.run([&] {
    const ExperimentConfig config = load_config(*parsed);
    if (!config.init.empty()) check_has_model(config.init);
    const std::string cache = cache_directory(config);
    data::Prepared prepared;
    {
      ProgressDisplay display(0);
      prepared = data::prepare(config.dataset, cache, [&](const data::Progress& p) { display.preparing(p); });
    }
    say(prepared, cache);
    return kDone;
  });
}

}  // namespace kdef::apps
