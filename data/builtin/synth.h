// Synthetic click logs from a seed: Zipf-distributed ids, and a known probability of a click that follows from single
// fields, pairs and triples of fields. The same configuration gives the same bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/encode/prepare.h"
#include "data/schema.h"

namespace kdef::data {

struct SynthConfig {
  /// "default" (ten fields: categorical, one sequence, two numeric), "criteo", "ml-1m", or the path of a feature map.
  /// The named ones have the columns and the numbers of distinct values of the published data sets; "criteo-small" has
  /// at most 2,001 of them in a column.
  std::string shape = "default";
  int64_t rows = 300000;  // of train, valid and test together, 8 : 1 : 1
  uint64_t seed = 2024;
  std::string out_dir;
  bool overwrite = false;      // replace files of these names in out_dir; false: their presence is an InputError
  double signal = 1.85;        // standard deviation of the true logit; a larger one leaves less noise in the labels
  double positive_rate = 0.3;  // expected share of clicks
};

struct SynthResult {
  DatasetConfig dataset;  // as dataset_config.yaml has it
  int64_t train_rows = 0, valid_rows = 0, test_rows = 0;
  // The true logit and the label of every test row. No model is better than these logits in expectation.
  std::vector<double> test_logits;
  std::vector<float> test_labels;
};

/// The feature map of a data set of this shape if every value has an id.
FeatureMap shape_feature_map(const std::string& shape);

/// Writes train.csv, valid.csv, test.csv, dataset_config.yaml and model_config.yaml into `config.out_dir`.
/// The true logit is a sum over fields of a normal effect of the field's value, over planted pairs and triples of
/// fields of sum_d u_d v_d (w_d) with normal latent vectors of the values, shifted and scaled to positive_rate and
/// signal.
SynthResult synthesize(const SynthConfig& config, const std::function<void(const Progress&)>& progress = {});

}  // namespace kdef::data
