// Execution of a graph by the ops of the engine.
#include <map>

#include "kdef/serve/graph.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/pad.h"
#include "ops/pairs.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef {
namespace {

using Call = Graph::Call;
using Inputs = std::vector<Tensor>;
using Function = Tensor (*)(const Inputs& x, const Call& call);

int axis(const Call& call, const char* name = "axis") { return static_cast<int>(attribute<int64_t>(call, name)); }
bool keep(const Call& call) { return attribute<bool>(call, "keep"); }

Tensor reshape(const Inputs& x, const Call& call) {
  Shape shape;
  int64_t others = 1;
  const auto& sizes = attribute<std::vector<int64_t>>(call, "shape");
  for (const int64_t size : sizes) others *= size < 0 ? 1 : size;
  for (const int64_t size : sizes) shape.push_back(size < 0 ? x[0].numel() / others : size);
  return ops::reshape(x[0], shape);
}

ops::PoolMode pool_mode(const Call& call) {
  return attribute<std::string>(call, "mode") == "average" ? ops::PoolMode::average : ops::PoolMode::sum;
}

// The function of every primitive op that a model may call in evaluation mode.
const std::map<std::string_view, Function>& functions() {
  static const std::map<std::string_view, Function> all = {
#define KDEF_ROW(function, ...) {#function, [](const Inputs& x, const Call&) { return ops::function(x[0]); }},
      KDEF_UNARY_OPS(KDEF_ROW)
#undef KDEF_ROW
#define KDEF_ROW(function, ...) \
  {#function, [](const Inputs& x, const Call& c) { return ops::function(x[0], attribute<double>(c, "c")); }},
          KDEF_SCALAR_OPS(KDEF_ROW)
#undef KDEF_ROW
#define KDEF_ROW(function, ...) {#function, [](const Inputs& x, const Call&) { return ops::function(x[0], x[1]); }},
              KDEF_BINARY_OPS(KDEF_ROW)
#undef KDEF_ROW
                  {"reshape", reshape},
      {"transpose", [](const Inputs& x, const Call& c) { return ops::transpose(x[0], axis(c, "a"), axis(c, "b")); }},
      {"concat", [](const Inputs& x, const Call& c) { return ops::concat(x, axis(c)); }},
      {"slice",
       [](const Inputs& x, const Call& c) {
         return ops::slice(x[0], axis(c), attribute<int64_t>(c, "first"), attribute<int64_t>(c, "count"));
       }},
      {"pad",
       [](const Inputs& x, const Call& c) {
         return ops::pad(x[0], axis(c), attribute<int64_t>(c, "before"), attribute<int64_t>(c, "after"),
                         attribute<double>(c, "value"));
       }},
      {"upper_triangle", [](const Inputs& x, const Call&) { return ops::upper_triangle(x[0]); }},
      {"matmul",
       [](const Inputs& x, const Call& c) {
         return ops::matmul(x[0], x[1], attribute<bool>(c, "transpose_a"), attribute<bool>(c, "transpose_b"));
       }},
      {"linear", [](const Inputs& x, const Call&) { return ops::linear(x[0], x[1], x[2]); }},
      {"embedding",
       [](const Inputs& x, const Call& c) { return ops::embedding(x[0], x[1], attribute<bool>(c, "padding")); }},
      {"pool_sequence", [](const Inputs& x, const Call& c) { return ops::pool_sequence(x[0], x[1], pool_mode(c)); }},
      {"batch_norm_eval",
       [](const Inputs& x, const Call& c) {
         return ops::batch_norm_eval(x[0], x[1], x[2], x[3], x[4], attribute<double>(c, "eps"));
       }},
      {"layer_norm",
       [](const Inputs& x, const Call& c) { return ops::layer_norm(x[0], x[1], x[2], attribute<double>(c, "eps")); }},
      {"softmax", [](const Inputs& x, const Call& c) { return ops::softmax(x[0], axis(c)); }},
      {"softmin", [](const Inputs& x, const Call& c) { return ops::softmin(x[0], axis(c)); }},
      {"sum", [](const Inputs& x, const Call& c) { return ops::sum(x[0], axis(c), keep(c)); }},
      {"mean", [](const Inputs& x, const Call& c) { return ops::mean(x[0], axis(c), keep(c)); }},
      {"max", [](const Inputs& x, const Call& c) { return ops::max(x[0], axis(c), keep(c)); }},
      {"k_max", [](const Inputs& x, const Call& c) { return ops::k_max(x[0], axis(c), attribute<int64_t>(c, "k")); }},
  };
  return all;
}

}  // namespace

Ensemble::Output evaluate(const Graph& graph, const ModelInput& input) {
  const NoGrad no_grad;
  std::vector<Tensor> values;
  for (const Graph::Value& value : graph.values) values.push_back(value.constant);
  if (graph.ids != Graph::kNone) values[static_cast<size_t>(graph.ids)] = input.ids;
  if (graph.numbers != Graph::kNone) values[static_cast<size_t>(graph.numbers)] = input.values;
  for (const Call& call : graph.calls) {
    const auto found = functions().find(call.op->name);
    KDEF_CHECK(found != functions().end(), "graph: no function for op '", call.op->name, "'");
    Inputs inputs;
    for (const int x : call.inputs) inputs.push_back(x == Graph::kNone ? Tensor() : values[static_cast<size_t>(x)]);
    values[static_cast<size_t>(call.output)] = found->second(inputs, call);
  }
  return {values[static_cast<size_t>(graph.students)], values[static_cast<size_t>(graph.ensemble)], {}};
}

}  // namespace kdef
