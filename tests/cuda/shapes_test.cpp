// Shapes on both sides of the borders of parts (64 rows), warps (32) and blocks (256), against the CPU.
#include "ops/elementwise.h"
#include "ops/fused/stacked.h"
#include "ops/layout.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/pairs.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "tests/cuda/support.h"

namespace kdef::ops {
namespace {

using Inputs = std::vector<Tensor>;
using test::expect_as_on_cpu;

class Borders : public testing::TestWithParam<std::tuple<int64_t, int64_t>> {
 protected:
  int64_t rows() const { return std::get<0>(GetParam()); }
  int64_t columns() const { return std::get<1>(GetParam()); }
  Tensor x() const { return random_uniform({rows(), columns()}, -2, 2, 1); }
  // Input, weight and bias, and a mean and a variance for evaluation.
  Inputs norm_inputs() const {
    const Shape c{columns()};
    return {x(), random_uniform(c, 0.5, 2, 2), random_uniform(c, -1, 1, 3), random_uniform(c, -1, 1, 4),
            random_uniform(c, 0.5, 2, 5)};
  }
};

// dgamma and dbeta are sums over the rows: r is of size 1, so they are scaled to size 1 for the tolerance.
double per_row(int64_t rows) { return 1.0 / std::sqrt(static_cast<double>(rows)); }

TEST_P(Borders, BatchNorm) {
  expect_as_on_cpu([](const Inputs& x) { return batch_norm_eval(x[0], x[1], x[2], x[3], x[4]); }, norm_inputs(), {3, 4},
                   per_row(rows()));
  if (rows() == 1) return;
  expect_as_on_cpu([](const Inputs& x) { return batch_norm(x[0], x[1], x[2], x[3].clone(), x[4].clone()); },
                   norm_inputs(), {3, 4}, per_row(rows()));
}

TEST_P(Borders, RunningMomentsOfBatchNorm) {
  if (rows() == 1) {  // which has no variance
    std::vector<Tensor> x;
    for (const Tensor& t : norm_inputs()) x.push_back(t.to(test::kDevice));
    EXPECT_THROW(batch_norm(x[0], x[1], x[2], x[3], x[4]), Error);
    return;
  }
  for (const size_t buffer : {3, 4}) {
    expect_as_on_cpu(
        [=](const Inputs& x) {
          const Tensor moved[] = {x[3].clone(), x[4].clone()};
          const Tensor y = batch_norm(x[0], x[1], x[2], moved[0], moved[1]);
          return concat({y, reshape(moved[buffer - 3], {1, y.shape()[1]})}, 0);
        },
        norm_inputs(), {3, 4}, per_row(rows()));
  }
}

TEST_P(Borders, FusedHiddenLayer) {
  for (const bool training : {true, false}) {
    if (training && rows() == 1) continue;
    for (const double p : {0.0, 0.3}) {
      expect_as_on_cpu(
          [=](const Inputs& x) {
            return batch_norm_relu_dropout(
                x[0], {x[1], x[2], {x[3].clone()}, {x[4].clone()}, training, p, {dropout_key(5, 2, 9)}});
          },
          norm_inputs(), {3, 4}, per_row(rows()));
    }
  }
}

// Three networks of `columns` units.
TEST_P(Borders, StackedLayers) {
  if (rows() == 1) return;
  const int64_t units = columns(), all = 3 * units;
  const std::vector<DropoutKey> keys{dropout_key(5, 2, 9), dropout_key(5, 4, 9), dropout_key(5, 7, 9)};
  const Inputs inputs{random_uniform({rows(), all}, -2, 2, 1), random_uniform({all}, -1, 1, 6),
                      random_uniform({all}, 0.5, 2, 2),        random_uniform({all}, -1, 1, 3),
                      random_uniform({3, units}, -1, 1, 4),    random_uniform({3}, -1, 1, 5)};
  const auto layers = [=](const Inputs& x) {
    HiddenLayer layer{x[2], x[3], {}, {}, true, 0.3, keys, x[1]};
    for (int m = 0; m < 3; ++m) {
      layer.running_mean.push_back(Tensor::full({units}, 0.3, x[0].dtype(), x[0].device()));
      layer.running_var.push_back(Tensor::full({units}, 0.7, x[0].dtype(), x[0].device()));
    }
    return layer;
  };
  // Hidden layers first, then the running means that they have moved.
  expect_as_on_cpu(
      [=](const Inputs& x) {
        const HiddenLayer of = layers(x);
        const Tensor h = stacked_batch_norm_relu_dropout(x[0], of);
        return concat({h, reshape(concat(of.running_mean, 0), {1, all}), reshape(concat(of.running_var, 0), {1, all})},
                      0);
      },
      inputs, {4, 5}, per_row(rows()));
  expect_as_on_cpu(
      [=](const Inputs& x) {
        const double scale = 1.0 / static_cast<double>(units);  // logits of size 1
        return stacked_output(x[0], layers(x), ops::scale(x[4], scale), x[5]);
      },
      inputs, {}, per_row(rows()));
}

TEST_P(Borders, LayerNorm) {
  expect_as_on_cpu([](const Inputs& x) { return layer_norm(x[0], x[1], x[2], 0.1); }, norm_inputs(), {3, 4},
                   per_row(rows()));
}

TEST_P(Borders, Reductions) {
  for (const int axis : {0, 1}) {
    expect_as_on_cpu([=](const Inputs& x) { return mean(x[0], axis); }, {x()});
    expect_as_on_cpu([=](const Inputs& x) { return max(x[0], axis); }, {x()});
  }
  expect_as_on_cpu([](const Inputs& x) { return sum(x[0]); }, {x()});
}

TEST_P(Borders, Softmax) {
  for (const int axis : {0, 1}) {
    expect_as_on_cpu([=](const Inputs& x) { return softmax(x[0], axis); }, {x()});
    expect_as_on_cpu([=](const Inputs& x) { return softmin(x[0], axis); }, {x()});
  }
}

TEST_P(Borders, Losses) {
  const double n = static_cast<double>(rows() * columns());  // gradients of size 1
  const Tensor p = random_uniform({rows(), columns()}, 0.05, 0.95, 6), y = random_uniform(p.shape(), 0, 1, 7);
  expect_as_on_cpu([](const Inputs& x) { return binary_cross_entropy(x[0], x[1]); }, {p, y}, {1}, n);
  expect_as_on_cpu([](const Inputs& x) { return binary_cross_entropy_with_logits(x[0], x[1]); }, {x(), y}, {1}, n);
  expect_as_on_cpu([](const Inputs& x) { return mean_squared_error(x[0], x[1]); }, {p, y}, {}, n);
}

TEST_P(Borders, Layout) {
  expect_as_on_cpu([](const Inputs& x) { return transpose(x[0], 0, 1); }, {x()});
  expect_as_on_cpu([](const Inputs& x) { return concat({x[0], x[1], x[0]}, 1); }, {x(), x()});
}

std::string name_of_shape(const testing::TestParamInfo<std::tuple<int64_t, int64_t>>& test) {
  return cat(std::get<0>(test.param), "_rows_", std::get<1>(test.param), "_columns");
}
INSTANTIATE_TEST_SUITE_P(Shapes, Borders,
                         testing::Combine(testing::Values(1, 63, 64, 65), testing::Values(1, 31, 33, 400)),
                         name_of_shape);
INSTANTIATE_TEST_SUITE_P(ManyParts, Borders, testing::Combine(testing::Values(1000), testing::Values(1, 33)),
                         name_of_shape);

// More parts than the arguments of one launch describe, of sizes that are and are not whole packs of 16 bytes, empty
// ones among them, and parts that begin anywhere.
TEST(BordersOfJoins, ManyPartsOfAnySize) {
  for (const int64_t columns : {3, 4}) {
    for (const int64_t offset : {0, 1}) {
      const Tensor x = random_uniform({200, columns}, -2, 2, 1);
      expect_as_on_cpu(
          [=](const Inputs& in) {
            std::vector<Tensor> parts;
            for (int64_t i = 0; i + 2 < 140; ++i) parts.push_back(slice(in[0], 0, i + offset, i % 3));
            return concat(parts, 0);
          },
          {x});
    }
  }
}

TEST(BordersOfPairs, UpperTriangle) {
  for (const int64_t fields : {1, 2, 16, 17}) {
    if (fields == 1) {
      const Tensor none = upper_triangle(random_uniform({3, 1, 1}, -1, 1, 1).to(test::kDevice));
      EXPECT_EQ(none.shape(), (Shape{3, 0}));
    } else {
      expect_as_on_cpu([](const Inputs& x) { return upper_triangle(x[0]); },
                       {random_uniform({3, fields, fields}, -1, 1, 1)});
    }
  }
}

}  // namespace
}  // namespace kdef::ops
