// The scorer: every network has the engine's numbers, however rows come, and whatever their values are.
#include "kdef/serve/scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <thread>

#include "core/base/random.h"
#include "kdef/measure/evaluation.h"
#include "kdef/serve/steps.h"
#include "nn/networks/registry.h"
#include "ops/layout.h"
#include "ops/serve/packed.h"
#include "tests/nn/networks/support.h"

// Counts what a thread allocates: a call of a scorer must not. (GCC warns falsely of inlined pairs of these.)
static thread_local int64_t allocations = 0;
#if !defined(KDEF_THREAD_SANITIZER)  // which has operators of its own
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  void* block = std::malloc(std::max<size_t>(1, bytes));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(std::max<size_t>(1, bytes));
}
[[gnu::noinline]] void* operator new(size_t bytes, std::align_val_t alignment) {
  ++allocations;
  const auto unit = static_cast<size_t>(alignment);
  void* block = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, size_t) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, size_t, std::align_val_t) noexcept { std::free(block); }
#endif

namespace kdef {
namespace {

using nn::test::some_fields;
using testing::HasSubstr;

// An ensemble in fp32 whose parameters and buffers are all random. It predicts numbers, which are its logits: a sigmoid
// would hide differences.
class Model {
 public:
  explicit Model(EnsembleConfig config, const std::vector<nn::EmbeddingField>& fields = some_fields())
      : build_(3), ensemble_(config, fields, build_) {
    uint64_t seed = 40;
    for (const nn::Parameter& p : ensemble_.parameters()) fill(p.tensor, -1, seed++);
    for (const nn::Buffer& b : ensemble_.buffers()) fill(b.tensor, 0.1, seed++);
  }
  const Ensemble& operator*() const { return ensemble_; }

 private:
  static void fill(Tensor t, double low, uint64_t seed) {
    t.copy_from(ops::random_uniform(t.shape(), low, 1, seed).to(t.dtype()));
  }
  nn::Builder build_;
  Ensemble ensemble_;
};

EnsembleConfig of(const std::vector<std::string>& networks, EnsembleKind kind = EnsembleKind::mean) {
  EnsembleConfig config;
  config.kind = kind;
  config.task = &find_task("regression");
  config.embedding_dim = 4;
  for (const std::string& network : networks) config.students.push_back(nn::test::small_config(network));
  return config;
}

ModelInput six_rows() { return {nn::test::some_ids(), nn::test::some_values().to(DType::f32), {}, {}}; }

constexpr ops::Stored kFewerBits[] = {ops::Stored::bf16, ops::Stored::int8};

// Up to the rounding of another order of sums: 1e-5 of the largest number.
void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  float most = 1;
  for (const float x : want) most = std::max(most, std::abs(x));
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5 * most) << "number " << i;
}

void expect_scores(const Ensemble& model, const ModelInput& input, const ScorerOptions& options = {}) {
  const Scorer scorer(model, options);
  const Probabilities got = predict(scorer, input);
  const Probabilities want = predict_unchecked(model, input);
  expect_near(got.ensemble, want.ensemble);
  expect_near(got.students, want.students);
}

class EveryNetworksScorer : public testing::TestWithParam<std::string> {};

TEST_P(EveryNetworksScorer, HasTheNumbersOfTheEngine) {
  const Model model(of({GetParam(), GetParam()}));
  expect_scores(*model, six_rows());
  expect_scores(*model, six_rows(), {.fold_mib = 0});
}

TEST_P(EveryNetworksScorer, KeepsNotANumberInItsRow) {
  EnsembleConfig config = of({GetParam()});
  config.task = &default_task();  // the sigmoid of infinity is a number
  const Model model(config);
  const Scorer scorer(*model);
  const ModelInput input = six_rows();
  const std::vector<float> want = predict(scorer, input).ensemble;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf}) {
    ModelInput other = input;
    other.values = input.values.clone();
    other.values.data<float>()[2 * input.values.shape()[1]] = bad;
    const Probabilities got = predict(scorer, other);
    for (size_t b = 0; b < want.size(); ++b) {
      if (b == 2) {
        EXPECT_TRUE(std::isnan(got.ensemble[b]) && std::isnan(got.students[b])) << bad;
      } else {
        EXPECT_EQ(std::memcmp(&got.ensemble[b], &want[b], sizeof(float)), 0) << "row " << b;
      }
    }
  }
}

