#include "kdef/serve/onnx_nodes.h"

#include <numeric>

#include "core/base/names.h"

namespace kdef {

int64_t onnx_type(DType type) {
  switch (type) {
    case DType::f32:
      return 1;
    case DType::i32:
      return 6;
    case DType::i64:
      return 7;
    case DType::f64:
      return 11;
    default:
      throw Error(cat("onnx: no tensors of type ", name_of(type)));
  }
}

// ---- Messages. NodeProto: input 1, output 2, name 3, op_type 4, attribute 5. AttributeProto: name 1, f 2, i 3, ints
// 8, type 20 (FLOAT 1, INT 2, INTS 7). TensorProto: dims 1, data_type 2, name 8, raw_data 9.

namespace {

ProtoMessage attribute_message(const OnnxAttribute& attribute) {
  ProtoMessage message;
  message.bytes(1, attribute.name);
  if (const float* f = std::get_if<float>(&attribute.value)) return message.number(2, *f).integer(20, 1);
  if (const int64_t* i = std::get_if<int64_t>(&attribute.value)) return message.integer(3, *i).integer(20, 2);
  if (const auto* texts = std::get_if<std::vector<std::string_view>>(&attribute.value)) {
    for (const std::string_view text : *texts) message.bytes(9, text);
    return message.integer(20, 8);
  }
  for (const int64_t i : std::get<std::vector<int64_t>>(attribute.value)) message.integer(8, i);
  return message.integer(20, 7);
}

}  // namespace

std::vector<std::string> OnnxNodes::add_many(std::string_view op, const std::vector<std::string>& inputs,
                                             const std::vector<OnnxAttribute>& attributes, int count) {
  return add_of_domain("", op, inputs, attributes, count);
}

std::vector<std::string> OnnxNodes::add_of_domain(std::string_view domain, std::string_view op,
                                                  const std::vector<std::string>& inputs,
                                                  const std::vector<OnnxAttribute>& attributes, int count) {
  std::vector<std::string> outputs;
  const std::string name = count_ == 0 ? prefix_ : cat(prefix_, "_", count_);
  ++count_;
  for (int k = 0; k < count; ++k) outputs.push_back(k == 0 ? name : cat(name, ".", k));
  ProtoMessage node;
  for (const std::string& input : inputs) node.bytes(1, input);
  for (const std::string& output : outputs) node.bytes(2, output);
  node.bytes(3, name).bytes(4, op);
  for (const OnnxAttribute& attribute : attributes) node.message(5, attribute_message(attribute));
  if (!domain.empty()) node.bytes(7, domain);
  nodes_.message(1, node);
  return outputs;
}

std::string OnnxNodes::add(std::string_view op, const std::vector<std::string>& inputs,
                           const std::vector<OnnxAttribute>& attributes) {
  return add_many(op, inputs, attributes, 1)[0];
}

std::string OnnxNodes::ids_of_words(const std::string& input, const OnnxWords& words) {
  return add_of_domain("ai.onnx.ml", "LabelEncoder", {input},
                       {{"keys_strings", words.words}, {"values_int64s", words.ids}, {"default_int64", words.other}},
                       1)[0];
}

std::string OnnxNodes::constant(const std::string& name, const Tensor& value) {
  ProtoMessage tensor;
  for (const int64_t size : value.shape()) tensor.integer(1, size);
  tensor.integer(2, onnx_type(value.dtype())).bytes(8, name).borrowed_bytes(9, value.raw(), value.bytes());
  constants_.message(5, tensor);
  return name;
}

std::string OnnxNodes::integers(const std::vector<int64_t>& values) {
  std::string name = "integers";
  for (const int64_t v : values) name += cat("_", v);
  if (!known_.emplace(name, name).second) return name;
  ProtoMessage tensor;
  tensor.integer(1, static_cast<int64_t>(values.size())).integer(2, onnx_type(DType::i64)).bytes(8, name);
  tensor.bytes(9, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int64_t)});
  constants_.message(5, tensor);
  return name;
}

