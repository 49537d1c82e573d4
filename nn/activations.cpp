#include "nn/activations.h"

#include "ops/elementwise.h"

namespace kdef::nn {
namespace {

/// y = f(x), without parameters.
template <Tensor (*f)(const Tensor&)>
class Function final : public ActivationLayer {
 public:
  Function(Activation kind, int64_t, Builder&) : ActivationLayer(kind) {}
  Tensor forward(const Tensor& x, const Pass&) const override { return f(x); }
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
  std::vector<std::string> names;
  for (const ActivationType& type : activation_types()) names.emplace_back(type.name);
  names.emplace_back("none");
  return names;
}

Activation parse_activation(const std::string& name) {
  const std::string wanted = lower_case(name);
  if (wanted == "none" || wanted == "linear" || wanted == "null") return Activation::none;
  for (const ActivationType& type : activation_types()) {
    if (wanted == lower_case(type.name)) return type.kind;
  }
  std::string known;
  for (const std::string& other : activation_names()) known += cat(known.empty() ? "" : ", ", other);
  throw InputError(cat("activation '", name, "' is unknown; known: ", known));
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
