// A worked example: leaves and a loss on the tape, and the page that shows every number of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/tensor/names.h"
#include "ops/check/gradcheck.h"

namespace kdef {

/// What an example is made of. An example adds its leaves and constants once; its loss may then be computed any number
/// of times, at other values of the leaves.
class Worksheet {
 public:
  /// A tensor whose gradient is wanted, in f64.
  Tensor leaf(const std::string& name, const std::vector<double>& values, const Shape& shape);
  /// The same for a tensor that exists, for instance a parameter.
  Tensor leaf(const std::string& name, Tensor t);
  /// A tensor that the loss reads and that gets no gradient.
  template <class T>
  Tensor constant(const char* name, const std::vector<T>& values, const Shape& shape) {
    return named(name, Tensor::from(values, shape));
  }
  /// t under a stop-gradient. While differences are taken, it keeps the value that it had on the tape.
  Tensor stop(const Tensor& t);
  /// Whether differences are taken now: a fused loss must then be its twin, in which stop() holds values.
  bool replays() const { return replays_; }
  /// A matrix [N, D] whose spectrum the page shows (kdef/measure/collapse.h).
  void measure(const std::string& name, const Tensor& matrix);

 private:
  friend class Workings;
  struct Named {
    std::string name;
    Tensor tensor;
  };
  std::vector<Named> leaves_, measured_;
  std::vector<Tensor> held_;  // of stop(), in the order of the calls
  size_t next_held_ = 0;
  bool replays_ = false;
};

/// Computes the loss of a worksheet.
using Forward = std::function<Tensor()>;

struct Example {
  const char* name;
  int lesson;         // of docs/course
  const char* about;  // a sentence
  Forward (*make)(Worksheet&);
};

/// The page of an example, within 80 columns.
struct WorkedExample {
  std::string text;
  bool agrees = true;  // every gradient with the differences
};

/// Every value in the order of computation, every gradient in the reverse order, the gradients of the leaves beside
/// differences, and a step of gradient descent. If `broken` is given, that op is made wrong. Throws InputError if
/// the example does not use it.
WorkedExample worked(const Example& example, const std::optional<ops::BrokenOp>& broken = {});
/// The tape of an example line by line, and as a Graphviz digraph.
std::string tape_text(const Example& example);
std::string tape_dot(const Example& example);

}  // namespace kdef
