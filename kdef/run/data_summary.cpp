#include "kdef/run/data_summary.h"

#include <algorithm>

#include "data/encode/feature_map.h"
#include "kdef/measure/evaluation_json.h"

namespace kdef {

DataSummary summarize_data(const data::Prepared& prepared, const UnknownRows& unknown, const Task& task) {
  DataSummary summary;
  const auto part = [&](DataSummary::Rows& to, int64_t rows, int64_t clicks) {
    to.rows = rows;
    if (task.labels == data::LabelKind::click) to.clicks = clicks;
  };
  part(summary.train, prepared.train_rows, prepared.train_positives);
  part(summary.valid, prepared.valid_rows, prepared.valid_positives);
  part(summary.test, prepared.test_rows, prepared.test_positives);
  const std::vector<double> valid = unknown.valid.shares(), test = unknown.test.shares();
  for (size_t f = 0; f < prepared.map.fields.size(); ++f) {
    const data::Field& field = prepared.map.fields[f];
    if (field.type == data::FieldType::numeric) continue;
    const size_t at = summary.columns.size();
    const int64_t seen = f < prepared.seen.size() ? prepared.seen[f] : -1;
    summary.columns.push_back({field.name, seen, std::max<int64_t>(0, field.vocab_size - 2), valid[at], test[at]});
  }
  return summary;
}

std::string to_json(const DataSummary& summary) {
  const auto part = [](const DataSummary::Rows& rows) {
    Json json{{"rows", rows.rows}};
    if (rows.clicks) json["clicks"] = *rows.clicks;
    return json;
  };
  Json json{{"train", part(summary.train)},
            {"valid", part(summary.valid)},
            {"test", part(summary.test)},
            {"columns", Json::array()}};
  for (const ColumnSummary& c : summary.columns) {
    json["columns"].push_back({{"name", c.name},
                               {"seen", c.seen < 0 ? Json() : Json(c.seen)},
                               {"kept", c.kept},
                               {"valid_unknown", number_to_json(c.valid_unknown)},
                               {"test_unknown", number_to_json(c.test_unknown)}});
  }
  return json.dump();
}

DataSummary read_data_summary(const std::string& path) {
  return parse_written(data::read_text(path), path, [](const Json& json) {
    DataSummary summary;
    const auto part = [&](const char* key, DataSummary::Rows& to) {
      const Json& rows = json.at(key);
      to.rows = count_from_json(rows.at("rows"), "rows");
      if (rows.contains("clicks")) to.clicks = count_from_json(rows.at("clicks"), "clicks");
    };
    part("train", summary.train);
    part("valid", summary.valid);
    part("test", summary.test);
    for (const Json& c : json.at("columns")) {
      const Json& seen = c.at("seen");
      summary.columns.push_back({c.at("name").get<std::string>(), seen.is_null() ? -1 : count_from_json(seen, "seen"),
                                 count_from_json(c.at("kept"), "kept"), number_from_json(c.at("valid_unknown")),
                                 number_from_json(c.at("test_unknown"))});
    }
    return summary;
  });
}

}  // namespace kdef
