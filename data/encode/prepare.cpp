#include "data/encode/prepare.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/first_member.h"
#include "core/base/json.h"
#include "core/io/file.h"
#include "core/io/file_lock.h"
#include "data/encode/cache_settings.h"
#include "data/encode/encoder.h"
#include "data/encode/feature_map.h"
#include "data/encode/members.h"
#include "data/encode/passes.h"
#include "data/encode/pretrained.h"
#include "data/raw/cells.h"
#include "data/raw/part_files.h"
#include "data/schema_json.h"

namespace kdef::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 3;  // of the preparation as a whole: raise it when the meaning of a cache changes
constexpr const char* kMarker = "prepared.json";
constexpr const char* kMapName = "kdef_feature_map.json";
constexpr const char* kFormerMapName = "feature_map.json";  // before it had a name that FuxiCTR's map does not have

// The files of rows of a data set.
struct Split {
  const char* name;
  const char* file;
  Part part;  // of train_data, where it is split
  std::string DatasetConfig::*raw;
  int64_t Prepared::*rows;
  int64_t Prepared::*positives;
  std::optional<EncodedFile> PreparedData::*encoded;
};
constexpr Split kSplits[] = {{"train", "train.kdefbin", Part::train, &DatasetConfig::train_data, &Prepared::train_rows,
                              &Prepared::train_positives, &PreparedData::train},
                             {"valid", "valid.kdefbin", Part::valid, &DatasetConfig::valid_data, &Prepared::valid_rows,
                              &Prepared::valid_positives, &PreparedData::valid},
                             {"test", "test.kdefbin", Part::test, &DatasetConfig::test_data, &Prepared::test_rows,
                              &Prepared::test_positives, &PreparedData::test}};

std::string in_dir(const std::string& dir, const char* name) { return (fs::path(dir) / name).string(); }

// The settings that decide the content of a cache, beside its files.
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
               {"fields", Json::array()}};
  if (config.group_by_id) json["group_by_id"] = true;
  if (!config.base_vocabulary.empty()) {
    json["base"] = {{"content", content_of(config.base_vocabulary)}, {"grow", config.grow_vocabulary}};
  }
  if (config.label_whole) json["label_whole"] = true;
  if (config.quote == Quote::none) json["quote"] = false;
  if (config.na_values) json["na_values"] = *config.na_values;
  if (config.splits()) {
    json["split"] = {{"valid_size", config.valid_size},
                     {"test_size", config.test_size},
                     {"by", config.split_by},
                     {"random", config.split_type == SplitType::random ? Json(config.split_seed) : Json()}};
  }
  for (const FieldConfig& f : config.fields) {
    if (!f.active) continue;
    Json field;
    add_field(f, StoredIn::encoder, field);
    add_field(f, StoredIn::fingerprint, field);
    json["fields"].push_back(std::move(field));
  }
  return json;
}

// ---- Raw files: the states that a cache was made from.

// The files of a path: none for an empty path, those of a folder or of a pattern.
std::vector<FileState> states_of(const std::string& path) {
  std::vector<FileState> states;
  if (path.empty()) return states;
  if (!names_part_files(path)) return {file_state(path)};
  for (const std::string& part : part_files(path)) states.push_back(file_state(part));
  return states;
}

constexpr int64_t kUnsettled = -1;  // in the place of a time; no file has it

Json json_of(const std::vector<FileState>& states) {
  Json list = Json::array();
  for (const FileState& state : states) {
    list.push_back({{"path", fs::absolute(state.path).string()},
                    {"size", state.size},
                    // A file that is not settled is compared by its content the next time.
                    {"modified", state.settled ? state.modified : kUnsettled},
                    {"changed", state.changed},
                    {"inode", state.inode},
                    {"content", state.content}});
  }
  return list;
}

std::vector<FileState> read_states(const Json& list, const std::string& marker) {
  std::vector<FileState> states;
  for (const Json& json : list) {
    FileState& state = states.emplace_back();
    state.size = integer_at<int64_t>(json, "size", marker);
    state.modified = integer_at<int64_t>(json, "modified", marker);
    state.changed = integer_at<int64_t>(json, "changed", marker);
    state.inode = integer_at<uint64_t>(json, "inode", marker);
    json.at("content").get_to(state.content);
    state.regular = !state.content.empty();  // the bytes of a pipe are not known
  }
  return states;
}