// With weights and tables in fewer bits, too, a row does not depend on the rows beside it.
TEST_P(EveryNetworksScorer, ScoresARowAloneInFewerBits) {
  const Model model(of({GetParam(), GetParam()}));
  if (!Scorer(*model).compiled()) GTEST_SKIP() << "scored by the engine";
  for (const ops::Stored stored : kFewerBits) {
    for (const int64_t fold_mib : {0, 64}) {
      const Scorer scorer(*model, {.fold_mib = fold_mib, .precision = stored});
      const ModelInput input = six_rows();
      const std::vector<float> want = predict(scorer, input).students;
      for (int64_t b = 0; b < 6; ++b) {
        const std::vector<float> got =
            predict(scorer, {input.ids.rows(b, 1), input.values.rows(b, 1), {}, {}}).students;
        ASSERT_TRUE(std::isfinite(got[0]));
        EXPECT_EQ(std::memcmp(got.data(), want.data() + 2 * b, 2 * sizeof(float)), 0) << ops::name_of(stored);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworksScorer, testing::ValuesIn(nn::network_names()),
                         [](const auto& of) { return of.param; });

// The two others compute with the rows along another axis than the first.
TEST(Scorer, CompilesAllNetworksButTwo) {
  std::vector<std::string> refused;
  for (const std::string& network : nn::network_names()) {
    const Model model(of({network}));
    const Scorer scorer(*model);
    if (!scorer.compiled()) refused.push_back(network);
  }
  EXPECT_THAT(refused, testing::ElementsAre("SAM", "FiGNN"));
}

TEST(Scorer, EveryKindOfEnsemble) {
  for (const EnsembleType& type : ensemble_types()) {
    if (!refusal_of(type.kind, find_task("regression")).empty()) continue;
    for (const bool shared : {true, false}) {
      EnsembleConfig config = of({"mlp", "DeepFM", "mlp"}, type.kind);
      if (!type.trains_output_layers()) config = of({"mlp", "kdef_dcnv2", "mlp"}, type.kind);
      config.shared_embedding = shared;
      SCOPED_TRACE(type.name);
      expect_scores(*Model(config), six_rows());
    }
  }
}

// Sequences by sum and average, a table that two fields share, layers behind an embedding, pretrained vectors.
TEST(Scorer, EveryKindOfField) {
  using Usage = nn::EmbeddingField::Pretrained::Usage;
  for (const Usage usage : {Usage::init, Usage::sum, Usage::concat}) {
    std::vector<nn::EmbeddingField> fields = some_fields();
    fields[0].pretrained = {.dim = 3, .frozen = false, .usage = usage, .known = 4};
    fields[1].linear = 4;
    fields[3].kind = nn::EmbeddingField::Kind::sum;
    fields[3].shared = "tags";
    expect_scores(*Model(of({"mlp", "DeepFM"}), fields), six_rows());
  }
  const std::vector<nn::EmbeddingField> all = some_fields();
  expect_scores(*Model(of({"mlp"}), {all[0]}), {Tensor::from<int32_t>({4, 0, 1}, {3, 1}), {}, {}, {}});
  expect_scores(*Model(of({"mlp"}), {all[2]}), {{}, Tensor::from<float>({4, 0, -1}, {3, 1}), {}, {}});
}

// The steps compute in fp32; with ids alone, no input says that the model does not.
TEST(Scorer, AModelInDoublePrecisionIsScoredByTheEngine) {
  const std::vector<nn::EmbeddingField> all = some_fields(), ids = {all[0], all[3]};
  for (const char* network : {"LR", "FM", "mlp"}) {
    for (const bool numbers : {false, true}) {
      SCOPED_TRACE(cat(network, numbers ? " with numbers" : ""));
      nn::Builder build(3, DType::f64);
      const Ensemble model(of({network}), numbers ? all : ids, build);
      ModelInput input = six_rows();
      if (!numbers) input = {Tensor::from<int32_t>({4, 0, 1, 2, 0, 3}, {3, 2}), {}, {}, {}};
      const Scorer scorer(model, {.fold_mib = 0});
      EXPECT_FALSE(scorer.compiled()) << scorer.describe();
      const Probabilities got = predict(scorer, input);
      if (numbers) input.values = input.values.to(DType::f64);
      EXPECT_EQ(got.ensemble, predict_unchecked(model, input).ensemble);
    }
  }
}

TEST(Scorer, NoStepComputesWithIds) {
  const Graph::Call call{.op = &ops::kSliceInfo,
                         .attributes = {{"axis", int64_t{1}}, {"first", int64_t{0}}, {"count", int64_t{2}}}};
  serve::Operand numbers, ids;
  numbers.shape = ids.shape = {1, 4};
  ids.type = DType::i32;
  serve::Operand result;
  result.shape = {1, 2};
  EXPECT_NO_THROW(serve::make_step(call, {numbers}, result));
  EXPECT_THROW(serve::make_step(call, {ids}, result), Error);
}

TEST(Scorer, PredictsProbabilitiesOfClicks) {
  EnsembleConfig config = of({"mlp"});
  config.task = &default_task();
  const Model model(config);
  const Probabilities got = predict(Scorer(*model), six_rows());
  const Probabilities want = predict_unchecked(*model, six_rows());
  for (size_t b = 0; b < got.ensemble.size(); ++b) EXPECT_NEAR(got.ensemble[b], want.ensemble[b], 1e-6);
}

// ---- Three students 40-40 with batch norm over 7 ids, a number and enough rows for several pieces of work

constexpr int64_t kIds = 7, kVocabulary = 300, kManyRows = 1001;

std::vector<nn::EmbeddingField> wide_fields() {
  std::vector<nn::EmbeddingField> fields;
  for (int64_t f = 0; f < kIds; ++f) fields.push_back({cat("C", f), nn::EmbeddingField::Kind::id, kVocabulary - f});
  fields.push_back({"price", nn::EmbeddingField::Kind::numeric});
  return fields;
}

Model three_mlps() {
  EnsembleConfig config;
  config.kind = EnsembleKind::mean;
  config.task = &find_task("regression");
  config.embedding_dim = 16;
  config.students.assign(3, {"mlp", {40, 40}, {"relu", "relu"}, {0.1, 0.1}, true});
  return Model(config, wide_fields());
}

ModelInput many_rows() {
  Random random(11, 3);
  std::vector<int32_t> ids;
  std::vector<float> numbers;
  for (int64_t b = 0; b < kManyRows; ++b) {
    for (int64_t f = 0; f < kIds; ++f)
      ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(kVocabulary - f))));
    numbers.push_back(static_cast<float>(random.uniform()));
  }
  return {Tensor::from(ids, {kManyRows, kIds}), Tensor::from(numbers, {kManyRows, 1}), {}, {}};
}

