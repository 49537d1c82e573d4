#include "kdef/run/run.h"

#include <filesystem>
#include <optional>

#include "core/base/clock.h"
#include "core/base/first_member.h"
#include "core/base/members_agree.h"
#include "core/base/names.h"
#include "core/io/file.h"
#include "core/io/file_lock.h"
#include "core/io/safetensors.h"
#include "data/encode/feature_map.h"
#include "data/encode/word_tables.h"
#include "kdef/run/model_file.h"
#include "kdef/run/pretrained.h"
#include "kdef/run/run_path.h"
#include "kdef/run/tensorboard.h"
#include "kdef/run/warm_start.h"
#include "kdef/run/warnings.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

// Ends the name of a file that replaces another once everything for it is on disk.
constexpr const char* kNew = ".new";

// Identifies the words of all ids. The bytes end with a CRC-32 of those before it, with which all files have one
// CRC-32.
uint32_t checksum_of_vocabulary(const data::PreparedData& data) {
  return crc32(data.vocabulary.data(), data.vocabulary.size() - sizeof(uint32_t));
}

// Identifies the settings that shape a training, and its data. A checkpoint must have the same identity.
std::string identity(const ExperimentConfig& config, const data::PreparedData& data) {
  // The vocabulary gives the ids their meaning; checksums stand for the rows.
  const std::string text = cat(shaping_yaml(config), data::to_json(data.summary.map), checksum_of_vocabulary(data), " ",
                               data.train->fingerprint(), " ", data.valid->fingerprint());
  return cat(config.id, " ", crc32(text.data(), text.size()));
}

// A training holds this lock while it writes into its directory. On a file system without locks it holds nothing.
FileLock lock_run(const std::string& directory) {
  std::optional<FileLock> lock = FileLock::try_lock(directory);
  if (lock) return *std::move(lock);
  throw InputError(cat(directory, ": another training is writing there (", holder_of(directory),
                       "); wait until it ends, or give another --run DIR"));
}

bool is_empty(const std::string& path) {
  std::error_code error;
  return std::filesystem::file_size(path, error) == 0 && !error;
}

// The files of the directory that a new training would replace, without those of a training with this configuration
// that ended before its first checkpoint: its configuration, its vocabularies, what is told before the first step, and
// empty logs.
std::vector<std::string> files_to_lose(const RunFiles& files, const ExperimentConfig& config) {
  const bool begun = exists(files.config()) && !exists(files.checkpoint()) && !exists(files.result()) &&
                     !exists(files.model()) && data::read_text(files.config()) == to_yaml(config);
  std::vector<std::string> all;
  for (const std::string& file : files.all()) {
    const bool of_begun = begun && (file == files.config() || file == files.vocabulary() || file == files.data() ||
                                    file == files.baseline() || is_empty(file));
    if (exists(file) && !of_begun) all.push_back(files.name(file));
  }
  return all;
}

// Refuses a directory without the checkpoint to resume, and one with files that `options` does not allow to replace.
void check_directory(const RunFiles& files, const RunOptions& options, const ExperimentConfig& config) {
  const std::string& directory = files.directory();
  if (exists(directory)) {
    std::error_code unknown;
    if (!std::filesystem::is_directory(directory, unknown))
      throw InputError(cat(directory, ": is a file; give the name of a folder: --run DIR"));
    check_is_directory(directory);
  }
  const bool resumable = exists(files.checkpoint());
  if (options.resume && !resumable) {
    throw InputError(cat(files.directory(), ": has no checkpoint to resume from; train without --resume"));
  }
  if (options.resume || options.overwrite) return;
  const std::vector<std::string> lost = files_to_lose(files, config);
  if (lost.empty()) return;
  const bool run = resumable || exists(files.result()) || exists(files.model());
  throw InputError(cat(files.directory(),
                       run ? ": already holds a run" : ": already has files with names of a run's files", "; give ",
                       resumable ? "--resume to continue it, " : "",
                       "--overwrite to replace it, or another --run DIR; there are ", joined(lost)));
}

