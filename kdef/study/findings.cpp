#include "kdef/study/findings.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/names.h"
#include "core/base/text.h"
#include "kdef/study/comparison.h"
#include "kdef/study/difference.h"
#include "kdef/study/html.h"
#include "kdef/study/labels.h"
#include "kdef/study/plot.h"

namespace kdef {
namespace {

using plot::escape;
using plot::fixed;

constexpr double kConfidence = 0.95;  // of all intervals of a paragraph together

std::string in_bold(const std::string& html) { return cat("<strong>", html, "</strong>"); }

std::string seeds_text(size_t runs) { return runs == 1 ? "one seed" : cat("mean of ", runs, " seeds"); }

// The group with the best mean, but `without`.
const RunGroup* best_of(const std::vector<const RunGroup*>& groups, const Metric& metric,
                        const RunGroup* without = nullptr) {
  const RunGroup* best = nullptr;
  for (const RunGroup* g : groups) {
    const double mean = g->summary.metrics[metric].mean;
    if (g == without || !std::isfinite(mean)) continue;
    if (best == nullptr || metric.better(mean, best->summary.metrics[metric].mean)) best = g;
  }
  return best;
}

// Compares the best group with others.
class Comparer {
 public:
  Comparer(const std::vector<const RunGroup*>& finished, const Metric& metric)
      : metric_(metric), comparisons_(static_cast<double>(finished.size() - 1)) {
    std::vector<double> deviations;
    for (const RunGroup* g : finished) deviations.push_back(g->summary.metrics[metric].deviation);
    decimals_ = html::shown_decimals(metric, deviations);
  }
  std::string mean(const RunGroup& g) const { return fixed(g.summary.metrics[metric_].mean, decimals_); }

  // "0.0095 better than one network (0.7343): more than the noise of seeds, ..."
  std::string sentence(const RunGroup& best, const RunGroup& other, const std::string& other_html) const {
    const auto values = [&](const RunGroup& g) {
      std::vector<double> judged;
      for (const double v : g.summary.metrics[metric_].values) judged.push_back(metric_.judged(v));
      return judged;
    };
    const bool higher = metric_.higher_is_better();
    const Difference d = difference_of_means(values(higher ? best : other), values(higher ? other : best),
                                             1 - (1 - kConfidence) / std::max(1.0, comparisons_));
    std::string text = cat(fixed(d.value, decimals_), " better than ", other_html, " (", mean(other), ")");
    if (best.summary.runs < 2) return text + ".";  // said once for all, by finding()
    if (!d.has_interval())
      return text + ": whether this is more than the noise of seeds cannot be said, since that has one seed only.";
    return cat(text, ": ", d.is_more_than_noise() ? "more" : "not more", " than the noise of seeds (interval ",
               fixed(d.low, decimals_), " to ", html::signed_fixed(d.high, decimals_), ").");
  }