TEST(Scorer, ARowHasTheSameBitsInBatchesOfAnySizeAndByAnyThreads) {
  const Model model = three_mlps();
  const Scorer scorer(*model);
  ASSERT_TRUE(scorer.compiled()) << scorer.refusal();
  const ModelInput all = many_rows();
  const Probabilities want = predict(scorer, all);
  for (const int64_t count : {1, 2, 7, 95, 97, 500}) {
    const int64_t first = kManyRows - count;
    const Probabilities got = predict(scorer, {all.ids.rows(first, count), all.values.rows(first, count), {}, {}});
    EXPECT_EQ(std::memcmp(got.ensemble.data(), want.ensemble.data() + first, got.ensemble.size() * sizeof(float)), 0)
        << count << " rows";
    EXPECT_EQ(std::memcmp(got.students.data(), want.students.data() + 3 * first, got.students.size() * sizeof(float)),
              0);
  }
  Probabilities shared = want;
  std::fill(shared.ensemble.begin(), shared.ensemble.end(), 0.0f);
  scorer.score(all.ids.data<int32_t>(), all.values.data<float>(), kManyRows, shared.ensemble.data(), nullptr, true);
  EXPECT_EQ(shared.ensemble, want.ensemble);

  std::vector<std::thread> threads;
  std::vector<Probabilities> got(4);
  for (Probabilities& mine : got) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) mine = predict(scorer, all);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Probabilities& mine : got) EXPECT_EQ(mine.ensemble, want.ensemble);
}

TEST(Scorer, ARowHasTheSameBitsInFewerBits) {
  const Model model = three_mlps();
  const ModelInput all = many_rows();
  for (const ops::Stored stored : kFewerBits) {
    for (const int64_t fold_mib : {0, 1, 64}) {
      const Scorer scorer(*model, {.fold_mib = fold_mib, .precision = stored});
      const std::vector<float> want = predict(scorer, all).ensemble;
      for (const int64_t count : {1, 7, 97}) {
        const int64_t first = kManyRows - count;
        const std::vector<float> got =
            predict(scorer, {all.ids.rows(first, count), all.values.rows(first, count), {}, {}}).ensemble;
        EXPECT_EQ(std::memcmp(got.data(), want.data() + first, got.size() * sizeof(float)), 0) << count << " rows";
      }
    }
  }
}

