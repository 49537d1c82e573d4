#include "kdef/audit/benchmark.h"

#include <gtest/gtest.h>

namespace kdef {
namespace {

data::FeatureMap two_fields() {
  data::FeatureMap map;
  for (const char* name : {"a", "b"}) {
    data::Field field;
    field.name = name;
    field.vocab_size = 10;
    map.fields.push_back(field);
  }
  return map;
}

// With a tape, a forward pass keeps the results of all layers: more memory than a prediction takes.
TEST(Benchmark, TheProfileOfAPredictionTakesNoMoreMemoryThanPredictions) {
  PredictBenchmarkConfig config;
  config.batch_size = 512;
  config.latency_rows = 2;
  config.seconds = 0;
  config.model.embedding_dim = 4;
  config.model.students.assign(3, {"mlp", {64, 64, 64}, {"relu", "relu", "relu"}, {0.1, 0.1, 0.1}, true});
  const PredictBenchmark r = benchmark_predict(two_fields(), config);
  EXPECT_FALSE(r.kinds_ms.empty());
  EXPECT_DOUBLE_EQ(static_cast<double>(memory_of(kCpu).statistics().peak) / (1 << 20), r.peak_mib);
}

}  // namespace
}  // namespace kdef
