#include "nn/layers.h"

#include <gtest/gtest.h>

#include "nn/networks/network.h"
#include "ops/check/gradcheck.h"

namespace kdef::nn {
namespace {

const NetworkConfig kMlp{.network = "mlp",
                         .hidden_units = {4, 3},
                         .hidden_activations = {"relu", "relu"},
                         .dropout = {0.5, 0.5},
                         .batch_norm = true};

// A pass of step 0 that finds the number of its step in memory is the pass of that step.
TEST(Dropout, TheStepMayBeInMemory) {
  const auto run = [](uint64_t step, const uint64_t* device_step, bool fused) {
    Builder build(1, DType::f64);
    const auto network = make_network(kMlp, {2, 3, 6}, build);
    Pass pass;
    pass.training = true;
    pass.step = step;
    pass.device_step = device_step;
    pass.fused = fused;
    return network->forward(ops::random_uniform({9, 2, 3}, -1, 1, 1), pass).to_vector<double>();
  };
  const uint64_t seven = 7;
  for (const bool fused : {true, false}) {
    EXPECT_EQ(run(0, &seven, fused), run(7, nullptr, fused));
    EXPECT_NE(run(0, &seven, fused), run(0, nullptr, fused));
  }
}

}  // namespace
}  // namespace kdef::nn
