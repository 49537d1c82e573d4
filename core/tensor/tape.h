// The dynamic tape: reverse-mode differentiation. Each differentiable function makes one Node that knows the
// op's name and formulas, its inputs, what it saved and its backward function; so the tape of any result can
// be printed line by line (explain) or drawn (to_dot).
//
// Conventions, once for all ops:
// - backward receives dy = dL/dy of the node's single output and returns dL/dx for each input, in their order; an
//   undefined Gradient stands for zero.
// - A gradient of an f32 tensor may be in bf16, rounded beforehand where products read it. Ops that say so take it as
//   it is (OpInfo::takes_rounded); for others, in sums and in leaves it is widened.
// - The engine adds the contributions of several uses of a tensor, in the reverse order of the calls that used it: a
//   fixed order. A leaf's gradient accumulates over backward() calls until clear_grad().
// - Saved tensors are released by backward(); a second backward() through the same nodes is an error, and so is a
//   change in place of a saved tensor.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace kdef {

/// What an op is called and which formulas it computes. One constant per op, beside the op; the gradient
/// audit lists them (ops/check/cases.h).
struct OpInfo {
  const char* name;
  const char* forward;         // "y = max(x, 0)"
  const char* backward;        // "dx = dy [x > 0]"
  bool takes_rounded = false;  // backward takes a dy in bf16 of a y in f32
};

/// An id that names no row.
inline constexpr int64_t kNoRow = INT64_MAX;

/// Gradient of a few rows of an embedding table [R, D]: distinct ids in ascending order, one row of values each. On a
/// device that does not tell the host how many there are, rows of the id kNoRow fill the rest, their values undefined.
struct RowGradient {
  Tensor ids;     // i64 [U]
  Tensor values;  // [U, D]
};

/// A gradient: dense, by rows, or both (their sum); undefined is zero.
class Gradient {
 public:
  Gradient() = default;
  Gradient(Tensor dense) : dense_(std::move(dense)) {}  // NOLINT: backward functions return tensors
  Gradient(RowGradient rows) { rows_.push_back(std::move(rows)); }

  bool defined() const { return dense_.defined() || !rows_.empty(); }
  /// Adds another gradient of the same tensor, of its type.
  void add(const Gradient& other);
  /// Makes a dense part in bf16 one of `type`, that of the tensor.
  void widen(DType type);
  /// The sum as a dense tensor of `shape`; undefined if this is. Adds the rows in order of their arrival.
  Tensor dense(const Shape& shape) const;
  bool is_rows_only() const { return !dense_.defined() && !rows_.empty(); }
  const Tensor& dense_part() const { return dense_; }
  const std::vector<RowGradient>& row_parts() const { return rows_; }

 private:
  Tensor dense_;
  std::vector<RowGradient> rows_;
};

/// What a backward function sees.
struct BackwardContext {
  const std::vector<Tensor>& saved;
  const std::vector<bool>& needs;  // per input: is its gradient wanted
};

using BackwardFn = std::function<std::vector<Gradient>(const BackwardContext&, const Tensor& dy)>;

struct Node {
  const OpInfo* info;
  std::vector<Tensor> inputs;
  std::vector<Tensor> saved;
  std::vector<int64_t> versions;  // of the saved tensors, when saved
  std::vector<bool> needs;
  Shape shape;        // of the output
  DType type;         // of the output
  uint64_t sequence;  // order of creation
  bool released = false;
  BackwardFn backward;
};

/// Puts y = op(inputs) on the tape if an input requires a gradient and recording is on; returns y.
/// `saved` are the tensors that backward will read (y itself may be among them).
Tensor record(const OpInfo& info, Tensor y, std::vector<Tensor> inputs, std::vector<Tensor> saved, BackwardFn backward);

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

/// While it lives, `see` is called in this thread with every result that an op hands to record(), taped or not: to find
/// where a computation goes wrong.
class RecordObserver {
 public:
  explicit RecordObserver(std::function<void(const OpInfo&, const Tensor&)> see);
  ~RecordObserver();
  RecordObserver(const RecordObserver&) = delete;
  RecordObserver& operator=(const RecordObserver&) = delete;

 private:
  std::function<void(const OpInfo&, const Tensor&)> see_;
  RecordObserver* before_;
  friend Tensor record(const OpInfo&, Tensor, std::vector<Tensor>, std::vector<Tensor>, BackwardFn);
};

/// While it lives, adds up the seconds of every op in this thread: from one result to the next in the forward pass,
/// from one node to the next in backward().
class TapeProfiler {
 public:
  TapeProfiler();
  ~TapeProfiler();
  TapeProfiler(const TapeProfiler&) = delete;
  TapeProfiler& operator=(const TapeProfiler&) = delete;
  /// (Ops that a backward function calls count as part of it.) Starts the clock anew, so that what was done since is
  /// not counted.
  void restart();
  std::map<std::string, double> forward, backward;  // seconds by op

 private:
  void count(std::map<std::string, double>& where, const char* op);
  double last_ = 0;
  TapeProfiler* before_;
  friend Tensor record(const OpInfo&, Tensor, std::vector<Tensor>, std::vector<Tensor>, BackwardFn);
  friend void backward(const Tensor&, const Tensor&);
};

/// Propagates dL/dL = 1 (or `seed`, of y's shape) from `y` to the leaves it was computed from.
void backward(const Tensor& y, const Tensor& seed = {});

/// The tape behind `y`, one line per node in order of computation: number, op, shapes, formulas, saved
/// tensors.
std::string explain(const Tensor& y);
/// The same as a Graphviz digraph.
std::string to_dot(const Tensor& y);

/// All nodes behind `y`, in order of creation.
std::vector<Node*> nodes_behind(const Tensor& y);

}  // namespace kdef
