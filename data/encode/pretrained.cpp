#include "data/encode/pretrained.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/io/file.h"
#include "data/encode/feature_map.h"
#include "data/encode/feature_vocab.h"
#include "data/raw/cells.h"
#include "data/raw/row_source.h"

namespace kdef::data {
namespace {

constexpr const char* kKey = "key";
constexpr const char* kValue = "value";

// How the keys of a table are read: as the cells of the field, or the tokens of its sequences; as texts, where the
// field has ids.
CellReader key_reader(const FieldConfig& field) {
  FieldConfig key = field;
  if (field.has_ids()) {
    key.cell = CellType::str;
    key.fill_na.reset();
    key.na_values.reset();
  }
  key.type = FieldType::categorical;
  key.preprocess = Preprocess::none;
  key.column.clear();
  return CellReader(key);
}

// The vector of a row.
std::span<const float> vector_of(const TypedColumn& column, int64_t row, const FieldConfig& field, const Place& place,
                                 std::vector<float>& buffer) {
  const int64_t size = column.end(row) - column.begin(row);
  if (column.values->is_text()) {
    throw InputError(
        cat(place.file, ":", place.line, ": column value holds texts; write the vectors as lists of numbers"));
  }
  if (size != field.pretrain_dim) {
    throw InputError(cat(place.file, ":", place.line, ": the vector has ", size, " numbers; pretrain_dim of column ",
                         field.name, " is ", field.pretrain_dim));
  }
  buffer.clear();
  for (int64_t i = column.begin(row); i < column.end(row); ++i) {
    const double number =
        column.is_missing(i) ? std::nan("") : column.values->number(static_cast<size_t>(column.place(i)));
    if (!std::isfinite(static_cast<float>(number))) {
      throw InputError(
          cat(place.file, ":", place.line, ": the vector holds a number that is missing or not finite in fp32"));
    }
    buffer.push_back(static_cast<float>(number));
  }
  return buffer;
}

}  // namespace

void read_pretrained(const FieldConfig& field, bool vectors,
                     const std::function<void(std::string_view word, std::span<const float> vector)>& fn) {
  const auto source = open_rows(field.pretrained_emb, DatasetConfig());
  source->select(vectors ? std::vector<std::string>{kKey, kValue} : std::vector<std::string>{kKey});
  source->limit_rows(1024);
  const CellReader reader = key_reader(field);
  CellReader::Scratch digits;
  Values::Scratch cell;
  std::vector<float> buffer;
  StringSet seen;
  for (Chunk chunk; source->read(chunk);) {
    source->parse(chunk);
    const TypedColumn* keys = chunk.flat_column(0);
    if (keys == nullptr) {
      throw InputError(
          cat(source->path(),
              ": is text; write the table as .npz, .h5 or Parquet, with the arrays or columns key and value"));
    }
    for (int64_t row = 0; row < chunk.rows(); ++row) {
      const Place place{chunk.file(), chunk.line(row)};
      const std::string_view word = reader.word(keys->cell(row, cell), place, digits);
      const int64_t before = seen.size();
      if (seen.insert(word) < before) {
        throw InputError(cat(place.file, ":", place.line, ": the key ", printable(word), " stands in the file twice"));
      }
      fn(word, vectors ? vector_of(*chunk.typed_column(1), row, field, place, buffer) : std::span<const float>());
    }
  }
}

std::string ids_file(const FieldConfig& field) {
  const std::string path = (std::filesystem::path(field.pretrained_emb).parent_path() / "feature_vocab.json").string();
  if (exists(path)) return path;
  throw InputError(cat(
      field.where.empty() ? "" : field.where + ": ", "column ", field.name, ": the keys of ", field.pretrained_emb,
      " are words, and the cells are ids; ", path,
      ", which has the id of every word, is not there; FuxiCTR writes it into data_root/dataset_id, beside its copy "
      "of the table, and a data set without feature_cols reads both there"));
}

namespace {

// The ids of the words of a field that has ids.
std::map<std::string, int64_t> ids_of_words(const FieldConfig& field, const Vocabulary& vocabulary) {
  const std::string path = ids_file(field);
  FeatureVocab all = parse_feature_vocab(read_text(path), path);
  std::map<std::string, int64_t>& ids = all[field.name];
  if (!ids.contains(kFuxiUnknown)) {
    throw InputError(cat(path, ": has no id of '", kFuxiUnknown, "' for column ", field.name,
                         "; the file is to be that of the prepared data"));
  }
  for (const auto& [word, id] : ids) {
    if (id >= (word == kFuxiUnknown) && id < vocabulary.size()) continue;
    throw InputError(cat(path, ": column ", field.name, ": the id of ", printable(word), " is ", id,
                         ", and the column has ", vocabulary.size(),
                         " ids; the file is to be that of the prepared data"));
  }
  return ids;
}

}  // namespace

// Whether a key gets an id. An empty cell has none, and a token that stands for padding neither. A fill_na that is a
// key of the table is a word, as in FuxiCTR: empty cells get its vector.
static bool is_word(const FieldConfig& field, const std::string& missing, std::string_view key) {
  return key != missing || (field.fill_na && !missing.empty() && field.type == FieldType::categorical);
}

std::function<int64_t(std::string_view)> pretrained_rows(const FieldConfig& field, const Vocabulary& vocabulary) {
  if (!field.has_ids()) {
    return [&vocabulary, field, missing = key_reader(field).missing()](std::string_view word) -> int64_t {
      return is_word(field, missing, word) ? vocabulary.id(word) : -1;
    };
  }
  return [ids = ids_of_words(field, vocabulary)](std::string_view word) -> int64_t {
    const auto found = ids.find(std::string(word));
    return found == ids.end() ? -1 : found->second;
  };
}

void append_pretrained(const FieldConfig& field, Vocabulary& vocabulary) {
  if (field.has_ids()) {
    const int64_t unknown = ids_of_words(field, vocabulary).at(kFuxiUnknown);
    if (unknown < vocabulary.size() - 1) vocabulary.set_appended(unknown - 1);
    return;
  }
  const std::string missing = key_reader(field).missing();
  vocabulary.close();
  read_pretrained(field, false, [&](std::string_view word, std::span<const float>) {
    if (is_word(field, missing, word)) vocabulary.add(word);
  });
}

std::vector<FileState> pretrained_states(const DatasetConfig& config, bool content) {
  std::vector<FileState> states;
  for (const FieldConfig& field : config.fields) {
    if (!field.active || field.pretrained_emb.empty()) continue;
    std::vector<std::string> files = {field.pretrained_emb};
    if (field.has_ids()) files.push_back(ids_file(field));
    for (const std::string& file : files) {
      states.push_back(file_state(file));
      if (content) states.back().content = content_of(file);
    }
  }
  return states;
}

}  // namespace kdef::data
