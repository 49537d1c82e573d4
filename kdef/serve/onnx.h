// A graph as an ONNX model: a file that ONNX Runtime and other programs execute. The file holds the weights and needs
// no other. Every op of a graph becomes one or a few operators of ONNX (https://onnx.ai/onnx/operators/).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/protobuf.h"
#include "kdef/serve/graph.h"

namespace kdef {

/// The version of ONNX's operators that a model needs: the first with LayerNormalization.
inline constexpr int64_t kOnnxOpset = 17;
/// The version of the operators ai.onnx.ml, where a field has words: that of LabelEncoder from text to whole numbers.
inline constexpr int64_t kOnnxMlOpset = 2;

/// How text becomes ids: word i has ids[i], any other text `other`.
struct OnnxWords {
  std::vector<std::string_view> words;
  std::vector<int64_t> ids;
  int64_t other = 0;
};
/// What a model reads of a raw number x in double: (x - shift) scale.
struct OnnxScaling {
  double shift = 0, scale = 1;
};

/// The columns of a field in the inputs of a graph.
struct OnnxField {
  std::string name;
  bool is_number = false;  // in `numbers`; otherwise in `ids`
  int64_t column = 0, count = 1;
  std::optional<OnnxWords> words = {};      // none: the input is ids
  std::optional<OnnxScaling> scaling = {};  // none: the input is what the model reads
};
/// The fields of a model, in its order.
std::vector<OnnxField> onnx_fields(const nn::EmbeddingTables& tables);

struct OnnxOptions {
  /// Inputs, all with an axis `rows` of any size in front:
  ///   named:  every field under its name, ids int64 [rows, count], numbers float [rows, 1]; a field with words is
  ///           string [rows, count], and one with a scaling double [rows, 1];
  ///   matrix: `ids` int64 [rows, C] and `numbers` float [rows, N], the columns of all fields.
  enum class Inputs { named, matrix };
  Inputs inputs = Inputs::named;
  std::vector<OnnxField> fields;  // of named inputs
  bool students = false;          // a second output, `students` float [rows, M]; the first is `prediction` [rows, 1]
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// The model as an ONNX ModelProto. Weights are not copied: the graph must live until the message is written. Throws
/// Error for an op that has no operators, InputError where the model is larger than a file of ONNX may be (2 GiB) or
/// where a field has the name of an output.
ProtoMessage onnx_model(const Graph& graph, const OnnxOptions& options);

}  // namespace kdef
