#include "kdef/measure/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "core/base/first_member.h"
#include "core/base/integers.h"
#include "core/tensor/collectives.h"
#include "kdef/measure/evaluation_json.h"
#include "ops/elementwise.h"
#if defined(KDEF_HAS_CUDA)
#include "kdef/method/batch_feed.h"
#include "ops/layout.h"
#include "ops/reduce.h"
#endif

namespace kdef {

bool is_finite(const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return true;
  const Tensor t = tensor.to(kCpu);
  if (t.dtype() == DType::bf16) {
    const std::vector<BFloat16> x = t.to_vector<BFloat16>();
    return std::all_of(x.begin(), x.end(), [](BFloat16 v) { return std::isfinite(from_bf16(v)); });
  }
  return for_float(t.dtype(), "finite", [&]<class T>() {
    const T* x = t.data<T>();
    return std::all_of(x, x + t.numel(), [](T v) { return std::isfinite(v); });
  });
}

static std::string first_bad_of(const std::vector<nn::Parameter>& parameters, const std::vector<nn::Buffer>& buffers) {
  for (const nn::Parameter& p : parameters) {
    if (!is_finite(p.tensor)) return cat("parameter ", p.name);
  }
  for (const nn::Buffer& b : buffers) {
    if (!is_finite(b.tensor)) return cat("buffer ", b.name);
  }
  return "";
}

std::string first_bad_tensor(const Ensemble& model) {
  const std::string bad = first_bad_of(model.owned_parameters(), model.buffers());
  return model.divided() == nullptr ? bad : first_text(model.divided()->group(), bad);
}

[[noreturn]] static void refuse_not_a_number(const Ensemble& model) {
  const std::string culprit = first_bad_tensor(model);
  throw CheckError(cat("a prediction is not a number; ",
                       culprit.empty() ? "the model's tensors are finite" : cat("first bad tensor: ", culprit),
                       "; lower learning_rate, or check the numeric fields of the data"));
}

static bool has_nan(const std::vector<float>& values) {
  return std::any_of(values.begin(), values.end(), [](float x) { return std::isnan(x); });
}

Probabilities predict_unchecked(const Ensemble& model, const ModelInput& input) {
  const NoGrad no_grad;
  const Ensemble::Output output = model.forward(input.to(model.device()), {});
  const Task& task = model.task();
  const auto numbers = [&](const Tensor& logits) { return task.predict(logits).to(DType::f32).to_vector<float>(); };
  return {numbers(output.ensemble), numbers(output.students)};
}

Probabilities predict(const Ensemble& model, const ModelInput& input) {
  Probabilities p = predict_unchecked(model, input);
  if (has_nan(p.ensemble) || has_nan(p.students)) refuse_not_a_number(model);
  return p;
}

// The numbers of all members, in the order of the ranks.
template <class T>
static void gather(Group& group, std::vector<T>& numbers) {
  if (group.is_alone()) return;
  numbers = gather_rows(group, Tensor::from(numbers, {static_cast<int64_t>(numbers.size())})).template to_vector<T>();
}

// In which order the batches of a group come. `in_turn`: batch b is predicted by member b mod P; otherwise the batches
// of a member follow each other, those of the first member first.
enum class BatchOrder { by_rank, in_turn };

// The rows of all members, from the order of the ranks into that of the batches.
class RowOrder {
 public:
  // `mine`: the rows of each batch of this member.
  RowOrder(Group& group, std::vector<int64_t> mine, BatchOrder order) {
    if (group.is_alone() || order == BatchOrder::by_rank) return;
    std::vector<int64_t> counts = {static_cast<int64_t>(mine.size())};
    gather(group, counts);
    gather(group, mine);
    std::vector<Batches> members;
    size_t batch = 0;
    int64_t row = 0;
    for (const int64_t count : counts) {
      Batches& member = members.emplace_back();
      for (int64_t i = 0; i < count; row += mine[batch++], ++i) member.push_back({row, mine[batch]});
    }
    for (size_t b = 0; b < members[0].size(); ++b) {
      for (const Batches& member : members) {
        if (b < member.size()) batches_.push_back(member[b]);
      }
    }
  }

