#include "data/encode/targets.h"

#include <algorithm>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/names.h"
#include "data/raw/cells.h"

namespace kdef::data {

RowSlots select_columns(RowSource& source, const std::vector<FieldConfig>& fields, const DatasetConfig& config,
                        Targets targets) {
  std::vector<std::string> names;
  std::unordered_map<std::string, int64_t> places;
  const auto slot_of = [&](const std::string& name) -> int64_t {
    if (name.empty()) return -1;
    const auto [at, is_new] = places.emplace(name, static_cast<int64_t>(names.size()));
    if (is_new) names.push_back(name);
    return at->second;
  };
  RowSlots slots;
  for (const FieldConfig& field : fields) slots.fields.push_back(slot_of(field.raw_column()));
  if (targets != Targets::none) slots.label = slot_of(config.label);
  if (targets == Targets::all) {
    slots.weight = slot_of(config.weight);
    slots.group_by_id = config.group_by_id;
    if (!slots.group_by_id) slots.group = slot_of(config.group);
  }
  source.select(names);
  // A sequence of a few bytes may become max_len ids.
  constexpr int64_t kChunkIds = int64_t{1} << 24;
  int64_t ids = 1;
  for (const FieldConfig& field : fields) ids += field.type == FieldType::sequence ? field.max_len : 1;
  source.limit_rows(std::max<int64_t>(1, kChunkIds / ids));
  return slots;
}

void check_label(const RowSource& source, const DatasetConfig& config, const std::string& advice) {
  if (source.has_column(config.label)) return;
  throw InputError(cat(source.path(), ": no column '", config.label, "'", did_you_mean(config.label, source.columns()),
                       "; the label column ", config.label, " is missing: ", advice));
}

void read_labels(const Chunk& chunk, int64_t slot, const DatasetConfig& config, float* out) {
  const TypedColumn* typed = chunk.flat_column(slot);
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    const Place place{chunk.file(), chunk.line(row)};
    out[row] =
        typed == nullptr ? parse_label(chunk.cell(row, slot), config, place) : parse_label(*typed, row, config, place);
  }
}

void read_weights(const Chunk& chunk, int64_t slot, const DatasetConfig& config, float* out) {
  const TypedColumn* typed = chunk.flat_column(slot);
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    const Place place{chunk.file(), chunk.line(row)};
    out[row] = typed == nullptr ? parse_weight(chunk.cell(row, slot), config.weight, place)
                                : parse_weight(*typed, row, config.weight, place);
  }
}

void GroupNumbers::append(std::span<const Chunk> chunks, int64_t slot, std::vector<int32_t>& out) {
  std::vector<std::string_view> texts;
  for (const Chunk& chunk : chunks) {
    if (const TypedColumn* typed = chunk.flat_column(slot)) {
      ids_.begin(*typed);
      for (int64_t row = 0; row < chunk.rows(); ++row) {
        out.push_back(ids_.id(row, [&](std::string_view cell) { return static_cast<int32_t>(texts_.insert(cell)); }));
      }
      continue;
    }
    texts.clear();
    for (int64_t row = 0; row < chunk.rows(); ++row) texts.push_back(chunk.cell(row, slot));
    out.resize(out.size() + texts.size());
    texts_.insert(texts, out.data() + out.size() - texts.size());
  }
}

void share_out(const std::vector<int32_t>& numbers, std::span<Batch> batches) {
  auto begin = numbers.begin();
  for (Batch& batch : batches) {
    batch.groups.assign(begin, begin + batch.rows);
    begin += batch.rows;
  }
}

}  // namespace kdef::data