 private:
  Metric metric_;
  double comparisons_;
  int decimals_ = 0;
};

// How a model does beside another in the metrics that both have: "better in AUC, worse in log loss".
std::string beside(const Quality& model, const Quality& other) {
  std::vector<std::string> better, worse;
  for (const Metric& m : html::drawn(model.measured())) {
    if (m.better(model[m], other[m])) better.push_back(m.title());
    if (m.better(other[m], model[m])) worse.push_back(m.title());
  }
  if (better.empty() && worse.empty()) return "as good";
  if (worse.empty()) return cat("better in ", joined(better));
  if (better.empty()) return cat("worse in ", joined(worse));
  return cat("better in ", joined(better), ", worse in ", joined(worse));
}

std::string qualities(const Quality& q) {
  std::string text;
  for (const Metric& m : html::drawn(q.measured()))
    text += cat(text.empty() ? "" : ", ", m.title(), " ", fixed(q[m], html::shown_decimals(m)));
  return text;
}

std::string unfinished(const RunRecord& run) {
  std::string text =
      in_bold(run.running ? "This training is running." : "This training has not finished.") + " The page shows ";
  if (run.evaluations.empty()) return text + "no evaluation yet.";
  const TrainingListener::Evaluated& last = run.evaluations.back();
  const Metric main = main_metric(last.valid);
  double best = std::nan("");
  for (const auto& e : run.evaluations) {
    const double value = e.valid.ensemble[main];
    if (std::isnan(best) || main.better(value, best)) best = value;
  }
  return cat(text, "what it had written after epoch ", last.epoch, " of at most ", run.config.training.epochs,
             " (step ", grouped(last.step), "); the best validation ", main.title(), " so far is ",
             fixed(best, html::shown_decimals(main)), ".");
}

}  // namespace

std::string finding(const std::vector<RunGroup>& groups) {
  std::vector<const RunGroup*> finished;
  for (const RunGroup& g : groups) {
    if (g.summary.runs > 0) finished.push_back(&g);
  }
  if (finished.empty()) return "<p class=\"finding\">No run has finished yet.</p>";
  const MetricList metrics = measured_in(groups);
  const Metric main = metrics[0];
  const RunGroup* best = best_of(finished, main);
  if (best == nullptr) return cat("<p class=\"finding\">No run has a value of ", main.title(), ".</p>");
  const Comparer by(finished, main);
  std::string text = cat("<p class=\"finding\">",
                         in_bold(cat(escape(group_label(*best)), finished.size() > 1 ? " has the best " : " has a ",
                                     data_name(groups), " ", main.title(), ": ", by.mean(*best))),
                         " (", seeds_text(best->summary.runs), ").");
  const RunGroup* next = best_of(finished, main, best);
  if (next == nullptr) return text + "</p>";
  text += cat(" It is ", by.sentence(*best, *next, "the next best, " + escape(group_label(*next))));
  std::vector<const RunGroup*> networks;
  std::copy_if(finished.begin(), finished.end(), std::back_inserter(networks),
               [](const RunGroup* g) { return is_one_network(g->kind, g->students); });
  const RunGroup* network = best_of(networks, main);
  const bool is_ensemble = best->students > 1;
  if (network == best && networks.size() < finished.size()) text += " No ensemble is better than one network.";
  if (network != nullptr && network != best && network != next && is_ensemble)
    text += cat(" It is ", by.sentence(*best, *network, "one network"));
  if (metrics.size() > 1) {
    const RunGroup* other = best_of(finished, metrics[1]);
    if (other == best) text += cat(" It has the best ", metrics[1].title(), ", too.");
    if (other != nullptr && other != best)
      text += cat(" The best ", metrics[1].title(), " is that of ", escape(group_label(*other)), ".");
  }
  if (best->summary.runs < 2) {
    return text +
           " The best line has one seed only: whether a difference is more than the noise of seeds cannot be said.</p>";
  }
  return cat(text,
             "</p><p class=\"unit\">Intervals are of the difference of the means: Welch\u2019s t test at 95 %, for ",
             finished.size() > 2 ? cat("all ", finished.size() - 1, " comparisons with the best line together") : "it",
             ". If 0 is in an interval, seeds alone could make the difference.</p>");
}

std::string finding(const RunRecord& run, bool alone) {
  if (!run.finished()) return run.is_trained_here() ? cat("<p class=\"finding\">", unfinished(run), "</p>") : "";
  const Evaluation& e = run.best();
  const Metric main = main_metric(e);
  const int decimals = html::shown_decimals(main);
  std::string text =
      cat("<p class=\"finding\">", in_bold(cat(run.test ? "Test " : "Validation ", qualities(e.ensemble))), ".");
  if (run.baseline) {
    const Baseline::Rows& regression = run.baseline->logistic_regression;
    const Quality& q = run.test ? regression.test : regression.valid;
    if (!q.measured().empty())
      text += cat(" Compared with a logistic regression it is ", beside(e.ensemble, q), " (", main.title(), " ",
                  fixed(q[main], decimals), ").");
  }
  if (e.students.size() > 1 && ensemble_type(run.config.model.kind).trains_output_layers()) {
    const double gain = main.judged(e.ensemble[main]) - main.judged(student_spread(e).mean);
    const bool better = main.higher_is_better() ? gain > 0 : gain < 0;
    text += cat(" The ensemble is ", fixed(std::abs(gain), decimals), better ? " better" : " worse", " in ",
                main.title(), " than its students\u2019 mean.");
  }
  if (alone) {
    text +=
        " This is one seed: how much of a difference is the noise of seeds, only runs with other seeds can tell "
        "(<code>kdef sweep</code>).";
  }
  return text + "</p>";
}

}  // namespace kdef
