#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

#include "apps/commands.h"
#include "core/io/file.h"
#include "kdef/run/run.h"

namespace kdef::apps {
namespace {}  // namespace

int predict(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(), "run directory of kdef train");
  options.add_options()("data", po::value<std::string>()->value_name("FILE")->required(),
                        "raw rows; the label column may be missing, columns may stand in any order");
  options.add_options()("out", po::value<std::string>()->value_name("FILE")->required(),
                        "where to write; - for standard output");
  options.add_options()("students", po::bool_switch(), "add a column for every student's probability");
  options.add_options()("header", po::bool_switch(), "begin with a line of column names");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed = parse({"predict", "--run DIR --data FILE --out FILE [--students]",
                             "Click probabilities of a run's best model: one line per row of the file, in its order.\n"
                             "The file appears when it is whole."},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const Run run(parsed->text("run"), use_device(*parsed));
  const bool students = parsed->flag("students");
  const size_t m = run.model().student_count();
  const std::string path = parsed->text("out");
  const std::string data = parsed->text("data");
  std::error_code absent;
  if (std::filesystem::is_regular_file(path, absent) && std::filesystem::equivalent(data, path, absent)) {
    throw InputError(cat("--out: ", path, " is the file of --data; name another"));
  }
  data::RawFile rows(run.encoder(), data, false);
  std::optional<AtomicFile> file;
  if (path != "-") file.emplace(path);
  std::string text;
  const auto flush = [&] {
    if (file)
      file->write(text.data(), text.size());
    else
      std::cout.write(text.data(), static_cast<std::streamsize>(text.size()));
    text.clear();
  };
  if (parsed->flag("header")) {
    text = run.model().task().labels == data::LabelKind::click ? "probability" : "prediction";
    for (size_t k = 0; students && k < m; ++k) text += cat(",student", k + 1);
    text += "\n";
  }
  data::Batch batch;
  int64_t count = 0;
  while (rows.next(batch, run.config().training.batch_size)) {
    const Probabilities p =
        kdef::predict(run.model(), model_input(batch, run.encoder().id_columns(), run.encoder().numeric_columns()));
    for (size_t b = 0; b < p.ensemble.size(); ++b) {
      text += shortest(p.ensemble[b]);
      for (size_t k = 0; students && k < m; ++k) {
        text += ',';
        text += shortest(p.students[b * m + k]);
      }
      text += '\n';
    }
    count += batch.rows;
    flush();
  }
  flush();
  if (file) {
    file->commit();
    std::cout << "Wrote " << count << " predictions to " << path << "\n";
  }
  return kDone;
}

}  // namespace kdef::apps