std::string OnnxNodes::number(double value, DType type) {
  const std::string name = cat("number_", shortest(value), type == DType::f32 ? "" : "_double");
  if (!known_.emplace(name, name).second) return name;
  const auto narrow = static_cast<float>(value);
  ProtoMessage tensor;
  tensor.integer(2, onnx_type(type)).bytes(8, name);
  if (type == DType::f32)
    tensor.bytes(9, {reinterpret_cast<const char*>(&narrow), sizeof narrow});
  else
    tensor.bytes(9, {reinterpret_cast<const char*>(&value), sizeof value});
  constants_.message(5, tensor);
  return name;
}

ProtoMessage OnnxNodes::fields() const {
  ProtoMessage all = nodes_;
  all.append(constants_);
  return all;
}

// ---- The table of ops

namespace {

// A call that is being translated.
struct Site {
  OnnxNodes& nodes;
  const Graph& graph;
  const Graph::Call& call;
  const std::vector<std::string>& x;  // names of its inputs

  const Graph::Value& input(size_t i) const { return graph.values[static_cast<size_t>(call.inputs[i])]; }
  int rank(size_t i = 0) const { return input(i).shape.rank(); }
  int64_t axis(const char* name = "axis") const { return attribute<int64_t>(call, name); }
  int64_t keep() const { return attribute<bool>(call, "keep") ? 1 : 0; }
  std::string number(double value) const { return nodes.number(value, input(0).type); }
  std::string add(std::string_view op, const std::vector<std::string>& inputs,
                  const std::vector<OnnxAttribute>& attributes = {}) const {
    return nodes.add(op, inputs, attributes);
  }
};

using Translate = std::string (*)(const Site& s);

// An op that is one operator of the same inputs.
#define KDEF_SAME(name) [](const Site& s) { return s.add(name, s.x); }
// An op of x and a number c that is an operator of both.
#define KDEF_WITH_NUMBER(name) \
  [](const Site& s) { return s.add(name, {s.x[0], s.number(attribute<double>(s.call, "c"))}); }

// x P(x): P = (1 + erf(x / sqrt 2)) / 2.
std::string gelu(const Site& s) {
  const std::string erf = s.add("Erf", {s.add("Mul", {s.x[0], s.number(0.70710678118654752440)})});
  return s.add("Mul", {s.x[0], s.add("Mul", {s.add("Add", {erf, s.number(1)}), s.number(0.5)})});
}

// The angle of (b, a): atan(a / b), plus or minus pi where b < 0, and 0 where both are 0. Zeros have no sign.
std::string atan2(const Site& s) {
  const std::string zero = s.number(0), pi = s.number(3.14159265358979323846),
                    minus = s.number(-3.14159265358979323846);
  const std::string b_is_zero = s.add("Equal", {s.x[1], zero}), a_is_zero = s.add("Equal", {s.x[0], zero});
  const std::string b = s.add("Where", {b_is_zero, zero, s.x[1]});  // -0 as 0
  const std::string angle = s.add("Atan", {s.add("Div", {s.x[0], b})});
  const std::string half = s.add("Where", {s.add("Less", {s.x[0], zero}), minus, pi});
  const std::string turned = s.add("Add", {angle, s.add("Where", {s.add("Less", {b, zero}), half, zero})});
  return s.add("Where", {s.add("And", {a_is_zero, b_is_zero}), zero, turned});
}

std::string reshape(const Site& s) {
  return s.add("Reshape", {s.x[0], s.nodes.integers(attribute<std::vector<int64_t>>(s.call, "shape"))});
}

std::string exchanged(const Site& s, size_t i, int64_t a, int64_t b) {
  std::vector<int64_t> order(static_cast<size_t>(s.rank(i)));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<size_t>(a)], order[static_cast<size_t>(b)]);
  return s.add("Transpose", {s.x[i]}, {{"perm", order}});
}
std::string transpose(const Site& s) { return exchanged(s, 0, s.axis("a"), s.axis("b")); }

