#include "kdef/audit/examples.h"

#include <algorithm>

#include "core/base/names.h"
#include "kdef/method/ensemble.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/reduce.h"

namespace kdef {
namespace {

using namespace ops;  // NOLINT: the formulas below read as such

Forward number(Worksheet& s) {
  const Tensor w = s.leaf("w", {3}, {}), b = s.leaf("b", {-1}, {});
  const Tensor x = s.constant<double>("x", {2}, {}), y = s.constant<double>("y", {4}, {});
  return [=] { return square(named("e", sub(named("z", add(mul(w, x), b)), y))); };
}

Forward twice(Worksheet& s) {
  const Tensor x = s.leaf("x", {2}, {});
  return [=] {
    const Tensor u = named("u", square(x));
    return add(mul(u, x), u);
  };
}

// A linear map of two columns to a logit, and two rows with labels.
struct TwoRows {
  explicit TwoRows(Worksheet& s)
      : w(s.leaf("w", {0.5, -0.25}, {1, 2})),
        b(s.leaf("b", {0.1}, {1})),
        x(s.constant<double>("x", {1, 2, 3, 1}, {2, 2})),
        y(s.constant<double>("y", {1, 0}, {2, 1})) {}
  Tensor logit() const { return named("z", linear(x, w, b)); }
  Tensor w, b, x, y;
};

Forward logistic(Worksheet& s) {
  return [two = TwoRows(s)] { return binary_cross_entropy(named("p", sigmoid(two.logit())), two.y); };
}

Forward logits(Worksheet& s) {
  return [two = TwoRows(s)] { return binary_cross_entropy_with_logits(two.logit(), two.y); };
}

Forward embedding_rows(Worksheet& s) {
  const Tensor table = s.leaf("T", {0, 0, 0.2, -0.1, 0.4, 0.3, -0.5, 0.6}, {4, 2});
  const Tensor w = s.leaf("w", {1, 2}, {1, 2});
  const Tensor ids = s.constant<int32_t>("ids", {1, 3, 1}, {3}), y = s.constant<double>("y", {1, 0, 1}, {3, 1});
  return [=] {
    const Tensor e = named("e", embedding(table, ids, true));
    return binary_cross_entropy_with_logits(named("z", linear(e, w, {})), y);
  };
}

Forward normalised(Worksheet& s) {
  const Tensor w = s.leaf("w", {2, 1}, {1, 2}), b = s.leaf("b", {0.5}, {1});
  const Tensor gamma = s.leaf("gamma", {1.5}, {1}), beta = s.leaf("beta", {-0.2}, {1});
  const Tensor x = s.constant<double>("x", {1, 0, 2, 3, 4, 1}, {3, 2}), y = s.constant<double>("y", {0, 1, 0}, {3, 1});
  // What evaluation uses in the place of the batch's mean and variance. Training moves them and does not read them.
  const Tensor mean = s.constant<double>("running_mean", {0}, {1}), var = s.constant<double>("running_var", {1}, {1});
  return [=] {
    const Tensor z = named("z", batch_norm(named("a", linear(x, w, b)), gamma, beta, mean, var));
    return binary_cross_entropy_with_logits(z, y);
  };
}

// Two rows and two students, of which the first is right about both rows and the second about neither.
struct TwoStudents {
  explicit TwoStudents(Worksheet& s)
      : z(s.leaf("z", {1.2, -0.4, -0.8, 0.6}, {2, 2})), y(s.constant<double>("y", {1, 0}, {2, 1})) {}
  Tensor z, y;
};

// What an ensemble of that kind makes of the logits, and its loss, composed of primitive ops.
Tensor loss_of(EnsembleKind kind, const Tensor& z, const Tensor& y, Worksheet& s) {
  const EnsembleType& type = ensemble_type(kind);
  return type.objective.composed(default_task(), {z, named("z_ensemble", type.combine(z)), y, {}}, s.stop(z), {});
}

Forward mean_ensemble(Worksheet& s) {
  const TwoStudents two(s);
  return [=, &s] { return loss_of(EnsembleKind::mean, two.z, two.y, s); };
}

Forward objective(Worksheet& s) {
  const TwoStudents two(s);
  return [=, &s] { return kdef_objective_held(two.z, s.stop(two.z), two.y); };
}

Forward spectra(Worksheet& s) {
  s.measure("A: two equal directions", Tensor::from<double>({1, 0, 0, 1}, {2, 2}));
  s.measure("B: one direction shorter", Tensor::from<double>({2, 1, 1, 2}, {2, 2}));
  s.measure("C: one direction", Tensor::from<double>({1, 2, 2, 4}, {2, 2}));
  return [] { return Tensor(); };
}

Forward fused(Worksheet& s) {
  const TwoStudents two(s);
  return [=, &s] {
    const Tensor held = s.stop(two.z);
    return s.replays() ? kdef_objective_held(two.z, held, two.y) : kdef_objective(two.z, two.y);
  };
}

// Two students of one hidden layer each over the embeddings of one column, on five rows.
Forward ensemble(Worksheet& s) {
  EnsembleConfig config;
  config.embedding_dim = 2;
  config.fused = false;
  for (int m = 0; m < 2; ++m) {
    config.students.push_back(
        {.network = "mlp", .hidden_units = {2}, .hidden_activations = {"sigmoid"}, .dropout = {0}});
  }
  nn::Builder build(1, DType::f64);
  const auto model = std::make_shared<Ensemble>(
      config, std::vector<nn::EmbeddingField>{{.name = "user", .vocab_size = 4, .source = "user"}}, build);
  uint64_t seed = 1;
  for (const nn::Parameter& p : model->parameters()) {
    Tensor t = p.tensor;
    t.copy_from(random_uniform(t.shape(), -1, 1, seed++));
    // "networks.0.mlp.0.weight" is that of student 1
    const size_t dot = p.name.find('.', 9);
    const bool of_student = p.name.rfind("networks.", 0) == 0;
    s.leaf(of_student ? cat("student ", std::stoi(p.name.substr(9)) + 1, "/", p.name.substr(dot + 1)) : "table", t);
  }
  const ModelInput batch{
      s.constant<int32_t>("ids", {1, 3, 2, 1, 3}, {5, 1}), {}, s.constant<double>("y", {1, 0, 1, 0, 0}, {5, 1})};
  return [=, &s] {
    const Ensemble::Output out = model->forward(batch, {.training = true, .fused = false});
    return kdef_objective_held(out.students, s.stop(out.students), batch.labels);
  };
}

constexpr Example kExamples[] = {
    {"number", 1, "A line through one point: z = w x + b, L = (z - y)^2.", number},
    {"twice", 1, "Values that are used twice: u = x^2, L = u x + u.", twice},
    {"logistic", 2, "Logistic regression on two rows of two columns.", logistic},
    {"logits", 2, "The same with sigmoid and loss as one op, which cannot overflow.", logits},
    {"embedding", 3, "Rows of a table looked up by id: row 1 twice, row 3 once, row 2 never.", embedding_rows},
    {"batch_norm", 4, "A linear map with a bias, batch norm behind it.", normalised},
    {"mean", 5, "Two students whose mean learns.", mean_ensemble},
    {"objective", 6, "Every term of KDEF's objective for two rows and two students.", objective},
    {"spectra", 7, "What three matrices use of their two dimensions.", spectra},
    {"fused", 8, "The objective of lesson 6 as one op.", fused},
    {"ensemble", 8, "A KDEF ensemble of two small networks, from the table to the loss.", ensemble},
};

}  // namespace

std::span<const Example> examples() { return kExamples; }

const Example& find_example(const std::string& name) {
  std::vector<std::string> known;
  for (const Example& e : kExamples) {
    if (e.name == name) return e;
    known.push_back(e.name);
  }
  fail_unknown_name("example", name, known);
}

std::string example_names() {
  std::string names;
  for (const Example& e : kExamples) names += cat(names.empty() ? "" : ", ", e.name);
  return names;
}

}  // namespace kdef
