// A prediction of a row is the same, bit for bit, whatever rows are predicted with it.
//
// The networks are wide enough, and the batches large enough, that products cross every size at which they are computed
// in another way: cut for the threads, or joined with the hidden layer in front of them.
#include <gtest/gtest.h>

#include <cstring>

#include "core/base/random.h"
#include "kdef/measure/evaluation.h"
#include "kdef/method/ensemble.h"
#include "nn/networks/network.h"
#include "nn/networks/registry.h"

namespace kdef {
namespace {

constexpr int64_t kFields = 39, kDim = 16, kUnits = 400, kRows = 10000;

std::vector<nn::EmbeddingField> criteo_like_fields() {
  std::vector<nn::EmbeddingField> fields;
  for (int64_t f = 0; f < kFields; ++f) {
    fields.push_back({cat("C", f), nn::EmbeddingField::Kind::id, 50});
  }
  return fields;
}

data::Batch random_batch() {
  Random random(11, 3);
  data::Batch batch;
  batch.rows = kRows;
  for (int64_t i = 0; i < kRows * kFields; ++i) batch.ids.push_back(static_cast<int32_t>(random.below(50)));
  for (int64_t b = 0; b < kRows; ++b) batch.labels.push_back(random.below(3) == 0 ? 1.0f : 0.0f);
  return batch;
}

data::Batch rows_of(const data::Batch& all, int64_t first, int64_t count) {
  data::Batch part;
  part.rows = count;
  part.ids.assign(all.ids.begin() + first * kFields, all.ids.begin() + (first + count) * kFields);
  part.labels.assign(all.labels.begin() + first, all.labels.begin() + first + count);
  return part;
}

struct Student {
  const char* network;
  bool batch_norm;
  bool fused = true;
};
void PrintTo(const Student& s, std::ostream* out) {
  *out << s.network << (s.batch_norm ? " with batch norm" : "") << (s.fused ? "" : ", composed");
}

class RowIndependence : public testing::TestWithParam<Student> {
 protected:
  Ensemble model() const {
    nn::NetworkConfig student;
    student.network = GetParam().network;
    student.hidden_units = {kUnits};
    student.hidden_activations = {"relu"};
    student.dropout = {0.1};
    student.batch_norm = GetParam().batch_norm;
    if (nn::network_type(student.network).find_key("num_cross_layers")) student.settings.set("num_cross_layers", 1);
    EnsembleConfig config;
    config.embedding_dim = kDim;
    config.fused = GetParam().fused;
    config.students = {student};
    nn::Builder build(5);
    return Ensemble(config, criteo_like_fields(), build);
  }
};

TEST_P(RowIndependence, APredictionHasTheSameBitsInBatchesOfAnySize) {
  const Ensemble model = this->model();
  data::Batch all = random_batch();
  const auto predict_rows = [&](int64_t first, int64_t count) {
    data::Batch part = rows_of(all, first, count);
    return predict(model, model_input(part, kFields, 0)).ensemble;
  };
  const std::vector<float> want = predict_rows(0, kRows);
  for (const int64_t count : {1, 2, 7, 12, 13, 100, 320, 4999, 5000}) {
    const int64_t first = kRows - count;
    const std::vector<float> got = predict_rows(first, count);
    int64_t differ = 0;
    for (int64_t i = 0; i < count; ++i) {
      differ += std::memcmp(&got[static_cast<size_t>(i)], &want[static_cast<size_t>(first + i)], sizeof(float)) != 0;
    }
    EXPECT_EQ(differ, 0) << "of " << count << " rows";
  }
}

class EvaluationBits : public RowIndependence {};
TEST_P(EvaluationBits, AnEvaluationHasTheSameBitsForAnyBatchSize) {
  const Ensemble model = this->model();
  const data::Batch all = random_batch();
  const auto evaluate_by = [&](int64_t batch_size) {
    int64_t first = 0;
    return evaluate(model, [&](data::Batch& batch) {
      if (first == kRows) return false;
      const int64_t count = std::min(batch_size, kRows - first);
      batch = rows_of(all, first, count);
      first += count;
      return true;
    });
  };
  const Evaluation large = evaluate_by(kRows), small = evaluate_by(997);
  EXPECT_EQ(large.ensemble["auc"], small.ensemble["auc"]);
  EXPECT_EQ(large.ensemble["logloss"], small.ensemble["logloss"]);
}

INSTANTIATE_TEST_SUITE_P(Networks, RowIndependence,
                         testing::Values(Student{"mlp", false}, Student{"mlp", true}, Student{"mlp", true, false},
                                         Student{"DeepFM", false}, Student{"wide_deep", true},
                                         Student{"kdef_dcnv2", false}, Student{"product", false},
                                         Student{"kdef_autoint", false}));
INSTANTIATE_TEST_SUITE_P(Networks, EvaluationBits, testing::Values(Student{"mlp", false}, Student{"mlp", true}));

}  // namespace
}  // namespace kdef
