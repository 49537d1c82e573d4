// The table of activations: the functions between the layers of a network.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"

namespace kdef::nn {

/// X(identifier, name in configurations, class in activations.cpp, formula). A name is spelt as in FuxiCTR; its case
/// does not count. The type Activation, the configuration, its documentation and the gradient audit follow from this
/// table: a new activation is a row here and, if no class fits, a class in activations.cpp.
#define KDEF_ACTIVATIONS(X)                                                                    \
  X(relu, "relu", Function<ops::relu>, "max(x, 0)")                                            \
  X(sigmoid, "sigmoid", Function<ops::sigmoid>, "1 / (1 + e^-x)")                              \
  X(tanh, "tanh", Function<ops::tanh>, "tanh x")                                               \
  X(gelu, "GELU", Function<ops::gelu>, "x (1 + erf(x / sqrt 2)) / 2")                          \
  X(leaky_relu, "LeakyReLU", Function<leaky_relu>, "x where x > 0, else 0.01 x")               \
  X(silu, "SiLU", Function<ops::silu>, "x / (1 + e^-x)")                                       \
  X(prelu, "PReLU", PRelu, "x where x > 0, else w x; w: one trained slope per unit, from 0.1") \
  X(dice, "Dice", Dice,                                                                        \
    "p x + a (1 - p) x, p = sigmoid(x normalised by the batch); a: one trained number per unit, from 0")

enum class Activation {
  none,
#define KDEF_ACTIVATION(id, ...) id,
  KDEF_ACTIVATIONS(KDEF_ACTIVATION)
#undef KDEF_ACTIVATION
};

/// A row of the table.
struct ActivationType {
  Activation kind;
  const char* name;
  const char* formula;
};
/// All rows of the table.
const std::vector<ActivationType>& activation_types();
/// The names of the table and, as the last, "none".
std::vector<std::string> activation_names();
/// Finds an activation by its name, in any case of letters. none, linear and null are names of Activation::none.
/// Throws InputError for an unknown name.
Activation parse_activation(const std::string& name);

/// The activation of one hidden layer.
class ActivationLayer : public Module {
 public:
  explicit ActivationLayer(Activation kind) : kind_(kind) {}
  /// x [B, units] -> [B, units]
  virtual Tensor forward(const Tensor& x, const Pass& pass) const = 0;
  Activation kind() const { return kind_; }

 private:
  Activation kind_;
};

/// Makes the activation of a hidden layer of `units`. Throws for Activation::none, which has no layer.
/// Names of PReLU: weight [units]. Names of Dice: alpha [units]; buffers bn.running_mean, bn.running_var [units].
std::unique_ptr<ActivationLayer> make_activation(Activation kind, int64_t units, Builder& build);

}  // namespace kdef::nn
