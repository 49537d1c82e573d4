#include "core/tensor/tape.h"

#include <gtest/gtest.h>

#include "core/tensor/names.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/layout.h"
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
  EXPECT_NE(text.find("t2 [] = sum(t1 [2]; all=true)"), std::string::npos) << text;
  const std::string dot = to_dot(sum(square(x)));
  EXPECT_EQ(dot.rfind("digraph tape {", 0), 0u);
  EXPECT_NE(dot.find("x1 -> t1"), std::string::npos) << dot;
}

TEST(Tape, AttributesAreExplainedAndDrawn) {
  const Tensor x = leaf({1, 2, 3});
  const Tensor y = sum(slice(scale(x, -0.5), 0, 1, 2));
  EXPECT_NE(explain(y).find("= scale(x1 [3]; c=-0.5)"), std::string::npos) << explain(y);
  EXPECT_NE(explain(y).find("= slice(t1 [3]; axis=0, first=1, count=2)"), std::string::npos) << explain(y);
  EXPECT_NE(to_dot(y).find("\\naxis=0, first=1, count=2\\n"), std::string::npos) << to_dot(y);
  EXPECT_EQ(to_text({{"a", true}, {"b", 1}, {"c", "x"}, {"d", std::vector<double>{0.5, 2}}, {"e", 1e-5}}),
            "a=true, b=1, c='x', d=[0.5, 2], e=1e-05");
}

TEST(Tape, NamesAndGroupsAreExplainedAndDrawn) {
  const TensorNames names;
  const Tensor w = named("student 1/w", leaf({2})), v = named("student 2/w", leaf({3}));
  const Tensor p = named("p", square(w)), y = add(mul(p, p.detach()), v);
  EXPECT_NE(explain(y).find("t2 [1] = mul(p [1], sg(p) [1] (constant))"), std::string::npos) << explain(y);
  const std::string dot = to_dot(y), group = dot.substr(dot.find("subgraph \"cluster student 1\""));
  const std::string inside = group.substr(0, group.find("  }"));
  EXPECT_NE(inside.find("p = square"), std::string::npos) << dot;  // of one student
  EXPECT_EQ(inside.find("add [1]"), std::string::npos) << dot;     // of both
  EXPECT_NE(dot.find("subgraph \"cluster student 2\""), std::string::npos) << dot;
}

TEST(Tape, InputsWithoutAGradientAreShownAsConstants) {
  Tensor table = Tensor::from<double>({0, 0, 1, 1, 2, 2}, {3, 2});
  table.set_requires_grad();
  const Tensor y = embedding(table, Tensor::from<int32_t>({2, 1}, {2}), true);
  EXPECT_NE(explain(y).find("embedding(x1 [3, 2], x2 [2] (constant); padding=true)"), std::string::npos) << explain(y);
}

// Bytes that the host's tensors take now.
size_t in_use() { return memory_of(kCpu).statistics().in_use; }

TEST(Tape, AResultThatNobodySavesIsFreedInTheForwardPass) {
  memory_of(kCpu).trim();  // blocks of the very size
  const int64_t n = 1 << 16;
  Tensor x = Tensor::full({n}, 0.5, DType::f64);
  x.set_requires_grad();
  const size_t bytes = static_cast<size_t>(n) * 8;
  const auto taken = [&](const std::function<Tensor()>& f) {
    const size_t before = in_use();
    const Tensor y = f();
    return (in_use() - before) / bytes;
  };
  EXPECT_EQ(taken([&] { return neg(x); }), 1u);
  EXPECT_EQ(taken([&] { return neg(neg(neg(neg(x)))); }), 1u);
  EXPECT_EQ(taken([&] { return add(sub(shift(x, 1), x), scale(x, 2)); }), 1u);
  EXPECT_EQ(taken([&] { return exp(neg(x)); }), 1u);          // e^x reads its result alone
  EXPECT_EQ(taken([&] { return square(neg(x)); }), 2u);       // x^2 reads its input
  EXPECT_EQ(taken([&] { return mul(neg(x), x); }), 2u);       // each factor is the derivative of the other
  EXPECT_EQ(taken([&] { return div(x, shift(x, 1)); }), 2u);  // the divisor and the quotient
}

TEST(Tape, BackwardFreesStepByStep) {
  memory_of(kCpu).trim();  // blocks of the very size
  const int64_t n = 1 << 16;
  Tensor x = Tensor::full({n}, 0.5, DType::f64);
  x.set_requires_grad();
  const size_t bytes = static_cast<size_t>(n) * 8;
  Tensor y = x;
  for (int i = 0; i < 16; ++i) y = square(y);  // each saves its input
  const Tensor loss = sum(y);
  y = {};
  const size_t before = in_use();
  memory_of(kCpu).restart_peak();
  backward(loss);
  // One gradient comes before an activation goes: at no time are there more than two tensors beside the activations.
  EXPECT_LE(memory_of(kCpu).statistics().peak, before + 2 * bytes + (1 << 12));
  // While the loss lives, of all that it was computed from only the leaf and its gradient are there.
  EXPECT_LE(in_use(), before - 15 * bytes + bytes + (1 << 12));
  EXPECT_NE(explain(loss).find("saved: released"), std::string::npos);
}

TEST(Tape, ObserverSeesEveryResult) {
  std::vector<std::string> seen;
  const Tensor x = leaf({1, 2});
  {
    const RecordObserver observer([&](const Recorded& r) {
      seen.push_back(cat(r.op.name, r.inputs[0].shape(), r.output.shape(), " ", to_text(r.attributes)));
    });
    sum(scale(x, 0.5));
    const NoGrad no_grad;
    sum(x, 0, true);
  }
  square(x);
  EXPECT_EQ(seen, (std::vector<std::string>{"scale[2][2] c=0.5", "sum[2][] all=true", "sum[2][1] axis=0, keep=true"}));
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
