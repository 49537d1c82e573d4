// Module: named parameters and buffers in a tree. The names are those of PyTorch ("networks.0.mlp.3.weight"), so that
// weights can be exchanged with PyTorch modules in both directions.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/tensor/tape.h"
#include "nn/table_rows.h"

namespace kdef::nn {

/// Collects the hidden layers of a network during a forward pass, for diagnostics.
struct LayerTap {
  std::vector<Tensor> layers;
};

/// The settings of a forward pass.
struct Pass {
  bool training = false;
  uint64_t seed = 0;  // of the run; the dropout masks follow from `seed` and `step`
  uint64_t step = 0;
  const uint64_t* device_step = nullptr;  // in device memory, added to `step`; a recorded step reads it at each replay
  int64_t first_row = 0;                  // rows of the batch before these rows: those of lower members of a group
  bool fused = true;        // fused ops where they exist; false: their readable twins, same numbers up to rounding
  bool distinct = true;     // where fused and in training: first layers may work on the batch's distinct ids
  LayerTap* tap = nullptr;  // collects the hidden layers; null: they are not collected

  /// Gives a hidden layer to the tap.
  void show(const Tensor& hidden_layer) const {
    if (tap) tap->layers.push_back(hidden_layer.detach());
  }
};

/// A trainable tensor, and what regularizers and optimizers need to know about it.
struct Parameter {
  std::string name;
  Tensor tensor;
  bool embedding = false;  // it is under embedding_regularizer, not net_regularizer, and may get row gradients
  std::shared_ptr<const TableRows> table = nullptr;  // of a table whose rows are ids; null for all other parameters
};

/// A tensor of the state that is not trained, for instance a running mean.
struct Buffer {
  std::string name;
  Tensor tensor;
  std::shared_ptr<const TableRows> table = nullptr;  // of an optimizer's state for such a table
};

class Module {
 public:
  virtual ~Module() = default;
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// All parameters / buffers of this module and its children: first those of this module, then those of the children
  /// in the order in which the children were added.
  std::vector<Parameter> parameters() const;
  std::vector<Buffer> buffers() const;
  /// Number of trainable values, of whole tables.
  int64_t parameter_count() const;

 protected:
  /// Registers a parameter (marked as requiring a gradient) and returns it.
  Tensor add_parameter(std::string name, Tensor t, bool embedding = false,
                       std::shared_ptr<const TableRows> table = nullptr);
  Tensor add_buffer(std::string name, Tensor t);
  /// Registers a child under `name`, which becomes the prefix of the child's names; without a name there is no prefix.
  /// The child lives as long as this module.
  template <class M>
  M& add_child(std::string name, std::unique_ptr<M> child) {
    M& reference = *child;
    children_.push_back({std::move(name), std::move(child)});
    return reference;
  }

 private:
  struct Child {
    std::string name;
    std::unique_ptr<Module> module;
    std::string prefix() const { return name.empty() ? "" : name + "."; }
  };
  std::vector<Parameter> parameters_;
  std::vector<Buffer> buffers_;
  std::vector<Child> children_;
};

/// Gives modules their initial values and the numbers of their dropout layers. Every parameter has a separate random
/// stream; the streams are numbered in the order of construction.
class Builder {
 public:
  explicit Builder(uint64_t seed = 0, DType dtype = DType::f32, Device device = kCpu)
      : seed_(seed), dtype_(dtype), device_(device) {}
  /// Makes every value zero: for models whose values are loaded or not needed.
  static Builder zeros(DType dtype = DType::f32, Device device = kCpu) {
    Builder build(0, dtype, device);
    build.drawn_ = Drawn::zero;
    return build;
  }
  /// Makes memory whose values are not known, and which the system gives when it is used: for models whose parameters
  /// and buffers all come from elsewhere.
  static Builder unset(DType dtype = DType::f32, Device device = kCpu) {
    Builder build(0, dtype, device);
    build.drawn_ = Drawn::unset;
    return build;
  }

  /// Bounds the number of values that this builder makes, in all tensors together: a tensor beyond it is an InputError.
  /// For models that a file describes, whose own size says how large they can be.
  void limit_values(int64_t values) { values_left_ = values; }

  /// A weight [out, in], normal with standard deviation sqrt(2 / (in + out)) (Glorot, Bengio 2010).
  Tensor xavier_normal(int64_t out, int64_t in);
  /// The same for a weight [n, a, b], whose fans PyTorch counts as a b and n b.
  Tensor xavier_normal(const Shape& shape);
  Tensor normal(const Shape& shape, double standard_deviation);
  /// The values that the next call of normal() gives to a tensor of any shape.
  NormalValues next_normal(double standard_deviation) const;
  Tensor uniform(const Shape& shape, double low, double high);
  Tensor constant(const Shape& shape, double value);
  /// Makes rows [first, first + count) of a tensor with initial values zero.
  void clear_rows(const Tensor& t, int64_t first, int64_t count) const;
  uint64_t next_dropout() { return dropouts_++; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }

 private:
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

  void count(const Shape& shape);
  Tensor undrawn(const Shape& shape) const;

  uint64_t seed_;
  DType dtype_;
  Device device_;
  uint64_t streams_ = 0;
  uint64_t dropouts_ = 0;
  int64_t values_left_ = kNoLimit;
  enum class Drawn { random, zero, unset } drawn_ = Drawn::random;
};

}  // namespace kdef::nn
