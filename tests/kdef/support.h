// A small data set and experiment on disk, for tests of whole runs.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/builtin/synth.h"
#include "kdef/run/run.h"
#include "tests/support/files.h"

namespace kdef::test {

/// Synthetic data of `rows` rows and the experiment KDEF on it.
class SmallExperiment {
 public:
  explicit SmallExperiment(int64_t rows = 4000) {
    data::SynthConfig synth;
    synth.rows = rows;
    synth.out_dir = directory / "data";
    data::synthesize(synth);
  }
  ExperimentConfig load(std::vector<std::string> overrides = {}, const std::string& expid = "KDEF") const {
    overrides.insert(overrides.begin(), {"data_root=" + (directory / "cache"), "batch_size=512", "epochs=3",
                                         "hidden_units=[16, 8]", "early_stop_patience=100"});
    return load_experiment(directory / "data", expid, overrides);
  }
  TemporaryDirectory directory;
};

/// metrics.jsonl without its seconds, which differ from run to run.
inline std::string metrics_without_seconds(const std::string& run) {
  std::string text = read_file(run + "/metrics.jsonl"), out;
  for (size_t at = 0; at < text.size();) {
    const size_t key = text.find("\"seconds\":", at);
    if (key == std::string::npos) return out + text.substr(at);
    out += text.substr(at, key - at);
    at = text.find(',', key);
  }
  return out;
}

}  // namespace kdef::test