// Whether files were changed between two looks at them. Pipes are not compared.
bool changed(const std::vector<FileState>& before, const std::vector<FileState>& after) {
  return !std::equal(before.begin(), before.end(), after.begin(), after.end(), [](const auto& a, const auto& b) {
    return a.regular == b.regular &&
           (!a.regular || (a.size == b.size && a.modified == b.modified && a.inode == b.inode));
  });
}

enum class Freshness {
  stale,
  same_content,  // the bytes that the cache was made from, in files of which its marker knows other times or names
  fresh,
};

// Whether the files of now hold the bytes that `files`, a list of a marker, was written for; it becomes that of now.
bool renew(Json& files, std::vector<FileState> now, const std::string& marker) {
  const std::vector<FileState> made_from = read_states(files, marker);
  if (made_from.size() != now.size()) return false;
  for (size_t i = 0; i < now.size(); ++i) {
    if (!now[i].regular || !made_from[i].regular || now[i].size != made_from[i].size) return false;
    if (!now[i].same_as(made_from[i]) && content_of(now[i].path) != made_from[i].content) return false;
    now[i].content = made_from[i].content;
  }
  files = json_of(now);
  return true;
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
  std::unordered_map<std::string, size_t> names;  // to the place in `fields`
  for (const FieldConfig& field : config.fields) {
    if (!field.active) continue;
    const std::string where = cat(field.where.empty() ? "" : field.where + ": ", "field ", field.name, ": ");
    if (names.contains(field.name)) throw InputError(where + "the name stands twice in feature_cols");
    if (field.name == config.label || field.raw_column() == config.label) {
      throw InputError(where + "the label is not a feature; take it out of feature_cols");
    }
    const FieldConfig* owner = nullptr;
    if (!field.share_embedding.empty()) {
      const auto at = names.find(field.share_embedding);
      if (at != names.end()) owner = &fields[at->second];
      if (owner == nullptr || !owner->share_embedding.empty() || owner->type == FieldType::numeric ||
          field.type == FieldType::numeric) {
        throw InputError(cat(where, "share_embedding is '", field.share_embedding,
                             "'; it must name an earlier categorical or sequence field that has its own embedding",
                             owner != nullptr && !owner->share_embedding.empty() ? cat(", as ", owner->share_embedding)
                                                                                 : std::string()));
      }
      if (owner->has_ids() != field.has_ids()) {
        throw InputError(cat(where, "shares the embedding of ", owner->name, ", which has another value of remap"));
      }
    }
    static_cast<void>(CellReader(field));  // refuses settings that contradict each other
    if (!field.pretrained_emb.empty()) {
      if (owner != nullptr && owner->pretrained_emb != field.pretrained_emb) {
        throw InputError(cat(where, "uses the table of ", owner->name, ", which has ",
                             owner->pretrained_emb.empty() ? "no pretrained_emb" : "another pretrained_emb",
                             "; one table has one file of vectors, so give both columns the same, or take the key out "
                             "of this column"));
      }
      const bool fits = field.type != FieldType::numeric;
      if (!fits || field.pretrain_dim < 1) {
        throw InputError(cat(where, fits ? "pretrained_emb needs pretrain_dim"
                                         : "pretrained_emb needs a categorical or sequence field"));
      }
      if (field.has_ids()) ids_file(field);
    }
    names.emplace(field.name, fields.size());
    fields.push_back(field);
    if (!field.na_values) fields.back().na_values = config.na_values;
  }
  if (fields.empty()) throw InputError(cat("data set ", config.id, ": no active field in feature_cols"));
  return fields;
}

