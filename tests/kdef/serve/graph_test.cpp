// The inference graph: it computes what the model computes, and refuses what the tape does not show.
#include "kdef/serve/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "tests/kdef/serve/model.h"

namespace kdef {
namespace {

using namespace test;
using nn::test::some_fields;
using testing::AllOf;
using testing::HasSubstr;

// The graph has the numbers of the model's readable twin, bit for bit, and those of its fused ops up to rounding.
void expect_computes(const Graph& graph, const Ensemble& model, const ModelInput& input) {
  const NoGrad no_grad;
  const Ensemble::Output got = evaluate(graph, input), want = model.forward(input, {.fused = false}),
                         fused = model.forward(input, {});
  EXPECT_EQ(got.students.to_vector<float>(), want.students.to_vector<float>());
  EXPECT_EQ(got.ensemble.to_vector<float>(), want.ensemble.to_vector<float>());
  const auto a = got.ensemble.to_vector<float>(), b = fused.ensemble.to_vector<float>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4 * std::max(1.0f, std::abs(b[i])));
}

class EveryNetworksGraph : public testing::TestWithParam<std::string> {};

// Six rows: neither of the two batches that the graph is found with.
TEST_P(EveryNetworksGraph, ComputesWhatTheNetworkComputes) {
  const RandomModel model(ensemble_of({GetParam()}));
  const Graph graph = trace(*model);
  ASSERT_FALSE(graph.calls.empty());
  expect_computes(graph, *model, six_rows());
  const ModelInput all = six_rows();
  expect_computes(graph, *model, {all.ids.rows(2, 1), all.values.rows(2, 1), {}, {}});
}

// What a call says of its result is so in a batch of another size.
TEST_P(EveryNetworksGraph, KnowsTheShapesOfEveryBatch) {
  const RandomModel model(ensemble_of({GetParam()}));
  const Graph graph = trace(*model);
  std::vector<Shape> shapes;
  const RecordObserver observer([&](const Recorded& r) { shapes.push_back(r.output.shape()); });
  evaluate(graph, six_rows());
  ASSERT_EQ(shapes.size(), graph.calls.size());
  for (size_t c = 0; c < shapes.size(); ++c) {
    EXPECT_EQ(graph.values[static_cast<size_t>(graph.calls[c].output)].shape_of(6), shapes[c]) << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworksGraph, testing::ValuesIn(nn::network_names()),
                         [](const auto& of) { return of.param; });

// Batch norms behind linear layers are folded into these, and no op of training is left.
TEST_P(EveryNetworksGraph, HasTheSameNumbersWithFoldedNorms) {
  const RandomModel model(ensemble_of({GetParam()}), some_fields(), 0.5);
  const Graph graph = trace(*model), folded = with_folded_norms(graph);
  const auto count = [](const Graph& g, const std::string& op) {
    return std::count_if(g.calls.begin(), g.calls.end(), [&](const Graph::Call& call) { return op == call.op->name; });
  };
  EXPECT_EQ(graph.calls.size() - folded.calls.size(),
            static_cast<size_t>(count(graph, "batch_norm_eval") - count(folded, "batch_norm_eval")));
  EXPECT_EQ(count(graph, "linear"), count(folded, "linear"));
  if (GetParam() == "mlp") {
    EXPECT_EQ(count(graph, "batch_norm_eval"), 2);
    EXPECT_EQ(count(folded, "batch_norm_eval"), 0);
  }
  const std::vector<float> want = evaluate(graph, six_rows()).ensemble.to_vector<float>(),
                           got = evaluate(folded, six_rows()).ensemble.to_vector<float>();
  for (size_t b = 0; b < want.size(); ++b) EXPECT_NEAR(got[b], want[b], 2e-5 * std::max(1.0f, std::abs(want[b])));
}

TEST(Graph, OfEveryKindOfEnsemble) {
  for (const EnsembleType& type : ensemble_types()) {
    for (const bool shared : {true, false}) {
      EnsembleConfig config = ensemble_of({"mlp", "DeepFM", "mlp"}, type.kind);
      if (!type.trains_output_layers()) config = ensemble_of({"mlp", "kdef_dcnv2", "mlp"}, type.kind);
      config.shared_embedding = shared;
      SCOPED_TRACE(type.name);
      const RandomModel model(config);
      const Graph graph = trace(*model);
      EXPECT_TRUE(graph.predicts_probability());
      expect_computes(graph, *model, six_rows());
    }
  }
}

TEST(Graph, OfARegressionPredictsTheLogitItself) {
  EnsembleConfig config = ensemble_of({"mlp"});
  config.task = &find_task("regression");
  const RandomModel model(config);
  const Graph graph = trace(*model);
  EXPECT_FALSE(graph.predicts_probability());
  EXPECT_EQ(graph.prediction, graph.ensemble);
  EXPECT_EQ(graph.student_predictions, graph.students);
  expect_computes(graph, *model, six_rows());
}

// Sequences by sum and average, a table that two fields share, layers behind an embedding, pretrained vectors of every
// usage, and columns of different dimensions.
TEST(Graph, OfEveryKindOfField) {
  using Usage = nn::EmbeddingField::Pretrained::Usage;
  for (const Usage usage : {Usage::init, Usage::sum, Usage::concat}) {
    for (const bool frozen : {true, false}) {
      std::vector<nn::EmbeddingField> fields = some_fields();
      fields[0].pretrained = {.dim = 3, .frozen = frozen, .usage = usage, .known = 4};
      fields[1].linear = 4;
      fields[3].kind = nn::EmbeddingField::Kind::sum;
      fields[3].shared = "tags";
      fields[3].vocab_size = fields[1].vocab_size;
      const RandomModel model(ensemble_of({"mlp", "DeepFM"}), fields);
      expect_computes(trace(*model), *model, six_rows());
    }
  }
  std::vector<nn::EmbeddingField> fields = some_fields();
  fields[3].dim = 6;
  const RandomModel model(ensemble_of({"mlp"}), fields);
  expect_computes(trace(*model), *model, six_rows());
}

TEST(Graph, OfIdsAloneAndOfNumbersAlone) {
  const std::vector<nn::EmbeddingField> all = some_fields();
  const RandomModel ids(ensemble_of({"mlp"}), {all[0]}), numbers(ensemble_of({"mlp"}), {all[2]});
  const Graph of_ids = trace(*ids), of_numbers = trace(*numbers);
  EXPECT_EQ(of_ids.numbers, Graph::kNone);
  EXPECT_EQ(of_numbers.ids, Graph::kNone);
  expect_computes(of_ids, *ids, {Tensor::from<int32_t>({4, 0, 1}, {3, 1}), {}, {}, {}});
  expect_computes(of_numbers, *numbers, {{}, Tensor::from<float>({4, 0, -1}, {3, 1}), {}, {}});
}

// The parameters are not copied, and have their names; a call that reads parameters only is computed once.
TEST(Graph, HoldsTheStateByName) {
  const RandomModel model(ensemble_of({"CCPM"}));
  const Graph graph = trace(*model);
  std::vector<std::string> names, folded;
  for (const Graph::Value& value : graph.values) {
    if (value.kind != Graph::Value::Kind::constant) continue;
    (value.name.empty() ? folded : names).push_back(cat(value.name, value.shape));
    for (const nn::Parameter& p : model->parameters()) {
      if (p.name != value.name) continue;
      EXPECT_TRUE(p.tensor.same_storage(value.constant));
    }
  }
  EXPECT_EQ(names.size(), model->parameters().size() - 2) << "kernels of convolutions are read under another shape";
  EXPECT_EQ(folded.size(), 2u) << testing::PrintToString(folded);
}

// ---- A model of a few lines, to see the graph and what is refused

Traceable small(std::function<Tensor(const ModelInput&)> logit,
                std::vector<std::pair<std::string, Tensor>> state = {}) {
  return {.state = std::move(state), .vocab_sizes = {}, .numbers = 2, .forward = [logit](const ModelInput& input) {
            const Tensor z = logit(input);
            return Ensemble::Output{z, z, {}};
          }};
}

std::string refusal(std::function<Tensor(const ModelInput&)> logit) {
  try {
    trace(small(std::move(logit)));
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Graph, IsReadable) {
  const Tensor w = Tensor::from<float>({1, -2}, {1, 2}), row = Tensor::from<float>({3, 4}, {2});
  const auto logit = [&](const ModelInput& input) {
    const Tensor unused = ops::exp(input.values);
    const Tensor half = ops::scale(row, 0.5);
    const Tensor x = ops::add(ops::reshape(ops::neg(input.values), {input.rows(), 1, 2}), half);
    return ops::linear(ops::reshape(ops::reshape(x, {2 * input.rows()}), {input.rows(), 2}).detach(), w, {});
  };
  EXPECT_EQ(to_text(trace(small(logit, {{"w", w}}))),
            "v2 f32 [rows, 2] = neg(numbers)\n"
            "v3 f32 [rows, 1, 2] = reshape(v2; shape=[-1, 1, 2])\n"
            "v4 f32 [rows, 1, 2] = add(v3, v1)\n"
            "v5 f32 [rows, 2] = reshape(v4; shape=[-1, 2])\n"
            "v7 f32 [rows, 1] = linear(v5, w, -; operands='f32')\n"
            "v8 f32 [rows, 1] = sigmoid(v7)\n"
            "v9 f32 [rows, 1] = sigmoid(v7)\n"
            "students v7, ensemble v7, prediction v9\n");
}

Tensor first(const Tensor& x) { return ops::slice(x, 1, 0, 1); }

TEST(Graph, RefusesWhatNoOpComputed) {
  EXPECT_THAT(refusal([](const ModelInput& input) {
                Tensor y = Tensor::empty({input.rows(), 1});
                for (int64_t b = 0; b < input.rows(); ++b) y.data<float>()[b] = 2 * input.values.data<float>()[2 * b];
                return ops::add(first(input.values), y);
              }),
              AllOf(HasSubstr("input 2 of call 2, 'add' [5, 1], f32 [5, 1]"), HasSubstr("result of no op")));
  // A constant of the batch's size is made anew in every run.
  EXPECT_THAT(refusal([](const ModelInput& input) {
                return ops::add(first(input.values), Tensor::full({input.rows(), 1}, 1));
              }),
              HasSubstr("input 2 of call 2"));
  // As is a constant of any size.
  EXPECT_THAT(refusal([](const ModelInput& input) { return ops::add(first(input.values), Tensor::full({1}, 1)); }),
              HasSubstr("input 2 of call 2"));
  EXPECT_THAT(refusal([](const ModelInput& input) {
                return Tensor::zeros({input.rows(), 1});
              }),
              HasSubstr("result of no op"));
}

TEST(Graph, RefusesViewsThatTheTapeDoesNotKnow) {
  EXPECT_THAT(
      refusal([](const ModelInput& input) {
        return ops::exp(ops::neg(first(input.values)).alias({1, input.rows()}).alias({input.rows(), 1, 1}));
      }),
      AllOf(HasSubstr("input 1 of call 3, 'exp'"), HasSubstr("another shape of the result of call 2, 'neg' [5, 1]")));
  EXPECT_THAT(refusal([](const ModelInput& input) {
                return ops::exp(input.values.alias({2 * input.rows(), 1}));
              }),
              HasSubstr("another shape of the batch"));
}

TEST(Graph, RefusesAHiddenStateThatChanges) {
  const Tensor held = Tensor::zeros({1});
  EXPECT_THAT(refusal([held](const ModelInput& input) {
                held.data<float>()[0] = input.values.data<float>()[0];
                return ops::add(first(input.values), held);
              }),
              AllOf(HasSubstr("input 2 of call 2"), HasSubstr("was changed between two batches")));
  EXPECT_THAT(refusal([](const ModelInput& input) {
                Tensor y = ops::neg(first(input.values));
                y.fill(1);
                return ops::exp(y);
              }),
              HasSubstr("the result of call 2, 'neg' [5, 1] was changed in place"));
}

TEST(Graph, RefusesCallsThatDependOnTheValues) {
  EXPECT_THAT(refusal([](const ModelInput& input) {
                return ops::scale(first(input.values), static_cast<double>(input.values.data<float>()[0]));
              }),
              AllOf(HasSubstr("call 2, 'scale'"), HasSubstr("has the attributes c=")));
  EXPECT_THAT(refusal([](const ModelInput& input) {
                return input.rows() == 5 ? ops::neg(first(input.values)) : ops::exp(first(input.values));
              }),
              HasSubstr("call 2, 'neg' [5, 1] for 5 rows is call 2, 'exp' [7, 1] for 7"));
  EXPECT_THAT(refusal([](const ModelInput& input) {
                const Tensor x = first(input.values);
                return input.rows() == 5 ? x : ops::neg(x);
              }),
              HasSubstr("the model makes"));
}

TEST(Graph, RefusesWhatMixesRows) {
  const auto mixing = HasSubstr("mixes the rows of a batch");
  EXPECT_THAT(refusal([](const ModelInput& input) {
                return ops::sub(first(input.values), ops::mean(first(input.values), 0, true));
              }),
              mixing);
  EXPECT_THAT(refusal([](const ModelInput& input) { return ops::softmax(first(input.values), 0); }), mixing);
  EXPECT_THAT(refusal([](const ModelInput& input) {
                return ops::matmul(input.values, ops::matmul(input.values, input.values, true), false);
              }),
              mixing);
}

}  // namespace
}  // namespace kdef
