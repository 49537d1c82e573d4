// The kernels of a training step at the sizes of the published Criteo runs, one by one.

#include <benchmark/benchmark.h>

#include "core/base/parallel.h"
#include "kdef/method/objective.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/gemm/gemm.h"
#include "ops/norm.h"

namespace kdef {
namespace {

constexpr int64_t kBatch = 10000, kHidden = 400, kFields = 39, kDim = 16;

void gemm(benchmark::State& state, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  ops::Gemm g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.transpose_a = transpose_a;
  g.transpose_b = transpose_b;
  g.lda = transpose_a ? m : k;
  g.ldb = transpose_b ? k : n;
  g.ldc = n;
  const Tensor a = Tensor::full({m * k}, 0.01), b = Tensor::full({k * n}, 0.01), c = Tensor::empty({m * n});
  for (auto _ : state) ops::gemm<float>(kCpu, g, a.data<float>(), b.data<float>(), c.data<float>());
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(m * n) * static_cast<double>(k),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(gemm, first_layer, false, true, kBatch, kHidden, kFields* kDim)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(gemm, hidden_layer, false, true, kBatch, kHidden, kHidden)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(gemm, data_gradient, false, false, kBatch, kFields* kDim, kHidden)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(gemm, weight_gradient, true, false, kHidden, kFields* kDim, kBatch)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Bytes per second count what must move: each tensor once.
void hidden_layer(benchmark::State& state, bool fused) {
  Tensor x = Tensor::full({kBatch, kHidden}, 0.5);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(i * 7919 % 1000) / 500.0f - 1.0f;
  const Tensor gamma = Tensor::full({kHidden}, 1), beta = Tensor::zeros({kHidden});
  const Tensor mean = Tensor::zeros({kHidden}), var = Tensor::full({kHidden}, 1);
  const ops::DropoutKey key = ops::dropout_key(1, 0, 0);
  const ops::HiddenLayer layer{
      .gamma = gamma, .beta = beta, .running_mean = {mean}, .running_var = {var}, .p = 0.1, .keys = {key}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(fused ? ops::batch_norm_relu_dropout(x, layer)
                                   : ops::dropout(ops::relu(ops::batch_norm(x, gamma, beta, mean, var)), 0.1, key));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(3 * x.bytes()));
}
BENCHMARK_CAPTURE(hidden_layer, fused, true)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(hidden_layer, composed, false)->Unit(benchmark::kMillisecond)->UseRealTime();

void objective(benchmark::State& state, bool fused) {
  const int64_t students = state.range(0);
  Tensor z = Tensor::full({kBatch, students}, 0.1);
  z.set_requires_grad();
  const Tensor y = Tensor::zeros({kBatch, 1});
  for (auto _ : state) {
    backward(fused ? kdef_objective(z, y) : kdef_objective_composed(z, y));
    z.clear_grad();
  }
}
BENCHMARK_CAPTURE(objective, fused, true)->Arg(3)->Arg(10)->Arg(64)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(objective, composed, false)->Arg(3)->Arg(10)->Unit(benchmark::kMillisecond)->UseRealTime();

void embedding(benchmark::State& state) {
  std::vector<Tensor> tables;
  std::vector<ops::EmbedField> fields;
  std::vector<int32_t> ids;
  for (int64_t f = 0; f < kFields; ++f) {
    tables.push_back(Tensor::full({20000, kDim}, 0.1).set_requires_grad());
    fields.push_back({ops::EmbedField::Kind::id, static_cast<int>(f), f, 1});
  }
  for (int64_t i = 0; i < kBatch * kFields; ++i) ids.push_back(static_cast<int32_t>(i * i * 7919 % 20000));
  const Tensor batch = Tensor::from(ids, {kBatch, kFields});
  const Tensor seed = Tensor::full({kBatch, kFields, kDim}, 0.01);
  for (auto _ : state) {
    backward(ops::embed_fields(tables, batch, {}, fields), seed);
    for (const Tensor& t : tables) t.clear_grad();
  }
}
BENCHMARK(embedding)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace kdef
