#include "data/encode/encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/io/file.h"
#include "data/encode/feature_map.h"
#include "data/encode/recent_cells.h"
#include "data/encode/value_ids.h"
#include "data/raw/chunks.h"
#include "data/schema_json.h"

namespace kdef::data {
namespace {

// Format of the file: magic, version, length of the JSON, the JSON, the words (length, bytes) of every vocabulary that
// the JSON names, CRC-32 of all bytes before it.
constexpr char kMagic[8] = {'K', 'D', 'E', 'F', 'V', 'O', 'C', '\n'};
constexpr uint32_t kVersion = 1;

using Json = nlohmann::ordered_json;

Json column_json(const Encoder::Column& column) {
  Json json;
  add_field(column.cells.field(), StoredIn::encoder, json);
  json["shift"] = column.shift;
  json["scale"] = column.scale;
  if (column.vocabulary != nullptr && owns_vocabulary(column.cells.field()) &&
      column.vocabulary->out_of_vocabulary() != column.vocabulary->size() - 1) {
    json["appended_from"] = column.vocabulary->first_appended();
  }
  return json;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Reads a file's bytes in order.
struct Cursor {
  const std::string& path;
  const char* p;
  size_t left;
  const char* take(size_t n) {
    if (n > left) throw InputError(cat(path, ": ends too early; prepare the data again"));
    left -= n;
    return std::exchange(p, p + n);
  }
  template <class T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof(value)), sizeof(value));
    return value;
  }
};

constexpr const char* kRemedy = "; prepare the data again, or copy the file once more";

std::shared_ptr<Vocabulary> read_vocabulary(Cursor& in, const FieldConfig& field) {
  auto vocabulary = std::make_shared<Vocabulary>(field.has_ids() ? field.id_count : 0);
  for (uint64_t n = in.get<uint64_t>(); n > 0; --n) {
    const uint32_t size = in.get<uint32_t>();
    vocabulary->add(std::string_view(in.take(size), size));
  }
  return vocabulary;
}

// How files are read, as save() writes it.
DatasetConfig read_config(const Json& json) {
  DatasetConfig config;
  json.at("dataset").get_to(config.id);
  json.at("label").get_to(config.label);
  config.weight = json.value("weight", "");
  config.group = json.value("group", "");
  config.group_by_id = json.value("group_by_id", false);
  config.label_kind = json.value("label_kind", LabelKind::click);
  config.label_whole = json.value("label_whole", false);
  config.label_positive = json.value("label_positive", std::vector<std::string>());
  if (json.contains("label_threshold")) config.label_threshold = json.at("label_threshold").get<double>();
  json.at("separator").get_to(config.separator);
  json.at("columns").get_to(config.columns);
  if (json.value("quote", true) == false) config.quote = Quote::none;
  return config;
}

}  // namespace

bool owns_vocabulary(const FieldConfig& field) {
  return field.type != FieldType::numeric && field.share_embedding.empty();
}

Encoder::Encoder(DatasetConfig config, std::vector<Column> columns)
    : config_(std::move(config)), columns_(std::move(columns)) {
  map_.dataset = config_.id;
  map_.label = config_.label;
  config_.fields.clear();
  int64_t next_id = 0, next_number = 0;
  for (const Column& column : columns_) {
    const FieldConfig& f = column.cells.field();
    const bool is_number = f.type == FieldType::numeric;
    if (config_.group_by_id && f.name == config_.group && f.type != FieldType::sequence) {
      (is_number ? group_numbers_ : group_ids_) = is_number ? next_number : next_id;
    }
    (is_number ? next_number : next_id) += is_number ? 1 : f.type == FieldType::sequence ? f.max_len : 1;
    Field field;
    for (const FieldKey& key : field_keys()) {
      if (key.in_feature_map() && key.applies_to(f.type)) key.map.set(field, key.config.get(f));
    }
    if (f.type != FieldType::numeric) {
      field.vocab_size = column.vocabulary->size();
      const int64_t unknown = column.vocabulary->out_of_vocabulary();
      if (unknown != field.vocab_size - 1) field.oov_idx = unknown;
    }
    map_.fields.push_back(field);
    config_.fields.push_back(f);
  }
  layout_ = layout_of(map_);
  layout_.weights = !config_.weight.empty();
  layout_.groups = !config_.group.empty();
  if (config_.group_by_id && group_ids_ < 0 && group_numbers_ < 0) {
    throw InputError(cat("data set ", config_.id, ": group_id ", config_.group,
                         " is to be the name of an input column that is no sequence"));
  }
}

