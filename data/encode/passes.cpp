#include "data/encode/passes.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "data/encode/members.h"
#include "data/encode/pretrained.h"
#include "data/field_keys.h"
#include "data/raw/cells.h"
#include "data/raw/chunks.h"
#include "data/schema_json.h"

namespace kdef::data {

SplitWriter::SplitWriter(const std::string& path, const RowLayout& layout) : layout_(layout) {
  if (Group::current().is_first()) {
    file_.emplace(path, layout);
  } else {
    kept_.emplace(std::filesystem::path(path).parent_path().string());
  }
}

void SplitWriter::append(const Batch& batch) {
  if (batch.rows == 0) return;
  encode_records(batch, layout_, records_);
  if (file_) {
    file_->append(records_);
  } else {
    kept_->write(records_.data(), records_.size() * sizeof(uint32_t));
  }
  rows_ += batch.rows;
  positives_ += std::count(batch.labels.begin(), batch.labels.end(), 1.0f);
}

void SplitWriter::join() {
  Group& group = Group::current();
  if (group.is_alone()) return;
  const int64_t words = words_of(layout_), piece = std::max<int64_t>(1, (int64_t{1} << 20) / words);
  if (kept_) kept_->rewind();
  meet(group);
  Group::Bytes mine(2 * sizeof(int64_t));
  std::memcpy(mine.data(), &rows_, sizeof rows_);
  std::memcpy(mine.data() + sizeof rows_, &positives_, sizeof positives_);
  const std::vector<Group::Bytes> all = group.all_gather(mine);
  rows_ = positives_ = 0;
  for (int r = 0; r < group.size(); ++r) {
    int64_t numbers[2];
    std::memcpy(numbers, all[static_cast<size_t>(r)].data(), sizeof numbers);
    rows_ += numbers[0];
    positives_ += numbers[1];
    for (int64_t first = 0; r > 0 && first < numbers[0]; first += piece) {
      std::vector<Group::Bytes> parts(all.size());
      if (r == group.rank()) {
        const auto bytes = static_cast<size_t>(std::min(piece, numbers[0] - first) * words) * sizeof(uint32_t);
        parts[0].resize(bytes);
        if (!kept_->read(parts[0].data(), bytes)) throw SystemError("the temporary rows were cut short; prepare again");
      }
      meet(group);
      const Group::Bytes received = std::move(group.all_to_all(parts)[static_cast<size_t>(r)]);
      if (!file_) continue;
      records_.resize(received.size() / sizeof(uint32_t));
      std::memcpy(records_.data(), received.data(), received.size());
      file_->append(records_);
    }
  }
}

void resolve_lengths(const DatasetConfig& config, const RowFilter& rows, std::vector<FieldConfig>& fields,
                     const ProgressListener& progress) {
  std::vector<size_t> unknown;
  for (size_t f = 0; f < fields.size(); ++f) {
    if (fields[f].type == FieldType::sequence && fields[f].max_len == 0) unknown.push_back(f);
  }
  if (unknown.empty()) return;
  const auto source = open_rows_of_member(config.train_data, config, Group::current());
  RowSlots slots;
  if (source) {
    for (const FileState& file : source->files()) {
      if (file.regular) continue;
      throw InputError(cat("column ", fields[unknown[0]].name,
                           ": with max_len 0 the training rows are read twice, and ", file.path,
                           " is a pipe; set max_len"));
    }
    slots = select_columns(*source, fields, config, Targets::none);
  }
  for (const size_t f : unknown) fields[f].max_len = 1;
  std::vector<int64_t> longest(unknown.size(), 1);
  for_groups(source.get(), config.train_data, "measuring", progress, rows, [&](RowGroups& groups) {
    groups.run(unknown.size(), [&](size_t task) {
      const size_t f = unknown[task];
      const CellReader cells(fields[f]);
      for (const Chunk& chunk : groups.chunks()) {
        const TypedColumn* typed = chunk.typed_column(slots.fields[f]);
        for (int64_t row = 0; row < chunk.rows(); ++row) {
          int64_t length = 0;
          if (typed != nullptr && typed->lists) {
            length = typed->end(row) - typed->begin(row);
          } else {
            Values::Scratch scratch;
            cells.tokens(typed == nullptr ? chunk.cell(row, slots.fields[f]) : typed->cell(row, scratch),
                         [&](std::string_view, bool) { ++length; });
          }
          longest[task] = std::max(longest[task], length);
        }
      }
    });
  });
  take_largest_of_members(longest);
  for (size_t i = 0; i < unknown.size(); ++i) {
    FieldConfig& field = fields[unknown[i]];
    field.max_len = longest[i];
    if (field.max_len <= kMaxLen) continue;
    throw InputError(cat(config.train_data, ": column ", field.name, ": a sequence has ", field.max_len,
                         " ids; set max_len to at most ", kMaxLen));
  }
}

bool needs_counts(const FieldConfig& field) {
  if (field.type == FieldType::numeric) return field.normalizer != Normalizer::none;
  return !field.has_ids() || field.id_count == 0;
}

namespace {

void report_on(const RowSource* source, SourceReport& report) {
  if (source != nullptr) report = {source->files(), source->warnings()};
  add_reports_of_members(report);
}

// Makes one column of a spooled group from its chunks.
using ColumnReader = std::function<void(std::span<const Chunk>, std::string& packed)>;

// `read`: read_labels or read_weights.
template <class Read>
ColumnReader float_column(Read read, int64_t slot, const DatasetConfig& config) {
  return [&config, read, slot](std::span<const Chunk> chunks, std::string& packed) {
    std::vector<float> values;
    for (const Chunk& chunk : chunks) {
      values.resize(values.size() + static_cast<size_t>(chunk.rows()));
      read(chunk, slot, config, values.data() + values.size() - chunk.rows());
    }
    pack_column(values, packed);
  };
}

ColumnReader group_column(GroupNumbers& groups, int64_t slot) {
  return [&groups, slot](std::span<const Chunk> chunks, std::string& packed) {
    std::vector<int32_t> numbers;
    groups.append(chunks, slot, numbers);
    pack_column(numbers, packed);
  };
}

}  // namespace

std::vector<FieldCount> count_rows(const DatasetConfig& config, const RowFilter& rows,
                                   const std::vector<FieldConfig>& fields, const Encoder* base,
                                   GroupNumbers& group_numbers, Spool& spool, SourceReport& report,
                                   const ProgressListener& progress) {
  const auto source = open_rows_of_member(config.train_data, config, Group::current());
  const RowSlots slots = source ? select_columns(*source, fields, config, Targets::all) : RowSlots();
  std::vector<FieldCount> counts;
  for (size_t f = 0; f < fields.size(); ++f) {
    std::optional<std::pair<double, double>> scale;
    if (base != nullptr && fields[f].type == FieldType::numeric) {
      scale.emplace(base->columns()[f].shift, base->columns()[f].scale);
    }
    counts.emplace_back(fields[f], scale);
  }
  std::vector<ColumnReader> columns;
  for (size_t f = 0; f < fields.size(); ++f) {
    columns.push_back([&, f](std::span<const Chunk> chunks, std::string& packed) {
      counts[f].read(chunks, slots.fields[f], packed);
    });
  }
  columns.push_back(float_column(read_labels, slots.label, config));
  if (slots.weight >= 0) columns.push_back(float_column(read_weights, slots.weight, config));
  if (slots.group >= 0) columns.push_back(group_column(group_numbers, slots.group));

  Spool::Group now, before;
  now.columns.resize(columns.size());
  before.columns.resize(columns.size());
  for_groups(source.get(), config.train_data, "counting", progress, rows, [&](RowGroups& groups) {
    now.rows = groups.rows_in_group();
    groups.run(
        columns.size(), [&](size_t c) { columns[c](groups.chunks(), now.columns[c]); },
        [&] {
          if (before.rows > 0) spool.write(before);
        });
    std::swap(now, before);
  });
  if (before.rows > 0) spool.write(before);
  report_on(source.get(), report);
  add_counts_of_members(counts, spool);
  return counts;
}

namespace {

// The ids of a field that has ids, and of those that share its table.
int64_t ids_of_table(const std::vector<FieldCount>& counts, const std::string& owner) {
  int64_t ids = 2;
  for (const FieldCount& count : counts) {
    const FieldConfig& field = count.cells().field();
    if (field.name == owner || field.share_embedding == owner) ids = std::max(ids, count.id_count());
  }
  return ids;
}

// Adds the counted words to the vocabularies of their fields; those that share one do so in the order of the fields.
// `grown`: the vocabularies are those of a base, which get them where config.grow_vocabulary is set.
void add_words(const DatasetConfig& config, const std::vector<FieldCount>& counts,
               const std::vector<std::shared_ptr<Vocabulary>>& vocabularies, bool grown) {
  for_each_index(counts.size(), [&](size_t owner) {
    const FieldConfig& first = counts[owner].cells().field();
    if (first.type == FieldType::numeric || first.has_ids() || !first.share_embedding.empty()) return;
    // An id behind out-of-vocabulary of a pretrained table has its vector and nothing else: a row cannot give it one.
    if (grown && (!config.grow_vocabulary || !first.pretrained_emb.empty())) return;
    if (grown) vocabularies[owner]->close();
    for (size_t f = owner; f < counts.size(); ++f) {
      const FieldConfig& field = counts[f].cells().field();
      if (f != owner && field.share_embedding != first.name) continue;
      const int64_t min_count = field.min_categr_count.value_or(config.min_categr_count);
      vocabularies[owner]->add(counts[f].words(), counts[f].counts(), min_count, counts[f].cells().missing());
    }
  });
}

}  // namespace

void fit_to_base(const DatasetConfig& config, const Encoder& base, std::vector<FieldConfig>& fields) {
  // Keys that leave the meaning of a cell's id alone. What they change of the tensors is found when weights are loaded.
  static const std::set<std::string_view> kFree = {"column", "max_len",      "vocab_size", "embedding_dim",
                                                   "linear", "pretrain_dim", "freeze_emb", "source"};
  const std::vector<Encoder::Column>& columns = base.columns();
  const std::string start =
      cat("data set ", config.id, ": ", config.base_vocabulary, ", which the training starts from");
  for (size_t f = 0; f < std::max(fields.size(), columns.size()); ++f) {
    const std::string ours = f < fields.size() ? "column " + fields[f].name : "no column";
    const std::string theirs = f < columns.size() ? columns[f].cells.field().name : "";
    if (ours != "column " + theirs) {
      throw InputError(cat(start, ", has ", theirs.empty() ? "no column" : "column " + theirs, " at place ", f + 1,
                           " of feature_cols, and this configuration has ", ours,
                           "; give the same columns in the same order"));
    }
    const FieldConfig& before = columns[f].cells.field();
    for (const FieldKey& key : field_keys()) {
      if (key.stored_in != StoredIn::encoder || kFree.contains(key.name) || !key.applies_to(before.type)) continue;
      const KeyValue was = key.config.get(before), is = key.config.get(fields[f]);
      if (was == is) continue;
      throw InputError(cat(start, ", has column ", theirs, " with ", key.name, " ", json_of(key, was).dump(),
                           ", and this configuration has ", json_of(key, is).dump(),
                           "; the cells would mean something else, so give the same"));
    }
    if (fields[f].type == FieldType::sequence && fields[f].max_len == 0) fields[f].max_len = before.max_len;
  }
}

Encoder make_encoder(const DatasetConfig& config, const std::vector<FieldCount>& counts, const Encoder* base) {
  std::vector<Encoder::Column> columns;
  std::vector<std::shared_ptr<Vocabulary>> vocabularies(counts.size());
  std::unordered_map<std::string_view, size_t> places;
  for (size_t f = 0; f < counts.size(); ++f) {
    const FieldConfig& field = counts[f].cells().field();
    const Encoder::Column* before = base == nullptr ? nullptr : &base->columns()[f];
    if (field.type == FieldType::numeric) {
      const auto [shift, scale] = before == nullptr ? counts[f].scaling() : std::pair(before->shift, before->scale);
      columns.push_back({counts[f].cells(), nullptr, shift, scale});
      continue;
    }
    places.emplace(field.name, f);
    if (!field.share_embedding.empty()) {
      vocabularies[f] = vocabularies[places.at(field.share_embedding)];
    } else if (field.has_ids()) {
      const int64_t known = before == nullptr ? 0 : before->vocabulary->size();
      vocabularies[f] = std::make_shared<Vocabulary>(std::max(known, ids_of_table(counts, field.name)));
      // Unknown values keep their id: ids that the base lacks stand behind it.
      if (before != nullptr && before->vocabulary->out_of_vocabulary() != vocabularies[f]->out_of_vocabulary()) {
        vocabularies[f]->set_appended(before->vocabulary->out_of_vocabulary() - 1);
      }
    } else {
      vocabularies[f] =
          before == nullptr ? std::make_shared<Vocabulary>() : std::make_shared<Vocabulary>(*before->vocabulary);
    }
    if (field.has_ids()) {
      FieldConfig known = field;
      known.id_count = vocabularies[f]->size();
      columns.push_back({CellReader(known), vocabularies[f], 0, 1});
      continue;
    }
    columns.push_back({counts[f].cells(), vocabularies[f], 0, 1});
  }
  add_words(config, counts, vocabularies, base != nullptr);
  for (size_t f = 0; f < counts.size(); ++f) {
    const FieldConfig& field = counts[f].cells().field();
    if (base != nullptr && (!config.grow_vocabulary || field.has_ids())) continue;
    // A column that shares a table has the same file of vectors.
    if (!field.pretrained_emb.empty() && field.share_embedding.empty()) append_pretrained(field, *vocabularies[f]);
  }
  return Encoder(config, std::move(columns));
}

namespace {

// Per field: the id of every provisional number.
std::vector<std::vector<int32_t>> id_tables(const std::vector<FieldCount>& counts, const Encoder& encoder) {
  std::vector<std::vector<int32_t>> tables(counts.size());
  for_each_index(counts.size(), [&](size_t f) {
    const FieldConfig& field = counts[f].cells().field();
    if (field.type == FieldType::numeric || field.has_ids()) return;
    const StringSet& words = counts[f].words();
    tables[f].push_back(0);
    for (int64_t i = 0; i < words.size(); ++i) {
      tables[f].push_back(encoder.columns()[f].vocabulary->id(words[i]));
    }
  });
  return tables;
}

template <class T>
T unpacked(const std::string& packed, int64_t row) {
  T value;
  std::memcpy(&value, packed.data() + static_cast<size_t>(row) * sizeof(T), sizeof(T));
  return value;
}

// Rows [first, last) of a spooled group become rows of `batch`, which has its size.
void translate(const Spool::Group& group, const std::vector<FieldCount>& counts,
               const std::vector<std::vector<int32_t>>& tables, const Encoder& encoder, int64_t first, int64_t last,
               Batch& batch) {
  const RowLayout& layout = encoder.layout();
  const std::string name = "the training rows";
  const Place counted{name, 0};  // no number fails here: the scale follows from these rows
  int32_t* id = batch.ids.data();
  float* number = batch.numerics.data();
  for (size_t f = 0; f < counts.size(); ++f) {
    const std::string& packed = group.columns[f];
    const Encoder::Column& column = encoder.columns()[f];
    if (column.cells.field().type == FieldType::numeric) {
      for (int64_t row = first; row < last; ++row) {
        number[row * layout.numeric_columns] =
            counts[f].is_scaled()
                ? unpacked<float>(packed, row)
                : column.cells.scaled(unpacked<double>(packed, row), column.shift, column.scale, counted);
      }
      ++number;
    } else {
      const int32_t* table = column.cells.field().has_ids() ? nullptr : tables[f].data();
      PackedIds(packed, counts[f].max_len(), table).translate(first, last, id, layout.id_columns);
      id += counts[f].max_len();
    }
  }
  size_t column = counts.size();
  const std::string& labels = group.columns[column++];
  const std::string* weights = layout.weights ? &group.columns[column++] : nullptr;
  const bool has_groups = layout.groups && !encoder.config().group_by_id;
  const std::string* groups = has_groups ? &group.columns[column++] : nullptr;
  for (int64_t row = first; row < last; ++row) {
    batch.labels[static_cast<size_t>(row)] = unpacked<float>(labels, row);
    if (weights != nullptr) batch.weights[static_cast<size_t>(row)] = unpacked<float>(*weights, row);
    if (groups != nullptr) batch.groups[static_cast<size_t>(row)] = unpacked<int32_t>(*groups, row);
  }
}

}  // namespace

void write_counted_rows(const std::vector<FieldCount>& counts, const Encoder& encoder, Spool& spool, SplitWriter& out,
                        const ProgressListener& progress) {
  const std::vector<std::vector<int32_t>> tables = id_tables(counts, encoder);
  spool.rewind();
  Spool::Group group, ahead;
  Batch now, before;
  constexpr int64_t kPieceRows = 1024;
  for (bool more = spool.read(group); more;) {
    now.resize(group.rows, encoder.layout());
    for_each_index(static_cast<size_t>(divide_up(group.rows, kPieceRows)) + 2, [&](size_t i) {
      if (i == 0) {
        out.append(before);
      } else if (i == 1) {
        more = spool.read(ahead);
      } else {
        const int64_t first = static_cast<int64_t>(i - 2) * kPieceRows;
        translate(group, counts, tables, encoder, first, std::min(first + kPieceRows, group.rows), now);
      }
    });
    encoder.group_by_id(now);
    std::swap(now, before);
    std::swap(group, ahead);
    if (progress) progress({"writing train", out.rows(), 1});
  }
  out.append(before);
  out.join();
}

void encode_rows(const std::string& path, const RowFilter& rows, const Encoder& encoder, GroupNumbers& group_numbers,
                 SplitWriter& out, SourceReport& report, const ProgressListener& progress) {
  const auto source = open_rows_of_member(path, encoder.config(), Group::current());
  const RowSlots slots = source ? encoder.select(*source, Targets::all) : RowSlots();
  std::vector<Batch> now(kGroupChunks), before(kGroupChunks);
  const auto store = [&] {
    for (const Batch& batch : before) out.append(batch);
  };
  for_groups(source.get(), path, "encoding", progress, rows, [&](RowGroups& groups) {
    const std::span<const Chunk> chunks = groups.chunks();
    std::vector<int32_t> numbers;
    groups.run(
        chunks.size() + (slots.group >= 0 ? 1 : 0),
        [&](size_t i) {
          if (i < chunks.size()) {
            encoder.encode(chunks[i], slots, now[i]);
          } else {
            group_numbers.append(chunks, slots.group, numbers);
          }
        },
        store);
    if (slots.group >= 0) share_out(numbers, {now.data(), chunks.size()});
    std::swap(now, before);
    for (size_t i = chunks.size(); i < before.size(); ++i) before[i].rows = 0;
  });
  store();
  report_on(source.get(), report);
  out.join();
}

}  // namespace kdef::data
