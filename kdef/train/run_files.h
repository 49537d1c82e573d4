// The files of a run directory. This is the only place that knows their names.
//
// Prediction and evaluation need no file outside of the run directory.
#pragma once

#include <string>
#include <vector>

namespace kdef {

/// One file of a run directory.
struct RunFile {
  const char* name;     // relative to the directory
  const char* meaning;  // for help texts
  bool from_training;   // of a training or its model; a new training in the same directory removes it
  bool to_predict;      // prediction reads it
};

/// Paths of a run's files. Nothing here touches the disk.
class RunFiles {
 public:
  explicit RunFiles(std::string directory) : directory_(std::move(directory)) {}

  /// Every file that a run may consist of. A new training removes the files of an older one in this order: the
  /// checkpoint is first, so that a run that is half removed cannot be resumed.
  static const std::vector<RunFile>& table();

  const std::string& directory() const { return directory_; }
  std::string config() const;             // YAML: every key of the configuration, resolved
  std::string vocabulary() const;         // data::Encoder
  std::string metrics() const;            // JSON lines: one object per evaluation
  std::string model() const;              // safetensors: the best model
  std::string checkpoint_folder() const;  // the folder of checkpoint()
  std::string checkpoint() const;         // safetensors: the state of the training
  std::string collapse() const;           // JSON: collapse of the best model
  std::string collapse_history() const;   // JSON lines: collapse during training
  std::string data() const;               // JSON: data_summary_json()
  std::string baseline() const;           // JSON: to_json(Baseline)
  std::string importance() const;         // JSON: to_json(Importance), of kdef importance
  std::string result() const;             // JSON: evaluations of the best model; a run that has it is finished

  std::vector<std::string> all() const;
  std::vector<std::string> from_training() const;
  std::vector<std::string> to_predict() const;

  /// The TensorBoard event file that a training starts at `time`, in seconds since 1970.
  std::string events(int64_t time) const;
  /// Whether a file of this name, without its directory, is an event file that kdef wrote.
  static bool is_events(const std::string& name);

  /// A path of this run relative to its directory, for messages.
  std::string name(const std::string& path) const { return path.substr(directory_.size() + 1); }

 private:
  std::string path(const char* name) const { return directory_ + "/" + name; }
  template <class Chosen>
  std::vector<std::string> paths(Chosen chosen) const;

  std::string directory_;
};

}  // namespace kdef
