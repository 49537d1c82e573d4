#include "core/tensor/names.h"

namespace kdef {
namespace {
thread_local TensorNames* t_names = nullptr;
}

TensorNames::TensorNames() : before_(t_names) { t_names = this; }
TensorNames::~TensorNames() { t_names = before_; }
TensorNames* TensorNames::current() { return t_names; }

void TensorNames::set(const Tensor& t, std::string name) {
  for (auto& [tensor, known] : names_) {
    if (tensor.identity() == t.identity()) {
      known = std::move(name);
      return;
    }
  }
  names_.emplace_back(t, std::move(name));
}

std::string TensorNames::of(const Tensor& t) const {
  for (const auto& [tensor, name] : names_) {
    if (tensor.identity() == t.identity()) return name;
  }
  for (const auto& [tensor, name] : names_) {
    if (tensor.same_storage(t) && tensor.shape() == t.shape()) return cat("sg(", name, ")");
  }
  return {};
}

std::string TensorNames::of(const Node& node) const {
  for (const auto& [tensor, name] : names_) {
    if (tensor.node().get() == &node) return name;
  }
  return {};
}

Tensor named(const char* name, Tensor t) {
  if (t_names) t_names->set(t, name);
  return t;
}

}  // namespace kdef
