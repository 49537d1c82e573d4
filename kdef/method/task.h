// The table of tasks: what labels are, how an output becomes a prediction, and how a model is trained and measured.
// Training, evaluation and configuration read it: a new task is a row in task.cpp, with rows of metrics that fit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/tensor/tape.h"
#include "data/schema.h"
#include "nn/teaching.h"

namespace kdef {

struct Task {
  const char* name;                     // in the configuration's `task`, as FuxiCTR writes it
  std::vector<std::string> loss_names;  // in the configuration's `loss`; the first is what is written
  data::LabelKind labels;
  /// The prediction of an output z of a network or an ensemble.
  Tensor (*predict)(const Tensor& z);
  /// The label loss of outputs z [B, 1] for labels y [B, 1]: its mean over the rows. With weights [B, 1], all >= 0, the
  /// mean is sum(w l) / sum(w), and 0 where all weights are 0. Undefined weights: every row counts once.
  Tensor (*label_loss)(const Tensor& z, const Tensor& y, const Tensor& weights);
  std::vector<std::string_view>
      metrics;  // Metric::key(): what an evaluation always measures; the first is the main one
};

/// What a network that trains branches asks of a task. Weights [B, 1] of the rows, or undefined.
nn::TaskFunctions functions_of(const Task& task, const Tensor& weights);

/// All rows.
const std::vector<Task>& tasks();
/// The row of this name. Throws Error where there is none.
const Task& find_task(std::string_view name);
/// The first row: clicks.
const Task& default_task();
std::vector<std::string> task_names();

}  // namespace kdef
