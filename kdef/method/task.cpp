#include "kdef/method/task.h"

#include "core/base/names.h"
#include "kdef/method/objective.h"
#include "ops/elementwise.h"
#include "ops/loss.h"
#include "ops/reduce.h"

namespace kdef {
namespace {

Tensor click_loss(const Tensor& z, const Tensor& y, const Tensor& weights) {
  if (!weights.defined()) return ops::binary_cross_entropy(ops::sigmoid(z), y);
  return weighted_mean(cross_entropies(z, y), weights);
}

Tensor number_loss(const Tensor& z, const Tensor& y, const Tensor& weights) {
  if (!weights.defined()) return ops::mean_squared_error(z, y);
  return weighted_mean(ops::square(ops::sub(z, y)), weights);
}

}  // namespace

const std::vector<Task>& tasks() {
  static const std::vector<Task> all = {
      {"binary_classification",
       {"binary_crossentropy", "binary_cross_entropy", "bce"},
       data::LabelKind::click,
       [](const Tensor& z) { return ops::sigmoid(z); },
       click_loss,
       {"auc", "logloss"}},
      {"regression",
       {"mean_squared_error", "mse"},
       data::LabelKind::number,
       [](const Tensor& z) { return z; },
       number_loss,
       {"rmse", "mae"}},
  };
  return all;
}

const Task& find_task(std::string_view name) {
  const Task* task = find_row(tasks(), name);
  if (task == nullptr) throw Error(cat("no task is called '", name, "'"));
  return *task;
}

const Task& default_task() { return tasks()[0]; }

std::vector<std::string> task_names() { return row_names(tasks()); }

Tensor weighted_mean(const Tensor& l, const Tensor& weights) {
  KDEF_CHECK(l.rank() == 2 && weights.shape() == (Shape{l.shape()[0], 1}), "weighted mean: losses ", describe(l),
             " need weights [B, 1], got ", describe(weights));
  const Tensor share = [&] {
    const NoGrad no_grad;
    const double columns = static_cast<double>(l.shape()[1]);
    return ops::scale(ops::div(weights, ops::clamp_min(ops::sum(weights), 1e-30)), 1 / columns);
  }();
  return ops::sum(ops::mul(l, share));
}

Tensor cross_entropies(const Tensor& z, const Tensor& y) {
  using namespace ops;  // NOLINT: the formula reads as such
  return add(sub(relu(z), mul(z, y)), log(shift(exp(neg(abs(z))), 1.0)));
}

}  // namespace kdef
