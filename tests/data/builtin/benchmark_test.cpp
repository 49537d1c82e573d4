#include "data/builtin/benchmark.h"

#include "tests/data/support.h"

namespace kdef::data {
namespace {

// What is measured depends on the machine; that something is, and that nothing is left behind, does not.
void expect_measured(const DataBenchmark& r, int64_t rows, const TemporaryFolder& folder) {
  EXPECT_GE(r.repetitions, 3);
  EXPECT_GT(r.seconds, 0);
  EXPECT_DOUBLE_EQ(r.rows_per_s, static_cast<double>(rows) / r.seconds);
  EXPECT_GT(r.mb_per_s, 0);
  EXPECT_GT(r.peak_mib, 1);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(DataBenchmark, MeasuresAndTidiesUp) {
  const TemporaryFolder folder;
  DataBenchmarkConfig config;
  config.folder = folder.path();
  config.shape = "default";
  config.rows = 300;
  config.batch_size = 7;
  config.seconds = 0;
  expect_measured(benchmark_prepare(config), 300, folder);
  expect_measured(benchmark_load(config), 300, folder);
  config.window = 1;
  config.cold = true;
  expect_measured(benchmark_load(config), 300, folder);
  config.folder = folder / "absent";
  expect_error<SystemError>([&] { benchmark_load(config); }, {"absent"});
}

}  // namespace
}  // namespace kdef::data
