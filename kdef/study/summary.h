// Runs that differ in their seed alone, as means and standard deviations; and what one student is. Sweeps and reports
// print these figures.
#pragma once

#include <optional>
#include <vector>

#include "kdef/run/record.h"

namespace kdef {

/// Figures over the finished runs of one group. Deviations are those of the sample, NaN for one run. Undefined values
/// do not count.
struct Summary {
  size_t runs = 0;
  PerMetric<Statistic> metrics;  // of the ensemble, for each metric that some run has measured
  /// The main metric over the students of a run (student_spread), then over runs; and the ensemble's value minus its
  /// students' mean. All are NaN for ensembles whose students' output layers are not trained.
  Statistic student_mean, student_weakest, student_deviation, gain;
  /// CollapseReport::mean_distance_to_ensemble, the mean of |p_m - q|. NaN for one student, and where output layers are
  /// not trained.
  Statistic distance;
  Statistic abundance;  // information abundance of the last hidden layer, mean over students
  Statistic seconds;    // of training
  Statistic step_ms;    // the same per step, in milliseconds; evaluations are included
  std::optional<int64_t> parameters;
};

/// Summarizes finished runs of one kind of ensemble. `on_test`: on the test data, which all must have; otherwise on the
/// validation data.
Summary summarize(const std::vector<const RunRecord*>& finished, bool on_test);

/// Whether all of the runs have an evaluation on test data, so that they can be compared on it.
bool all_have_test(const std::vector<const RunRecord*>& finished);

/// The metrics of all summaries, in their order; the default metrics if there are none.
MetricList measured_by(const std::vector<const Summary*>& summaries);

/// The kind as which an ensemble is trained. One student is the same network in every kind with
/// one_student_is_plain(): the ensemble is the student, and what an objective adds to the label loss has gradient 0. It
/// is trained once, as mean. Separate trainings would differ slightly where batch normalisation is used: the biases
/// before it have gradient zero up to rounding, which Adam scales up to full steps.
EnsembleKind trained_as(EnsembleKind kind, size_t students);
/// The same as a sentence for readers of tables and pages.
std::string one_student_note();

}  // namespace kdef
