#include "kdef/serve/onnx.h"

#include <algorithm>
#include <limits>
#include <map>

#include "kdef/serve/onnx_nodes.h"

namespace kdef {
namespace {

using Value = Graph::Value;
constexpr int kNone = Graph::kNone;
constexpr const char *kPrediction = "prediction", *kStudents = "students";

// ValueInfoProto: name 1, type 2. TypeProto: tensor_type 1. TypeProto.Tensor: elem_type 1, shape 2. TensorShapeProto:
// dim 1. Dimension: dim_value 1, dim_param 2.
constexpr int64_t kString = 8;  // TensorProto.DataType

ProtoMessage value_info(const std::string& name, int64_t type, int64_t columns) {
  ProtoMessage shape;
  shape.message(1, ProtoMessage().bytes(2, "rows")).message(1, ProtoMessage().integer(1, columns));
  const ProtoMessage tensor = ProtoMessage().integer(1, type).message(2, shape);
  return ProtoMessage().bytes(1, name).message(2, ProtoMessage().message(1, tensor));
}

// StringStringEntryProto: key 1, value 2.
ProtoMessage entry(const std::string& key, const std::string& value) {
  return ProtoMessage().bytes(1, key).bytes(2, value);
}

// A graph on its way to a GraphProto (node 1, name 2, initializer 5, input 11, output 12).
class Writer {
 public:
  Writer(const Graph& graph, const OnnxOptions& options) : graph_(graph), options_(options) {}

  ProtoMessage graph() {
    for (const auto& [number, is_number] : {std::pair{graph_.ids, false}, {graph_.numbers, true}}) {
      if (number != kNone) add_inputs(number, is_number);
    }
    for (const Graph::Call& call : graph_.calls) {
      if (!is_input(call)) translate(call);
    }
    add_output(kPrediction, graph_.prediction);
    if (options_.students) add_output(kStudents, graph_.student_predictions);
    return ProtoMessage().append(nodes_.fields()).bytes(2, "kdef").append(values_);
  }

 private:
  const Value& value(int number) const { return graph_.values[static_cast<size_t>(number)]; }
  static int64_t type_of(bool is_number, const Value& value) { return onnx_type(is_number ? value.type : DType::i64); }

  void add_inputs(int number, bool is_number) {
    const Value& matrix = value(number);
    const int64_t type = type_of(is_number, matrix);
    if (options_.inputs == OnnxOptions::Inputs::matrix) {
      names_[number] = is_number ? "numbers" : "ids";
      values_.message(11, value_info(names_[number], type, matrix.shape[1]));
      split_matrix(number, is_number);
      return;
    }
    for (const OnnxField& field : options_.fields) {
      if (field.is_number != is_number) continue;
      if (field.name == kPrediction || field.name == kStudents) {
        throw InputError(
            cat("a field is called '", field.name, "', as an output of the ONNX model is; give --inputs matrix"));
      }
      add_field(field, type);
    }
  }

  // A named input, and what turns text or a raw number into what the graph reads.
  void add_field(const OnnxField& field, int64_t type) {
    std::string& name = fields_[field.name] = field.name;
    nodes_.begin(cat("/", field.name));
    if (field.words) {
      type = kString;
      name = nodes_.ids_of_words(field.name, *field.words);
    } else if (field.scaling) {
      const std::string shift = nodes_.number(field.scaling->shift, DType::f64),
                        scale = nodes_.number(field.scaling->scale, DType::f64);
      name = nodes_.add("Mul", {nodes_.add("Sub", {field.name, shift}), scale});
      name = nodes_.add("Cast", {name}, {{"to", type}});
      type = onnx_type(DType::f64);
    }
    values_.message(11, value_info(field.name, type, field.count));
  }

  // Cuts a matrix into its fields in one node, which costs less time than a slice for each.
  void split_matrix(int number, bool is_number) {
    std::vector<int64_t> counts;
    std::vector<std::string> fields;
    int64_t columns = 0;
    for (const OnnxField& field : options_.fields) {
      if (field.is_number != is_number || field.column != columns) continue;
      columns += field.count;
      counts.push_back(field.count);
      fields.push_back(field.name);
    }
    if (fields.size() < 2 || columns != value(number).shape[1]) return;
    nodes_.begin(cat("/", names_[number]));
    const std::vector<std::string> parts = nodes_.add_many("Split", {names_[number], nodes_.integers(counts)},
                                                           {{"axis", int64_t{1}}}, static_cast<int>(fields.size()));
    for (size_t f = 0; f < fields.size(); ++f) fields_[fields[f]] = parts[f];
  }

