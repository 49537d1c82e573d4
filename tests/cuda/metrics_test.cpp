// AUC, log loss and normalized entropy measured on the device, against the CPU's.
#include <cmath>

#include "core/base/random.h"
#include "kdef/measure/metric.h"
#include "tests/cuda/support.h"

namespace kdef {
namespace {

// Columns of probabilities: `values` different ones, or any.
struct Made {
  std::vector<float> probabilities, labels;
  int64_t columns;
};
Made make(int64_t rows, int64_t columns, uint64_t values, uint64_t seed) {
  Made made{{}, {}, columns};
  Random random(seed);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < columns; ++k) {
      const double u =
          values == 0 ? random.uniform() : static_cast<double>(random.below(values + 1)) / static_cast<double>(values);
      made.probabilities.push_back(static_cast<float>(u));
    }
    made.labels.push_back(random.below(3) == 0);
  }
  return made;
}

std::vector<Quality> on_device(const Made& made) {
  const int64_t rows = static_cast<int64_t>(made.labels.size());
  return measure_columns(Tensor::from(made.probabilities, {rows, made.columns}, test::kDevice),
                         Tensor::from(made.labels, {rows, 1}, test::kDevice), Tensor(), Tensor(),
                         {metrics_of(default_task())});
}

void expect_as_on_cpu(const Made& made) {
  const std::vector<Quality> have = on_device(made);
  ASSERT_EQ(have.size(), static_cast<size_t>(made.columns));
  for (int64_t k = 0; k < made.columns; ++k) {
    std::vector<double> column;
    for (size_t i = 0; i < made.labels.size(); ++i) {
      column.push_back(
          static_cast<double>(made.probabilities[i * static_cast<size_t>(made.columns) + static_cast<size_t>(k)]));
    }
    const Quality& q = have[static_cast<size_t>(k)];
    EXPECT_EQ(q["auc"], auc(column, made.labels)) << "column " << k;
    EXPECT_NEAR(q["logloss"], log_loss(column, made.labels), 1e-12 * std::abs(q["logloss"])) << "column " << k;
    EXPECT_NEAR(q["normalized_entropy"], normalized_entropy(column, made.labels), 1e-12 * q["normalized_entropy"])
        << "column " << k;
  }
}

TEST(MetricsOnDevice, AgreeWithTheCpuAtTheBordersOfChunks) {
  for (const int64_t rows : {2047, 2048, 2049, 5000}) expect_as_on_cpu(make(rows, 3, 0, 1));
}

// Groups of equal probabilities that go over several chunks; 0 and 1 are among them, where the log loss is clipped.
TEST(MetricsOnDevice, CountTiesHalf) {
  for (const uint64_t values : {uint64_t{1}, uint64_t{2}, uint64_t{50}}) expect_as_on_cpu(make(5000, 2, values, 2));
}

TEST(MetricsOnDevice, TakeMinusZeroForZero) {
  Made made{{0.0f, -0.0f, 0.5f, -0.0f, 0.0f}, {1, 0, 1, 1, 0}, 1};
  expect_as_on_cpu(made);
}

TEST(MetricsOnDevice, AreUndefinedWithoutBothClasses) {
  Made made = make(100, 1, 0, 3);
  for (const float label : {0.0f, 1.0f}) {
    made.labels.assign(100, label);
    EXPECT_TRUE(std::isnan(on_device(made)[0]["auc"]));
    EXPECT_TRUE(std::isfinite(on_device(made)[0]["logloss"]));
    EXPECT_TRUE(std::isnan(on_device(made)[0]["normalized_entropy"]));
  }
  EXPECT_TRUE(std::isnan(on_device(Made{{}, {}, 1})[0]["logloss"]));
}

// What has no function for the device is measured after one copy.
TEST(MetricsOnDevice, TakeEveryMetricAndTheBins) {
  const Made made = make(300, 2, 40, 5);
  std::vector<int64_t> groups;
  for (int64_t i = 0; i < 300; ++i) groups.push_back(i % 7);
  Measures what{
      metrics_to_measure(default_task(), {"gAUC", "avgAUC", "MRR", "NDCG@3", "PR_AUC", "PCOC", "ECE", "Brier"}), true};
  const auto measured = [&](Device device) {
    return measure_columns(Tensor::from(made.probabilities, {300, 2}, device),
                           Tensor::from(made.labels, {300, 1}, device), Tensor(), Tensor::from(groups, {300}), what);
  };
  const std::vector<Quality> have = measured(test::kDevice), want = measured(kCpu);
  for (size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(have[k].measured(), what.metrics);
    for (const Metric& m : what.metrics) EXPECT_NEAR(have[k][m], want[k][m], 1e-12) << m.key();
    EXPECT_EQ(have[k].calibration, want[k].calibration);
  }
}

TEST(MetricsOnDevice, AreNotANumberWhereAProbabilityIsNot) {
  Made made = make(100, 2, 0, 4);
  made.probabilities[21] = std::nanf("");
  const std::vector<Quality> have = on_device(made);
  EXPECT_TRUE(std::isfinite(have[0]["logloss"]));
  EXPECT_TRUE(std::isnan(have[1]["logloss"]));
  EXPECT_TRUE(std::isnan(have[1]["auc"]));
}

}  // namespace
}  // namespace kdef
