// Permutation importance (Breiman, "Random forests", 2001): how much worse a model predicts rows when the values of one
// field are shuffled among them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/schema.h"
#include "kdef/measure/evaluation.h"

namespace kdef {

struct FieldImportance {
  std::string name;
  /// Of each metric: the value with the field shuffled minus the value as it is, mean and standard deviation of the
  /// sample over the shuffles.
  PerMetric<double> change, deviation;
};

struct Importance {
  Quality quality;                      // of the ensemble, nothing shuffled
  std::vector<FieldImportance> fields;  // in the order of the model
  int64_t rows = 0, shuffles = 0;
  std::string data;  // where the rows come from: a file, or "validation rows"; set by the caller
};

/// `rows` have labels, and the columns of `map`. The field of every row gets the value of another row, by the same
/// `shuffles` permutations for all fields; a sequence moves as a whole. Fields that say the same share their
/// importance: each alone seems to matter less. Costs (fields * shuffles + 1) evaluations of the rows. `progress`:
/// share done.
Importance measure_importance(
    const Ensemble& model, const data::FeatureMap& map, const data::Batch& rows, int64_t batch_size, int64_t shuffles,
    uint64_t seed, const MetricList& metrics, const std::function<void(double)>& progress = [](double) {});

/// {"data":"..","rows":..,"shuffles":..,"quality":{..},"fields":[{"name":..,"change":{"auc":..},"deviation":{..}},..]}
std::string to_json(const Importance& importance);
/// Reads a file of that format. Throws InputError, which begins with the path, for one that is missing or damaged.
Importance read_importance(const std::string& path);

}  // namespace kdef