  // A slice of the batch that is one field is an input, or a part of one.
  bool is_input(const Graph::Call& call) {
    const int from = call.inputs[0];
    const bool of_batch = from != kNone && (from == graph_.ids || from == graph_.numbers);
    if (!of_batch || std::string_view(call.op->name) != "slice") return false;
    for (const OnnxField& field : options_.fields) {
      if (field.is_number != (from == graph_.numbers) || field.column != attribute<int64_t>(call, "first") ||
          field.count != attribute<int64_t>(call, "count") || !fields_.contains(field.name)) {
        continue;
      }
      names_[call.output] = fields_.at(field.name);
      return true;
    }
    return false;
  }

  void translate(const Graph::Call& call) {
    std::vector<std::string> inputs;
    for (const int input : call.inputs) inputs.push_back(name_of(input));
    names_[call.output] = add_call(nodes_, graph_, call, inputs);
  }

  // The name of a value, which is made where it is a constant or the matrix of all inputs.
  std::string name_of(int number) {
    if (number == kNone) return "";
    if (const auto known = names_.find(number); known != names_.end()) return known->second;
    const Value& v = value(number);
    std::string& name = names_[number];
    if (v.kind == Value::Kind::constant) {
      name = nodes_.constant(v.name.empty() ? cat("/constant_", number) : v.name, v.constant);
    } else {
      KDEF_CHECK(number == graph_.ids || number == graph_.numbers, "onnx: value ", number, " is read before its call");
      std::vector<std::string> columns;
      for (const OnnxField& field : options_.fields) {
        if (field.is_number == (number == graph_.numbers)) columns.push_back(fields_.at(field.name));
      }
      name = number == graph_.ids ? "/ids" : "/numbers";
      nodes_.begin(name);
      nodes_.add("Concat", columns, {{"axis", int64_t{1}}});
    }
    return name;
  }

  void add_output(const char* name, int number) {
    nodes_.begin(name);
    nodes_.add("Identity", {name_of(number)});
    values_.message(12, value_info(name, onnx_type(value(number).type), value(number).shape[1]));
  }

  const Graph& graph_;
  const OnnxOptions& options_;
  OnnxNodes nodes_;
  ProtoMessage values_;                        // inputs and outputs
  std::map<int, std::string> names_;           // of values
  std::map<std::string, std::string> fields_;  // what the graph reads of a named input
};

}  // namespace

std::vector<OnnxField> onnx_fields(const nn::EmbeddingTables& tables) {
  std::vector<OnnxField> fields;
  for (const nn::EmbeddingField& field : tables.shape().list) {
    const bool is_number = field.kind == nn::EmbeddingField::Kind::numeric;
    fields.push_back({field.name, is_number, field.column, is_number ? 1 : field.max_len});
  }
  return fields;
}

ProtoMessage onnx_model(const Graph& graph, const OnnxOptions& options) {
  // ModelProto: ir_version 1, producer_name 2, producer_version 3, graph 7, opset_import 8 (domain 1, version 2),
  // metadata_props
  // 14. Version 8 of the format is the one of opset 17.
  ProtoMessage model;
  model.integer(1, 8).bytes(2, "kdef").bytes(3, KDEF_VERSION);
  model.message(7, Writer(graph, options).graph()).message(8, ProtoMessage().integer(2, kOnnxOpset));
  const bool has_words = std::any_of(options.fields.begin(), options.fields.end(),
                                     [](const OnnxField& field) { return field.words.has_value(); });
  if (has_words) model.message(8, ProtoMessage().bytes(1, "ai.onnx.ml").integer(2, kOnnxMlOpset));
  for (const auto& [key, value] : options.metadata) model.message(14, entry(key, value));
  // A message of Protocol Buffers is smaller than 2 GiB.
  if (model.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw InputError(
        cat("this model has ", model.size() >> 20,
            " MiB of weights, and a file of ONNX holds 2048 MiB at most; export one student, or train with a "
            "smaller embedding_dim or a higher min_categr_count"));
  }
  return model;
}

}  // namespace kdef
