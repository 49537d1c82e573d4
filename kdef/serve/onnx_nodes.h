// The operators of ONNX that a graph's ops become.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/io/protobuf.h"
#include "kdef/serve/graph.h"
#include "kdef/serve/onnx.h"

namespace kdef {

/// An attribute of an operator.
struct OnnxAttribute {
  std::string_view name;
  std::variant<int64_t, float, std::vector<int64_t>, std::vector<std::string_view>> value;
};

/// The nodes and constants of an ONNX graph, as they are added. A value is known by its name.
class OnnxNodes {
 public:
  /// Adds an operator; an empty input is one that is left out. Returns the name of its result, which begins as begin()
  /// says.
  std::string add(std::string_view op, const std::vector<std::string>& inputs,
                  const std::vector<OnnxAttribute>& attributes = {});
  /// The same, with several results: the names of the first `count`.
  std::vector<std::string> add_many(std::string_view op, const std::vector<std::string>& inputs,
                                    const std::vector<OnnxAttribute>& attributes, int count);
  /// The number of each of the ids' words, and `other` for any other text (LabelEncoder of ai.onnx.ml).
  std::string ids_of_words(const std::string& input, const OnnxWords& words);

  /// Constants: a tensor, whose memory is not copied; whole numbers [n]; one number, of the type.
  std::string constant(const std::string& name, const Tensor& value);
  std::string integers(const std::vector<int64_t>& values);
  std::string number(double value, DType type);

  /// The name that the results of later nodes begin with.
  void begin(std::string name) {
    prefix_ = std::move(name);
    count_ = 0;
  }

  /// The fields `node` (1) and `initializer` (5) of a GraphProto.
  ProtoMessage fields() const;

 private:
  std::vector<std::string> add_of_domain(std::string_view domain, std::string_view op,
                                         const std::vector<std::string>& inputs,
                                         const std::vector<OnnxAttribute>& attributes, int count);

  ProtoMessage nodes_, constants_;
  std::map<std::string, std::string> known_;  // names of small constants, by content
  std::string prefix_;
  int count_ = 0;
};

/// DType as TensorProto.DataType.
int64_t onnx_type(DType type);

/// Adds the operators of one call, whose inputs have these names (empty: none). Returns the name of its result.
std::string add_call(OnnxNodes& nodes, const Graph& graph, const Graph::Call& call,
                     const std::vector<std::string>& inputs);

}  // namespace kdef