// Refuses a data set without validation rows, and to resume a run that has other settings.
void check_settings(const RunFiles& files, const ExperimentConfig& config, bool resume) {
  if (resume) {
    const std::string changed = describe(differences(load_resolved(files.config()), config));
    if (!changed.empty()) {
      throw InputError(cat(files.directory(), ": was made with other settings: ", changed,
                           "; resume with the same settings, or give another --run DIR to start anew"));
    }
  }
  if (config.dataset.valid_data.empty() && config.dataset.valid_size == 0) {
    throw InputError(
        cat("data set '", config.dataset_id, "' has no valid_data; training needs it to choose the best model"));
  }
}

// Removes what an older or an interrupted training left, and writes the files that a new training starts with.
void begin_run(const RunFiles& files, const ExperimentConfig& config, const data::PreparedData& data, bool resume) {
  for (const std::string& file : files.all()) {
    remove_leftovers(file);
    remove_leftovers(file + kNew);
    remove_file(file + kNew);
  }
  if (resume) {
    if (!exists(files.result())) remove_file(files.importance());  // of a model that the training replaces
    return;
  }
  // The new files are on disk before any file of an older run is removed.
  write_file(files.config() + kNew, to_yaml(config));
  write_file(files.vocabulary() + kNew, data.vocabulary);
  for (const std::string& file : files.from_training()) remove_file(file);
  remove_event_files(files.directory());
  rename_file(files.config() + kNew, files.config());
  rename_file(files.vocabulary() + kNew, files.vocabulary());
}

// The baseline of a training that is resumed: its settings and data are those of the beginning. Nothing where the file
// is missing or damaged.
std::optional<Baseline> known_baseline(const RunFiles& files, bool resume) {
  if (!resume || !exists(files.baseline())) return std::nullopt;
  try {
    return read_baseline(files.baseline());
  } catch (const InputError&) {
    return std::nullopt;
  }
}

// What is told of data, model and simpler models before the first step. The training depends on nothing of it.
void tell(const RunFiles& files, const ExperimentConfig& config, const data::PreparedData& data,
          const UnknownRows& unknown, const Ensemble& model, const RunOptions& options) {
  if (options.ready) options.ready(data.summary, model);
  const DataSummary summary = summarize_data(data.summary, unknown, *config.model.task);
  write_file(files.data(), to_json(summary) + "\n");
  if (options.summarized) options.summarized(summary.columns);
  if (!config.baseline || config.model.task->labels != data::LabelKind::click) return;
  if (const auto known = known_baseline(files, options.resume)) {
    if (options.baseline) options.baseline(*known);
    return;
  }
  MetricList metrics = config.training.metrics;
  if (metrics.empty()) metrics = metrics_of(*config.model.task);
  constexpr double kSilent = 2;  // seconds before the progress is shown
  const double started = seconds_now();
  const auto baseline = measure_baseline(data.summary.map, *data.train, *data.valid, data.test ? &*data.test : nullptr,
                                         metrics, config.training.seed, [&](double share) {
                                           if (options.preparing && seconds_now() - started > kSilent) {
                                             options.preparing({"logistic regression", data.summary.train_rows, share});
                                           }
                                           return !options.listener.stop_requested();
                                         });
  if (!baseline) return;  // the training stops before its first step, too
  write_file(files.baseline(), to_json(*baseline) + "\n");
  if (options.baseline) options.baseline(*baseline);
}

// The name of an experiment or data set as part of a path: a folder below the one before it.
std::filesystem::path below(const std::string& id, const char* what, const char* remedy) {
  const std::filesystem::path path = std::filesystem::path(id).lexically_normal();
  if (id.empty() || path.is_absolute() || *path.begin() == ".." || path == ".") {
    throw InputError(
        cat("the name of the ", what, " is '", id, "', which as a path leads out of its folder; ", remedy));
  }
  return path;
}
}  // namespace

std::string cache_directory(const ExperimentConfig& config) {
  const std::filesystem::path folder =
      (config.dataset.data_root / below(config.dataset_id, "data set", "give it another name in dataset_config.yaml"))
          .lexically_normal();
  const bool is_taken = !config.dataset.rebuild || data::is_of_another_program(folder.string());
  return (is_taken ? folder / "kdef" : folder).string();
}

