// Names of tensors, for people who read a tape: explain() and to_dot() print them in the place of numbers.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

namespace kdef {

/// The names given to tensors in this thread while it lives. It keeps the tensors alive. A name "GROUP/NAME" puts a
/// leaf into a group; what is computed from the leaves of one group alone is drawn with them.
class TensorNames {
 public:
  TensorNames();
  ~TensorNames();
  TensorNames(const TensorNames&) = delete;
  TensorNames& operator=(const TensorNames&) = delete;

  /// Gives `t` a name, in the place of the one it has.
  void set(const Tensor& t, std::string name);
  /// The name of `t`; "sg(NAME)" if `t` is the tensor NAME under a stop-gradient (detach()); empty if it has none.
  std::string of(const Tensor& t) const;
  /// The name of the result of a node; empty if it has none.
  std::string of(const Node& node) const;

  /// The innermost one of this thread, or null.
  static TensorNames* current();

 private:
  std::vector<std::pair<Tensor, std::string>> names_;
  TensorNames* before_;
};

/// Returns `t`, and gives it a name if somebody reads names.
Tensor named(const char* name, Tensor t);

}  // namespace kdef
