// The table of tasks.
#include "kdef/method/task.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/error.h"
#include "kdef/measure/metric.h"
#include "ops/check/gradcheck.h"

namespace kdef {
namespace {

TEST(TaskTable, NamesEveryTaskOnceAndMetricsForItsLabels) {
  std::set<std::string> names;
  for (const Task& task : tasks()) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name;
    EXPECT_EQ(&find_task(task.name), &task);
    ASSERT_FALSE(task.loss_names.empty());
    ASSERT_FALSE(metrics_of(task).empty());
    for (const Metric& m : metrics_of(task)) EXPECT_EQ(m.labels(), task.labels) << m.key();
  }
  EXPECT_EQ(task_names().size(), tasks().size());
  EXPECT_THROW(find_task("no such task"), Error);
}

TEST(TaskTable, MeasuresItsOwnMetricsAndThoseThatAreAskedFor) {
  const Task& clicks = default_task();
  const MetricList own = {metric_of_key("auc"), metric_of_key("logloss"), metric_of_key("normalized_entropy")};
  EXPECT_EQ(metrics_of(clicks), own);
  EXPECT_EQ(metrics_to_measure(clicks, {"logloss"}), own);
  EXPECT_EQ(metrics_to_measure(clicks, {"PR_AUC"}), (MetricList{own[0], own[1], own[2], metric_of_key("pr_auc")}));
  EXPECT_EQ(metrics_to_measure(clicks, {"NDCG@10", "NDCG(k=2)", "NDCG(2)"}),
            (MetricList{own[0], own[1], own[2], metric_of_key("ndcg_2"), metric_of_key("ndcg_10")}));
  EXPECT_THROW(metrics_to_measure(clicks, {"F1"}), InputError);
  EXPECT_THROW(metrics_to_measure(clicks, {"RMSE"}), InputError);
}

// Weights 2, 0, 1: the first row counts as twice itself.
TEST(TaskTable, WeighsTheLabelLossAsRepeatedRows) {
  const Tensor z = Tensor::from<double>({0.5, -1.5, 2}, {3, 1}), y = Tensor::from<double>({0, 1, 1}, {3, 1});
  const Tensor w = Tensor::from<double>({2, 0, 1}, {3, 1});
  const Tensor repeated_z = Tensor::from<double>({0.5, 0.5, 2}, {3, 1});
  const Tensor repeated_y = Tensor::from<double>({0, 0, 1}, {3, 1});
  for (const Task& task : tasks()) {
    EXPECT_NEAR(task.label_loss(z, y, w).item(), task.label_loss(repeated_z, repeated_y, {}).item(), 1e-15);
    EXPECT_EQ(task.label_loss(z, y, Tensor::zeros({3, 1}, DType::f64)).item(), 0);
    // Probabilities that round to 0 or 1.
    const Tensor extreme = Tensor::from<double>({800, -800, 50}, {3, 1}), ones = Tensor::full({3, 1}, 1, DType::f64);
    EXPECT_EQ(task.label_loss(extreme, y, ones).item(), task.label_loss(extreme, y, {}).item());
    ops::GradientCase check;
    check.inputs = {z};
    check.function = [&](const std::vector<Tensor>& x) { return task.label_loss(x[0], y, w); };
    EXPECT_TRUE(ops::check_gradient(check).passed()) << task.name;
  }
}

}  // namespace
}  // namespace kdef
