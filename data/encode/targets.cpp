#include "data/encode/targets.h"

#include <algorithm>

#include "core/base/error.h"
#include "data/raw/cells.h"

namespace kdef::data {

TargetSlots select_columns(RowSource& source, const std::vector<FieldConfig>& fields, const DatasetConfig& config,
                           Targets targets) {
  std::vector<std::string> names;
  for (const FieldConfig& field : fields) names.push_back(field.name);
  const auto slot_of = [&](const std::string& name) -> int64_t {
    if (name.empty()) return -1;
    const auto at = std::find(names.begin(), names.end(), name);
    if (at != names.end()) return at - names.begin();
    names.push_back(name);
    return static_cast<int64_t>(names.size()) - 1;
  };
  TargetSlots slots;
  if (targets != Targets::none) slots.label = slot_of(config.label);
  if (targets == Targets::all) {
    slots.weight = slot_of(config.weight);
    slots.group = slot_of(config.group);
  }
  source.select(names);
  return slots;
}

void read_labels(const Chunk& chunk, int64_t slot, const DatasetConfig& config, const std::string& path, float* out) {
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    out[row] = parse_label(chunk.cell(row, slot), config, {path, chunk.line(row)});
  }
}

void read_weights(const Chunk& chunk, int64_t slot, const DatasetConfig& config, const std::string& path, float* out) {
  for (int64_t row = 0; row < chunk.rows(); ++row) {
    out[row] = parse_weight(chunk.cell(row, slot), config.weight, {path, chunk.line(row)});
  }
}

void GroupNumbers::append(std::span<const Chunk> chunks, int64_t slot, std::vector<int32_t>& out) {
  std::vector<std::string_view> texts;
  for (const Chunk& chunk : chunks) {
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
