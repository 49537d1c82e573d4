#include "kdef/measure/baseline.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/encode/feature_map.h"
#include "data/feed/batching.h"
#include "kdef/measure/evaluation_json.h"

namespace kdef {
namespace {

constexpr int64_t kBatch = 4096;  // rows that are read at a time; each row is a step
constexpr double kRate = 0.05;
constexpr double kFirstSquare = 1e-2;  // of a gradient, before the first one: bounds the first steps

// The labels, weights and groups of a file, for metrics.
struct Targets {
  std::vector<float> labels, weights;
  std::vector<int64_t> groups;
  explicit Targets(const data::EncodedFile& file) {
    for (int64_t row = 0; row < file.rows(); ++row) {
      labels.push_back(file.label(row));
      if (file.layout().weights) weights.push_back(file.weight(row));
      if (file.layout().groups) groups.push_back(file.group(row));
    }
  }
  Quality measured(const std::vector<double>& scores, const MetricList& metrics) const {
    return measure(scores, labels, weights, groups, {metrics, true});
  }
};

class Regression {
 public:
  Regression(const data::FeatureMap& map, const data::RowLayout& layout) : layout_(layout) {
    int64_t weights = 1;  // the bias is the first one
    int64_t column = 0;
    for (const data::Field& field : map.fields) {
      if (field.type == data::FieldType::numeric) continue;
      const int64_t count = field.type == data::FieldType::sequence ? field.max_len : 1;
      fields_.push_back({column, count, weights});
      column += count;
      weights += field.vocab_size;
    }
    numbers_ = weights;
    weights_.resize(static_cast<size_t>(weights + layout.numeric_columns));
    squares_.assign(weights_.size(), static_cast<float>(kFirstSquare));
  }

  void start_at(double click_rate) { weights_[0] = static_cast<float>(std::log(click_rate / (1 - click_rate))); }

  double predict(const int32_t* ids, const float* numbers) const {
    double z = static_cast<double>(weights_[0]);
    each(ids, numbers, [&](size_t at, double x) { z += x * static_cast<double>(weights_[at]); });
    return 1 / (1 + std::exp(-z));
  }

  // The gradient of the log loss to the logit is p - y.
  void step(const int32_t* ids, const float* numbers, double label, double weight) {
    const double slope = weight * (predict(ids, numbers) - label);
    const auto change = [&](size_t at, double x) {
      const double g = slope * x;
      squares_[at] += static_cast<float>(g * g);
      weights_[at] -= static_cast<float>(kRate * g / std::sqrt(static_cast<double>(squares_[at])));
    };
    change(0, 1);
    each(ids, numbers, change);
  }

  std::vector<double> predictions(const data::EncodedFile& file) const {
    std::vector<double> all(static_cast<size_t>(file.rows()));
    for (int64_t row = 0; row < file.rows(); ++row) {
      all[static_cast<size_t>(row)] = predict(file.ids(row), file.numerics(row));
    }
    return all;
  }

 private:
  struct Ids {
    int64_t column, count, first;  // of the row's ids; the first weight
  };
  // fn(weight, input) for every weight that a row has, but the bias. Id 0 is padding.
  template <class Fn>
  void each(const int32_t* ids, const float* numbers, Fn&& fn) const {
    for (const Ids& f : fields_) {
      const int32_t* begin = ids + f.column;
      const auto there = f.count - std::count(begin, begin + f.count, 0);
      for (int64_t i = 0; i < f.count; ++i) {
        if (begin[i] != 0) fn(static_cast<size_t>(f.first + begin[i]), 1.0 / static_cast<double>(there));
      }
    }
    for (int64_t i = 0; i < layout_.numeric_columns; ++i) {
      fn(static_cast<size_t>(numbers_ + i), static_cast<double>(numbers[i]));
    }
  }

