// How good a model is on a data set: the metrics of every student and of the ensemble. Predictions are those of the
// engine, with the bits that a training records; a Scorer (kdef/serve/scorer.h) is faster and has others.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/feed/batching.h"
#include "kdef/measure/metric.h"
#include "kdef/method/ensemble.h"

namespace kdef {

struct Evaluation {
  Quality ensemble;
  std::vector<Quality> students;
  int64_t rows = 0, positives = 0;  // positives: labels above 1/2, which only clicks have
};

/// Predictions of a batch (Task::predict): [rows] of the ensemble, [rows, M] row-major of the students.
struct Probabilities {
  std::vector<float> ensemble, students;
};

/// Whether every element is a finite number.
bool is_finite(const Tensor& t);
/// The name of the model's first parameter or buffer with a value that is not finite; empty where all are finite. Where
/// tables are divided, all members of the group call it, and get the same name.
std::string first_bad_tensor(const Ensemble& model);

/// Predicts in evaluation mode, off the tape; the input may be on any device. Throws CheckError where a prediction is
/// not a number.
Probabilities predict(const Ensemble& model, const ModelInput& input);
/// The same where a prediction may be NaN: a row with numbers that are not finite, and no other row.
Probabilities predict_unchecked(const Ensemble& model, const ModelInput& input);

/// Measures a model on the batches that `next` gives (false: there are no more). No metrics: those of the model's task.
/// Where batches have weights, every metric is weighted. Memory: 4 (M + 2) bytes a row; on a
/// CUDA device about 4 (2 M + 8), where predictions stay until they are joined and measured.
Evaluation evaluate(const Ensemble& model, const std::function<bool(data::Batch&)>& next, const Measures& what = {});
/// The same in a group of processes, in which the `next` of every member gives all batches: a member predicts every
/// P-th of P members, and all get the evaluation of all rows, on the CPU with the bits of one process alone.
Evaluation evaluate_in_turn(const Ensemble& model, const std::function<bool(data::Batch&)>& next,
                            const Measures& what = {});
/// Measures a model on all rows of an encoded file, in their order. In a group of processes every member predicts some
/// of the batches, and all get the evaluation of the whole file, with the bits of one process alone. The tables of the
/// model may be divided among them.
Evaluation evaluate(const Ensemble& model, const data::EncodedFile& file, int64_t batch_size,
                    const Measures& what = {});

/// Measures a model on at most `rows` rows that are spread evenly over an encoded file. In a group of processes every
/// member does all of it.
Evaluation evaluate_sample(const Ensemble& model, const data::EncodedFile& file, int64_t rows, int64_t batch_size,
                           const Measures& what = {});

/// The metric of the task that is its label loss, or the root of it: log loss, RMSE.
Metric label_loss(const Task& task);

/// The metric that is shown where there is space for one: the first that was measured.
Metric main_metric(const Evaluation& evaluation);

/// A metric over the students: their mean, the value of the weakest student, and the standard deviation of the
/// population. NaN without students.
struct StudentSpread {
  double mean = 0, weakest = 0, deviation = 0;
};
StudentSpread student_spread(const Evaluation& evaluation, const Metric& metric);
/// Of the main metric.
StudentSpread student_spread(const Evaluation& evaluation);

/// {"ensemble":{"auc":..,"logloss":..},"students":[..]}: every metric that was measured, under its key. An undefined
/// value is null. Where bins were asked for, a model also has "calibration":[[share,predicted,observed],..].
std::string to_json(const Evaluation& evaluation);
/// The text of result.json: {"valid":..,"test":..}; without test data there is no "test".
std::string result_json(const Evaluation& valid, const Evaluation* test);

}  // namespace kdef
