// The inference graph: what a trained model computes in evaluation mode, written down as calls of primitive ops, in
// order. A scorer compiles it, and an exporter translates it op by op. It is found by running the model, so that it
// needs no description of any network.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kdef/method/ensemble.h"

namespace kdef {

struct Graph {
  /// The number of no value: an input of a call that is undefined, for instance the bias of a layer without one.
  static constexpr int kNone = -1;

  /// A tensor of the computation.
  struct Value {
    enum class Kind {
      ids,       // ModelInput::ids
      numbers,   // ModelInput::values
      constant,  // known when the graph is made: parameters, buffers, and what is computed from these alone
      result     // of a call
    };
    Kind kind = Kind::result;
    DType type = DType::f32;
    /// The shape for a batch of one row. Along batch_axis the size is multiplied by the number of rows; kNone: the
    /// value has the same shape in every batch.
    Shape shape;
    int batch_axis = kNone;
    Tensor constant;   // of a constant; a parameter shares its numbers with the model
    std::string name;  // of a constant: its name in the state_dict; empty where it has none

    /// The shape in a batch of so many rows.
    Shape shape_of(int64_t rows) const;
  };

  /// output = op(inputs; attributes). In the attribute `shape` of a reshape, -1 stands for the size that depends on the
  /// number of rows. Other attributes are those of every batch.
  struct Call {
    const OpInfo* op = nullptr;
    Attributes attributes;
    std::vector<int> inputs;  // numbers of values, or kNone
    int output = kNone;
  };

  std::vector<Value> values;  // those of inputs, and those that the outputs depend on
  std::vector<Call> calls;    // a call stands behind those whose results it reads; no reshape reads a reshape

  int ids = kNone, numbers = kNone;        // the inputs; kNone: the model has no such columns
  int students = kNone, ensemble = kNone;  // logits [B, M] and [B, 1]
  int student_predictions = kNone,
      prediction = kNone;  // Task::predict of them; where it is the identity, they themselves
  const Task* task = nullptr;

  /// Whether predictions are probabilities, the sigmoid of logits; if not, they are numbers, the logits themselves.
  bool predicts_probability() const { return prediction != ensemble; }
};

/// The attribute of a call. Throws Error where the call has no attribute of this name and type.
template <class T>
const T& attribute(const Graph::Call& call, const char* name);

/// What a column of a model's ids holds: ids of this field, which are below its vocabulary. No field reads the column:
/// 0.
struct IdColumn {
  std::string field;
  int64_t vocab_size = 0;
};
std::vector<IdColumn> id_columns(const nn::EmbeddingTables& tables);

/// Writes down what `model`, on the CPU, computes in evaluation mode (Ensemble::forward with the readable twins of
/// fused ops). The model runs twice, on two random batches of different numbers of rows: what differs between both is
/// the batch, and what is alike must be constant. Throws Error, which names the call, where a tensor is computed by no
/// op (the tape does not know it), where calls or attributes depend on the rows' values, or where a result mixes rows.
Graph trace(const Ensemble& model);

/// The same for any function of a batch.
struct Traceable {
  std::vector<std::pair<std::string, Tensor>> state;  // parameters and buffers, with their names
  std::vector<int64_t> vocab_sizes;                   // of every column of ids: it has ids below that
  int64_t numbers = 0;                                // columns of numbers
  DType type = DType::f32;                            // of the numbers
  const Task* task = &default_task();
  std::function<Ensemble::Output(const ModelInput&)> forward;
};
Graph trace(const Traceable& model);

/// The graph with batch normalisations folded into the linear layers in front of them, up to rounding: where nothing
/// else reads y = x W^T + b, gamma (y - mean) / sqrt(var + eps) + beta is a linear layer of x, too.
Graph with_folded_norms(Graph graph);

/// The readable twin of whatever executes a graph: calls the engine's ops one after the other. The logits are those of
/// Ensemble::forward with fused = false, bit for bit.
Ensemble::Output evaluate(const Graph& graph, const ModelInput& input);

/// One line per call: "v7 f32 [rows, 8] = linear(v4, networks.0.mlp.0.weight, networks.0.mlp.0.bias)".
std::string to_text(const Graph& graph);

// ---- Implementation

template <class T>
const T& attribute(const Graph::Call& call, const char* name) {
  for (const Attribute& a : call.attributes) {
    if (std::string_view(a.name) != name) continue;
    if (const T* value = std::get_if<T>(&a.value)) return *value;
  }
  throw Error(cat("graph: a call of '", call.op->name, "' has no attribute '", name, "' of this type"));
}

}  // namespace kdef
