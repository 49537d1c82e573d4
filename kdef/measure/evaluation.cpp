#include "kdef/measure/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "kdef/measure/metrics.h"
#include "ops/elementwise.h"
#if defined(KDEF_HAS_CUDA)
#include "kdef/measure/metrics_cuda.h"
#include "kdef/method/batch_feed.h"
#include "ops/layout.h"
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

std::string first_bad_tensor(const Ensemble& model) {
  for (const nn::Parameter& p : model.parameters()) {
    if (!is_finite(p.tensor)) return cat("parameter ", p.name);
  }
  for (const nn::Buffer& b : model.buffers()) {
    if (!is_finite(b.tensor)) return cat("buffer ", b.name);
  }
  return "";
}

[[noreturn]] static void refuse_not_a_number(const Ensemble& model) {
  const std::string culprit = first_bad_tensor(model);
  throw CheckError(cat("a prediction is not a number; ",
                       culprit.empty() ? "the model's tensors are finite" : cat("first bad tensor: ", culprit),
                       "; lower learning_rate, or check the numeric fields of the data"));
}

Probabilities predict(const Ensemble& model, const ModelInput& input) {
  const NoGrad no_grad;
  const Ensemble::Output output = model.forward(input.to(model.device()), {});
  Probabilities p{ops::sigmoid(output.ensemble).to_vector<float>(), ops::sigmoid(output.students).to_vector<float>()};
  const auto is_nan = [](float x) { return std::isnan(x); };
  if (std::any_of(p.ensemble.begin(), p.ensemble.end(), is_nan) ||
      std::any_of(p.students.begin(), p.students.end(), is_nan)) {
    refuse_not_a_number(model);
  }
  return p;
}

#if defined(KDEF_HAS_CUDA)
// The same as on the CPU without waiting for a batch: predictions stay on the device until they are measured.
static Evaluation evaluate_on_device(const Ensemble& model, const std::function<bool(data::Batch&)>& next) {
  const NoGrad no_grad;
  const size_t m = model.student_count();
  const int64_t ids = model.embedding().id_columns(), values = model.embedding().value_columns();
  Evaluation result;
  std::unique_ptr<BatchFeed> feed;
  int64_t room = 0;
  std::vector<Tensor> scores, labels;  // of each batch; scores [rows, M + 1], the ensemble's last
  data::Batch batch;
  while (next(batch)) {
    if (batch.rows > room) {
      room = batch.rows;
      feed = std::make_unique<BatchFeed>(model.device(), room, ids, values);
    }
    const ModelInput input = feed->put(batch);
    const Ensemble::Output output = model.forward(input, {});
    scores.push_back(ops::sigmoid(ops::concat({output.students, output.ensemble}, 1)));
    labels.push_back(input.labels.clone());
    result.rows += batch.rows;
    KDEF_CHECK(static_cast<int64_t>(batch.labels.size()) == batch.rows, "evaluate: ", batch.rows, " rows with ",
               batch.labels.size(), " labels");
    for (float y : batch.labels) result.positives += y > 0.5f;
  }
  const auto all = [&](const std::vector<Tensor>& parts, int64_t columns) {
    return parts.empty() ? Tensor::empty({0, columns}, DType::f32, model.device()) : ops::concat(parts, 0);
  };
  result.students = cuda::measure_columns(all(scores, static_cast<int64_t>(m) + 1), all(labels, 1));
  for (const Quality& q : result.students) {
    if (std::isnan(q.logloss) && result.rows > 0) refuse_not_a_number(model);
  }
  result.ensemble = result.students.back();
  result.students.pop_back();
  return result;
}
#endif

Evaluation evaluate(const Ensemble& model, const std::function<bool(data::Batch&)>& next) {
#if defined(KDEF_HAS_CUDA)
  if (!model.device().is_cpu()) return evaluate_on_device(model, next);
#endif
  const size_t m = model.student_count();
  const int64_t ids = model.embedding().id_columns(), values = model.embedding().value_columns();
  std::vector<std::vector<float>> scores(m + 1);  // the students', then the ensemble's
  std::vector<float> labels;
  data::Batch batch;
  while (next(batch)) {
    const Probabilities p = predict(model, model_input(batch, ids, values));
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
    scores[m].insert(scores[m].end(), p.ensemble.begin(), p.ensemble.end());
    for (size_t b = 0; b < static_cast<size_t>(batch.rows); ++b) {
      for (size_t k = 0; k < m; ++k) scores[k].push_back(p.students[b * m + k]);
    }
  }
  Evaluation result;
  result.rows = static_cast<int64_t>(labels.size());
  for (float y : labels) result.positives += y > 0.5f;
  for (size_t k = 0; k <= m; ++k) {
    const std::vector<double> s(scores[k].begin(), scores[k].end());
    const Quality quality{auc(s, labels), log_loss(s, labels)};
    if (k < m)
      result.students.push_back(quality);
    else
      result.ensemble = quality;
  }
  return result;
}

Evaluation evaluate(const Ensemble& model, const data::EncodedFile& file, int64_t batch_size) {
  data::Loader loader(file, batch_size, false, 0);
  loader.start_epoch(0);
  return evaluate(model, [&](data::Batch& batch) { return loader.next(batch); });
}

StudentSpread student_spread(const Evaluation& evaluation) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (evaluation.students.empty()) return {kNone, kNone, kNone};
  const double count = static_cast<double>(evaluation.students.size());
  double sum = 0, least = kNone, squares = 0;
  for (const Quality& q : evaluation.students) {
    sum += q.auc;
    least = std::fmin(least, q.auc);
  }
  for (const Quality& q : evaluation.students) squares += (q.auc - sum / count) * (q.auc - sum / count);
  return {sum / count, least, std::sqrt(squares / count)};
}

std::string to_json(const Evaluation& evaluation) {
  using Json = nlohmann::ordered_json;
  const auto quality = [](const Quality& q) {
    return Json{{"auc", std::isnan(q.auc) ? Json(nullptr) : Json(q.auc)}, {"logloss", q.logloss}};
  };
  Json json{{"ensemble", quality(evaluation.ensemble)}, {"students", Json::array()}};
  for (const Quality& q : evaluation.students) json["students"].push_back(quality(q));
  return json.dump();
}

std::string result_json(const Evaluation& valid, const Evaluation* test) {
  return cat("{\"valid\":", to_json(valid), test ? cat(",\"test\":", to_json(*test)) : "", "}\n");
}

}  // namespace kdef
