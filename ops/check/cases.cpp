#include "ops/check/cases.h"

#include <cmath>

#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/fused/distinct.h"
#include "ops/fused/field_attention.h"
#include "ops/fused/hidden_linear.h"
#include "ops/fused/outer_linear.h"
#include "ops/fused/stacked.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/pad.h"
#include "ops/pairs.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef::ops {
namespace {

using Inputs = std::vector<Tensor>;

Tensor rnd(const Shape& s, uint64_t seed, double low = -2, double high = 2) {
  return random_uniform(s, low, high, seed);
}

// Converts a constant f64 tensor of a case to the type and the device of the case's input.
Tensor constant(const Tensor& values, const Tensor& input) { return values.to(input.dtype()).to(input.device()); }

// Makes the running buffers of `count` networks, of the type and on the device of x.
std::vector<Tensor> buffers(const Tensor& x, int64_t count, int64_t columns, double value) {
  std::vector<Tensor> all;
  for (int64_t m = 0; m < count; ++m) all.push_back(Tensor::full({columns}, value, x.dtype(), x.device()));
  return all;
}

// A hidden layer with dropout 0.3 after batch norm with weight gamma and bias beta.
HiddenLayer hidden_layer(const Tensor& gamma, const Tensor& beta, bool training) {
  const int64_t columns = gamma.numel();
  return {.gamma = gamma,
          .beta = beta,
          .running_mean = buffers(gamma, 1, columns, 0),
          .running_var = buffers(gamma, 1, columns, 1),
          .training = training,
          .p = 0.3,
          .keys = {dropout_key(5, 2, 9)}};
}
// Those of two networks side by side.
HiddenLayer two_layers(const Tensor& gamma, const Tensor& beta, const Tensor& bias) {
  const int64_t columns = gamma.numel() / 2;
  return {.gamma = gamma,
          .beta = beta,
          .running_mean = buffers(gamma, 2, columns, 0),
          .running_var = buffers(gamma, 2, columns, 1),
          .p = 0.3,
          .keys = {dropout_key(5, 2, 9), dropout_key(5, 3, 9)},
          .bias = bias};
}

Tensor labels(const Tensor& input) {
  Tensor y = Tensor::empty(input.shape(), DType::f64);
  for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = i % 3 == 0 ? 1 : 0;
  return constant(y, input);
}

// Ids with repetitions and padding (0). The second row holds padding only.
Tensor some_ids(Device device) { return Tensor::from<int32_t>({3, 1, 0, 0, 0, 0, 4, 3, 3, 2, 0, 1}, {4, 3}, device); }

GradientCase embed_fields_case(std::vector<EmbedField> fields, bool shared) {
  const Tensor ids = Tensor::from<int32_t>({1, 3, 1, 0, 2, 0, 0, 0, 4, 2, 2, 1, 1, 4, 4, 4}, {4, 4});
  return {{rnd({5, 3}, 1), rnd({5, 3}, 2), rnd({3, 1}, 3), rnd({4, 2}, 4)},
          [=](const Inputs& x) {
            return embed_fields({x[0], shared ? x[0] : x[1], x[2]}, ids.to(x[0].device()), x[3].detach(), fields);
          },
          shared ? std::vector<size_t>{1, 3} : std::vector<size_t>{3}};
}

}  // namespace

std::vector<OpCase> op_cases() {
  std::vector<OpCase> cases;
  const auto add_case = [&](const OpInfo& info, std::string variant, std::function<GradientCase()> make) {
    cases.push_back({&info, std::move(variant), [make = std::move(make)](Device device) {
                       GradientCase c = make();
                       for (Tensor& input : c.inputs) input = input.to(device);
                       return c;
                     }});
  };
#define KDEF_CASE(function, Functor, value, derivative, low, high, kink)                                   \
  add_case(k##Functor##Info, "", [] {                                                                      \
    return GradientCase{                                                                                   \
        {random_uniform({3, 5}, low, high, 1, kink)}, [](const Inputs& x) { return function(x[0]); }, {}}; \
  });
  KDEF_UNARY_OPS(KDEF_CASE)
