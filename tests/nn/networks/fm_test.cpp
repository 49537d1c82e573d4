// FM against its formula, summed by hand.
#include <gtest/gtest.h>

#include <map>

#include "tests/nn/networks/support.h"

namespace kdef::nn {
namespace {

using namespace test;

// b + sum over f of w_f[id_f] + w . value + sum over i < j of <e_i, e_j>.
TEST(Fm, SumsTheFirstOrderAndAllPairs) {
  Builder build(3, DType::f64);
  using Kind = EmbeddingField::Kind;
  const EmbeddingTables tables({{"user", Kind::id, 5}, {"price", Kind::numeric}, {"item", Kind::id, 4}}, 3, build);
  const auto network = make_network({.network = "FM"}, tables.shape(), build);
  scramble(tables, 5);
  scramble(*network, 7);
  std::map<std::string, std::vector<double>> first;
  for (const Parameter& p : network->parameters()) first[p.name] = p.tensor.to_vector<double>();
  const auto of = [&](const char* field) {
    return first.at(cat("fm.lr_layer.embedding_layer.embedding_layer.embedding_layers.", field, ".weight"));
  };
  const Tensor ids = Tensor::from<int32_t>({1, 2, 4, 3, 2, 1}, {3, 2}), value = ops::random_uniform({3, 1}, -1, 1, 3);
  const std::vector<double> e = tables.forward(ids, value).to_vector<double>();
  const std::vector<double> z = network->forward(Fields(tables, ids, value, {}), {}).to_vector<double>();
  for (size_t b = 0; b < 3; ++b) {
    const int32_t* id = ids.data<int32_t>() + 2 * b;
    double want = first.at("fm.lr_layer.bias")[0] + of("user")[static_cast<size_t>(id[0])] +
                  of("price")[0] * value.data<double>()[b] + of("item")[static_cast<size_t>(id[1])];
    for (size_t i = 0; i < 3; ++i) {
      for (size_t j = i + 1; j < 3; ++j) {
        for (size_t d = 0; d < 3; ++d) want += e[(b * 3 + i) * 3 + d] * e[(b * 3 + j) * 3 + d];
      }
    }
    EXPECT_NEAR(z[b], want, 1e-13);
  }
}

}  // namespace
}  // namespace kdef::nn
