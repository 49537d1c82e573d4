// Quality of a model on a data set: AUC and log loss of every student and of the ensemble.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/feed/batching.h"
#include "kdef/method/ensemble.h"

namespace kdef {

/// AUC is NaN where it is undefined: labels of one class only.
struct Quality {
  double auc = 0;
  double logloss = 0;
};

struct Evaluation {
  Quality ensemble;
  std::vector<Quality> students;
  int64_t rows = 0, positives = 0;
};

/// Probabilities of a batch: [rows] of the ensemble, [rows, M] row-major of the students.
struct Probabilities {
  std::vector<float> ensemble, students;
};

/// Whether every element is a finite number.
bool is_finite(const Tensor& t);
/// Name of the model's first parameter or buffer that is not finite; empty where all are.
std::string first_bad_tensor(const Ensemble& model);

/// In evaluation mode, off the tape; the input may be on any device. Throws CheckError where a prediction is not a
/// number.
Probabilities predict(const Ensemble& model, const ModelInput& input);

/// Feeds batches from `next` (false: no more) through the model. Memory: 4 (M + 2) bytes a row; on a CUDA device
/// about 4 (2 M + 8), for predictions stay there until they are joined and measured.
Evaluation evaluate(const Ensemble& model, const std::function<bool(data::Batch&)>& next);
/// All rows of an encoded file, in their order.
Evaluation evaluate(const Ensemble& model, const data::EncodedFile& file, int64_t batch_size);

/// AUC over students: mean, least, and standard deviation of the population. NaN without students.
struct StudentSpread {
  double mean, least, deviation;
};
StudentSpread student_spread(const Evaluation& evaluation);

/// {"ensemble":{"auc":..,"logloss":..},"students":[..]}; an undefined AUC is null.
std::string to_json(const Evaluation& evaluation);
/// The text of result.json: {"valid":..} and, where there is test data, "test".
std::string result_json(const Evaluation& valid, const Evaluation* test);

}  // namespace kdef
