// Ensembles: the fast ways of their forward and backward pass against the plain ones, and who may choose the way.
#include "kdef/method/ensemble.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/base/random.h"
#include "ops/check/gradcheck.h"
#include "ops/elementwise.h"

namespace kdef {
namespace {

constexpr int64_t kRows = 600;

std::vector<nn::EmbeddingField> some_fields() {
  using Kind = nn::EmbeddingField::Kind;
  // `many` has more distinct ids than a quarter of the rows; `twin` reads the table of `few`.
  // A numeric field comes first: its weight is no table of rows.
  return {{"price", Kind::numeric}, {"few", Kind::id, 5},     {"tags", Kind::average, 30, 3},
          {"some", Kind::id, 60},   {"many", Kind::id, 5000}, {"twin", Kind::id, 5, 1, 0, "few"}};
}

ModelInput some_batch(DType type = DType::f64) {
  Random random(11, 3);
  std::vector<int32_t> ids;
  std::vector<double> values, labels;
  for (int64_t b = 0; b < kRows; ++b) {
    ids.push_back(static_cast<int32_t>(random.below(5)));  // 0, padding, among them
    for (int l = 0; l < 3; ++l) ids.push_back(static_cast<int32_t>(random.below(30)));
    ids.push_back(static_cast<int32_t>(random.below(60)));
    ids.push_back(static_cast<int32_t>(random.below(5000)));
    ids.push_back(static_cast<int32_t>(random.below(5)));
    values.push_back(random.normal());
    labels.push_back(random.below(3) == 0 ? 1 : 0);
  }
  return {Tensor::from(ids, {kRows, 7}), Tensor::from(values, {kRows, 1}).to(type),
          Tensor::from(labels, {kRows, 1}).to(type)};
}

struct Result {
  double loss;
  std::vector<Tensor> gradients;
  std::multiset<std::string> ops;
};

Result train_once(EnsembleConfig config, bool distinct, nn::Pass pass = {true, 1, 2}) {
  config.distinct = distinct;
  nn::Builder build(5, DType::f64);
  const Ensemble model(config, some_fields(), build);
  const ModelInput input = some_batch();
  Result result;
  {
    const RecordObserver observer([&](const Recorded& r) { result.ops.insert(r.op.name); });
    const Tensor loss = model.loss(model.forward(input, pass), input.labels);
    result.loss = loss.item();
    backward(loss);
  }
  for (const nn::Parameter& p : model.parameters()) result.gradients.push_back(p.tensor.grad());
  return result;
}

void expect_same(const Result& x, const Result& y) {
  EXPECT_NEAR(x.loss, y.loss, 1e-13);
  ASSERT_EQ(x.gradients.size(), y.gradients.size());
  for (size_t i = 0; i < y.gradients.size(); ++i) {
    ASSERT_EQ(y.gradients[i].defined(), x.gradients[i].defined()) << i;
    if (!y.gradients[i].defined()) continue;
    const auto a = y.gradients[i].to_vector<double>(), b = x.gradients[i].to_vector<double>();
    double norm = 0, difference = 0;
    for (size_t k = 0; k < a.size(); ++k) {
      norm += a[k] * a[k];
      difference += (a[k] - b[k]) * (a[k] - b[k]);
    }
    // A bias before batch norm has the exact gradient 0.
    EXPECT_LE(std::sqrt(difference), std::max(1e-14, 1e-12 * std::sqrt(norm))) << "parameter " << i;
  }
}

nn::NetworkConfig student(std::vector<int64_t> units) {
  nn::NetworkConfig config;
  config.hidden_activations.assign(units.size(), "relu");
  config.dropout.assign(units.size(), 0.1);
  config.hidden_units = std::move(units);
  config.batch_norm = true;
  return config;
}

TEST(Ensemble, FirstLayersOfDistinctIdsAgreeWithPlainOnes) {
  EnsembleConfig config;
  config.embedding_dim = 6;
  config.students = {student({33, 8}), student({16})};
  for (const EnsembleKind kind : {EnsembleKind::kdef, EnsembleKind::concat}) {
    config.kind = kind;
    const Result plain = train_once(config, false), distinct = train_once(config, true);
    EXPECT_EQ(plain.ops.count("distinct_linear"), 0u);
    EXPECT_EQ(distinct.ops.count("distinct_linear"), 2u) << "one for each student";
    EXPECT_EQ(distinct.ops.count("embed_distinct"), 1u) << "read once for both";
    EXPECT_EQ(distinct.ops.count("embed_fields"), 1u) << "fields with many distinct ids go the plain way";
    expect_same(distinct, plain);
  }
}

// The rows are enough that products take their hidden layers along.
TEST(Ensemble, FusedHiddenLayersAgreeWithComposedOnes) {
  EnsembleConfig config;
  config.embedding_dim = 6;
  config.students = {student({33, 8}), student({16})};
  for (const EnsembleKind kind : {EnsembleKind::kdef, EnsembleKind::concat}) {
    config.kind = kind;
    config.fused = true;
    const Result fused = train_once(config, true);
    config.fused = false;
    const Result composed = train_once(config, true);
    EXPECT_GE(fused.ops.count("hidden_linear"), 1u);
    EXPECT_EQ(composed.ops.count("hidden_linear"), 0u);
    expect_same(fused, composed);
  }
}

// Predictions of rows alone, few and many together are the same bits, though they take different ways.
TEST(Ensemble, APredictionDoesNotDependOnTheRowsBesideIt) {
  EnsembleConfig config;
  config.embedding_dim = 6;
  config.students = {student({48, 32}), student({20})};
  nn::Builder build(5);
  const Ensemble model(config, some_fields(), build);
  const ModelInput all = some_batch(DType::f32);
  const NoGrad no_grad;
  const auto predict_rows = [&](int64_t first, int64_t count) {
    const auto rows = [&](const Tensor& t) { return t.defined() ? t.rows(first, count) : t; };
    const Ensemble::Output out = model.forward({rows(all.ids), rows(all.values), rows(all.labels)}, {});
    return std::pair{out.students.to_vector<float>(), out.ensemble.to_vector<float>()};
  };
  const auto [students, ensemble] = predict_rows(0, all.rows());
  for (const int64_t count : {1, 7, 100, 300}) {
    const auto [few_students, few] = predict_rows(200, count);
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(few[static_cast<size_t>(i)], ensemble[static_cast<size_t>(200 + i)]) << "row " << i << " of " << count;
      ASSERT_EQ(few_students[static_cast<size_t>(2 * i)], students[static_cast<size_t>(2 * (200 + i))]);
    }
  }
}

// A network that needs whole embeddings leaves the distinct ids to those students that can use them.
TEST(Ensemble, EachOfMixedStudentsReadsItsBestForm) {
  EnsembleConfig config;
  config.embedding_dim = 6;
  config.students = {student({16}), student({16}), student({12})};
  config.students[1].network = "product";
  const Result plain = train_once(config, false), mixed = train_once(config, true);
  EXPECT_EQ(plain.ops.count("distinct_linear"), 0u);
  EXPECT_EQ(mixed.ops.count("distinct_linear"), 2u);
  EXPECT_EQ(mixed.ops.count("embed_fields"), 2u) << "all fields for one student, those with many ids for the others";
  expect_same(mixed, plain);
}

// Fused ops need the word of the configuration and of the caller.
TEST(Ensemble, APassMayRefuseFusedOpsAndDistinctIds) {
  EnsembleConfig config;
  config.embedding_dim = 6;
  config.students = {student({33, 8}), student({16})};
  const auto ops_of = [&](bool configured, bool passed, bool distinct) {
    config.fused = configured;
    return train_once(config, true, {.training = true, .fused = passed, .distinct = distinct}).ops;
  };
  EXPECT_GE(ops_of(true, true, true).count("hidden_linear"), 1u);
  EXPECT_GE(ops_of(true, true, true).count("distinct_linear"), 1u);
  for (const auto& [configured, passed] : {std::pair{true, false}, {false, true}, {false, false}}) {
    const std::multiset<std::string> ops = ops_of(configured, passed, true);
    for (const char* fused : {"hidden_linear", "batch_norm_relu_dropout", "distinct_linear", "embed_fields"}) {
      EXPECT_EQ(ops.count(fused), 0u) << fused << ", configured " << configured << ", passed " << passed;
    }
  }
  const std::multiset<std::string> plain_ids = ops_of(true, true, false);
  EXPECT_EQ(plain_ids.count("distinct_linear"), 0u);
  EXPECT_GE(plain_ids.count("hidden_linear"), 1u);
}

// In training every student passes twice, with dropout masks of its own; in evaluation once, and the prediction is the
// mean of the probabilities.
TEST(Ensemble, SelfEnsemblePassesTwiceInTraining) {
  EnsembleConfig config;
  config.kind = EnsembleKind::self_ensemble;
  config.embedding_dim = 4;
  for (const size_t students : {size_t{1}, size_t{2}}) {
    config.students.assign(students, student({16}));
    nn::Builder build(5, DType::f64);
    const Ensemble model(config, some_fields(), build);
    const ModelInput input = some_batch();
    const Ensemble::Output training = model.forward(input, {.training = true, .seed = 1, .step = 2});
    const auto m = static_cast<int64_t>(students);
    ASSERT_EQ(training.students.shape(), (Shape{kRows, 2 * m}));
    const std::vector<double> z = training.students.to_vector<double>();
    int64_t equal = 0;
    for (int64_t b = 0; b < kRows; ++b)
      equal += z[static_cast<size_t>(2 * m * b)] == z[static_cast<size_t>(2 * m * b + m)];
    EXPECT_LT(equal, kRows / 2) << "both passes have the same masks";
    EXPECT_GT(model.loss(training, input.labels).item(), 0);

    const Ensemble::Output evaluation = model.forward(input, {});
    ASSERT_EQ(evaluation.students.shape(), (Shape{kRows, m}));
    const std::vector<double> p = ops::sigmoid(evaluation.students).to_vector<double>(),
                              q = ops::sigmoid(evaluation.ensemble).to_vector<double>();
    for (int64_t b = 0; b < kRows; ++b) {
      double mean = 0;
      for (int64_t k = 0; k < m; ++k) mean += p[static_cast<size_t>(b * m + k)] / static_cast<double>(m);
      EXPECT_NEAR(q[static_cast<size_t>(b)], mean, 1e-15);
    }
  }
}

// Networks that train branches and objectives of ensembles share their formulas: such a network alone, under the label
// loss, has the objective of its branches.
TEST(Ensemble, ANetworkWithBranchesHasTheObjectiveOfItsBranches) {
  const ModelInput input = some_batch();
  for (const auto& [network, kind] :
       {std::pair{"FinalNet", EnsembleKind::final}, std::pair{"QNN_alpha", EnsembleKind::self_ensemble},
        std::pair{"DCNv3", EnsembleKind::tri_bce}}) {
    EnsembleConfig config;
    config.kind = EnsembleKind::mean;
    config.embedding_dim = 4;
    nn::NetworkConfig one{.network = network};
    if (std::string(network) == "QNN_alpha") one.settings.set("net_dropout", std::vector<double>{0.3});
    config.students = {one};
    nn::Builder build(5, DType::f64);
    const Ensemble model(config, some_fields(), build);
    for (const nn::Parameter& p : model.parameters()) {
      Tensor(p.tensor).copy_from(ops::random_uniform(p.tensor.shape(), -0.2, 0.2, 8));
    }
    const Ensemble::Output out = model.forward(input, {.training = true, .seed = 1, .step = 2});
    const Tensor& branches = out.branches.at(0);
    ASSERT_EQ(branches.shape(), (Shape{kRows, 2})) << network;
    const Tensor of_branches = ensemble_type(kind).objective.loss(
        default_task(), {branches, mean_of_students(branches), input.labels, {}}, {}, true);
    const double plain = default_task().label_loss(out.ensemble, input.labels, {}).item();
    EXPECT_NEAR(model.loss(out, input.labels).item(), of_branches.item(), 1e-12) << network;
    EXPECT_GT(of_branches.item(), plain + 1e-6) << network;
  }
}

}  // namespace
}  // namespace kdef
