#include "kdef/method/task.h"

#include "core/base/names.h"
#include "kdef/method/objective.h"
#include "ops/elementwise.h"
#include "ops/loss.h"

namespace kdef {
namespace {

Tensor click_loss(const Tensor& z, const Tensor& y, const Tensor& weights) {
  return ops::binary_cross_entropy(ops::sigmoid(z), y, weights);
}

Tensor number_loss(const Tensor& z, const Tensor& y, const Tensor& weights) {
  return ops::mean_squared_error(z, y, weights);
}

}  // namespace

nn::TaskFunctions functions_of(const Task& task, const Tensor& weights) {
  return {task.predict,
          [loss = task.label_loss, weights](const Tensor& z, const Tensor& y) { return loss(z, y, weights); }};
}

const std::vector<Task>& tasks() {
  static const std::vector<Task> all = {
      {"binary_classification",
       {"binary_crossentropy", "binary_cross_entropy", "bce"},
       data::LabelKind::click,
       [](const Tensor& z) { return ops::sigmoid(z); },
       click_loss,
       {"auc", "logloss", "normalized_entropy"}},
      {"regression",
       {"mean_squared_error", "mse", "mse_loss"},
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

}  // namespace kdef