// Rounds each row of a matrix, as a scorer in fewer bits keeps it.
void round_rows(Tensor t, ops::Stored stored) {
  const int64_t rows = t.shape()[0], n = t.shape()[1];
  ops::StoredRows kept(rows, n, stored);
  for (int64_t r = 0; r < rows; ++r) {
    kept.set(r, t.data<float>() + r * n, n);
    kept.read(r, n, t.data<float>() + r * n);
  }
}

// A scorer in fewer bits is the one in fp32 of a model whose embedding tables, and weights of layers of more than 4
// outputs, have been rounded: to the last bit, where nothing is folded.
TEST(Scorer, FewerBitsAreRoundedWeightsAndTables) {
  EnsembleConfig config;
  config.kind = EnsembleKind::mean;
  config.task = &find_task("regression");
  config.embedding_dim = 16;
  config.students.assign(2, {"mlp", {40, 40}, {"relu", "relu"}, {0.1, 0.1}, false});
  std::vector<nn::EmbeddingField> fields = wide_fields();
  fields.pop_back();
  fields[2] = {.name = "tags", .kind = nn::EmbeddingField::Kind::average, .vocab_size = 290, .max_len = 3};
  fields.resize(5);  // 7 columns of ids
  ModelInput input = many_rows();
  input.values = {};
  int32_t* ids = input.ids.data<int32_t>();
  for (int64_t i = 0; i < input.ids.numel(); ++i) ids[i] %= 290;
  for (const ops::Stored stored : kFewerBits) {
    const Model model(config, fields), rounded(config, fields);
    for (const nn::Parameter& p : (*rounded).parameters()) {
      if (p.tensor.rank() == 2 && (p.embedding || p.tensor.shape()[0] > 4)) round_rows(p.tensor, stored);
    }
    const Probabilities got = predict(Scorer(*model, {.fold_mib = 0, .precision = stored}), input),
                        want = predict(Scorer(*rounded, {.fold_mib = 0}), input),
                        exact = predict(Scorer(*model, {.fold_mib = 0}), input);
    EXPECT_NE(got.ensemble, exact.ensemble);
    if (stored == ops::Stored::bf16 && chosen_isa() == Isa::v4_bf16) {
      // Activations are rounded, too, by at most 2^-8 of each in two products; the third has few outputs.
      float most = 0;
      for (const float y : want.students) most = std::max(most, std::abs(y));
      for (size_t i = 0; i < got.students.size(); ++i) ASSERT_NEAR(got.students[i], want.students[i], most * 0x1p-7);
      continue;
    }
    EXPECT_EQ(got.students, want.students) << ops::name_of(stored);
    EXPECT_EQ(got.ensemble, want.ensemble);
  }
}

// A logistic regression adds one weight of a table for each field, and each is off by at most what the format rounds.
TEST(Scorer, AnErrorOfFewerBitsIsThatOfTheFormat) {
  const Model model(of({"LR"}), wide_fields());
  const ModelInput input = many_rows();
  const std::vector<float> want = predict(Scorer(*model), input).ensemble;
  // Weights are in (-1, 1). bf16: 2^-8 of each. int8: a row of one number is its own scale.
  const double most[] = {kIds * 0x1p-8, kIds * 0x1p-22};
  for (const ops::Stored stored : kFewerBits) {
    const std::vector<float> got = predict(Scorer(*model, {.precision = stored}), input).ensemble;
    for (size_t b = 0; b < got.size(); ++b)
      ASSERT_NEAR(got[b], want[b], most[stored == ops::Stored::int8] + kIds * 0x1p-21) << ops::name_of(stored);
  }
}

TEST(Scorer, FewerBitsTakeLessMemory) {
  const Model model = three_mlps();
  for (const int64_t fold_mib : {0, 64}) {
    const Scorer f32(*model, {.fold_mib = fold_mib}),
        bf16(*model, {.fold_mib = fold_mib, .precision = ops::Stored::bf16}),
        int8(*model, {.fold_mib = fold_mib, .precision = ops::Stored::int8});
    const auto bytes = [](const Scorer& s) {
      return static_cast<double>(s.weight_bytes() + s.table_bytes() + s.embedding_bytes());
    };
    EXPECT_LT(bytes(bf16), 0.55 * bytes(f32)) << fold_mib;
    EXPECT_LT(bytes(int8), 0.36 * bytes(f32)) << fold_mib;
    EXPECT_EQ(f32.embedding_bytes() > 0, fold_mib == 0);
  }
}

