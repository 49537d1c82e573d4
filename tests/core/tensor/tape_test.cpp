#include "core/tensor/tape.h"

#include <gtest/gtest.h>

#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/reduce.h"

namespace kdef {
namespace {

using namespace ops;  // NOLINT

Tensor leaf(std::vector<double> values) {
  const int64_t n = static_cast<int64_t>(values.size());
  Tensor t = Tensor::from<double>(values, {n});
  t.set_requires_grad();
  return t;
}

TEST(Tape, AddsTheUsesOfATensor) {
  const Tensor x = leaf({2, 3});
  backward(sum(add(mul(x, x), x)));
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{5, 7}));
}

TEST(Tape, AccumulatesOverCallsUntilCleared) {
  const Tensor x = leaf({2});
  backward(sum(square(x)));
  backward(sum(square(x)));
  EXPECT_EQ(x.grad().item(), 8);
  x.clear_grad();
  EXPECT_FALSE(x.grad().defined());
}

TEST(Tape, DoesNotChangeAGradientThatIsShared) {
  // d(a + b) hands the same tensor to both; adding more to one must not show in the other.
  const Tensor a = leaf({1}), b = leaf({1});
  backward(sum(add(add(a, b), a)));
  EXPECT_EQ(a.grad().item(), 2);
  EXPECT_EQ(b.grad().item(), 1);
}

TEST(Tape, DetachStopsTheGradient) {
  const Tensor x = leaf({3});
  backward(sum(mul(x, x.detach())));
  EXPECT_EQ(x.grad().item(), 3);
  EXPECT_THROW(backward(sum(x.detach())), Error);
}

TEST(Tape, NoGradRecordsNothing) {
  const Tensor x = leaf({3});
  const NoGrad no_grad;
  EXPECT_FALSE(square(x).requires_grad());
}

TEST(Tape, RefusesASecondBackward) {
  const Tensor x = leaf({3});
  const Tensor y = sum(square(x));
  backward(y);
  EXPECT_THROW(backward(y), Error);
}

TEST(Tape, RefusesASavedTensorChangedInPlace) {
  const Tensor x = leaf({3});
  Tensor constant = Tensor::from<double>({2}, {1});
  const Tensor y = sum(mul(x, constant));
  constant.fill(5);
  try {
    backward(y);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("mul"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("clone()"), std::string::npos);
  }
}

TEST(Tape, NeedsASeedForMoreThanAScalar) {
  const Tensor x = leaf({1, 2});
  EXPECT_THROW(backward(square(x)), Error);
  backward(square(x), Tensor::from<double>({1, 10}, {2}));
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{2, 40}));
}

TEST(Tape, IsExplainedLineByLine) {
  const Tensor x = leaf({1, 2});
  const std::string text = explain(sum(square(x)));
  EXPECT_NE(text.find("t1 [2] = square(x1 [2])"), std::string::npos) << text;
  EXPECT_NE(text.find("dx = 2 x dy"), std::string::npos) << text;
  EXPECT_NE(text.find("t2 [] = sum(t1 [2])"), std::string::npos) << text;
  const std::string dot = to_dot(sum(square(x)));
  EXPECT_EQ(dot.rfind("digraph tape {", 0), 0u);
  EXPECT_NE(dot.find("x1 -> t1"), std::string::npos) << dot;
}

TEST(Tape, ObserverSeesEveryResult) {
  std::vector<std::string> seen;
  const Tensor x = leaf({1});
  {
    const RecordObserver observer([&](const OpInfo& op, const Tensor&) { seen.push_back(op.name); });
    sum(square(x));
  }
  square(x);
  EXPECT_EQ(seen, (std::vector<std::string>{"square", "sum"}));
}

TEST(Gradient, RowsAreSummedIntoDense) {
  Tensor table = Tensor::from<double>({0, 0, 1, 1, 2, 2}, {3, 2});
  table.set_requires_grad();
  const Tensor ids = Tensor::from<int32_t>({2, 1, 2}, {3});
  const Tensor y = add(sum(embedding(table, ids, true)), sum(square(table)));
  backward(y);
  EXPECT_FALSE(table.gradient().is_rows_only());
  EXPECT_EQ(table.grad().to_vector<double>(), (std::vector<double>{0, 0, 3, 3, 6, 6}));
}

}  // namespace
}  // namespace kdef