std::string default_run_directory(const ExperimentConfig& config) {
  return (config.model_root / below(config.dataset_id, "data set", "give it another name, or give --run DIR") /
          below(config.id, "experiment", "give it another name, or give --run DIR"))
      .lexically_normal()
      .string();
}

// A model with its initial values, for the members of the current group.
static std::unique_ptr<Ensemble> new_model(const ExperimentConfig& config, const data::Prepared& data, Device device) {
  const TrainingConfig& training = config.training;
  std::vector<nn::EmbeddingField> fields = embedding_fields(data.map);
  const int64_t rows = batch_rows(training, data.train_rows);
  if (training.divide_tables) fields = nn::holding_a_batch(fields, rows);
  nn::Builder build(training.seed, DType::f32, device);
  auto model = std::make_unique<Ensemble>(config.model, fields, build);
  if (training.divide_tables) model->divide(rows, Group::current());
  return model;
}

// Members with different settings would train what nobody asked for, or wait for each other for ever.
static void check_same_settings(const ExperimentConfig& config, const RunOptions& options) {
  check_members_agree(Group::current(),
                      cat(to_yaml(config), "--run: ", options.directory, "\n--resume: ", options.resume,
                          "\n--overwrite: ", options.overwrite, "\n"),
                      "were started with different settings", "start all with the same command");
}

// Members that read other rows, or give other ids to their words, would train nothing of sense.
static void check_same_data(const ExperimentConfig& config, const data::PreparedData& data) {
  const auto of_rows = [](const std::optional<data::EncodedFile>& file) {
    return file ? cat(file->rows(), " rows, checksum ", file->fingerprint()) : "none";
  };
  check_members_agree(Group::current(),
                      cat("vocabularies: ", checksum_of_vocabulary(data), "\ntraining rows: ", of_rows(data.train),
                          "\nvalidation rows: ", of_rows(data.valid), "\ntest rows: ", of_rows(data.test), "\n"),
                      cat("have different data in ", cache_directory(config)),
                      "give all processes the same folder, or equal copies");
}

static void check_options(const ExperimentConfig& config, const RunOptions& options) {
  if (options.directory.empty()) throw InputError("the name of the run directory is empty; give --run DIR");
  if (options.resume && options.overwrite) throw InputError("give --resume or --overwrite, not both");
  check_same_settings(config, options);
}

TrainingResult run_experiment(const ExperimentConfig& config, const RunOptions& options) {
  const std::string& directory = options.directory;
  const RunFiles files(directory);
  check_options(config, options);
  by_first_member(Group::current(), [&] { check_directory(files, options, config); });
  check_settings(files, config, options.resume);
  // A resumed training has the weights in its checkpoint.
  std::optional<WarmStart> start;
  if (!config.init.empty() && !options.resume) start.emplace(config, directory);
  const TrainingConfig& training = config.training;
  ops::check_precision(training.precision, options.device);
  check_division(training, options.device);
  // The model is built before anything is written, from the schema alone, so that a bad setting costs nothing.
  const auto data = data::prepare_and_open(config.dataset, cache_directory(config), options.preparing);
  check_same_data(config, data);
  const data::Prepared& prepared = data.summary;
  const std::unique_ptr<Ensemble> built = new_model(config, prepared, options.device);
  Ensemble& model = *built;
  data.verify();
  const std::vector<std::string> of_vectors = load_pretrained(config.dataset, data.vocabulary, model);
  if (start) start->load(prepared.map, model);  // behind the vectors, which new words have
  check_trainable(model, *data.train, *data.valid, training);
  check_monitored(config, prepared);
  const auto warn = [&](const std::string& warning) { options.listener.note("warning: " + warning); };
  std::optional<UnknownRows> unknown;
  if (Group::current().is_first()) {
    unknown = count_unknown(data);
    for (const std::string& warning : prepared.warnings) warn(warning);
    for (const std::string& warning : of_vectors) warn(warning);
    for (const std::string& warning : data_warnings(config, data, *unknown)) warn(warning);
  }

  Group& group = Group::current();
  std::optional<FileLock> lock;
  by_first_member(group, [&] {
    make_directories(directory);
    lock = lock_run(directory);
    check_directory(files, options, config);  // another training may have ended there since
    begin_run(files, config, data, options.resume);
  });
  TrainingListener listener = options.listener;
  if (!group.is_first()) {
    listener = {};
    listener.stop_requested = options.listener.stop_requested;
  } else if (config.tensorboard) {
    listener = with_tensorboard(directory, listener);
  }
  by_first_member(group, [&] { tell(files, config, data, *unknown, model, options); });
  const TrainingResult result =
      train(model, *data.train, *data.valid, data.test ? &*data.test : nullptr, training, directory,
            identity(config, data), options.resume, listener, [&](nn::Optimizer& optimizer) {
              if (start) start->load(optimizer);
            });
  if (!result.interrupted && group.is_first() && config.dataset.weight.empty()) {
    const double click_rate = static_cast<double>(prepared.train_positives) / static_cast<double>(prepared.train_rows);
    const std::string warning = baseline_warning(result.valid, click_rate);
    if (!warning.empty()) warn(warning);
  }
  return result;
}

