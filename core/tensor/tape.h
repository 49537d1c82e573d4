// The dynamic tape: reverse-mode differentiation. Each differentiable function makes one Node. A node knows the op's
// name, formulas and attributes, where its inputs came from, what it saved, and its backward function; so the tape of
// any result can be printed line by line (explain) or drawn (to_dot).
//
// Conventions, once for all ops:
// - Inputs are all tensors that the result depends on. Those that never have a gradient (ids, labels, running moments)
//   stand last; what is no tensor is an attribute.
// - backward receives dy = dL/dy of the node's single output and returns dL/dx for each input, in their order; an
//   undefined Gradient stands for zero, and the inputs without a gradient may be left out at the end.
// - A gradient of an f32 tensor may be in bf16, where products round it in any case. An op that says so receives it in
//   bf16 (OpInfo::takes_rounded); for other ops, in sums and in leaves it is widened to f32. On a device other than
//   the CPU such gradients are not added: the input that gets one must have no other reader.
// - The engine adds the contributions of several uses of a tensor, in the reverse order of the calls that used it: a
//   fixed order. A leaf's gradient accumulates over backward() calls until clear_grad().
// - A node keeps no input's numbers unless it saves them: a result that nobody saves is freed in the forward pass.
//   Once backward() has passed a node, the node lets go of everything, so that memory is freed step by step. A second
//   backward() through the same nodes is an error, and so is a change in place of a saved tensor.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/attributes.h"
#include "core/tensor/tensor.h"

namespace kdef {

/// The name of an op and the formulas that it computes. Every op has one such constant, beside the op; the gradient
/// audit lists them (ops/check/cases.h).
struct OpInfo {
  const char* name;
  const char* forward;         // "y = max(x, 0)"
  const char* backward;        // "dx = dy [x > 0]"
  bool takes_rounded = false;  // backward takes a dy in bf16 for a y in f32
};

/// An id that names no row.
inline constexpr int64_t kNoRow = INT64_MAX;

/// The gradient of a few rows of an embedding table [R, D]: distinct ids in ascending order, and a row of values for
/// each. A device that does not tell the host the number of distinct ids fills the end with ids kNoRow, whose values
/// are undefined.
struct RowGradient {
  Tensor ids;     // i64 [U]
  Tensor values;  // [U, D]
};

/// A gradient: a dense tensor, rows of a table, or both, which are added. An undefined gradient stands for zero.
class Gradient {
 public:
  Gradient() = default;
  Gradient(Tensor dense) : dense_(std::move(dense)) {}  // NOLINT: backward functions return tensors
  Gradient(RowGradient rows) { rows_.push_back(std::move(rows)); }

  bool defined() const { return dense_.defined() || !rows_.empty(); }
  /// Adds another gradient of the same tensor and type.
  void add(const Gradient& other);
  /// Converts a dense part in bf16 to `type`, the type of the tensor.
  void widen(DType type);
  /// The sum of both parts as a dense tensor of `shape`; undefined if this gradient is. Rows are added in the order in
  /// which they came.
  Tensor dense(const Shape& shape) const;
  bool is_rows_only() const { return !dense_.defined() && !rows_.empty(); }
  const Tensor& dense_part() const { return dense_; }
  const std::vector<RowGradient>& row_parts() const { return rows_; }

 private:
  Tensor dense_;
  std::vector<RowGradient> rows_;
};

/// What a backward function receives.
struct BackwardContext {
  const std::vector<Tensor>& saved;
  const std::vector<bool>& needs;  // per input: whether its gradient is wanted
};

using BackwardFn = std::function<std::vector<Gradient>(const BackwardContext&, const Tensor& dy)>;

/// Where an input of a node came from: the node that computed it, or a leaf. Both are empty for an input that was
/// undefined, and once backward() has passed.
struct NodeInput {
  std::shared_ptr<Node> node;
  Tensor leaf;
  Shape shape;
  DType type = DType::f32;

  bool defined() const { return node != nullptr || leaf.defined(); }
};

struct Node {
  const OpInfo* info;
  Attributes attributes;
  std::vector<NodeInput> inputs;
  std::vector<Tensor> saved;
  std::vector<int64_t> versions;  // of the saved tensors, when saved
  std::vector<bool> needs;
  Shape shape;        // of the output
  DType type;         // of the output
  uint64_t sequence;  // order of creation
  int readers = 0;    // nodes that have the output as an input
  bool released = false;
  BackwardFn backward;
};

/// Puts y = op(inputs) on the tape if an input requires a gradient and recording is on; returns y. `saved` are the
/// tensors that backward will read (y itself may be among them), `attributes` everything else that y depends on.
Tensor record(const OpInfo& info, Tensor y, std::vector<Tensor> inputs, std::vector<Tensor> saved, BackwardFn backward,
              Attributes attributes = {});

/// Whether record() uses attributes: they may be left out where they are costly to make and this is false.
bool attributes_wanted();

/// True unless a NoGrad is alive in this thread.
bool recording();

/// Turns recording off in this thread while it lives: evaluation, updates of parameters.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// One call of an op.
struct Recorded {
  const OpInfo& op;
  const std::vector<Tensor>& inputs;
  const Tensor& output;
  const Attributes& attributes;
};

/// While it lives, `see` is called in this thread with every call of record(), whether it goes on the tape or not: to
/// find where a computation goes wrong, or to write a computation down.
class RecordObserver {
 public:
  explicit RecordObserver(std::function<void(const Recorded&)> see);
  ~RecordObserver();
  RecordObserver(const RecordObserver&) = delete;
  RecordObserver& operator=(const RecordObserver&) = delete;

 private:
  std::function<void(const Recorded&)> see_;
  RecordObserver* before_;
  friend Tensor record(const OpInfo&, Tensor, std::vector<Tensor>, std::vector<Tensor>, BackwardFn, Attributes);
};

/// While it lives, adds up the seconds of every op in this thread: from one result to the next in the forward pass,
/// from one node to the next in backward(). Ops that a backward function calls count as a part of it.
class TapeProfiler {
 public:
  TapeProfiler();
  ~TapeProfiler();
  TapeProfiler(const TapeProfiler&) = delete;
  TapeProfiler& operator=(const TapeProfiler&) = delete;
  /// Starts the clock anew: what was done since the last op is not counted.
  void restart();
  std::map<std::string, double> forward, backward;  // seconds by op

 private:
  void count(std::map<std::string, double>& where, const char* op);
  double last_ = 0;
  TapeProfiler* before_;
  friend Tensor record(const OpInfo&, Tensor, std::vector<Tensor>, std::vector<Tensor>, BackwardFn, Attributes);
  friend void backward(const Tensor&, const Tensor&);
};

/// Propagates dL/dL = 1 (or `seed`, of y's shape) from `y` to the leaves it was computed from.
void backward(const Tensor& y, const Tensor& seed = {});

/// The tape behind `y`, one line per node in order of computation: number, op, inputs and their shapes, attributes,
/// formulas, saved tensors. Of a node that backward() has passed only the shapes of its inputs are left.
std::string explain(const Tensor& y);
/// The same as a Graphviz digraph.
std::string to_dot(const Tensor& y);

/// All nodes behind `y`, in order of creation; valid as long as `y` is.
std::vector<Node*> nodes_behind(const Tensor& y);

}  // namespace kdef
