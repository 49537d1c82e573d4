// Trains a KDEF ensemble of two students on random rows and scores them, with the installed library alone.
#include <cstdio>

#include "kdef/core/base/random.h"
#include "kdef/method/ensemble.h"
#include "kdef/nn/optimizer/optimizer.h"
#include "kdef/serve/scorer.h"

int main() {
  using namespace kdef;
  nn::Builder build(1);
  const nn::NetworkConfig student{
      .network = "mlp", .hidden_units = {16}, .hidden_activations = {"relu"}, .dropout = {0.0}, .batch_norm = true};
  Ensemble model({.kind = EnsembleKind::kdef, .students = {student, student}, .embedding_dim = 4},
                 {{.name = "item", .vocab_size = 50}}, build);
  nn::Optimizer optimizer(model.parameters(), {.learning_rate = 0.01});

  // A click is an even id.
  std::vector<int32_t> ids;
  std::vector<float> labels;
  Random random(2);
  for (int row = 0; row < 256; ++row) {
    ids.push_back(1 + static_cast<int32_t>(random.uniform() * 49));
    labels.push_back(ids.back() % 2 == 0 ? 1.0f : 0.0f);
  }
  const ModelInput batch{Tensor::from(ids, {256, 1}), {}, Tensor::from(labels, {256, 1})};

  double first = 0, last = 0;
  for (uint64_t step = 0; step < 100; ++step) {
    const Tensor loss = model.loss(model.forward(batch, {.training = true, .step = step}), batch.labels);
    backward(loss);
    optimizer.step();
    last = loss.item();
    if (step == 0) first = last;
  }
  std::printf("loss %.4f -> %.4f\n", first, last);

  const Scorer scorer(model);
  std::vector<float> scores(ids.size());
  scorer.score(ids.data(), nullptr, 256, scores.data(), nullptr);
  int right = 0;
  for (size_t row = 0; row < scores.size(); ++row) right += (scores[row] > 0.5f) == (labels[row] > 0.5f);
  std::printf("%s scorer: %d of 256 right\n", scorer.compiled() ? "compiled" : "engine's", right);
  return last < 0.5 * first && scorer.compiled() && right > 240 ? 0 : 1;
}