std::string slice(const Site& s) {
  const int64_t first = attribute<int64_t>(s.call, "first"), count = attribute<int64_t>(s.call, "count");
  OnnxNodes& n = s.nodes;
  return s.add("Slice", {s.x[0], n.integers({first}), n.integers({first + count}), n.integers({s.axis()})});
}

std::string pad(const Site& s) {
  std::vector<int64_t> sizes(2 * static_cast<size_t>(s.rank()), 0);  // in front of every axis, then behind
  sizes[static_cast<size_t>(s.axis())] = attribute<int64_t>(s.call, "before");
  sizes[static_cast<size_t>(s.rank() + s.axis())] = attribute<int64_t>(s.call, "after");
  return s.add("Pad", {s.x[0], s.nodes.integers(sizes), s.number(attribute<double>(s.call, "value"))});
}

// The elements above the diagonal of [B, F, F], as columns of [B, F F].
std::string upper_triangle(const Site& s) {
  const int64_t fields = s.input(0).shape[1];
  std::vector<int64_t> columns;
  for (int64_t i = 0; i < fields; ++i) {
    for (int64_t j = i + 1; j < fields; ++j) columns.push_back(i * fields + j);
  }
  const std::string flat = s.add("Reshape", {s.x[0], s.nodes.integers({-1, fields * fields})});
  return s.add("Gather", {flat, s.nodes.integers(columns)}, {{"axis", int64_t{1}}});
}

std::string matmul(const Site& s) {
  const bool ta = attribute<bool>(s.call, "transpose_a"), tb = attribute<bool>(s.call, "transpose_b");
  const int last = s.rank() - 1;
  return s.add("MatMul",
               {ta ? exchanged(s, 0, last - 1, last) : s.x[0], tb ? exchanged(s, 1, last - 1, last) : s.x[1]});
}

std::string linear(const Site& s) {
  std::vector<std::string> inputs = s.x;
  if (inputs.back().empty()) inputs.pop_back();
  return s.add("Gemm", inputs, {{"transB", int64_t{1}}});
}

// The sum, or the average, of x [B, L, D] over the places l whose id is not 0.
std::string pool_sequence(const Site& s) {
  OnnxNodes& n = s.nodes;
  const std::string axis = n.integers({1}), zero = n.number(0, s.input(0).type);
  const std::string empty = s.add("Equal", {s.x[1], n.integers({0})});  // [B, L]
  const std::string there = s.add("Where", {s.add("Unsqueeze", {empty, n.integers({2})}), zero, s.x[0]});
  const std::string sum = s.add("ReduceSum", {there, axis}, {{"keepdims", int64_t{0}}});
  if (attribute<std::string>(s.call, "mode") == "sum") return sum;
  const std::string one = n.number(1, s.input(0).type);
  const std::string count = s.add("ReduceSum", {s.add("Where", {empty, zero, one}), axis});  // [B, 1]
  return s.add("Div", {sum, s.add("Max", {count, one})});
}

std::string batch_norm(const Site& s) {
  return s.add("BatchNormalization", s.x, {{"epsilon", static_cast<float>(attribute<double>(s.call, "eps"))}});
}
std::string layer_norm(const Site& s) {
  return s.add("LayerNormalization", s.x, {{"epsilon", static_cast<float>(attribute<double>(s.call, "eps"))}});
}

std::string sum(const Site& s) {
  return s.add("ReduceSum", {s.x[0], s.nodes.integers({s.axis()})}, {{"keepdims", s.keep()}});
}
// Of operators that have the axes as an attribute until opset 18.
std::string reduced(const Site& s, std::string_view op) {
  return s.add(op, {s.x[0]}, {{"axes", std::vector<int64_t>{s.axis()}}, {"keepdims", s.keep()}});
}