void check_split(const DatasetConfig& config) {
  const auto check = [&](double size, const std::string& path, const char* part) {
    if (size > 0 && !path.empty()) {
      throw InputError(cat("data set ", config.id, ": give ", part, "_data or ", part, "_size, not both"));
    }
  };
  check(config.valid_size, config.valid_data, "valid");
  check(config.test_size, config.test_data, "test");
  if (config.split_type == SplitType::random && !config.split_by.empty()) {
    throw InputError(
        cat("data set ", config.id, ": split_by is an order; set split_type to sequential, or remove one"));
  }
}

void check_settings(const DatasetConfig& config) {
  if (config.train_data.empty()) {
    throw InputError(cat("data set ", config.id, ": train_data is missing; name a CSV file"));
  }
  check_split(config);
  if (!config.weight.empty() && config.weight == config.label) {
    throw InputError(cat("data set ", config.id, ": column ", config.label,
                         " cannot be the label and the weight; correct label_col or weight_col"));
  }
}

// ---- Making a cache.

// Opens all files before hours of counting: what is missing is told at once. A pipe can be opened once only.
// `states`: those of each split.
void check_files(const DatasetConfig& config, const std::vector<FieldConfig>& fields,
                 std::span<const std::vector<FileState>> states) {
  for (size_t i = 0; i < states.size(); ++i) {
    const std::string& path = config.*kSplits[i].raw;
    const auto is_pipe = [](const FileState& state) { return !state.regular; };
    if (path.empty() || std::any_of(states[i].begin(), states[i].end(), is_pipe)) continue;
    const bool is_test = kSplits[i].raw == &DatasetConfig::test_data;
    const auto source = open_rows(path, config, is_test ? config.label : "");
    if (is_test) check_label(*source, config, "leave test_data out and use kdef predict");
    select_columns(*source, fields, config, Targets::all);
  }
}

// Throws for a file that is not what it was `before` it was read.
void check_unchanged(const DatasetConfig& config, std::span<const std::vector<FileState>> before,
                     std::span<const SourceReport> reports, const std::vector<FileState>& tables) {
  if (changed(tables, pretrained_states(config, false))) {
    throw InputError(
        cat("data set ", config.id, ": a file of pretrained_emb changed while it was read; prepare again"));
  }
  for (size_t i = 0; i < before.size(); ++i) {
    const std::string& path = config.*kSplits[i].raw;
    if (changed(before[i], reports[i].files) || changed(before[i], states_of(path))) {
      throw InputError(
          cat("data set ", config.id, ": ", path, " changed while it was read; prepare again when it is complete"));
    }
  }
}

// What the marker says beside the settings: rows and files of every split.
void add_split(Json& marker, const Split& split, const Prepared& result, const SourceReport& report) {
  marker[split.name] = {
      {"rows", result.*split.rows}, {"positives", result.*split.positives}, {"files", json_of(report.files)}};
}

// The feature map of a cache, which may have its former name.
std::string map_file(const std::string& dir) {
  const std::string map = in_dir(dir, kMapName), former = in_dir(dir, kFormerMapName);
  if (fs::exists(map) || !fs::is_regular_file(former)) return map;
  try {
    load_feature_map(former);
    return former;
  } catch (const InputError&) {
    return map;  // that one is another program's
  }
}

// Gives the files of a cache their names. `settings`: the fingerprint of `config`.
void publish(const DatasetConfig& config, const Json& settings, const std::string& dir, const Encoder& encoder,
             const Prepared& result, std::span<std::optional<SplitWriter>> writers,
             std::span<const SourceReport> reports, const std::vector<FileState>& tables) {
  // Removing the marker makes the old cache invalid; writing it last makes the new one valid.
  remove_file(in_dir(dir, kMarker));
  encoder.save(in_dir(dir, Encoder::kFileName));
  if (map_file(dir) != in_dir(dir, kMapName)) remove_file(map_file(dir));
  save_feature_map(result.map, in_dir(dir, kMapName));
  Json marker = {{"made_from", settings}, {"warnings", result.warnings}, {"seen", result.seen}};
  if (!tables.empty()) marker["pretrained"] = json_of(tables);
  for (size_t i = 0; i < writers.size(); ++i) {
    if (writers[i]) {
      writers[i]->commit();
    } else {
      remove_file(in_dir(dir, kSplits[i].file));
    }
    add_split(marker, kSplits[i], result, reports[i]);
  }
  write_file(in_dir(dir, kMarker), dump(marker, config));
}