void Encoder::group_by_id(Batch& rows) const {
  if (group_ids_ < 0 && group_numbers_ < 0) return;
  rows.groups.resize(static_cast<size_t>(rows.rows));
  for (int64_t row = 0; row < rows.rows; ++row) {
    const auto at = [&](int64_t columns, int64_t column) { return static_cast<size_t>(row * columns + column); };
    int64_t& group = rows.groups[static_cast<size_t>(row)];
    if (group_ids_ >= 0) {
      group = rows.ids[at(layout_.id_columns, group_ids_)];
    } else {
      const float number = rows.numerics[at(layout_.numeric_columns, group_numbers_)];
      group = std::bit_cast<uint32_t>(number == 0 ? 0.0f : number);  // -0 is 0
    }
  }
}

std::string Encoder::schema() const {
  Json json = {{"dataset", config_.id},
               {"label", config_.label},
               {"separator", config_.separator},
               {"columns", config_.columns},
               {"fields", Json::array()}};
  // These keys are written only if they are used, so that other files have the same bytes as in earlier versions.
  if (!config_.weight.empty()) json["weight"] = config_.weight;
  if (!config_.group.empty()) json["group"] = config_.group;
  if (config_.group_by_id) json["group_by_id"] = true;
  if (config_.quote == Quote::none) json["quote"] = false;
  if (config_.label_kind != LabelKind::click) json["label_kind"] = config_.label_kind;
  if (config_.label_whole) json["label_whole"] = true;
  if (!config_.label_positive.empty()) json["label_positive"] = config_.label_positive;
  if (config_.label_threshold) json["label_threshold"] = *config_.label_threshold;
  for (const Column& column : columns_) json["fields"].push_back(column_json(column));
  try {
    return json.dump();
  } catch (const Json::type_error&) {
    throw InputError(
        cat("data set ", config_.id, ": a name or fill_na is not valid UTF-8; change it in the configuration"));
  }
}

void Encoder::save(const std::string& path) const {
  const std::string text = schema();
  AtomicFile file(path);
  uint32_t crc = 0;
  std::string block(kMagic, sizeof(kMagic));
  const auto flush = [&] {
    crc = crc32(block.data(), block.size(), crc);
    file.write(block.data(), block.size());
    block.clear();
  };
  put(block, kVersion);
  put(block, static_cast<uint64_t>(text.size()));
  block += text;
  for (const Column& column : columns_) {
    if (!owns_vocabulary(column.cells.field())) continue;
    const Vocabulary& words = *column.vocabulary;
    put(block, static_cast<uint64_t>(words.word_count()));
    for (int64_t i = 0; i < words.word_count(); ++i) {
      put(block, static_cast<uint32_t>(words.word(i).size()));
      block += words.word(i);
      if (block.size() > (size_t{1} << 20)) flush();
    }
  }
  flush();
  file.write(&crc, sizeof(crc));
  file.commit();
}

Encoder Encoder::load(const std::string& given) {
  const std::string path =
      std::filesystem::is_directory(given) ? (std::filesystem::path(given) / kFileName).string() : given;
  return parse(read_text(path), path);
}

Encoder Encoder::parse(const std::string& bytes, const std::string& path) {
  const std::string remedy = kRemedy;
  if (bytes.size() < sizeof(kMagic) || std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) {
    throw InputError(cat(path, ": not a vocabulary file of kdef", remedy));
  }
  uint32_t stored = 0;
  if (bytes.size() >= 24) std::memcpy(&stored, bytes.data() + bytes.size() - 4, 4);
  if (bytes.size() < 24 || crc32(bytes.data(), bytes.size() - 4) != stored) {
    throw InputError(cat(path, ": truncated or damaged (checksum mismatch)", remedy));
  }
  Cursor in{path, bytes.data() + sizeof(kMagic), bytes.size() - sizeof(kMagic) - 4};
  const uint32_t version = in.get<uint32_t>();
  if (version != kVersion) {
    throw InputError(cat(path, ": format version ", version, ", this program reads version ", kVersion, remedy));
  }
  const uint64_t length = in.get<uint64_t>();
  const char* text = in.take(length);
  return of_schema({text, length}, path, remedy, [&](const FieldConfig& field) { return read_vocabulary(in, field); });
}