TEST(Scorer, FewerBitsNeedACompiledModel) {
  const Model model(of({"SAM"}));
  try {
    const Scorer scorer(*model, {.precision = ops::Stored::bf16});
    FAIL() << "it is scored";
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("precision bf16: this model is scored in f32 alone"));
  }
}

// A compiled scorer keeps what it needs of the model.
TEST(Scorer, OutlivesItsModelOnceItIsCompiled) {
  for (const ops::Stored stored : {ops::Stored::f32, ops::Stored::bf16, ops::Stored::int8}) {
    std::unique_ptr<Model> model(new Model(three_mlps()));
    const Scorer scorer(**model, {.fold_mib = 0, .precision = stored});
    const std::vector<float> want = predict(scorer, many_rows()).ensemble;
    model.reset();
    EXPECT_EQ(predict(scorer, many_rows()).ensemble, want);
  }
}

// Whatever part of the tables is folded, the numbers are those of the engine.
TEST(Scorer, FoldsTheSmallestVocabulariesThatFit) {
  const Model model = three_mlps();
  const ModelInput input = many_rows();
  const Scorer none(*model, {.fold_mib = 0}), some(*model, {.fold_mib = 1}), all(*model);
  EXPECT_EQ(none.table_bytes(), 0u);
  EXPECT_GT(some.table_bytes(), 0u);
  EXPECT_LE(some.table_bytes(), size_t{1} << 20);
  EXPECT_GT(all.table_bytes(), some.table_bytes());
  EXPECT_GT(none.weight_bytes(), all.weight_bytes());
  const Probabilities want = predict_unchecked(*model, input);
  for (const Scorer* scorer : {&none, &some, &all}) {
    expect_near(predict(*scorer, input).ensemble, want.ensemble);
  }
  EXPECT_THAT(all.describe(), HasSubstr("linear 1 -> 120, relu, and 7 tables of products"));
  EXPECT_THAT(none.describe(), HasSubstr("linear 113 -> 120, relu"));
}

// Compiled or not; a bad row behind those that the engine computes at once, too.
TEST(Scorer, RefusesAnIdThatIsInNoTable) {
  for (const std::string network : {"mlp", "SAM"}) {
    const Model model(of({network}), wide_fields());
    const Scorer scorer(*model);
    ASSERT_EQ(scorer.compiled(), network == "mlp") << scorer.refusal();
    for (const int64_t row : {5, 5000}) {
      const int64_t rows = row + 2;
      std::vector<int32_t> ids(static_cast<size_t>(rows * kIds), 1);
      const std::vector<float> numbers(static_cast<size_t>(rows), 0.5f);
      std::vector<float> scores(static_cast<size_t>(rows), 7.0f);
      for (const int32_t bad : {static_cast<int32_t>(kVocabulary - 2), -1}) {
        ids[static_cast<size_t>(row * kIds + 2)] = bad;
        try {
          scorer.score(ids.data(), numbers.data(), rows, scores.data(), nullptr);
          FAIL() << network << " accepts the id " << bad;
        } catch (const InputError& e) {
          EXPECT_THAT(e.what(), HasSubstr(cat("row ", row, ", id column 2 (C2): id ", bad, " is not in [0, 298)")));
        }
        EXPECT_EQ(scores[0], 7.0f) << network << ": something was written";
      }
    }
  }
}

TEST(Scorer, AllocatesNothingAfterItsFirstCall) {
#if defined(KDEF_THREAD_SANITIZER)
  GTEST_SKIP() << "the thread sanitizer has operators of its own";
#endif
  const Model model = three_mlps();
  const Scorer scorer(*model);
  const ModelInput input = many_rows();
  std::vector<float> scores(static_cast<size_t>(kManyRows)), students(3 * scores.size());
  const int32_t* ids = input.ids.data<int32_t>();
  const float* numbers = input.values.data<float>();
  scorer.score(ids, numbers, 1, scores.data(), students.data());
  const int64_t before = allocations;
  ASSERT_GT(before, 0) << "the counter does not count";
  scorer.score(ids, numbers, kManyRows, scores.data(), students.data());
  scorer.score(ids, numbers, 1, scores.data(), nullptr);
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace kdef