std::vector<std::string> warnings_of(const DatasetConfig& config, const std::vector<FieldConfig>& fields,
                                     std::span<const SourceReport> reports) {
  std::vector<std::string> warnings;
  for (const FieldConfig& field : fields) {
    if (config.weight.empty() || field.raw_column() != config.weight) continue;
    warnings.push_back(cat("column ", field.name, ": is the weight of the rows and an input, too; set active: false, ",
                           "unless the rows that a model will score have this column"));
  }
  for (const SourceReport& report : reports) {
    warnings.insert(warnings.end(), report.warnings.begin(), report.warnings.end());
  }
  return warnings;
}

// How many values of a field the training rows have, missing cells aside.
int64_t words_seen(const FieldCount& count) {
  const std::vector<int64_t>& rows = count.counts();
  const int64_t missing = count.words().find(count.cells().missing());
  const int64_t words = std::count_if(rows.begin(), rows.end(), [](int64_t n) { return n > 0; });
  const bool has_missing = missing >= 0 && rows[static_cast<size_t>(missing)] > 0;
  return words - has_missing;
}

// Refuses what can be told before anything is written: wrong settings, and files that are missing or lack a column.
void check_inputs(const DatasetConfig& config) {
  check_settings(config);
  std::vector<FileState> states[std::size(kSplits)];
  for (size_t i = 0; i < std::size(kSplits); ++i) states[i] = states_of(config.*kSplits[i].raw);
  check_files(config, active_fields(config), states);
}

// Collective, within by_all_members(): each member reads some of the files, and the first one writes the cache.
void write_cache(const DatasetConfig& config, const Json& settings, const std::string& dir,
                 const ProgressListener& progress) {
  check_settings(config);
  std::vector<FieldConfig> fields = active_fields(config);
  std::optional<Encoder> base;
  if (!config.base_vocabulary.empty()) fit_to_base(config, base.emplace(Encoder::load(config.base_vocabulary)), fields);
  const Encoder* const start = base ? &*base : nullptr;
  constexpr size_t kCount = std::size(kSplits);
  std::vector<FileState> before[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    before[i] = states_of(config.*kSplits[i].raw);
    check_same_files(before[i]);
  }
  check_files(config, fields, before);
  std::optional<RowParts> parts;
  if (config.splits()) parts.emplace(config, progress);
  const RowFilter training{parts ? &*parts : nullptr, Part::train};
  resolve_lengths(config, training, fields, progress);

  GroupNumbers groups;
  Spool spool(dir);
  const std::vector<FileState> tables = pretrained_states(config, true);
  SourceReport reports[kCount];
  const bool counted = (!base || config.grow_vocabulary) && std::any_of(fields.begin(), fields.end(), needs_counts);
  std::vector<FieldCount> counts(fields.begin(), fields.end());
  if (counted) counts = count_rows(config, training, fields, start, groups, spool, reports[0], progress);
  const Encoder encoder = make_encoder(config, counts, start);
  Prepared result;
  result.map = encoder.feature_map();
  for (const FieldCount& count : counts) {
    const FieldConfig& field = count.cells().field();
    const bool is_counted = counted && field.type != FieldType::numeric && field.remap;
    result.seen.push_back(is_counted ? words_seen(count) : -1);
  }
  std::optional<SplitWriter> writers[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    const std::string& path = config.*kSplits[i].raw;
    const bool from_training = i > 0 && parts && parts->rows(kSplits[i].part) > 0;
    if (path.empty() && !from_training) continue;
    SplitWriter& out = writers[i].emplace(in_dir(dir, kSplits[i].file), encoder.layout());
    if (i == 0 && counted) {
      write_counted_rows(counts, encoder, spool, out, progress);
    } else if (i == 0) {
      encode_rows(path, training, encoder, groups, out, reports[i], progress);
    } else if (from_training) {
      SourceReport known;  // that of the training rows tells the same
      encode_rows(config.train_data, {&*parts, kSplits[i].part}, encoder, groups, out, known, progress);
    } else {
      encode_rows(path, {}, encoder, groups, out, reports[i], progress);
    }
    result.*kSplits[i].rows = out.rows();
    result.*kSplits[i].positives = out.positives();
  }
  if (!Group::current().is_first()) return;
  check_unchanged(config, before, reports, tables);
  result.warnings = warnings_of(config, fields, reports);
  publish(config, settings, dir, encoder, result, writers, reports, tables);
}