Encoder Encoder::of_schema(std::string_view text, const std::string& path, const std::string& remedy,
                           const std::function<std::shared_ptr<Vocabulary>(const FieldConfig&)>& vocabulary) {
  const auto inconsistent = [&] { return InputError(cat(path, ": inconsistent content", remedy)); };
  try {
    const Json json = parse_json<Json>(text, path);
    DatasetConfig config = read_config(json);
    std::vector<Column> columns;
    std::unordered_map<std::string, std::shared_ptr<const Vocabulary>> vocabularies;
    int64_t id_columns = 0;
    for (const Json& entry : json.at("fields")) {
      const std::optional<FieldConfig> settings = read_field(entry);
      if (!settings) throw InputError(cat(path, ": unexpected content", remedy));
      const FieldConfig& field = *settings;
      Column column{CellReader(field), nullptr, entry.at("shift").get<double>(), entry.at("scale").get<double>()};
      if (field.has_ids() && field.id_count < 2) throw inconsistent();
      if (owns_vocabulary(field)) {
        const std::shared_ptr<Vocabulary> own = vocabulary(field);
        if (entry.contains("appended_from")) {
          const int64_t first = integer_at<int64_t>(entry, "appended_from", path);
          if (first < 0 || first > own->size() - 2) throw inconsistent();
          own->set_appended(first);
        }
        column.vocabulary = own;
      } else if (field.type != FieldType::numeric) {
        const auto owner = vocabularies.find(field.share_embedding);
        if (owner == vocabularies.end()) throw inconsistent();
        column.vocabulary = owner->second;
        if (field.has_ids() && field.id_count != column.vocabulary->size()) throw inconsistent();
      }
      if (!std::isfinite(column.shift) || !std::isfinite(column.scale) || field.max_len < 0 ||
          (field.type == FieldType::sequence && (id_columns += field.max_len) > kMaxColumns)) {
        throw InputError(cat(path, ": column ", field.name, ": impossible content", remedy));
      }
      if (column.vocabulary != nullptr) vocabularies.emplace(field.name, column.vocabulary);
      columns.push_back(std::move(column));
    }
    return Encoder(std::move(config), std::move(columns));
  } catch (const Json::exception&) {
    throw InputError(cat(path, ": unexpected content", remedy));
  }
}

RowSlots Encoder::select(RowSource& source, Targets targets) const {
  return select_columns(source, config_.fields, config_, targets);
}

void encode_sequence(const std::vector<int32_t>& tokens, int64_t max_len, Padding padding, int32_t* out) {
  const int64_t n = static_cast<int64_t>(tokens.size()), kept = std::min(n, max_len);
  std::fill_n(out, max_len, 0);
  if (padding == Padding::post) {
    std::copy_n(tokens.begin(), kept, out);
  } else {
    std::copy_n(tokens.end() - kept, kept, out + (max_len - kept));
  }
}

void encode_ids(const CellReader& cells, const Chunk& chunk, int64_t slot, int64_t max_len, int64_t stride,
                int32_t* out) {
  const bool is_sequence = cells.field().type == FieldType::sequence;
  const TypedColumn* typed = is_sequence ? chunk.typed_column(slot) : chunk.flat_column(slot);
  const bool plain = typed != nullptr && !typed->lists && typed->values->kind == Values::Kind::integer;
  std::vector<int32_t> tokens;
  for (int64_t row = 0; row < chunk.rows(); ++row, out += stride) {
    if (const int32_t at = !is_sequence && plain ? typed->place(row) : TypedColumn::kMissing; at >= 0) {
      const int64_t number = typed->values->integers[static_cast<size_t>(at)];
      if (cells.is_id(number)) {
        *out = static_cast<int32_t>(number);
        continue;
      }
    }
    const Place place{chunk.file(), chunk.line(row)};
    if (!is_sequence) {
      *out = typed == nullptr ? cells.id(chunk.cell(row, slot), place) : cells.id(*typed, row, place);
      continue;
    }
    tokens.clear();
    if (typed != nullptr && typed->lists) {
      for (int64_t i = typed->begin(row); i < typed->end(row); ++i) {
        tokens.push_back(typed->is_missing(i) ? 0 : cells.id(*typed, i, place));
      }
    } else {
      Values::Scratch scratch;
      const std::string_view cell = typed == nullptr ? chunk.cell(row, slot) : typed->cell(row, scratch);
      cells.tokens(cell, [&](std::string_view token, bool is_padding) {
        tokens.push_back(is_padding ? 0 : cells.id(token, place));
      });
    }
    encode_sequence(tokens, max_len, cells.field().padding, out);
  }
}

