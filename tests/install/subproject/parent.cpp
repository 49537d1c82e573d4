// A project with headers of its own at paths of kdef's: each include finds the one that it means.
#include "core/base/error.h"
#include "core/tensor/tensor.h"
#include "nn/module.h"
#include "ops/linear.h"
#include "ops/norm.h"
//
#include "kdef/core/base/error.h"
#include "kdef/core/tensor/tensor.h"
#include "kdef/nn/module.h"
#include "kdef/nn/networks/network.h"
#include "kdef/ops/linear.h"
#include "kdef/ops/norm.h"
#include "kdef/version.h"

static_assert(PARENTS_core_base_error_h && PARENTS_core_tensor_tensor_h && PARENTS_nn_module_h &&
              PARENTS_ops_linear_h && PARENTS_ops_norm_h && PARENTS_kdef_version_h);

// Of kdef's headers of these paths.
kdef::InputError error(kdef::nn::Module*, const kdef::nn::NetworkConfig&) { return kdef::InputError("error"); }
auto product(const kdef::Tensor& x, const kdef::Tensor& w, const kdef::Tensor& b) { return kdef::ops::linear(x, w, b); }

int main() {}
