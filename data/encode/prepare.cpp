#include "data/encode/prepare.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/io/file.h"
#include "core/io/file_lock.h"
#include "data/encode/encoder.h"
#include "data/encode/feature_map.h"
#include "data/encode/passes.h"
#include "data/raw/cells.h"
#include "data/schema_json.h"

namespace kdef::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 2;  // of the preparation as a whole: raise it when the meaning of a cache changes
constexpr const char* kMarker = "prepared.json";
constexpr const char* kMapName = "feature_map.json";

// The files of rows of a data set.
struct Split {
  const char* name;
  const char* file;
  std::string DatasetConfig::*raw;
  int64_t Prepared::*rows;
  int64_t Prepared::*positives;
  std::optional<EncodedFile> PreparedData::*encoded;
};
constexpr Split kSplits[] = {{"train", "train.kdefbin", &DatasetConfig::train_data, &Prepared::train_rows,
                              &Prepared::train_positives, &PreparedData::train},
                             {"valid", "valid.kdefbin", &DatasetConfig::valid_data, &Prepared::valid_rows,
                              &Prepared::valid_positives, &PreparedData::valid},
                             {"test", "test.kdefbin", &DatasetConfig::test_data, &Prepared::test_rows,
                              &Prepared::test_positives, &PreparedData::test}};

std::string in_dir(const std::string& dir, const char* name) { return (fs::path(dir) / name).string(); }

// The settings and files that decide the content of a cache.
Json fingerprint(const DatasetConfig& config) {
  Json json = {{"format", kFormat},
               {"cache_version", kCacheVersion},
               {"dataset", config.id},
               {"label", config.label},
               {"label_kind", config.label_kind},
               {"label_positive", config.label_positive},
               {"label_threshold", config.label_threshold ? Json(*config.label_threshold) : Json()},
               {"weight", config.weight},
               {"group", config.group},
               {"separator", config.separator},
               {"columns", config.columns},
               {"min_categr_count", config.min_categr_count},
               {"fields", Json::array()},
               {"files", Json::array()}};
  for (const FieldConfig& f : config.fields) {
    if (!f.active) continue;
    Json field;
    add_field(f, StoredIn::encoder, field);
    add_field(f, StoredIn::fingerprint, field);
    json["fields"].push_back(std::move(field));
  }
  for (const std::string* path : {&config.train_data, &config.valid_data, &config.test_data}) {
    struct stat info;
    if (path->empty() || ::stat(path->c_str(), &info) != 0) {
      json["files"].push_back(*path);
      continue;
    }
    json["files"].push_back({fs::weakly_canonical(fs::absolute(*path)).string(), static_cast<int64_t>(info.st_size),
                             static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec});
  }
  return json;
}

std::string dump(const Json& json, const DatasetConfig& config) {
  try {
    return json.dump(1) + "\n";
  } catch (const Json::type_error&) {
    throw InputError(cat("data set ", config.id, ": a name, path or fill_na is not valid UTF-8; change it"));
  }
}

// ---- Checks before anything is read.

std::vector<FieldConfig> active_fields(const DatasetConfig& config) {
  std::vector<FieldConfig> fields;
  std::set<std::string> names;
  for (const FieldConfig& field : config.fields) {
    if (!field.active) continue;
    const std::string where = cat(field.where.empty() ? "" : field.where + ": ", "field ", field.name, ": ");
    if (!names.insert(field.name).second) throw InputError(where + "the name stands twice in feature_cols");
    if (field.name == config.label) throw InputError(where + "the label is not a feature; take it out of feature_cols");
    if (!field.share_embedding.empty()) {
      const auto owner = std::find_if(fields.begin(), fields.end(),
                                      [&](const FieldConfig& other) { return other.name == field.share_embedding; });
      if (owner == fields.end() || !owner->share_embedding.empty() || owner->type == FieldType::numeric ||
          field.type == FieldType::numeric) {
        throw InputError(cat(where, "share_embedding is '", field.share_embedding,
                             "'; it must name an earlier categorical or sequence field that has its own embedding"));
      }
    }
    CellReader{field};  // refuses settings that contradict each other
    fields.push_back(field);
  }
  if (fields.empty()) throw InputError(cat("data set ", config.id, ": no active field in feature_cols"));
  return fields;
}