void Encoder::encode(const Chunk& chunk, const RowSlots& slots, Batch& out) const {
  const int64_t rows = chunk.rows();
  out.resize(rows, {layout_.id_columns, layout_.numeric_columns, slots.weight >= 0, false});
  if (rows == 0) return;          // then no column has a first cell
  int32_t* ids = out.ids.data();  // the first row's cell of the column that is encoded next
  float* numbers = out.numerics.data();
  for (size_t f = 0; f < columns_.size(); ++f) {
    const Column& column = columns_[f];
    const int64_t slot = slots.fields[f];
    const FieldConfig& field = column.cells.field();
    if (field.has_ids()) {
      const int64_t count = field.type == FieldType::sequence ? field.max_len : 1;
      encode_ids(column.cells, chunk, slot, count, layout_.id_columns, ids);
      ids += count;
      continue;
    }
    switch (field.type) {
      case FieldType::numeric:
        encode_numbers(column, chunk, slot, numbers++);
        break;
      case FieldType::categorical:
        encode_words(column, chunk, slot, ids++);
        break;
      case FieldType::sequence:
        encode_sequences(column, chunk, slot, ids);
        ids += field.max_len;
        break;
    }
  }
  if (slots.label >= 0) {
    read_labels(chunk, slots.label, config_, out.labels.data());
  } else {
    out.labels.clear();
  }
  if (slots.weight >= 0) read_weights(chunk, slots.weight, config_, out.weights.data());
  if (slots.group_by_id) group_by_id(out);
}

void Encoder::encode_numbers(const Column& column, const Chunk& chunk, int64_t slot, float* out) const {
  const TypedColumn* typed = chunk.flat_column(slot);
  const bool plain = typed != nullptr && !typed->values->is_text() && column.cells.takes_numbers();
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    const Place place{chunk.file(), chunk.line(row)};
    if (const int32_t at = plain ? typed->place(row) : TypedColumn::kMissing; at >= 0) {
      const double number = typed->values->number(static_cast<size_t>(at));
      if (std::isfinite(number)) {
        out[row * layout_.numeric_columns] = column.cells.scaled(number, column.shift, column.scale, place);
        continue;
      }
    }
    const double number =
        typed == nullptr ? column.cells.number(chunk.cell(row, slot), place) : column.cells.number(*typed, row, place);
    out[row * layout_.numeric_columns] = column.cells.scaled(number, column.shift, column.scale, place);
  }
}

void Encoder::encode_sequences(const Column& column, const Chunk& chunk, int64_t slot, int32_t* out) const {
  const FieldConfig& field = column.cells.field();
  const TypedColumn* typed = chunk.typed_column(slot);
  ValueIds ids;
  if (typed != nullptr) ids.begin(*typed);
  const auto id_of = [&](std::string_view token) { return column.vocabulary->id(token); };
  std::vector<int32_t> tokens;
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    if (typed == nullptr) {
      tokens.clear();
      column.cells.tokens(chunk.cell(row, slot), [&](std::string_view token, bool is_padding) {
        tokens.push_back(is_padding ? 0 : id_of(token));
      });
    } else {
      token_ids(column.cells, *typed, row, ids, id_of, tokens);
    }
    encode_sequence(tokens, field.max_len, field.padding, out + row * layout_.id_columns);
  }
}

