// Parts that several networks share: here those of a network that brings tables of its own, a first-order part and a
// second embedding of another dimension over some of the fields. SumNetwork: the tests of the networks that are sums.
#include <gtest/gtest.h>

#include "nn/networks/parts.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "tests/nn/networks/support.h"

namespace kdef::nn {
namespace {

using namespace test;

/// z = first order + sum of squares of a second embedding [B, 2, 3] of tags and item.
class OwnTables final : public Network {
 public:
  OwnTables(const EmbeddingShape& shape, Builder& build)
      : first_order_(add_child("lr_layer", std::make_unique<FirstOrder>(shape, true, build))),
        second_(add_child("embedding_layer2",
                          std::make_unique<EmbeddingTables>(std::vector{shape.list[1], shape.list[3]}, 3, build))) {}
  Tensor hidden(const Fields& fields, const Pass&) const override {
    return ops::add(first_order_.forward(fields), ops::sum(ops::square(fields.through(second_).flat()), 1, true));
  }
  Tensor output(const Tensor& h) const override { return h; }
  int64_t hidden_width() const override { return 1; }

 private:
  FirstOrder& first_order_;
  EmbeddingTables& second_;
};

TEST(OwnTables, HaveTheirNamesAndAreEmbeddings) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const OwnTables network(tables.shape(), build);
  std::vector<std::string> names;
  for (const Parameter& p : network.parameters()) {
    names.push_back(p.name);
    EXPECT_EQ(p.embedding, p.name != "lr_layer.bias") << p.name;
  }
  const std::string first = "lr_layer.embedding_layer.embedding_layer.embedding_layers.";
  EXPECT_EQ(names, (std::vector<std::string>{"lr_layer.bias", first + "user.weight", first + "tags.weight",
                                             first + "price.weight", first + "item.weight",
                                             "embedding_layer2.embedding_layer.embedding_layers.tags.weight",
                                             "embedding_layer2.embedding_layer.embedding_layers.item.weight"}));
  EXPECT_EQ(network.parameters()[1].tensor.shape(), (Shape{5, 1}));
}

TEST(OwnTables, FirstOrderSumsOneNumberPerFieldAndSumsSequences) {
  Builder build(3, DType::f64);
  std::vector<EmbeddingField> fields = some_fields();
  fields.push_back({"twin", EmbeddingField::Kind::id, 5, 1, 0, "user", 0});  // reads user's column
  const EmbeddingTables tables(fields, 4, build);
  const FirstOrder first_order(tables.shape(), true, build);
  scramble(first_order, 20);
  const std::vector<Parameter> p = first_order.parameters();  // bias, user, tags, price, item, twin
  ASSERT_EQ(p.size(), 6u) << "a field that shares a table has one of its own here";
  const auto at = [&](size_t k, int32_t row) { return p[k].tensor.to_vector<double>()[static_cast<size_t>(row)]; };
  const Tensor ids = some_ids(), value = some_values();
  const std::vector<double> z = first_order.forward(Fields(tables, ids, value, {})).to_vector<double>();
  for (int64_t b = 0; b < 6; ++b) {
    const int32_t* id = ids.data<int32_t>() + 4 * b;
    double want = at(0, 0) + at(1, id[0]) + at(3, 0) * value.data<double>()[b] + at(4, id[3]) + at(5, id[0]);
    for (int l = 1; l <= 2; ++l) want += id[l] == 0 ? 0 : at(2, id[l]);
    EXPECT_NEAR(z[static_cast<size_t>(b)], want, 1e-14);
  }
}

TEST(OwnTables, GetTheirGradients) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const OwnTables network(tables.shape(), build);
  scramble(network, 20);
  std::vector<Tensor> leaves;
  for (const Parameter& p : network.parameters()) leaves.push_back(p.tensor);
  const Tensor ids = some_ids(), value = some_values();
  const ops::GradientReport report = ops::check_leaves(
      leaves, [&] { return network.forward(Fields(tables, ids, value, {.training = true}), {.training = true}); });
  EXPECT_TRUE(report.passed()) << report.deviation;
}

TEST(OwnTables, NeedTheFields) {
  Builder build;
  EXPECT_THROW(FirstOrder({.fields = 2, .dim = 4, .width = 8, .list = {}}, true, build), Error);
}

}  // namespace
}  // namespace kdef::nn
