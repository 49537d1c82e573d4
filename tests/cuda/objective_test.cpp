// The fused objective on the device against the CPU, over students, parts of 64 rows and configurations.
#include "kdef/method/ensembles.h"

#include "tests/cuda/support.h"

namespace kdef {
namespace {

using test::kDevice;

Tensor labels(int64_t rows) {
  Tensor y = Tensor::empty({rows, 1}, DType::f64);
  for (int64_t i = 0; i < rows; ++i) y.data<double>()[i] = i % 3 == 1;
  return y;
}

void expect_objective_as_on_cpu(int64_t rows, int64_t m, const ObjectiveConfig& config) {
  SCOPED_TRACE(cat(rows, " rows, ", m, " students"));
  // Gradients are of size 1 / (rows m).
  test::expect_as_on_cpu([&](const std::vector<Tensor>& x) { return kdef_objective(x[0], x[1], config); },
                         {ops::random_uniform({rows, m}, -3, 3, 11), labels(rows)}, {1}, static_cast<double>(rows * m));
}

TEST(ObjectiveOnDevice, AgreesWithTheCpuAtTheBordersOfParts) {
  for (const int64_t m : {1, 2, 3, 10}) {
    for (const int64_t rows : {1, 63, 64, 65, 1000}) expect_objective_as_on_cpu(rows, m, {});
  }
}

TEST(ObjectiveOnDevice, TakesManyStudents) {
  const test::OpenMemory open;
  for (const int64_t m : {64, 300}) expect_objective_as_on_cpu(65, m, {});
}

TEST(ObjectiveOnDevice, TakesEveryConfiguration) {
  for (const bool teach : {true, false}) {
    for (const bool peer : {true, false}) {
      for (const Examination e : {Examination::on, Examination::detached, Examination::equal}) {
        expect_objective_as_on_cpu(130, 3, {teach, peer, e});
      }
    }
  }
}

TEST(ObjectiveOnDevice, WeighsRowsAsTheCpu) {
  for (const int64_t rows : {1, 64, 130}) {
    Tensor w = Tensor::empty({rows, 1}, DType::f64);
    for (int64_t i = 0; i < rows; ++i) w.data<double>()[i] = static_cast<double>((i * 7 + 1) % 4) / 2;
    test::expect_as_on_cpu([&](const std::vector<Tensor>& x) { return kdef_objective(x[0], x[1], {}, x[2]); },
                           {ops::random_uniform({rows, 3}, -3, 3, 11), labels(rows), w}, {1},
                           static_cast<double>(rows * 3));
  }
}

TEST(ObjectiveOnDevice, EveryObjectiveOfTheTableAgreesWithTheCpu) {
  const test::OpenMemory open;
  for (const Objective* objective : objectives()) {
    for (const int64_t m : {1, 3, 20}) {
      for (const int64_t rows : {1, 65, 1000}) {
        SCOPED_TRACE(cat(objective->name, ", ", rows, " rows, ", m, " students"));
        Tensor w = Tensor::empty({rows, 1}, DType::f64);
        for (int64_t i = 0; i < rows; ++i) w.data<double>()[i] = static_cast<double>((i * 7 + 1) % 4) / 2;
        const auto loss = [&](const std::vector<Tensor>& x) {
          return objective->loss(default_task(), {x[0], mean_of_students(x[0]), x[1], x.size() > 2 ? x[2] : Tensor()},
                                 {}, true);
        };
        const Tensor z = ops::random_uniform({rows, m}, -3, 3, 11);
        const double of_gradients = static_cast<double>(rows * m);
        test::expect_as_on_cpu(loss, {z, labels(rows)}, {1}, of_gradients);
        test::expect_as_on_cpu(loss, {z, labels(rows), w}, {1}, of_gradients);
      }
    }
  }
}

// A graph of the device repeats the objective with other logits.
void expect_recorded(const Objective& objective) {
  SCOPED_TRACE(objective.name);
  const Tensor y = labels(70).to(kDevice), loss = Tensor::empty({}, DType::f64, kDevice);
  Tensor z = ops::random_uniform({70, 3}, -3, 3, 11).to(kDevice), dz = Tensor::empty_like(z);
  z.set_requires_grad();
  const auto step = [&] {
    z.clear_grad();
    const Tensor value = objective.loss(default_task(), {z, mean_of_students(z), y, {}}, {}, true);
    backward(value);
    Tensor(loss).copy_from(value);
    dz.copy_from(z.grad());
  };
  cuda::Graph graph;
  graph.record(step);
  z.copy_from(ops::random_uniform({70, 3}, -3, 3, 12));
  graph.launch();
  const double of_graph = loss.item();
  const std::vector<double> gradient = dz.to_vector<double>();
  step();
  EXPECT_EQ(of_graph, loss.item());
  EXPECT_EQ(gradient, dz.to_vector<double>());
}

TEST(ObjectiveOnDevice, EveryObjectiveIsRecorded) {
  for (const Objective* objective : objectives()) expect_recorded(*objective);
}

}  // namespace
}  // namespace kdef