void Encoder::encode_words(const Column& column, const Chunk& chunk, int64_t slot, int32_t* out) const {
  const TypedColumn* typed = chunk.flat_column(slot);
  const bool has_texts = typed == nullptr || (typed->values->is_text() && !typed->dictionary);
  if (typed != nullptr && !(has_texts && column.cells.verbatim())) {
    ValueIds ids;
    CellReader::Scratch scratch;
    ids.begin(*typed);
    for (int64_t row = 0; row < chunk.rows(); ++row) {
      out[row * layout_.id_columns] = ids.id(row, [&](std::string_view cell) {
        return column.vocabulary->id(column.cells.word(cell, {chunk.file(), chunk.line(row)}, scratch));
      });
    }
    return;
  }
  if (!column.cells.verbatim()) {
    RecentCells recent;
    CellReader::Scratch scratch;
    for (int64_t row = 0; row < chunk.rows(); ++row) {
      const std::string_view cell = chunk.cell(row, slot);
      out[row * layout_.id_columns] = recent.id(cell, [&] {
        return column.vocabulary->id(column.cells.word(cell, {chunk.file(), chunk.line(row)}, scratch));
      });
    }
    return;
  }
  constexpr int64_t kTogether = 256;
  Values::Scratch no_digits;  // of texts
  std::array<std::string_view, kTogether> words;
  std::array<int32_t, kTogether> ids;
  for (int64_t first = 0; first < chunk.rows(); first += kTogether) {
    const size_t n = static_cast<size_t>(std::min(kTogether, chunk.rows() - first));
    for (size_t i = 0; i < n; ++i) {
      const int64_t row = first + static_cast<int64_t>(i);
      words[i] = column.cells.verbatim_word(typed == nullptr ? chunk.cell(row, slot) : typed->cell(row, no_digits));
    }
    column.vocabulary->ids({words.data(), n}, ids.data());
    for (size_t i = 0; i < n; ++i) out[(first + static_cast<int64_t>(i)) * layout_.id_columns] = ids[i];
  }
}

RawFile::RawFile(const Encoder& encoder, const std::string& path, bool labels)
    : RawFile(encoder, open_rows(path, encoder.config(), labels ? "" : encoder.config().label), labels) {}

RawFile::RawFile(const Encoder& encoder, std::unique_ptr<RowSource> source, bool labels)
    : encoder_(encoder), source_(std::move(source)) {
  if (labels) check_label(*source_, encoder.config(), "kdef predict scores rows without labels");
  slots_ = encoder.select(*source_, labels ? Targets::all : Targets::none);
}

bool RawFile::read_group() {
  count_ = read_chunks(*source_, chunks_);
  encoded_.resize(kGroupChunks);
  source_->parse_all({chunks_.data(), count_}, [&](size_t i) { encoder_.encode(chunks_[i], slots_, encoded_[i]); });
  if (slots_.group >= 0) {
    std::vector<int32_t> numbers;
    groups_.append({chunks_.data(), count_}, slots_.group, numbers);
    share_out(numbers, {encoded_.data(), count_});
  }
  at_ = 0;
  row_ = 0;
  return count_ > 0;
}

namespace {

// Copies `rows` rows of one vector of a batch; the vector may be empty.
template <class T>
void copy_rows(const std::vector<T>& from, int64_t first, int64_t rows, int64_t columns, std::vector<T>& to) {
  if (from.empty()) {
    to.clear();
  } else {
    to.assign(from.begin() + first * columns, from.begin() + (first + rows) * columns);
  }
}

}  // namespace

bool RawFile::next(Batch& batch, int64_t max_rows) {
  KDEF_CHECK(max_rows >= 1, "RawFile::next: max_rows is ", max_rows);
  while (at_ == count_ || row_ == encoded_[at_].rows) {
    if (at_ < count_) ++at_;
    row_ = 0;
    if (at_ == count_ && !read_group()) return false;
  }
  const Batch& from = encoded_[at_];
  const int64_t n = std::min(max_rows, from.rows - row_);
  batch.rows = n;
  copy_rows(from.ids, row_, n, encoder_.id_columns(), batch.ids);
  copy_rows(from.numerics, row_, n, encoder_.numeric_columns(), batch.numerics);
  copy_rows(from.labels, row_, n, 1, batch.labels);
  copy_rows(from.weights, row_, n, 1, batch.weights);
  copy_rows(from.groups, row_, n, 1, batch.groups);
  row_ += n;
  return true;
}

}  // namespace kdef::data
