// The record of a run and its report. The parts of the input are result.json, metrics.jsonl, collapse.json and
// collapse.jsonl; an empty part is a missing file.
#include "kdef/run/record.h"

#include "core/io/file.h"
#include "data/builtin/yaml_files.h"
#include "fuzz/fuzz.h"
#include "kdef/study/report.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

// A directory with the configuration of an ensemble of three students.
RunFiles make_run() {
  data::DatasetConfig dataset;
  dataset.id = "set";
  dataset.data_root = fuzz::path("cache");
  dataset.train_data = dataset.test_data = dataset.valid_data = fuzz::path("rows.csv");
  dataset.fields.resize(1);
  dataset.fields[0].name = "a";
  std::filesystem::create_directories(fuzz::path("run"));
  data::write_yaml_files(fuzz::path("run"), dataset, {});
  RunFiles files(fuzz::path("run"));
  write_file(files.config(), to_yaml(load_experiment(files.directory(), "KDEF")));
  return files;
}

void read(std::string_view input) {
  static const RunFiles files = make_run();
  std::vector<std::string> parts = fuzz::parts(input, 4);
  parts.resize(4);
  const std::string paths[] = {files.result(), files.metrics(), files.collapse(), files.collapse_history()};
  for (size_t i = 0; i < parts.size(); ++i) {
    remove_file(paths[i]);
    if (!parts[i].empty()) write_file(paths[i], parts[i]);
  }
  RunRecord run = fuzz::accepted("damage becomes a note", [&] { return read_run(files.directory()); });
  fuzz::accepted("every record has a report", [&] { return to_html({{std::move(run)}, {}}); });
}

}  // namespace
}  // namespace kdef

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::read);
}
