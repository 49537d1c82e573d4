#include "nn/activations.h"

#include "core/base/names.h"
#include "ops/elementwise.h"
#include "ops/norm.h"

namespace kdef::nn {
namespace {

/// y = f(x), without parameters.
template <Tensor (*f)(const Tensor&)>
class Function final : public ActivationLayer {
 public:
  Function(Activation kind, int64_t, Builder&) : ActivationLayer(kind) {}
  Tensor forward(const Tensor& x, const Pass&) const override { return f(x); }
};

Tensor leaky_relu(const Tensor& x) { return ops::leaky_relu(x, 0.01); }

/// y = x where x > 0, else w x (He et al. 2015, arXiv 1502.01852), with FuxiCTR's one slope w per unit, which starts
/// at 0.1.
class PRelu final : public ActivationLayer {
 public:
  PRelu(Activation kind, int64_t units, Builder& build)
      : ActivationLayer(kind), weight_(add_parameter("weight", build.constant({units}, 0.1))) {}
  Tensor forward(const Tensor& x, const Pass&) const override {
    const Tensor positive = ops::relu(x);
    return ops::add(positive, ops::mul(weight_, ops::sub(x, positive)));
  }

 private:
  Tensor weight_;
};

/// y = p x + alpha (1 - p) x, p = sigmoid(batch norm of x without scale and shift), one alpha per unit (Zhou et al.
/// 2018, arXiv 1706.06978). eps and momentum are FuxiCTR's.
class Dice final : public ActivationLayer {
 public:
  Dice(Activation kind, int64_t units, Builder& build)
      : ActivationLayer(kind),
        alpha_(add_parameter("alpha", build.constant({units}, 0))),
        running_mean_(add_buffer("bn.running_mean", build.constant({units}, 0))),
        running_var_(add_buffer("bn.running_var", build.constant({units}, 1))),
        one_(build.constant({units}, 1)),
        zero_(build.constant({units}, 0)) {}
  Tensor forward(const Tensor& x, const Pass& pass) const override {
    constexpr double kMomentum = 0.01, kEps = 1e-9;
    const Tensor h = pass.training ? ops::batch_norm(x, one_, zero_, running_mean_, running_var_, kMomentum, kEps)
                                   : ops::batch_norm_eval(x, one_, zero_, running_mean_, running_var_, kEps);
    const Tensor px = ops::mul(ops::sigmoid(h), x);
    return ops::add(px, ops::mul(alpha_, ops::sub(x, px)));
  }

 private:
  Tensor alpha_, running_mean_, running_var_;
  Tensor one_, zero_;  // constants: the scale and the shift of this normalisation
};

}  // namespace

const std::vector<ActivationType>& activation_types() {
  static const std::vector<ActivationType> all = {
#define KDEF_ROW(id, name, Layer, formula) {Activation::id, name, formula},
      KDEF_ACTIVATIONS(KDEF_ROW)
#undef KDEF_ROW
  };
  return all;
}

std::vector<std::string> activation_names() {
  std::vector<std::string> names = row_names(activation_types());
  names.emplace_back("none");
  return names;
}

Activation parse_activation(const std::string& name) {
  const std::string wanted = lower_case(name);
  if (wanted == "none" || wanted == "linear" || wanted == "null") return Activation::none;
  for (const ActivationType& type : activation_types()) {
    if (wanted == lower_case(type.name)) return type.kind;
  }
  fail_unknown_name("activation", name, activation_names());
}

std::unique_ptr<ActivationLayer> make_activation(Activation kind, int64_t units, Builder& build) {
  switch (kind) {
    case Activation::none:
      break;
#define KDEF_CASE(id, name, Layer, formula) \
  case Activation::id:                      \
    return std::make_unique<Layer>(kind, units, build);
      KDEF_ACTIVATIONS(KDEF_CASE)
#undef KDEF_CASE
  }
  throw Error("activation none has no layer");
}

}  // namespace kdef::nn