void check_targets(const DatasetConfig& config) {
  if (!config.weight.empty() && config.weight == config.label) {
    throw InputError(cat("data set ", config.id, ": column ", config.label,
                         " cannot be the label and the weight; correct label_col or weight_col"));
  }
}

// ---- Making a cache.

Prepared write_cache(const DatasetConfig& config, const std::string& dir, const ProgressListener& progress) {
  if (config.train_data.empty()) {
    throw InputError(cat("data set ", config.id, ": train_data is missing; name a CSV file"));
  }
  check_targets(config);
  std::vector<FieldConfig> fields = active_fields(config);
  const Json made_from = fingerprint(config);
  // Open all files first: a missing one should be reported before hours of counting.
  for (const Split& split : kSplits) {
    const std::string& path = config.*split.raw;
    if (!path.empty()) select_columns(*open_rows(path, config), fields, config, Targets::all);
  }
  resolve_lengths(config, fields, progress);

  GroupNumbers groups;
  Spool spool(dir);
  const std::vector<FieldCount> counts = count_rows(config, fields, groups, spool, progress);
  const Encoder encoder = make_encoder(config, counts);
  Prepared result;
  result.map = encoder.feature_map();
  std::optional<SplitWriter> writers[std::size(kSplits)];
  for (size_t i = 0; i < std::size(kSplits); ++i) {
    const std::string& path = config.*kSplits[i].raw;
    if (path.empty()) continue;
    SplitWriter& out = writers[i].emplace(in_dir(dir, kSplits[i].file), encoder.layout());
    if (i == 0) {
      write_counted_rows(counts, encoder, spool, out, progress);
    } else {
      encode_rows(path, encoder, groups, out, progress);
    }
    result.*kSplits[i].rows = out.file.rows();
    result.*kSplits[i].positives = out.positives;
  }
  if (fingerprint(config) != made_from) {
    throw InputError(
        cat("data set ", config.id, ": a raw file changed while it was read; prepare again when it is complete"));
  }

  // Removing the marker makes the old cache invalid; writing it last makes the new one valid.
  remove_file(in_dir(dir, kMarker));
  encoder.save(in_dir(dir, Encoder::kFileName));
  save_feature_map(result.map, in_dir(dir, kMapName));
  Json marker = {{"made_from", made_from}};
  for (size_t i = 0; i < std::size(kSplits); ++i) {
    if (writers[i]) {
      writers[i]->file.commit();
    } else {
      remove_file(in_dir(dir, kSplits[i].file));
    }
    marker[kSplits[i].name] = {{"rows", result.*kSplits[i].rows}, {"positives", result.*kSplits[i].positives}};
  }
  write_file(in_dir(dir, kMarker), dump(marker, config));
  return result;
}

// ---- Opening a cache.

PreparedData open_files(const std::string& dir) {
  const std::string marker = in_dir(dir, kMarker);
  if (!fs::is_regular_file(marker)) {
    throw InputError(cat(dir, ": no complete cache there (", kMarker, " is missing); prepare the data first"));
  }
  PreparedData data;
  data.summary.map = load_feature_map(in_dir(dir, kMapName));
  RowLayout layout = layout_of(data.summary.map);
  try {
    const Json json = parse_json<Json>(read_text(marker), marker);
    layout.weights = json.at("made_from").value("weight", "") != "";
    layout.groups = json.at("made_from").value("group", "") != "";
    for (const Split& split : kSplits) {
      const int64_t rows = data.summary.*split.rows = json.at(split.name).at("rows").get<int64_t>();
      data.summary.*split.positives = json.at(split.name).at("positives").get<int64_t>();
      if (rows == 0) continue;
      const EncodedFile& file = (data.*split.encoded).emplace(in_dir(dir, split.file));
      if (file.rows() != rows || file.layout() != layout) {
        throw InputError(cat(file.path(), ": is not the file that ", marker,
                             " describes; delete the folder and prepare the data again"));
      }
    }
  } catch (const Json::exception&) {
    throw InputError(cat(marker, ": damaged; delete the folder and prepare the data again"));
  }
  return data;
}