// Whether the files can be read by several processes. The rows of one file are split by their numbers in it, and groups
// are numbered in the order of all rows.
bool is_divisible(const DatasetConfig& config) {
  return !config.splits() && (config.group.empty() || config.group_by_id);
}

// ---- Opening a cache.

PreparedData open_files(const std::string& dir) {
  const std::string marker = in_dir(dir, kMarker);
  if (!fs::is_regular_file(marker)) {
    throw InputError(cat(dir, ": no complete cache there (", kMarker, " is missing); prepare the data first"));
  }
  PreparedData data;
  data.summary.map = load_feature_map(map_file(dir));
  RowLayout layout = layout_of(data.summary.map);
  try {
    const Json json = parse_json<Json>(read_text(marker), marker);
    layout.weights = json.at("made_from").value("weight", "") != "";
    layout.groups = json.at("made_from").value("group", "") != "";
    json.at("warnings").get_to(data.summary.warnings);
    const size_t fields = data.summary.map.fields.size();
    if (json.contains("seen")) json.at("seen").get_to(data.summary.seen);
    if (data.summary.seen.size() != fields) data.summary.seen.assign(fields, -1);
    for (const Split& split : kSplits) {
      const Json& numbers = json.at(split.name);
      const int64_t rows = data.summary.*split.rows = integer_at<int64_t>(numbers, "rows", marker);
      data.summary.*split.positives = integer_at<int64_t>(numbers, "positives", marker);
      if (rows < 0 || data.summary.*split.positives < 0 || data.summary.*split.positives > rows) {
        throw InputError(cat(marker, ": impossible numbers; delete the folder and prepare the data again"));
      }
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

// Whether the cache is what `config` describes; `settings`: its fingerprint; `renewed`: the marker with the states of
// the files as they are now.
Freshness freshness(const DatasetConfig& config, const Json& settings, const std::string& dir, Json& renewed) {
  const std::string marker = in_dir(dir, kMarker);
  if (!fs::is_regular_file(marker)) return Freshness::stale;
  try {
    const Json written = parse_json<Json>(read_text(marker), marker);
    renewed = written;
    if (renewed.at("made_from") != settings) return Freshness::stale;
    for (const Split& split : kSplits) {
      if (!renew(renewed.at(split.name).at("files"), states_of(config.*split.raw), marker)) return Freshness::stale;
    }
    const std::vector<FileState> tables = pretrained_states(config, false);
    if (!tables.empty() && !renew(renewed.at("pretrained"), tables, marker)) return Freshness::stale;
    open_files(dir);
    return renewed == written ? Freshness::fresh : Freshness::same_content;
  } catch (const InputError&) {
    return Freshness::stale;
  } catch (const Json::exception&) {
    return Freshness::stale;
  }
}

// Whether the cache has to be made; the folder is then ready for it. `lock` is held afterwards, except where the folder
// cannot be written: nobody can replace that cache.
bool must_be_made(const DatasetConfig& config, const Json& settings, const std::string& dir,
                  const ProgressListener& progress, std::optional<FileLock>& lock) {
  Json marker;
  if (!fs::exists(in_dir(dir, kMarker))) check_inputs(config);
  try {
    lock = lock_cache(dir, progress);
  } catch (const SystemError&) {
    if (freshness(config, settings, dir, marker) == Freshness::stale) throw;
    return false;
  }
  const Freshness found = freshness(config, settings, dir, marker);
  if (found == Freshness::fresh) return false;
  if (found == Freshness::same_content) {
    // The next call need not compare the content again. Where this cannot be written, it does.
    try {
      write_file(in_dir(dir, kMarker), dump(marker, config));
    } catch (const SystemError&) {
    }
    return false;
  }
  if (is_of_another_program(dir)) {
    refuse_to_replace(dir, {kFormerMapName}, ", which kdef did not write; give another data_root");
  }
  for (const Split& split : kSplits) remove_leftovers(in_dir(dir, split.file));
  for (const char* file : {kMapName, kMarker, Encoder::kFileName}) remove_leftovers(in_dir(dir, file));
  return true;
}

// The settings of all members of the current group, which have to be the same. Within by_all_members().
Json agreed_fingerprint(const DatasetConfig& config) {
  Json settings = fingerprint(config);
  if (Group::current().is_alone()) return settings;
  const std::vector<uint8_t> bytes = Json::to_cbor(settings);
  meet(Group::current());
  if (const size_t other = first_that_differs(all_texts(Group::current(), {bytes.begin(), bytes.end()}))) {
    throw InputError(cat("processes 0 and ", other, " were started with different settings of data set ", config.id,
                         "; start all with the same command"));
  }
  return settings;
}

// Makes the cache if it is stale, by the members of the current group; returns whether it was. `lock`: see above; the
// first member holds it.
bool make_if_stale(const DatasetConfig& config, const std::string& dir, const ProgressListener& progress,
                   std::optional<FileLock>& lock) {
  Group& group = Group::current();
  Json settings;
  by_all_members(group, [&] { settings = agreed_fingerprint(config); });
  bool stale = false;
  by_first_member(group, [&] { stale = must_be_made(config, settings, dir, progress, lock); });
  group.broadcast(std::as_writable_bytes(std::span(&stale, 1)), 0);
  if (!stale) return false;
  const auto write = [&] { write_cache(config, settings, dir, progress); };
  if (is_divisible(config)) {
    by_all_members(group, write);
  } else {
    by_first_member(group, write);
  }
  return true;
}

// The cache of `config`, opened by all members before the first one releases the lock. open(): what a member opens.
template <class Open>
auto made_and_opened(const DatasetConfig& config, const std::string& dir, const ProgressListener& progress,
                     Open&& open) {
  std::optional<FileLock> lock;
  const bool made = make_if_stale(config, dir, progress, lock);
  decltype(open()) opened;
  by_all_members(Group::current(), [&] { opened = open(); });
  return std::pair(std::move(opened), made);
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
  auto [prepared, made] = made_and_opened(config, cache_dir, progress, [&] { return open_files(cache_dir).summary; });
  prepared.made = made;
  return std::move(prepared);
}

PreparedData prepare_and_open(const DatasetConfig& config, const std::string& cache_dir,
                              const ProgressListener& progress) {
  auto [data, made] = made_and_opened(config, cache_dir, progress, [&] {
    PreparedData files = open_files(cache_dir);
    const std::string file = in_dir(cache_dir, Encoder::kFileName);
    files.vocabulary = read_text(file);
    if (to_json(Encoder::parse(files.vocabulary, file).feature_map()) != to_json(files.summary.map)) {
      throw InputError(cat(file, ": does not fit ", kMapName, "; delete the folder and prepare the data again"));
    }
    return files;
  });
  data.summary.made = made;
  return std::move(data);
}

std::string cache_settings(const DatasetConfig& config) { return fingerprint(config).dump(); }

// A preparation that was killed has written its vocabularies before its feature map.
bool is_of_another_program(const std::string& dir) {
  return exists(in_dir(dir, kFormerMapName)) && !exists(in_dir(dir, kMarker)) &&
         !exists(in_dir(dir, Encoder::kFileName));
}

bool is_fresh(const DatasetConfig& config, const std::string& cache_dir) {
  Json marker;
  try {
    return freshness(config, fingerprint(config), cache_dir, marker) != Freshness::stale;
  } catch (const InputError&) {
    return false;  // the base vocabulary cannot be read
  }
}

Prepared open_prepared(const std::string& cache_dir) { return open_files(cache_dir).summary; }

}  // namespace kdef::data
