#include "kdef/measure/importance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"
#include "data/encode/feature_map.h"
#include "kdef/measure/evaluation_json.h"

namespace kdef {
namespace {

// The columns of one field: of ids, or of numbers.
struct Columns {
  std::string name;
  int64_t first = 0, count = 1;
  bool ids = true;
};

std::vector<Columns> columns_of(const data::FeatureMap& map) {
  std::vector<Columns> all;
  int64_t ids = 0, numbers = 0;
  for (const data::Field& field : map.fields) {
    const bool is_number = field.type == data::FieldType::numeric;
    const int64_t count = field.type == data::FieldType::sequence ? field.max_len : 1;
    int64_t& at = is_number ? numbers : ids;
    all.push_back({field.name, at, count, !is_number});
    at += count;
  }
  return all;
}

template <class T>
void copy_columns(const std::vector<T>& from, int64_t row, std::vector<T>& to, int64_t at, int64_t width, int64_t first,
                  int64_t count) {
  std::copy_n(from.begin() + row * width + first, count, to.begin() + at * width + first);
}

// Fisher and Yates.
std::vector<int64_t> permutation(int64_t n, uint64_t seed, uint64_t stream) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, stream);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[random.below(i)]);
  }
  return order;
}

// The rows with the field `shuffled` (null: none) taken from the rows of `order`.
Quality quality_of(const Ensemble& model, const data::Batch& rows, int64_t batch_size, const Columns* shuffled,
                   const std::vector<int64_t>& order, const MetricList& metrics) {
  const auto width = [&](const auto& values) { return static_cast<int64_t>(values.size()) / rows.rows; };
  const int64_t ids = width(rows.ids), numbers = width(rows.numerics);
  const data::RowLayout layout{ids, numbers, !rows.weights.empty(), !rows.groups.empty()};
  int64_t at = 0;
  const auto next = [&](data::Batch& batch) {
    batch.resize(std::min(batch_size, rows.rows - at), layout);
    const auto part = [&](const auto& from, auto& to, int64_t columns) {
      std::copy_n(from.begin() + at * columns, batch.rows * columns, to.begin());
    };
    part(rows.ids, batch.ids, ids);
    part(rows.numerics, batch.numerics, numbers);
    part(rows.labels, batch.labels, 1);
    if (layout.weights) part(rows.weights, batch.weights, 1);
    if (layout.groups) part(rows.groups, batch.groups, 1);
    for (int64_t i = 0; i < batch.rows && shuffled != nullptr; ++i) {
      const int64_t other = order[static_cast<size_t>(at + i)];
      if (shuffled->ids) {
        copy_columns(rows.ids, other, batch.ids, i, ids, shuffled->first, shuffled->count);
      } else {
        copy_columns(rows.numerics, other, batch.numerics, i, numbers, shuffled->first, 1);
      }
    }
    at += batch.rows;
    return batch.rows > 0;
  };
  return evaluate(model, next, {metrics}).ensemble;
}

}  // namespace

Importance measure_importance(const Ensemble& model, const data::FeatureMap& map, const data::Batch& rows,
                              int64_t batch_size, int64_t shuffles, uint64_t seed, const MetricList& metrics,
                              const std::function<void(double)>& progress) {
  if (rows.rows == 0) throw InputError("importance: there are no rows to measure on");
  Importance result;
  result.rows = rows.rows;
  result.shuffles = shuffles;
  result.quality = quality_of(model, rows, batch_size, nullptr, {}, metrics);
  std::vector<std::vector<int64_t>> orders;
  for (int64_t s = 0; s < shuffles; ++s) orders.push_back(permutation(rows.rows, seed, static_cast<uint64_t>(s)));
  const std::vector<Columns> fields = columns_of(map);
  for (size_t f = 0; f < fields.size(); ++f) {
    FieldImportance& field = result.fields.emplace_back();
    field.name = fields[f].name;
    PerMetric<double> sum, squares;
    for (const std::vector<int64_t>& order : orders) {
      const Quality q = quality_of(model, rows, batch_size, &fields[f], order, metrics);
      for (const Metric& m : q.measured()) {
        const double change = q[m] - result.quality[m];
        sum[m] += change;
        squares[m] += change * change;
      }
      progress((static_cast<double>(f) + 1) / static_cast<double>(fields.size()));
    }
    const auto n = static_cast<double>(shuffles);
    for (const Metric& m : sum.metrics()) {
      const double mean = sum[m] / n;
      field.change[m] = mean;
      field.deviation[m] = shuffles < 2 ? std::numeric_limits<double>::quiet_NaN()
                                        : std::sqrt(std::max(0.0, (squares[m] - n * mean * mean) / (n - 1)));
    }
  }
  return result;
}

std::string to_json(const Importance& importance) {
  Json json{{"data", importance.data},
            {"rows", importance.rows},
            {"shuffles", importance.shuffles},
            {"quality", importance.quality},
            {"fields", Json::array()}};
  for (const FieldImportance& field : importance.fields) {
    Json change = Json::object(), deviation = Json::object();
    for (const Metric& m : field.change.metrics()) {
      change[m.key()] = number_to_json(std::as_const(field).change[m]);
      deviation[m.key()] = number_to_json(std::as_const(field).deviation[m]);
    }
    json["fields"].push_back({{"name", field.name}, {"change", change}, {"deviation", deviation}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);  // names of columns are bytes
}

Importance read_importance(const std::string& path) {
  return parse_written(data::read_text(path), path, [](const Json& json) {
    Importance i;
    i.data = json.value("data", "");
    i.rows = count_from_json(json.at("rows"), "rows");
    i.shuffles = count_from_json(json.at("shuffles"), "shuffles");
    json.at("quality").get_to(i.quality);
    for (const Json& field : json.at("fields")) {
      const auto read = [&](const char* key, PerMetric<double>& to) {
        const auto values = field.at(key).get<Quality>();
        for (const Metric& m : values.measured()) to[m] = values[m];
      };
      FieldImportance& f = i.fields.emplace_back();
      field.at("name").get_to(f.name);
      read("change", f.change);
      read("deviation", f.deviation);
    }
    return i;
  });
}

}  // namespace kdef