  data::RowLayout layout_;
  std::vector<Ids> fields_;
  int64_t numbers_ = 0;  // the first weight of a number
  std::vector<float> weights_, squares_;
};

double click_rate_of(const data::EncodedFile& file) {
  double clicks = 0, weights = 0;
  for (int64_t row = 0; row < file.rows(); ++row) {
    const double weight = file.layout().weights ? static_cast<double>(file.weight(row)) : 1;
    clicks += weight * static_cast<double>(file.label(row));
    weights += weight;
  }
  constexpr double kNever = 1e-7;  // the log loss of a constant is finite
  return std::clamp(weights > 0 ? clicks / weights : 0.5, kNever, 1 - kNever);
}

}  // namespace

std::optional<Baseline> measure_baseline(const data::FeatureMap& map, const data::EncodedFile& train,
                                         const data::EncodedFile& valid, const data::EncodedFile* test,
                                         const MetricList& metrics, uint64_t seed,
                                         const std::function<bool(double share)>& go_on) {
  Baseline result;
  const Targets valid_targets(valid);
  const Metric log_loss = metric_of_key("logloss");
  const double click_rate = click_rate_of(train);
  Regression model(map, train.layout()), best = model;
  model.start_at(click_rate);
  best.start_at(click_rate);
  double lowest =
      valid_targets.measured(std::vector<double>(valid_targets.labels.size(), click_rate), {log_loss})[log_loss];
  data::Loader loader(train, kBatch, true, seed);
  data::Batch batch;
  int64_t rows = 0;
  for (; result.epochs < kBaselineEpochs && rows < kBaselineRows; ++result.epochs) {
    loader.start_epoch(result.epochs);
    while (loader.next(batch)) {
      rows += batch.rows;
      const auto most = static_cast<double>(std::clamp(kBaselineRows, train.rows(), kBaselineEpochs * train.rows()));
      if (!go_on(std::min(1.0, static_cast<double>(rows) / most))) return std::nullopt;
      for (int64_t row = 0; row < batch.rows; ++row) {
        const auto r = static_cast<size_t>(row);
        model.step(batch.ids.data() + row * train.id_columns(), batch.numerics.data() + row * train.numeric_columns(),
                   static_cast<double>(batch.labels[r]),
                   batch.weights.empty() ? 1 : static_cast<double>(batch.weights[r]));
      }
    }
    const double loss = valid_targets.measured(model.predictions(valid), {log_loss})[log_loss];
    if (!(loss < lowest)) break;
    lowest = loss;
    best = model;
  }
  const auto fill = [&](const data::EncodedFile& file, const Targets& targets, Quality Baseline::Rows::*part) {
    result.constant.*part = targets.measured(std::vector<double>(targets.labels.size(), click_rate), metrics);
    result.logistic_regression.*part = targets.measured(best.predictions(file), metrics);
  };
  fill(valid, valid_targets, &Baseline::Rows::valid);
  if (test != nullptr && test->rows() > 0) fill(*test, Targets(*test), &Baseline::Rows::test);
  return result;
}

Baseline read_baseline(const std::string& path) {
  return parse_written(data::read_text(path), path, [](const Json& json) {
    Baseline b;
    const auto rows = [&](const char* key, Baseline::Rows& to) {
      json.at(key).at("valid").get_to(to.valid);
      if (json.at(key).contains("test")) json.at(key).at("test").get_to(to.test);
    };
    rows("constant", b.constant);
    rows("logistic_regression", b.logistic_regression);
    b.epochs = count_from_json(json.at("epochs"), "epochs");
    return b;
  });
}

std::string to_json(const Baseline& baseline) {
  const auto rows = [](const Baseline::Rows& r) {
    Json json{{"valid", r.valid}};
    if (!r.test.measured().empty()) json["test"] = r.test;
    return json;
  };
  return Json{{"constant", rows(baseline.constant)},
              {"logistic_regression", rows(baseline.logistic_regression)},
              {"epochs", baseline.epochs}}
      .dump();
}

}  // namespace kdef
