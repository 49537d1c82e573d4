// What a model has to beat: the constant that predicts the click rate of the training rows, and a logistic regression.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "data/encode/cache.h"
#include "data/schema.h"
#include "kdef/measure/metric.h"

namespace kdef {

struct Baseline {
  struct Rows {
    Quality valid, test;  // test: empty where there are no test rows
  };
  Rows constant, logistic_regression;
  int64_t epochs = 0;  // after which the regression was best; one more was trained, where that made it worse
};

/// Trains the regression on the encoded rows of clicks, on the CPU, with one thread beside the one that reads. It has a
/// bias, a weight for every id of every field (a sequence has the mean of its ids' weights) and for every number, all
/// from 0. A row at a time, in the order of data::Loader with this seed, changes them by Adagrad: w <- w - r g /
/// sqrt(sum of g^2 so far). It stops after the first epoch that does not lower the log loss of the validation rows,
/// after kBaselineEpochs, or before an epoch where kBaselineRows have been passed, and keeps the best weights. Nothing
/// of it is shared with the training of a model. Memory: 16 bytes per id and 12 per validation row. `go_on` is told
/// once per batch which share of the epochs is done, at most; nothing is returned where it returns false.
std::optional<Baseline> measure_baseline(
    const data::FeatureMap& map, const data::EncodedFile& train, const data::EncodedFile& valid,
    const data::EncodedFile* test, const MetricList& metrics, uint64_t seed,
    const std::function<bool(double share)>& go_on = [](double) { return true; });

inline constexpr int64_t kBaselineEpochs = 10, kBaselineRows = 10'000'000;

/// {"constant":{"valid":{..},"test":{..}},"logistic_regression":{..},"epochs":..}; the same bytes in every run
std::string to_json(const Baseline& baseline);
/// Reads a file of that format. Throws InputError, which begins with the path, for one that is missing or damaged.
Baseline read_baseline(const std::string& path);

}  // namespace kdef
