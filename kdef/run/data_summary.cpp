#include "kdef/run/data_summary.h"

#include <algorithm>
#include <limits>

#include "kdef/measure/evaluation_json.h"
#include "kdef/run/warnings.h"

namespace kdef {
namespace {

// Of every column of ids, the share of rows without a value that has an id.
std::vector<double> unknown_shares(const data::FeatureMap& map, const std::optional<data::EncodedFile>& file) {
  UnknownValues unknown(map);
  for (int64_t row = 0; file && row < file->rows(); ++row) unknown.add(file->ids(row));
  return unknown.shares();
}

}  // namespace

std::vector<ColumnSummary> column_summaries(const data::PreparedData& data) {
  const data::FeatureMap& map = data.summary.map;
  const std::vector<double> valid = unknown_shares(map, data.valid), test = unknown_shares(map, data.test);
  std::vector<ColumnSummary> all;
  for (size_t f = 0; f < map.fields.size(); ++f) {
    const data::Field& field = map.fields[f];
    if (field.type == data::FieldType::numeric) continue;
    const size_t at = all.size();
    const int64_t seen = f < data.summary.seen.size() ? data.summary.seen[f] : -1;
    all.push_back({field.name, seen, std::max<int64_t>(0, field.vocab_size - 2), valid[at], test[at]});
  }
  return all;
}

std::string data_summary_json(const data::Prepared& prepared, const std::vector<ColumnSummary>& columns,
                              const Task& task) {
  const auto part = [&](int64_t rows, int64_t clicks) {
    Json json{{"rows", rows}};
    if (task.labels == data::LabelKind::click) json["clicks"] = clicks;
    return json;
  };
  Json json{{"train", part(prepared.train_rows, prepared.train_positives)},
            {"valid", part(prepared.valid_rows, prepared.valid_positives)},
            {"test", part(prepared.test_rows, prepared.test_positives)},
            {"columns", Json::array()}};
  for (const ColumnSummary& c : columns) {
    json["columns"].push_back({{"name", c.name},
                               {"seen", c.seen < 0 ? Json() : Json(c.seen)},
                               {"kept", c.kept},
                               {"valid_unknown", number_to_json(c.valid_unknown)},
                               {"test_unknown", number_to_json(c.test_unknown)}});
  }
  return json.dump() + "\n";
}

}  // namespace kdef