#undef KDEF_CASE
#define KDEF_CASE(function, Functor, value, derivative, low, high, kink, c)                                   \
  add_case(k##Functor##Info, "", [] {                                                                         \
    return GradientCase{                                                                                      \
        {random_uniform({3, 5}, low, high, 1, kink)}, [](const Inputs& x) { return function(x[0], c); }, {}}; \
  });
  KDEF_SCALAR_OPS(KDEF_CASE)
#undef KDEF_CASE
#define KDEF_CASE(function, Functor, value, derivative, low, high)                 \
  add_case(k##Functor##Info, "", [] {                                              \
    return GradientCase{{rnd({3, 5}, 1, low, high), rnd({3, 5}, 2, low, high)},    \
                        [](const Inputs& x) { return function(x[0], x[1]); },      \
                        {}};                                                       \
  });                                                                              \
  add_case(k##Functor##Info, "broadcast [2,1,3] with [4,1]", [] {                  \
    return GradientCase{{rnd({2, 1, 3}, 1, low, high), rnd({4, 1}, 2, low, high)}, \
                        [](const Inputs& x) { return function(x[0], x[1]); },      \
                        {}};                                                       \
  });
  KDEF_BINARY_OPS(KDEF_CASE)
#undef KDEF_CASE

  const auto of_one = [](Shape s, std::function<Tensor(const Tensor&)> f) {
    return [=] { return GradientCase{{rnd(s, 1)}, [=](const Inputs& x) { return f(x[0]); }, {}}; };
  };

  add_case(kSumInfo, "axis 1 of [2,3,4]", of_one({2, 3, 4}, [](const Tensor& x) { return sum(x, 1); }));
  add_case(kSumInfo, "all", of_one({2, 3}, [](const Tensor& x) { return sum(x); }));
  add_case(kMeanInfo, "axis -1, kept", of_one({2, 3, 4}, [](const Tensor& x) { return mean(x, -1, true); }));
  add_case(kMeanInfo, "all", of_one({2, 3}, [](const Tensor& x) { return mean(x); }));
  add_case(kMaxInfo, "axis 1 of [2,3,4]", of_one({2, 3, 4}, [](const Tensor& x) { return max(x, 1); }));
  add_case(kKMaxInfo, "3 along axis 1 of [2,5,2]", of_one({2, 5, 2}, [](const Tensor& x) { return k_max(x, 1, 3); }));
  add_case(kReshapeInfo, "", of_one({2, 6}, [](const Tensor& x) { return reshape(x, {3, 4}); }));
  add_case(kTransposeInfo, "axes 0 and 2 of [2,3,4]",
           of_one({2, 3, 4}, [](const Tensor& x) { return transpose(x, 0, 2); }));
  add_case(kConcatInfo, "axis 1", [] {
    return GradientCase{
        {rnd({2, 3}, 1), rnd({2, 1}, 2), rnd({2, 2}, 3)}, [](const Inputs& x) { return concat(x, 1); }, {}};
  });
  add_case(kConcatInfo, "stack at axis 1", [] {
    return GradientCase{{rnd({2, 3}, 1), rnd({2, 3}, 2)}, [](const Inputs& x) { return stack(x, 1); }, {}};
  });
  add_case(kSliceInfo, "axis 1", of_one({2, 5, 2}, [](const Tensor& x) { return slice(x, 1, 1, 3); }));

  add_case(kPadInfo, "axis 1", of_one({2, 3, 2}, [](const Tensor& x) { return pad(x, 1, 1, 2, 0.5); }));
  add_case(kUpperTriangleInfo, "", of_one({2, 4, 4}, [](const Tensor& x) { return upper_triangle(x); }));

  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      add_case(kMatmulInfo, cat(ta ? "A^T" : "A", tb ? " B^T" : " B"), [=] {
        return GradientCase{{rnd(ta ? Shape{4, 3} : Shape{3, 4}, 1), rnd(tb ? Shape{5, 4} : Shape{4, 5}, 2)},
                            [=](const Inputs& x) { return matmul(x[0], x[1], ta, tb); },
                            {}};
      });
      add_case(kMatmulInfo, cat("stack of 2: ", ta ? "A^T" : "A", tb ? " B^T" : " B"), [=] {
        return GradientCase{
            {rnd(ta ? Shape{2, 4, 3} : Shape{2, 3, 4}, 1), rnd(tb ? Shape{2, 5, 4} : Shape{2, 4, 5}, 2)},
            [=](const Inputs& x) { return matmul(x[0], x[1], ta, tb); },
            {}};
      });
    }
  }
  add_case(kLinearInfo, "with bias", [] {
    return GradientCase{
        {rnd({3, 4}, 1), rnd({5, 4}, 2), rnd({5}, 3)}, [](const Inputs& x) { return linear(x[0], x[1], x[2]); }, {}};
  });
  add_case(kLinearInfo, "without bias", [] {
    return GradientCase{{rnd({3, 4}, 1), rnd({5, 4}, 2)}, [](const Inputs& x) { return linear(x[0], x[1], {}); }, {}};
  });
  add_case(kSoftmaxInfo, "axis 1 of [2,4,3]", of_one({2, 4, 3}, [](const Tensor& x) { return softmax(x, 1); }));
  add_case(kSoftminInfo, "last axis", of_one({3, 4}, [](const Tensor& x) { return softmin(x, -1); }));

  const auto norm_inputs = [] { return Inputs{rnd({6, 3}, 1), rnd({3}, 2), rnd({3}, 3)}; };
  add_case(kBatchNormInfo, "", [=] {
    return GradientCase{norm_inputs(),
                        [](const Inputs& x) {
                          return batch_norm(x[0], x[1], x[2], Tensor::zeros({3}, x[0].dtype(), x[0].device()),
                                            Tensor::full({3}, 1, x[0].dtype(), x[0].device()));
                        },
                        {}};
  });
  add_case(kBatchNormEvalInfo, "", [=] {
    return GradientCase{norm_inputs(),
                        [](const Inputs& x) {
                          return batch_norm_eval(x[0], x[1], x[2], constant(rnd({3}, 4), x[0]),
                                                 constant(rnd({3}, 5, 0.5, 2), x[0]));
                        },
                        {}};
  });
  for (const bool training : {true, false}) {
    add_case(kBatchNormReluDropoutInfo, training ? "training, p = 0.3" : "evaluation", [=] {
      return GradientCase{
          norm_inputs(),
          [=](const Inputs& x) { return batch_norm_relu_dropout(x[0], hidden_layer(x[1], x[2], training)); },
          {}};
    });
  }
  const auto hidden_linear_case = [=](bool training, int64_t out) {
    Inputs inputs = norm_inputs();
    inputs.push_back(rnd({out, 3}, 6));
    inputs.push_back(rnd({out}, 7));
    return GradientCase{
        inputs,
        [=](const Inputs& x) { return hidden_linear(x[0], hidden_layer(x[1], x[2], training), x[3], x[4]); },
        {}};
  };
  add_case(kHiddenLinearInfo, "training, p = 0.3", [=] { return hidden_linear_case(true, 4); });
  add_case(kHiddenLinearInfo, "one output", [=] { return hidden_linear_case(true, 1); });
  add_case(kHiddenLinearInfo, "evaluation", [=] { return hidden_linear_case(false, 4); });
  const auto attention_case = [](const AttentionForm& form) {
    return GradientCase{{rnd({2, 5, 4}, 1), rnd({2, 5, 4}, 2), rnd({2, 5, 4}, 3)},
                        [=](const Inputs& x) { return field_attention(x[0], x[1], x[2], form); },
                        {}};
  };
  add_case(kFieldAttentionInfo, "", [=] { return attention_case({}); });
  add_case(kFieldAttentionInfo, "two heads, scaled, p = 0.3",
           [=] { return attention_case({.heads = 2, .scale = 0.7, .p = 0.3, .key = dropout_key(5, 2, 9)}); });
  add_case(kOuterLinearInfo, "with bias", [] {
    return GradientCase{{rnd({5, 3}, 1), rnd({5, 4}, 2), rnd({2, 12}, 3), rnd({2}, 4)},
                        [](const Inputs& x) { return outer_linear(x[0], x[1], x[2], x[3]); },
                        {}};
  });
  add_case(kOuterLinearInfo, "of a row with itself, without bias", [] {
    return GradientCase{
        {rnd({5, 3}, 1), rnd({2, 9}, 3)}, [](const Inputs& x) { return outer_linear(x[0], x[0], x[1], {}); }, {}};
  });
  add_case(kStackedBatchNormReluDropoutInfo, "", [] {
    return GradientCase{
        {rnd({7, 6}, 1), rnd({6}, 6), rnd({6}, 2, 0.5, 2), rnd({6}, 3, -1, 1)},
        [](const Inputs& x) { return stacked_batch_norm_relu_dropout(x[0], two_layers(x[2], x[3], x[1])); },
        {}};
  });
  add_case(kStackedLinearInfo, "", [] {
    return GradientCase{{rnd({5, 6}, 1), rnd({2, 4, 3}, 2), rnd({2, 4}, 3)},
                        [](const Inputs& x) { return stacked_linear(x[0], x[1], x[2]); },
                        {}};
  });
  for (const int64_t units : {3, 4}) {  // a GPU reads 3 units one by one, 4 at once
    add_case(kStackedOutputInfo, cat(units, " units"), [units] {
      return GradientCase{
          {rnd({7, 2 * units}, 1), rnd({2 * units}, 6), rnd({2 * units}, 2, 0.5, 2), rnd({2 * units}, 3, -1, 1),
           rnd({2, units}, 4), rnd({2}, 5)},
          [](const Inputs& x) { return stacked_output(x[0], two_layers(x[2], x[3], x[1]), x[4], x[5]); },
          {}};
    });
  }
  add_case(kLayerNormInfo, "", [=] {
    return GradientCase{norm_inputs(), [](const Inputs& x) { return layer_norm(x[0], x[1], x[2]); }, {}};
  });
  add_case(kDropoutInfo, "p = 0.3",
           of_one({7, 5}, [](const Tensor& x) { return dropout(x, 0.3, dropout_key(5, 2, 9)); }));

  add_case(kEmbeddingInfo, "every id", [] {
    return GradientCase{
        {rnd({5, 3}, 1)}, [](const Inputs& x) { return embedding(x[0], some_ids(x[0].device()), false); }, {}};
  });
  add_case(kEmbeddingInfo, "padding row 0 held fixed", [] {
    return GradientCase{{rnd({4, 3}, 1), rnd({1, 3}, 2)},
                        [](const Inputs& x) {
                          return embedding(concat({x[1], x[0]}, 0), some_ids(x[0].device()), true);
                        },
                        {1}};
  });
  for (const bool average : {true, false}) {
    add_case(kPoolInfo, average ? "average" : "sum", of_one({4, 3, 2}, [=](const Tensor& x) {
               return pool_sequence(x, some_ids(x.device()), average ? PoolMode::average : PoolMode::sum);
             }));
  }
  using Kind = EmbedField::Kind;
  add_case(kEmbedFieldsInfo, "an id, sequences and numbers", [] {
    // Column 0 holds no padding: an id field reads row 0 as it is, but row 0 gets no gradient.
    return embed_fields_case({{Kind::id, 0, 0, 1},
                              {Kind::average, 0, 1, 2},
                              {Kind::numeric, 2, 1, 1},
                              {Kind::sum, 1, 1, 3},
                              {Kind::numeric, 2, 0, 1}},
                             false);
  });
  add_case(kEmbedFieldsInfo, "a table shared by two fields", [] {
    return embed_fields_case({{Kind::average, 0, 0, 3}, {Kind::sum, 1, 2, 2}}, true);
  });

  // Two of three id fields are chosen, and two fields share a table; 17 and 19 columns are no multiple of a block.
  const std::vector<EmbedField> id_fields = {{Kind::id, 0, 0, 1}, {Kind::id, 1, 1, 1}, {Kind::id, 0, 2, 1}};
  const auto some_distinct = [=](int64_t max_ids, Device device, int64_t max_combinations = 1) {
    const Tensor ids = Tensor::from<int32_t>({1, 3, 1, 4, 3, 2, 1, 1, 4, 2, 2, 3, 1, 3, 2}, {5, 3}, device);
    return distinct_ids(ids, id_fields, {5, 4}, {100, max_ids, max_combinations});
  };
  add_case(kEmbedDistinctInfo, "two fields on one table", [=] {
    return GradientCase{{rnd({5, 3}, 1), rnd({4, 3}, 2)},
                        [=](const Inputs& x) {
                          return embed_distinct({x[0], x[1]}, id_fields, some_distinct(5, x[0].device()));
                        },
                        {}};
  });
  add_case(kDistinctLinearInfo, "some fields", [=] {
    const DistinctIds distinct = some_distinct(3, kCpu);
    const int64_t others = 3 - static_cast<int64_t>(distinct.fields.size());
    return GradientCase{
        {rnd({distinct.ids.shape()[0], 3}, 1), rnd({5, others * 3}, 2), rnd({17, 9}, 3), rnd({17}, 4)},
        [=](const Inputs& x) { return distinct_linear(x[0], x[1], some_distinct(3, x[0].device()), 3, x[2], x[3]); },
        {}};
  });
  add_case(kDistinctLinearInfo, "fields that share a look-up", [=] {
    return GradientCase{
        {rnd({some_distinct(5, kCpu).ids.shape()[0], 3}, 1), rnd({17, 9}, 3), rnd({17}, 4)},
        [=](const Inputs& x) { return distinct_linear(x[0], {}, some_distinct(5, x[0].device(), 12), 3, x[1], x[2]); },
        {}};
  });
  add_case(kDistinctLinearInfo, "without bias", [=] {
    return GradientCase{
        {rnd({some_distinct(5, kCpu).ids.shape()[0], 3}, 1), rnd({17, 9}, 3)},
        [=](const Inputs& x) { return distinct_linear(x[0], {}, some_distinct(5, x[0].device()), 3, x[1], {}); },
        {}};
  });
  add_case(kDistinctLinearInfo, "all fields", [=] {
    return GradientCase{
        {rnd({some_distinct(5, kCpu).ids.shape()[0], 19}, 1), rnd({19, 57}, 3), rnd({19}, 4)},
        [=](const Inputs& x) { return distinct_linear(x[0], {}, some_distinct(5, x[0].device()), 3, x[1], x[2]); },
        {}};
  });

  add_case(kBceInfo, "", [] {
    return GradientCase{
        {rnd({4, 2}, 1, 0.1, 0.9)}, [](const Inputs& x) { return binary_cross_entropy(x[0], labels(x[0])); }, {}};
  });
  add_case(kBceWithLogitsInfo, "", [] {
    return GradientCase{{random_uniform({4, 2}, -3, 3, 1, 0.0)},
                        [](const Inputs& x) { return binary_cross_entropy_with_logits(x[0], labels(x[0])); },
                        {}};
  });
  add_case(kMseInfo, "", [] {
    return GradientCase{
        {rnd({4, 2}, 1), rnd({4, 2}, 2)}, [](const Inputs& x) { return mean_squared_error(x[0], x[1]); }, {}};
  });
  const auto row_weights = [](const Tensor& x) { return constant(rnd({4, 1}, 5, 0, 2), x); };
  add_case(kBceInfo, "weighted rows", [=] {
    return GradientCase{{rnd({4, 2}, 1, 0.1, 0.9)},
                        [=](const Inputs& x) { return binary_cross_entropy(x[0], labels(x[0]), row_weights(x[0])); },
                        {}};
  });
  add_case(kBceWithLogitsInfo, "weighted rows", [=] {
    return GradientCase{
        {random_uniform({4, 2}, -3, 3, 1, 0.0)},
        [=](const Inputs& x) { return binary_cross_entropy_with_logits(x[0], labels(x[0]), row_weights(x[0])); },
        {}};
  });
  add_case(kMseInfo, "weighted rows", [=] {
    return GradientCase{{rnd({4, 2}, 1), rnd({4, 2}, 2)},
                        [=](const Inputs& x) { return mean_squared_error(x[0], x[1], row_weights(x[0])); },
                        {}};
  });
  return cases;
}

}  // namespace kdef::ops