  template <class T>
  void apply(std::vector<T>& rows) const {
    if (batches_.empty() || rows.empty()) return;
    std::vector<T> sorted;
    sorted.reserve(rows.size());
    for (const auto& [first, count] : batches_) {
      const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(first);
      sorted.insert(sorted.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
    }
    rows = std::move(sorted);
  }

 private:
  using Batches = std::vector<std::pair<int64_t, int64_t>>;  // first row, rows
  Batches batches_;                                          // empty: the rows stay as they are
};

#if defined(KDEF_HAS_CUDA)
// Unlike on the CPU, the host does not wait for a batch: predictions stay on the device until they are measured.
static Evaluation evaluate_on_device(const Ensemble& model, const std::function<bool(data::Batch&)>& next,
                                     const Measures& what, Group& group) {
  const NoGrad no_grad;
  const size_t m = model.student_count();
  const int64_t ids = model.embedding().id_columns(), values = model.embedding().value_columns();
  Evaluation result;
  double counts[2] = {0, 0};  // rows, positives
  std::unique_ptr<BatchFeed> feed;
  int64_t capacity = 0;
  std::vector<Tensor> scores, labels, weights;  // of each batch; scores [rows, M + 1], the ensemble's last
  std::vector<int64_t> groups;
  data::Batch batch;
  while (next(batch)) {
    if (batch.rows > capacity) {
      capacity = batch.rows;
      feed = std::make_unique<BatchFeed>(model.device(), capacity, ids, values, !batch.weights.empty());
    }
    const ModelInput input = feed->put(batch);
    const Ensemble::Output output = model.forward(input, {});
    scores.push_back(model.task().predict(ops::concat({output.students, output.ensemble}, 1)));
    labels.push_back(input.labels.clone());
    if (input.weights.defined()) weights.push_back(input.weights.clone());
    groups.insert(groups.end(), batch.groups.begin(), batch.groups.end());
    counts[0] += static_cast<double>(batch.rows);
    KDEF_CHECK(static_cast<int64_t>(batch.labels.size()) == batch.rows, "evaluate: ", batch.rows, " rows with ",
               batch.labels.size(), " labels");
    for (float y : batch.labels) counts[1] += y > 0.5f;
  }
  group.all_reduce(std::span(counts));
  result.rows = static_cast<int64_t>(counts[0]);
  result.positives = static_cast<int64_t>(counts[1]);
  const auto all = [&](const std::vector<Tensor>& parts, int64_t columns) {
    return gather_rows(group,
                       parts.empty() ? Tensor::empty({0, columns}, DType::f32, model.device()) : ops::concat(parts, 0));
  };
  const Tensor all_scores = all(scores, static_cast<int64_t>(m) + 1);
  if (result.rows > 0) {
    for (float sum : ops::sum(all_scores, 0, false).to_vector<float>()) {
      if (std::isnan(sum)) refuse_not_a_number(model);  // a sum is NaN where a score is
    }
  }
  // A member of a group that has no batch learns from the others whether rows have weights.
  const Tensor all_weights = all(weights, 1);
  gather(group, groups);
  const Tensor all_groups = groups.empty() ? Tensor() : Tensor::from(groups, {result.rows});
  result.students = measure_columns(all_scores, all(labels, 1), all_weights.shape()[0] == 0 ? Tensor() : all_weights,
                                    all_groups, what);
  result.ensemble = result.students.back();
  result.students.pop_back();
  return result;
}
#endif

// Predicts the rows that this member's `next` gives. Measures the rows of all members.
static Evaluation evaluate_rows(const Ensemble& model, const std::function<bool(data::Batch&)>& next,
                                const Measures& asked, Group& group, BatchOrder order = BatchOrder::by_rank) {
  Measures what = asked;
  if (what.metrics.empty()) what.metrics = metrics_of(model.task());
  what.calibration = asked.calibration && model.task().labels == data::LabelKind::click;
#if defined(KDEF_HAS_CUDA)
  if (!model.device().is_cpu()) return evaluate_on_device(model, next, what, group);
#endif
  const size_t m = model.student_count();
  const int64_t ids = model.embedding().id_columns(), values = model.embedding().value_columns();
  std::vector<std::vector<float>> scores(m + 1);  // the students', then the ensemble's
  std::vector<float> labels, weights;
  std::vector<int64_t> groups, batch_rows;
  data::Batch batch;
  while (next(batch)) {
    batch_rows.push_back(batch.rows);
    const Probabilities p = predict_unchecked(model, model.fetched(model_input(batch, ids, values)));
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
    weights.insert(weights.end(), batch.weights.begin(), batch.weights.end());
    groups.insert(groups.end(), batch.groups.begin(), batch.groups.end());
    scores[m].insert(scores[m].end(), p.ensemble.begin(), p.ensemble.end());
    for (size_t b = 0; b < static_cast<size_t>(batch.rows); ++b) {
      for (size_t k = 0; k < m; ++k) scores[k].push_back(p.students[b * m + k]);
    }
  }
  const RowOrder rows(group, batch_rows, order);
  const auto bring_together = [&](auto& column) {
    gather(group, column);
    rows.apply(column);
  };
  bring_together(labels);
  bring_together(weights);
  bring_together(groups);
  for (std::vector<float>& column : scores) {
    bring_together(column);
    if (has_nan(column)) refuse_not_a_number(model);  // in all members alike
  }
  Evaluation result;
  result.rows = static_cast<int64_t>(labels.size());
  for (float y : labels) result.positives += y > 0.5f;
  for (size_t k = 0; k <= m; ++k) {
    const std::vector<double> s(scores[k].begin(), scores[k].end());
    (k < m ? result.students.emplace_back() : result.ensemble) = measure(s, labels, weights, groups, what);
  }
  return result;
}

Evaluation evaluate(const Ensemble& model, const std::function<bool(data::Batch&)>& next, const Measures& what) {
  return evaluate_rows(model, next, what, Group::alone());
}

Evaluation evaluate_in_turn(const Ensemble& model, const std::function<bool(data::Batch&)>& next,
                            const Measures& what) {
  Group& group = Group::current();
  const GroupScope by_itself(Group::alone());  // a member predicts its batches without the others
  int64_t batches = 0;
  const auto mine = [&](data::Batch& batch) {
    while (next(batch)) {
      if (batches++ % group.size() == group.rank()) return true;
    }
    return false;
  };
  return evaluate_rows(model, mine, what, group, BatchOrder::in_turn);
}

Evaluation evaluate(const Ensemble& model, const data::EncodedFile& file, int64_t batch_size, const Measures& what) {
  Group& group = Group::current();
  const GroupScope by_itself(Group::alone());  // a member predicts its batches without the others
  data::Loader loader(file, batch_size, false, 0);
  const data::BatchPart part{group.rank(), group.size()};  // of the list of batches
  const int64_t mine = part.last(loader.steps_per_epoch()) - part.first(loader.steps_per_epoch());
  loader.start_epoch(0, part.first(loader.steps_per_epoch()));
  int64_t done = 0;
  const auto next = [&](data::Batch& batch) {
    if (done < mine) return ++done, loader.next(batch);
    // Members with a batch more ask this one for rows of divided tables.
    for (; done < divide_up(loader.steps_per_epoch(), group.size()); ++done) model.fetched({});
    return false;
  };
  return evaluate_rows(model, next, what, group);
}

Evaluation evaluate_sample(const Ensemble& model, const data::EncodedFile& file, int64_t rows, int64_t batch_size,
                           const Measures& what) {
  const GroupScope by_itself(Group::alone());
  const int64_t count = std::min(rows, file.rows());
  int64_t at = 0;
  const auto next = [&](data::Batch& batch) {
    batch.resize(std::min(batch_size, count - at), file.layout());
    for (int64_t i = 0; i < batch.rows; ++i) {
      data::copy_row(file, (at + i) * (file.rows() / count) + (at + i) * (file.rows() % count) / count, batch, i);
    }
    at += batch.rows;
    return batch.rows > 0;
  };
  return evaluate(model, next, what);
}

Metric label_loss(const Task& task) {
  const MetricList all = metrics_of(task);
  return *std::find_if(all.begin(), all.end(), [](const Metric& m) { return !m.higher_is_better(); });
}

Metric main_metric(const Evaluation& evaluation) {
  const MetricList measured = evaluation.ensemble.measured();
  return measured.empty() ? Metric(kMetrics[0]) : measured[0];
}

StudentSpread student_spread(const Evaluation& evaluation, const Metric& metric) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (evaluation.students.empty()) return {kNone, kNone, kNone};
  const double count = static_cast<double>(evaluation.students.size());
  double sum = 0, weakest = kNone, squares = 0;
  for (const Quality& q : evaluation.students) {
    sum += q[metric];
    if (std::isnan(weakest) || metric.better(weakest, q[metric])) weakest = q[metric];
  }
  for (const Quality& q : evaluation.students) squares += (q[metric] - sum / count) * (q[metric] - sum / count);
  return {sum / count, weakest, std::sqrt(squares / count)};
}

StudentSpread student_spread(const Evaluation& evaluation) {
  return student_spread(evaluation, main_metric(evaluation));
}

void to_json(Json& json, const Quality& quality) {
  json = Json::object();
  for (const Metric& m : quality.measured()) json[m.key()] = number_to_json(quality[m]);
  for (const CalibrationBin& bin : quality.calibration) {
    json["calibration"].push_back({bin.share, bin.predicted, bin.observed});
  }
}

// At most kCalibrationBins of them, with numbers in [0, 1], which rounding may exceed.
static std::vector<CalibrationBin> bins_from_json(const Json& json) {
  std::vector<CalibrationBin> bins;
  const auto share = [](const Json& v) { return v.is_number() && v.get<double>() >= 0 && v.get<double>() <= 1 + 1e-6; };
  for (const Json& bin : json) {
    const bool fits = bin.is_array() && bin.size() == 3 && std::all_of(bin.begin(), bin.end(), share);
    if (!fits || bins.size() == kCalibrationBins) {
      throw InputError(cat("calibration: expected at most ", kCalibrationBins,
                           " lists of three numbers from 0 to 1: share of the rows, mean prediction, click rate"));
    }
    bins.push_back({bin[0].get<double>(), bin[1].get<double>(), bin[2].get<double>()});
  }
  return bins;
}

void from_json(const Json& json, Quality& quality) {
  constexpr size_t kMost = 100;  // metrics; a report draws each
  quality = {};
  if (!json.is_object()) throw InputError("an evaluation: expected a map from metrics to values");
  for (const auto& [key, value] : json.items()) {
    if (const std::optional<Metric> metric = find_metric_key(key)) quality.set(*metric, number_from_json(value));
  }
  if (quality.measured().size() > kMost) throw InputError(cat("an evaluation: has more than ", kMost, " metrics"));
  if (json.contains("calibration")) quality.calibration = bins_from_json(json.at("calibration"));
}

void to_json(Json& json, const Evaluation& evaluation) {
  json = Json{{"ensemble", evaluation.ensemble}, {"students", evaluation.students}};
}

void from_json(const Json& json, Evaluation& evaluation) {
  evaluation = {};
  json.at("ensemble").get_to(evaluation.ensemble);
  json.at("students").get_to(evaluation.students);
  if (evaluation.ensemble.measured().empty()) throw InputError("the evaluation has no metric that kdef knows");
}

std::string to_json(const Evaluation& evaluation) { return Json(evaluation).dump(); }

std::string result_json(const Evaluation& valid, const Evaluation* test) {
  Json json{{"valid", valid}};
  if (test != nullptr) json["test"] = *test;
  return json.dump() + "\n";
}

}  // namespace kdef
