#include "kdef/study/summary.h"

#include <algorithm>
#include <set>

namespace kdef {

std::string one_student_note() {
  return cat("One student is the same network in every kind of ensemble, except ",
             ensembles_where([](const EnsembleType& type) { return !type.one_student_is_plain(); }),
             ": it is trained once, as mean, and counts for all of them.");
}

// Information abundance of the last hidden layers, the mean over students; NaN where there are none.
static double mean_abundance(const CollapseReport& report) {
  std::vector<double> values;
  for (const CollapseReport::Entry& layer : report.last_layers())
    values.push_back(layer.spectrum.information_abundance);
  return statistic(values).mean;
}

Summary summarize(const std::vector<const RunRecord*>& finished, bool on_test) {
  Summary s;
  s.runs = finished.size();
  PerMetric<std::vector<double>> metrics;
  std::vector<double> mean, weakest, deviation, gain, distance, abundance, seconds, step_ms;
  for (const RunRecord* run : finished) {
    const Evaluation& e = on_test ? *run->test : *run->valid;
    for (const Metric& m : e.ensemble.measured()) metrics[m].push_back(e.ensemble[m]);
    if (ensemble_type(run->config.model.kind).trains_output_layers()) {
      const StudentSpread spread = student_spread(e);
      mean.push_back(spread.mean);
      weakest.push_back(spread.weakest);
      deviation.push_back(spread.deviation);
      gain.push_back(e.ensemble[main_metric(e)] - spread.mean);
      if (run->collapse && e.students.size() > 1) distance.push_back(run->collapse->mean_distance_to_ensemble);
    }
    if (run->collapse) abundance.push_back(mean_abundance(*run->collapse));
    if (!run->evaluations.empty()) {
      const TrainingListener::Evaluated& last = run->evaluations.back();
      seconds.push_back(last.seconds);
      step_ms.push_back(1000 * last.seconds / static_cast<double>(last.step));
    }
    s.parameters = run->parameters;
  }
  for (const Metric& m : metrics.metrics()) s.metrics[m] = statistic(metrics[m]);
  s.student_mean = statistic(mean);
  s.student_weakest = statistic(weakest);
  s.student_deviation = statistic(deviation);
  s.gain = statistic(gain);
  s.distance = statistic(distance);
  s.abundance = statistic(abundance);
  s.seconds = statistic(seconds);
  s.step_ms = statistic(step_ms);
  return s;
}

bool all_have_test(const std::vector<const RunRecord*>& finished) {
  return std::all_of(finished.begin(), finished.end(), [](const RunRecord* run) { return run->test.has_value(); });
}

MetricList measured_by(const std::vector<const Summary*>& summaries) {
  std::set<Metric> some;
  for (const Summary* s : summaries) {
    for (const Metric& m : s->metrics.metrics()) some.insert(m);
  }
  return some.empty() ? metrics_of(default_task()) : MetricList(some.begin(), some.end());
}

EnsembleKind trained_as(EnsembleKind kind, size_t students) {
  return students == 1 && ensemble_type(kind).one_student_is_plain() ? EnsembleKind::mean : kind;
}

}  // namespace kdef
