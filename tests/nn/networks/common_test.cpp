// What holds for every network of the list. Values against formulas: the files of single networks, and the recordings
// that tests/kdef/audit replays.
#include <gtest/gtest.h>

#include "tests/nn/networks/support.h"

namespace kdef::nn {
namespace {

using namespace test;

class EveryNetwork : public testing::TestWithParam<std::string> {};

std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }

TEST_P(EveryNetwork, ItsOutputReadsItsHiddenLayer) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build, reads_shared_tables(small_config(GetParam())));
  const auto network = make_network(small_config(GetParam()), tables.shape(), build);
  scramble(tables, 10);
  scramble(*network, 50);
  for (const bool training : {true, false}) {
    const Pass pass{.training = training};
    const Fields fields(tables, some_ids(), some_values(), pass);
    const Tensor z = network->forward(fields, pass), h = network->hidden(fields, pass);
    EXPECT_EQ(z.shape(), (Shape{6, 1}));
    EXPECT_EQ(h.shape(), (Shape{6, network->hidden_width()}));
    const auto want = values(z), got = values(network->output(h));
    for (size_t b = 0; b < want.size(); ++b) EXPECT_NEAR(got[b], want[b], 1e-12);
  }
}

TEST_P(EveryNetwork, FusedAgreesWithComposed) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build, reads_shared_tables(small_config(GetParam())));
  NetworkConfig config = small_config(GetParam());
  config.hidden_activations.assign(config.hidden_units.size(), "relu");
  const auto network = make_network(config, tables.shape(), build);
  scramble(tables, 10);
  scramble(*network, 50);
  const auto logits = [&](bool fused) {
    const Pass pass{.training = true, .fused = fused};
    return values(network->forward(Fields(tables, some_ids(), some_values(), pass), pass));
  };
  const auto fused = logits(true), composed = logits(false);
  for (size_t b = 0; b < fused.size(); ++b) EXPECT_NEAR(fused[b], composed[b], 1e-11);
}

TEST_P(EveryNetwork, EveryParameterIsUsed) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build, reads_shared_tables(small_config(GetParam())));
  const auto network = make_network(small_config(GetParam()), tables.shape(), build);
  const Pass pass{.training = true};
  backward(network->forward(Fields(tables, some_ids(), some_values(), pass), pass),
           Tensor::full({6, 1}, 1, DType::f64));
  for (const Module* module : {static_cast<const Module*>(&tables), static_cast<const Module*>(network.get())}) {
    for (const Parameter& p : module->parameters()) EXPECT_TRUE(p.tensor.grad().defined()) << p.name;
  }
}

// In prediction a row's logit has the same bits alone and among others.
TEST_P(EveryNetwork, APredictionDoesNotDependOnTheRowsBesideIt) {
  Builder build(3);
  const EmbeddingTables tables(some_fields(), 4, build, reads_shared_tables(small_config(GetParam())));
  const auto network = make_network(small_config(GetParam()), tables.shape(), build);
  const NoGrad no_grad;
  const auto predict = [&](int64_t first, int64_t count) {
    const Fields fields(tables, some_ids().rows(first, count), some_values().to(DType::f32).rows(first, count), {});
    return network->forward(fields, {}).to_vector<float>();
  };
  const auto all = predict(0, 6);
  for (int64_t b = 0; b < 6; ++b) EXPECT_EQ(predict(b, 1)[0], all[static_cast<size_t>(b)]) << b;
}

// Fields of different dimensions are read, or refused by name.
TEST_P(EveryNetwork, DifferentDimensionsAreReadOrRefused) {
  Builder build(3, DType::f64);
  std::vector<EmbeddingField> fields = some_fields();
  fields[0].dim = 6;
  const EmbeddingTables tables(fields, 4, build, reads_shared_tables(small_config(GetParam())));
  try {
    const auto network = make_network(small_config(GetParam()), tables.shape(), build);
    EXPECT_EQ(network->forward(Fields(tables, some_ids(), some_values(), {}), {}).shape(), (Shape{6, 1}));
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("network " + GetParam() + ": needs the same embedding_dim"), std::string::npos)
        << e.what();
  }
}

// Networks that one builder makes, as the students of an ensemble, share no parameter, initial value or dropout mask.
TEST_P(EveryNetwork, StudentsAreIndependent) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build, reads_shared_tables(small_config(GetParam())));
  NetworkConfig config = small_config(GetParam());
  config.dropout.assign(config.dropout.size(), 0.5);
  const auto first = make_network(config, tables.shape(), build), second = make_network(config, tables.shape(), build);
  const auto logits = [&](const Network& network, const Pass& pass) {
    return values(network.forward(Fields(tables, some_ids(), some_values(), pass), pass));
  };
  const bool has_parameters = !first->parameters().empty();
  EXPECT_EQ(logits(*first, {}) != logits(*second, {}), has_parameters) << "initial values";

  const Pass training{.training = true};
  backward(first->forward(Fields(tables, some_ids(), some_values(), training), training),
           Tensor::full({6, 1}, 1, DType::f64));
  for (const Parameter& p : second->parameters()) EXPECT_FALSE(p.tensor.grad().defined()) << p.name;

  scramble(*first, 50);
  scramble(*second, 50);
  EXPECT_EQ(logits(*first, training), logits(*first, training));
  const bool has_dropout = logits(*first, training) != logits(*first, {.training = true, .step = 1});
  EXPECT_EQ(logits(*first, training) != logits(*second, training), has_dropout) << "dropout masks";
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryNetwork, testing::ValuesIn(network_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kdef::nn
