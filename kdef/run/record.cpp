#include "kdef/run/record.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/io/file.h"
#include "core/io/file_lock.h"
#include "core/io/safetensors.h"
#include "data/encode/feature_map.h"
#include "kdef/run/run_path.h"
#include "kdef/train/run_files.h"
#include "kdef/train/trainer_json.h"

namespace kdef {
namespace {

// Reads one object per line. A last line without "\n" is still being written and is left out.
template <class Read>
auto parse_lines(const std::string& path, Read read) {
  std::vector<decltype(read(Json()))> all;
  const std::string text = data::read_text(path);
  size_t line = 1;
  for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1, ++line) {
    all.push_back(parse_written(text.substr(at, end - at), cat(path, ":", line), read));
  }
  return all;
}

void read_model(const std::string& path, RunRecord& run) {
  const SafetensorsFile file(path);
  int64_t count = 0;
  for (const std::string& name : file.names()) {
    // The buffers of batch normalisation are not parameters.
    if (name.ends_with(".running_mean") || name.ends_with(".running_var")) continue;
    int64_t size = 1;
    for (const int64_t extent : file.shape(name)) size *= extent;
    count += size;
  }
  run.parameters = count;
  const auto step = file.metadata().find("step");
  if (step != file.metadata().end() && !read_number(step->second, run.model_step.emplace())) {
    run.model_step.reset();
    throw InputError(cat(path, ": the metadata 'step' is '", step->second, "'; a whole number is expected"));
  }
  const auto exported = file.metadata().find("exported");
  if (exported != file.metadata().end()) run.exported = exported->second;
  const auto imported = file.metadata().find("imported");
  if (imported != file.metadata().end()) run.imported = imported->second;
}

}  // namespace

Statistic statistic(const std::vector<double>& values) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Statistic s;
  double sum = 0, squares = 0;
  for (const double v : values) {
    if (std::isfinite(v)) sum += v, s.values.push_back(v);
  }
  const auto n = static_cast<double>(s.values.size());
  const double mean = sum / n;
  for (const double v : s.values) squares += (v - mean) * (v - mean);
  s.mean = n > 0 ? mean : kNone;
  s.deviation = n > 1 ? std::sqrt(squares / (n - 1)) : kNone;
  return s;
}

std::string shell_word(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_./=:,@%+-") == std::string::npos;
  if (plain) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::vector<TrainingListener::Evaluated> read_metrics(const std::string& path) {
  return parse_lines(path, [](const Json& json) { return json.get<TrainingListener::Evaluated>(); });
}

RunRecord read_run(const std::string& directory) {
  RunRecord run;
  run.directory = directory;
  check_is_directory(directory);
  const RunFiles files(directory);
  if (!exists(files.config())) {
    throw InputError(cat(directory, ": is not the directory of a run: it has no ", files.name(files.config())));
  }
  run.config = load_resolved(files.config());
  const std::string word = shell_word(directory);
  const auto read = [&](const std::string& path, const std::string& remedy, auto take) {
    if (!exists(path)) {
      if (!remedy.empty()) run.notes.push_back(cat("There is no ", files.name(path), ": ", remedy));
      return;
    }
    try {
      take(path);
    } catch (const InputError& e) {
      run.notes.push_back(e.what());
    }
  };
  run.running = FileLock::is_taken(directory);
  std::string resume = run.running ? "this training is running. Make the page again later"
                                   : cat("this training has not finished. If it was interrupted, resume it with: kdef "
                                         "train --run ",
                                         word, " --resume");
  const std::string measure =
      run.running ? "" : cat("make it with: kdef collapse --run ", word, " --json ", shell_word(files.collapse()));
  read(files.model(), resume, [&](const std::string& path) { read_model(path, run); });
  if (!run.exported.empty()) {
    run.notes.push_back(cat("Exported: ", run.exported, ". The record of its training is in that run."));
  }
  if (!run.imported.empty()) run.notes.push_back(cat("Imported: the weights of ", run.imported, "."));
  if (!run.is_trained_here()) resume.clear();
  read(files.metrics(), resume, [&](const std::string& path) { run.evaluations = read_metrics(path); });
  read(files.result(), resume, [&](const std::string& path) {
    parse_written(data::read_text(path), path, [&](const Json& json) {
      run.valid = json.at("valid").get<Evaluation>();
      if (json.contains("test")) run.test = json.at("test").get<Evaluation>();
      return 0;
    });
  });
  read(files.collapse(), measure, [&](const std::string& path) {
    run.collapse =
        parse_written(data::read_text(path), path, [](const Json& json) { return json.get<CollapseReport>(); });
  });
  read(files.data(), "", [&](const std::string& path) { run.data = read_data_summary(path); });
  read(files.baseline(), "", [&](const std::string& path) { run.baseline = read_baseline(path); });
  read(files.importance(), "", [&](const std::string& path) { run.importance = read_importance(path); });
  read(files.collapse_history(), "", [&](const std::string& path) {
    run.collapse_history = parse_lines(path, [](const Json& json) { return json.get<CollapseRecord>(); });
  });
  return run;
}

}  // namespace kdef
