#include "kdef/train/run_files.h"

#include "core/base/error.h"
#include "data/encode/encoder.h"

namespace kdef {
namespace {

constexpr const char* kConfig = "config.yaml";
constexpr const char* kVocabulary = data::Encoder::kFileName;
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kCheckpointFolder = "checkpoint";
constexpr const char* kCheckpoint = "checkpoint/state.safetensors";
constexpr const char* kCollapse = "collapse.json";
constexpr const char* kCollapseHistory = "collapse.jsonl";
constexpr const char* kResult = "result.json";
constexpr const char* kBaseline = "baseline.json";
constexpr const char* kData = "data.json";
constexpr const char* kImportance = "importance.json";
constexpr const char *kEventsBegin = "events.out.tfevents.", *kEventsEnd = ".kdef";

}  // namespace

const std::vector<RunFile>& RunFiles::table() {
  static const std::vector<RunFile> files = {
      {kConfig, "every key of the configuration, resolved", false, true},
      {kVocabulary, "the vocabularies that encode new rows", false, true},
      {kCheckpoint, "what --resume needs", true, false},
      {kResult, "evaluations of the best model; written last", true, false},
      {kModel, "the best model", true, true},
      {kMetrics, "one JSON object per evaluation", true, false},
      {kData, "rows, clicks, and the values of every column", true, false},
      {kBaseline, "what to beat: the constant, logistic regression", true, false},
      {kImportance, "which columns matter (kdef importance)", true, false},
      {kCollapse, "how many dimensions the best model uses", true, false},
      {kCollapseHistory, "the same during training (key collapse_every)", true, false},
  };
  return files;
}

std::string RunFiles::config() const { return path(kConfig); }
std::string RunFiles::vocabulary() const { return path(kVocabulary); }
std::string RunFiles::metrics() const { return path(kMetrics); }
std::string RunFiles::model() const { return path(kModel); }
std::string RunFiles::checkpoint_folder() const { return path(kCheckpointFolder); }
std::string RunFiles::checkpoint() const { return path(kCheckpoint); }
std::string RunFiles::collapse() const { return path(kCollapse); }
std::string RunFiles::collapse_history() const { return path(kCollapseHistory); }
std::string RunFiles::data() const { return path(kData); }
std::string RunFiles::baseline() const { return path(kBaseline); }
std::string RunFiles::importance() const { return path(kImportance); }
std::string RunFiles::result() const { return path(kResult); }

template <class Chosen>
std::vector<std::string> RunFiles::paths(Chosen chosen) const {
  std::vector<std::string> all;
  for (const RunFile& file : table()) {
    if (chosen(file)) all.push_back(path(file.name));
  }
  return all;
}

std::vector<std::string> RunFiles::all() const {
  return paths([](const RunFile&) { return true; });
}
std::vector<std::string> RunFiles::from_training() const {
  return paths([](const RunFile& file) { return file.from_training; });
}
std::vector<std::string> RunFiles::to_predict() const {
  return paths([](const RunFile& file) { return file.to_predict; });
}

std::string RunFiles::events(int64_t time) const { return path(cat(kEventsBegin, time, kEventsEnd).c_str()); }

bool RunFiles::is_events(const std::string& name) {
  return name.starts_with(kEventsBegin) && name.ends_with(kEventsEnd);
}

}  // namespace kdef