// The lock is held while a cache is made or opened. The lock file is never removed: otherwise two processes could hold
// locks on different files of this name.
FileLock lock_cache(const std::string& dir, const ProgressListener& progress) {
  make_directories(dir, "; choose another data_root");
  return FileLock(in_dir(dir, ".lock"), [&](const std::string& holder) {
    if (progress) progress({cat("waiting for ", holder, ", which prepares the same cache"), 0, -1});
  });
}

void write_unless_fresh(const DatasetConfig& config, const std::string& dir, const ProgressListener& progress) {
  if (is_fresh(config, dir)) return;
  // Other programs, too, write a feature map of this name into data_root/dataset_id. A preparation that was killed has
  // written its vocabularies before.
  if (!exists(in_dir(dir, kMarker)) && !exists(in_dir(dir, Encoder::kFileName))) {
    refuse_to_replace(dir, {kMapName}, ", which kdef did not write; give another data_root");
  }
  for (const Split& split : kSplits) remove_leftovers(in_dir(dir, split.file));
  for (const char* file : {kMapName, kMarker, Encoder::kFileName}) remove_leftovers(in_dir(dir, file));
  write_cache(config, dir, progress);
}

}  // namespace

std::string train_file(const std::string& cache_dir) { return in_dir(cache_dir, kSplits[0].file); }
std::string valid_file(const std::string& cache_dir) { return in_dir(cache_dir, kSplits[1].file); }
std::string test_file(const std::string& cache_dir) { return in_dir(cache_dir, kSplits[2].file); }

void PreparedData::verify() const {
  for (const Split& split : kSplits) {
    if (this->*split.encoded) (this->*split.encoded)->verify(summary.map);
  }
}

Prepared prepare(const DatasetConfig& config, const std::string& cache_dir, const ProgressListener& progress) {
  const FileLock lock = lock_cache(cache_dir, progress);
  write_unless_fresh(config, cache_dir, progress);
  return open_prepared(cache_dir);
}

PreparedData prepare_and_open(const DatasetConfig& config, const std::string& cache_dir,
                              const ProgressListener& progress) {
  std::optional<FileLock> lock;
  try {
    lock = lock_cache(cache_dir, progress);
  } catch (const SystemError&) {
    // A cache in a folder that cannot be written is used without a lock: nobody can replace it.
    if (!is_fresh(config, cache_dir)) throw;
  }
  write_unless_fresh(config, cache_dir, progress);
  PreparedData data = open_files(cache_dir);
  data.vocabulary = read_text(in_dir(cache_dir, Encoder::kFileName));
  Encoder::parse(data.vocabulary, in_dir(cache_dir, Encoder::kFileName));  // refuses a damaged one
  return data;
}

bool is_fresh(const DatasetConfig& config, const std::string& cache_dir) {
  const std::string marker = in_dir(cache_dir, kMarker);
  if (!fs::is_regular_file(marker)) return false;
  try {
    if (parse_json<Json>(read_text(marker), marker).at("made_from") != fingerprint(config)) return false;
    open_files(cache_dir);
    return true;
  } catch (const InputError&) {
    return false;
  } catch (const Json::exception&) {
    return false;
  }
}

Prepared open_prepared(const std::string& cache_dir) { return open_files(cache_dir).summary; }

}  // namespace kdef::data