struct Run::Source {
  ExperimentConfig config;
  data::Encoder encoder;
  SafetensorsFile weights;
  std::string path, name;                           // of the source; of what holds the weights, for messages
  std::shared_ptr<const ModelFile> file = nullptr;  // weights and words are bytes of it; null: those of a directory

  static Source of_directory(const std::string& directory) {
    check_has_model(directory);
    const RunFiles files(directory);
    return {load_resolved(files.config()), data::Encoder::load(files.vocabulary()), SafetensorsFile(files.model()),
            directory, files.name(files.model())};
  }
  static Source of_file(const std::shared_ptr<const ModelFile>& file) {
    const std::string& path = file->path();
    const auto part = [&](const char* section) { return cat(path, ": ", section); };
    return {settings_of(*file, part("settings")),
            data::encoder_of_tables({file->section("schema"), part("schema")}, {file->section("words"), part("words")},
                                    file, kOtherVersion),
            SafetensorsFile(file->section("weights"), part("weights")),
            path,
            "its weights",
            file};
  }
  static Source of_path(const std::string& path) {
    return is_file_of_run(path) ? of_file(std::make_shared<const ModelFile>(path)) : of_directory(path);
  }

 private:
  // The file's checksums hold: what is not understood here was understood by the kdef that wrote it.
  static constexpr const char* kOtherVersion =
      "; another version of kdef wrote this file: use that version or a newer one, or export the run again";

  static ExperimentConfig settings_of(const ModelFile& file, const std::string& name) try {
    return read_resolved(std::string(file.section("settings")), name);
  } catch (const InputError& e) {
    throw InputError(cat(e.what(), kOtherVersion));
  }
};

Run::Run(const std::string& path, Device device) : Run(Source::of_path(path), device) {}

Run Run::of_bytes(std::string_view bytes, const std::string& name, Device device) {
  return Run(Source::of_file(std::make_shared<const ModelFile>(bytes, name)), device);
}

Run::Run(Source source, Device device) : config_(std::move(source.config)), encoder_(std::move(source.encoder)) {
  nn::Builder build = nn::Builder::unset(DType::f32, device);
  // More values than any model has whose tensors are those of the file. Constants of layers are not in a file; a model
  // that is a little larger is refused by load_model(), which names the tensor.
  constexpr int64_t kMargin = int64_t{1} << 24;
  build.limit_values(2 * source.weights.values() + kMargin);
  try {
    model_ = std::make_unique<Ensemble>(config_.model, embedding_fields(encoder_.feature_map()), build);
  } catch (const InputError& e) {
    throw InputError(
        cat(source.path, ": its configuration and its vocabularies do not fit ", source.name, ": ", e.what()));
  }
  if (source.file != nullptr && source.file->is_writable()) {
    share_model(source.weights, *model_, source.file);
  } else {
    load_model(source.weights, *model_);
  }
}

}  // namespace kdef