// The k largest, in the order of their places: the places of the k largest, sorted.
std::string k_max(const Site& s) {
  OnnxNodes& n = s.nodes;
  const std::string k = n.integers({attribute<int64_t>(s.call, "k")});
  const std::string places = n.add_many("TopK", {s.x[0], k}, {{"axis", s.axis()}}, 2)[1];
  const std::string sorted = n.add_many("TopK", {places, k}, {{"axis", s.axis()}, {"largest", int64_t{0}}}, 2)[0];
  return s.add("GatherElements", {s.x[0], sorted}, {{"axis", s.axis()}});
}

// What every op of a graph is in ONNX.
struct Translation {
  std::string_view name;
  Translate translate;
};
constexpr Translation kTranslations[] = {
    {"neg", KDEF_SAME("Neg")},
    {"abs", KDEF_SAME("Abs")},
    {"exp", KDEF_SAME("Exp")},
    {"log", KDEF_SAME("Log")},
    {"sqrt", KDEF_SAME("Sqrt")},
    {"square",
     [](const Site& s) {
       return s.add("Mul", {s.x[0], s.x[0]});
     }},
    {"relu", KDEF_SAME("Relu")},
    {"sigmoid", KDEF_SAME("Sigmoid")},
    {"tanh", KDEF_SAME("Tanh")},
    {"sin", KDEF_SAME("Sin")},
    {"cos", KDEF_SAME("Cos")},
    {"silu",
     [](const Site& s) {
       return s.add("Mul", {s.x[0], s.add("Sigmoid", {s.x[0]})});
     }},
    {"gelu", gelu},
    {"scale", KDEF_WITH_NUMBER("Mul")},
    {"shift", KDEF_WITH_NUMBER("Add")},
    {"pow", KDEF_WITH_NUMBER("Pow")},
    {"clamp_min", KDEF_WITH_NUMBER("Max")},
    {"leaky_relu",
     [](const Site& s) {
       return s.add("LeakyRelu", s.x, {{"alpha", static_cast<float>(attribute<double>(s.call, "c"))}});
     }},
    {"add", KDEF_SAME("Add")},
    {"sub", KDEF_SAME("Sub")},
    {"mul", KDEF_SAME("Mul")},
    {"div", KDEF_SAME("Div")},
    {"atan2", atan2},
    {"reshape", reshape},
    {"transpose", transpose},
    {"concat",
     [](const Site& s) {
       return s.add("Concat", s.x, {{"axis", s.axis()}});
     }},
    {"slice", slice},
    {"pad", pad},
    {"upper_triangle", upper_triangle},
    {"matmul", matmul},
    {"linear", linear},
    {"embedding", KDEF_SAME("Gather")},
    {"pool_sequence", pool_sequence},
    {"batch_norm_eval", batch_norm},
    {"layer_norm", layer_norm},
    {"softmax",
     [](const Site& s) {
       return s.add("Softmax", s.x, {{"axis", s.axis()}});
     }},
    {"softmin",
     [](const Site& s) {
       return s.add("Softmax", {s.add("Neg", s.x)}, {{"axis", s.axis()}});
     }},
    {"sum", sum},
    {"mean", [](const Site& s) { return reduced(s, "ReduceMean"); }},
    {"max", [](const Site& s) { return reduced(s, "ReduceMax"); }},
    {"k_max", k_max},
};
#undef KDEF_SAME
#undef KDEF_WITH_NUMBER

}  // namespace

std::string add_call(OnnxNodes& nodes, const Graph& graph, const Graph::Call& call,
                     const std::vector<std::string>& inputs) {
  const Translation* found = find_row(kTranslations, std::string_view(call.op->name));
  KDEF_CHECK(found != nullptr, "onnx: op '", call.op->name,
             "' has no operators of ONNX; add it to the table of kdef/serve/onnx_nodes.cpp");
  nodes.begin(cat(call.op->name, "_", call.output));
  return found->translate({nodes, graph, call, inputs});
}

}  // namespace kdef
