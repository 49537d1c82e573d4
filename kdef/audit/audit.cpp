#include "kdef/audit/audit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include "core/base/names.h"
#include "core/base/random.h"
#include "kdef/method/ensemble.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef {
namespace {

using ops::GradientCase;
using ops::GradientReport;

Tensor rnd(Device device, const Shape& s, uint64_t seed, double low = -2, double high = 2) {
  return ops::random_uniform(s, low, high, seed).to(device);
}

Tensor labels(Device device, int64_t rows) {
  std::vector<double> y(static_cast<size_t>(rows));
  for (size_t i = 0; i < y.size(); ++i) y[i] = i % 3 == 1 ? 1 : 0;
  return Tensor::from(y, {rows, 1}, device);
}

// Initial values of zero or one hide errors, so the parameters of an audited module get random values.
template <class M>
std::vector<Tensor> scrambled(const M& module) {
  std::vector<Tensor> leaves;
  uint64_t seed = 100;
  for (const nn::Parameter& p : module.parameters()) {
    Tensor t = p.tensor;
    t.copy_from(rnd(kCpu, t.shape(), seed++, -1, 1));
    leaves.push_back(t);
  }
  return leaves;
}

template <class M, class Fn>
GradientReport check_module(const M& module, Tensor x, Fn f) {
  std::vector<Tensor> leaves = scrambled(module);
  leaves.push_back(x.set_requires_grad());
  return ops::check_leaves(leaves, [&] { return f(module, x); });
}

const std::vector<nn::EmbeddingField>& some_fields() {
  using Kind = nn::EmbeddingField::Kind;
  static const std::vector<nn::EmbeddingField> fields = {
      {.name = "user", .kind = Kind::id, .vocab_size = 5, .source = "user"},
      {.name = "tags", .kind = Kind::average, .vocab_size = 6, .max_len = 3, .source = "item"},
      {.name = "price", .kind = Kind::numeric, .source = "context"},
      {.name = "words", .kind = Kind::sum, .vocab_size = 6, .max_len = 2, .shared = "tags", .source = "item"}};
  return fields;
}

// Seven rows for some_fields(). The categorical column has no id 0: the padding row would be read and get no gradient.
ModelInput some_batch(Device device) {
  ModelInput input;
  input.ids = Tensor::from<int32_t>({1, 1, 0, 2, 3, 0, 2, 0, 0, 0, 0, 0, 4, 5, 5, 5, 1, 1, 1, 2, 3,
                                     4, 5, 0, 3, 0, 1, 0, 2, 2, 2, 1, 1, 0, 0, 4, 4, 3, 2, 1, 0, 3},
                                    {7, 6});
  input.values = rnd(kCpu, {7, 1}, 77);
  input.labels = labels(kCpu, 7);
  return input.to(device);
}

EnsembleConfig some_ensemble(EnsembleKind kind, bool batch_norm, bool fused) {
  EnsembleConfig config;
  config.kind = kind;
  config.embedding_dim = 3;
  config.fused = fused;
  for (int i = 0; i < 3; ++i) {
    config.students.push_back({.network = "mlp",
                               .hidden_units = {4},
                               .hidden_activations = {"sigmoid"},
                               .dropout = {0.0},
                               .batch_norm = batch_norm});
  }
  return config;
}

const nn::Pass kTraining{.training = true, .seed = 3, .step = 2};

// An objective of M students over seven rows: its op, where it has one, and its twin.
void add_objective(std::vector<AuditCase>& cases, const Objective& objective, const Task& task,
                   const ObjectiveConfig& config, int64_t students, const std::string& variant, Device device) {
  for (const bool fused : {true, false}) {
    if (fused && !objective.has_op(task)) continue;
    const auto check = [&objective, &task, config, students, fused, device] {
      const Tensor z0 = rnd(device, {7, students}, 5), y = labels(device, 7);
      const auto batch = [y](const Tensor& z) { return ObjectiveInput{z, mean_of_students(z), y, {}}; };
      GradientCase c;
      c.inputs = {z0};
      c.function = [=, &objective, &task](const std::vector<Tensor>& x) {
        return objective.loss(task, batch(x[0]), config, fused);
      };
      c.held = [=, &objective, &task](const std::vector<Tensor>& x) {
        return objective.composed(task, batch(x[0]), z0, config);
      };
      return ops::check_gradient(c);
    };
    cases.push_back({cat(objective.name, "_objective"), cat(fused ? "fused" : "composed", ", M = ", students, variant),
                     fused ? objective.op : nullptr, check});
  }
}

GradientReport check_ensemble(const EnsembleType& type, bool fused, bool shared, nn::Builder& build) {
  EnsembleConfig config = some_ensemble(type.kind, true, fused);
  config.shared_embedding = shared;
  const Ensemble model(config, some_fields(), build);
  const ModelInput input = some_batch(build.device());
  const std::vector<Tensor> leaves = scrambled(model);
  const Tensor held = model.forward(input, kTraining).students.detach();
  return ops::check_leaves(
      leaves, [&] { return model.loss(model.forward(input, kTraining), input.labels); },
      [&] {
        const Ensemble::Output out = model.forward(input, kTraining);
        return type.objective.composed(model.task(), {out.students, out.ensemble, input.labels, {}}, held, {});
      });
}

}  // namespace

std::vector<AuditCase> audit_cases(Device device) {
  std::vector<AuditCase> cases;
  for (const ops::OpCase& c : ops::op_cases()) {
    cases.push_back(
        {c.info->name, c.variant, c.info, [=, make = c.make] { return ops::check_gradient(make(device)); }});
  }

  // -- layers and networks: every parameter and the input
  const auto layer = [&](std::string name, std::string variant, std::function<GradientReport(nn::Builder&)> check) {
    cases.push_back({std::move(name), std::move(variant), nullptr, [=, check = std::move(check)] {
                       nn::Builder build(1, DType::f64, device);
                       return check(build);
                     }});
  };
  layer("Linear", "", [](nn::Builder& b) {
    return check_module(nn::Linear(4, 3, b), rnd(b.device(), {5, 4}, 1), [](auto& m, auto& x) { return m.forward(x); });
  });
  for (const bool training : {true, false}) {
    layer("BatchNorm1d", training ? "training" : "evaluation", [training](nn::Builder& b) {
      return check_module(nn::BatchNorm1d(4, b), rnd(b.device(), {5, 4}, 1),
                          [=](auto& m, auto& x) { return m.forward(x, {.training = training}); });
    });
  }
  layer("LayerNorm", "", [](nn::Builder& b) {
    return check_module(nn::LayerNorm(4, b), rnd(b.device(), {5, 4}, 1), [](auto& m, auto& x) { return m.forward(x); });
  });
  layer("Dropout", "p = 0.4", [](nn::Builder& b) {
    return check_module(nn::Dropout(0.4, b), rnd(b.device(), {5, 4}, 1),
                        [](auto& m, auto& x) { return m.forward(x, kTraining); });
  });
  for (const nn::ActivationType& type : nn::activation_types()) {
    layer("activation", type.name, [kind = type.kind](nn::Builder& b) {
      const auto check = [&](bool training) {
        return check_module(*nn::make_activation(kind, 4, b), rnd(b.device(), {5, 4}, 1),
                            [=](auto& m, auto& x) { return m.forward(x, {.training = training}); });
      };
      const GradientReport training = check(true), evaluation = check(false);
      return training.deviation > evaluation.deviation ? training : evaluation;
    });
  }
  for (const char* norm : {"batch norm", "layer norm", "no norm"}) {
    layer("Mlp", cat("tanh, dropout 0.2, ", norm), [norm = std::string(norm)](nn::Builder& b) {
      nn::MlpConfig config{{5, 3}, {nn::Activation::tanh, nn::Activation::sigmoid}, {0.2, 0.0}};
      config.batch_norm = norm == "batch norm";
      config.layer_norm = norm == "layer norm";
      return check_module(nn::Mlp(4, config, b), rnd(b.device(), {6, 4}, 1),
                          [](auto& m, auto& x) { return m.forward(x, kTraining); });
    });
  }
  for (const bool fused : {true, false}) {
    layer("Mlp", cat("relu, dropout 0.2, batch norm, ", fused ? "fused" : "composed"), [fused](nn::Builder& b) {
      const nn::MlpConfig config{{5, 3}, {nn::Activation::relu, nn::Activation::relu}, {0.2, 0.2}, true};
      nn::Pass pass = kTraining;
      pass.fused = fused;
      return check_module(nn::Mlp(4, config, b), rnd(b.device(), {6, 4}, 1),
                          [=](auto& m, auto& x) { return m.forward(x, pass); });
    });
    layer("EmbeddingTables", fused ? "fused" : "composed", [fused](nn::Builder& b) {
      const nn::EmbeddingTables tables(some_fields(), 3, b);
      const ModelInput input = some_batch(b.device());
      return ops::check_leaves(scrambled(tables), [&] { return tables.forward(input.ids, input.values, fused); });
    });
  }

  for (const std::string& name : nn::network_names()) {
    for (const bool fused : {true, false}) {
      layer("network " + name, fused ? "fused" : "composed", [name, fused](nn::Builder& b) {
        nn::NetworkConfig c;
        c.network = name;
        c.hidden_units = {6, 4};
        c.hidden_activations = {"relu", "sigmoid"};
        c.dropout = {0.2, 0.1};
        c.batch_norm = true;
        c.layer_norm = true;  // for parts without batch norm, such as attention layers
        for (const nn::SettingKey& key : nn::network_type(name).keys) c.settings.set(key.name, key.small);
        nn::Pass pass = kTraining;
        pass.fused = fused;
        const nn::EmbeddingTables tables(some_fields(), 4, b, nn::reads_shared_tables(c));
        const auto network = nn::make_network(c, tables.shape(), b);
        const ModelInput input = some_batch(b.device());
        std::vector<Tensor> leaves = scrambled(tables);
        // The gates of PPNet read the embeddings under a stop-gradient, where differences are no gradients. Those of
        // its tables are in its recording (tests/fixtures/zoo).
        if (name == "PPNet") leaves.clear();
        for (const Tensor& t : scrambled(*network)) leaves.push_back(t);
        return ops::check_leaves(
            leaves, [&] { return network->forward(nn::Fields(tables, input.ids, input.values, pass), pass); });
      });
    }
  }

  // -- objectives: what stands under a stop-gradient, as teacher and peers do, is constant while differences are taken
  for (const Objective* o : objectives()) {
    for (const Task& task : tasks()) {
      if (o->clicks_only != nullptr && task.labels != data::LabelKind::click) continue;
      const std::string labels_of = &task == &default_task() ? "" : cat(", task ", task.name);
      for (const int64_t m : {1, 2, 3, 5}) add_objective(cases, *o, task, {}, m, labels_of, device);
      for (const ObjectiveCase& c : o->cases) {
        add_objective(cases, *o, task, c.config, 3, cat(labels_of, ", ", c.variant), device);
      }
    }
  }

  // -- whole models: from the embedding tables to the loss
  for (const EnsembleType& type : ensemble_types()) {
    for (const bool shared : {true, false}) {
      for (const bool fused : {true, false}) {
        layer("Ensemble",
              cat(type.name, ", loss, ", fused ? "fused" : "composed", shared ? "" : ", embeddings per student"),
              [&type, fused, shared](nn::Builder& b) { return check_ensemble(type, fused, shared, b); });
      }
    }
  }
  return cases;
}

namespace {

// The value of a case in fp32, and the gradients of sum(r * value), r a fixed random cotangent, on the host.
std::vector<Tensor> evaluated(const ops::OpCase& c, Device device) {
  const GradientCase at = c.make(device);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < at.inputs.size(); ++i) {
    inputs.push_back(at.inputs[i].to(kCpu).to(DType::f32).to(device));
    const bool constant = std::find(at.constants.begin(), at.constants.end(), i) != at.constants.end();
    if (is_floating(inputs[i].dtype()) && !constant) inputs[i].set_requires_grad();
  }
  const Tensor y = at.function(inputs);
  backward(y, rnd(kCpu, y.shape(), 1000, -1, 1).to(DType::f32).to(device));
  std::vector<Tensor> all{y.to(kCpu)};
  for (const Tensor& x : inputs) {
    const Tensor g = x.grad();
    if (g.defined()) all.push_back(g.to(kCpu));
  }
  return all;
}

}  // namespace

std::vector<DeviceComparison> compare_devices(Device device) {
  std::vector<DeviceComparison> all;
  for (const ops::OpCase& c : ops::op_cases()) {
    DeviceComparison row{c.info->name, c.variant};
    const std::vector<Tensor> want = evaluated(c, kCpu), have = evaluated(c, device);
    for (size_t t = 0; t < want.size(); ++t) {
      for (int64_t i = 0; i < want[t].numel(); ++i) {
        const double a = static_cast<double>(have[t].data<float>()[i]),
                     b = static_cast<double>(want[t].data<float>()[i]);
        const double deviation = std::abs(a - b) / std::max(1.0, std::abs(b));
        row.deviation = std::isnan(deviation) ? INFINITY : std::max(row.deviation, deviation);
      }
    }
    all.push_back(row);
  }
  return all;
}

std::string device_markdown(Device device) {
  std::vector<std::string> ops;  // in order
  std::map<std::string, double> between, gradient;
  for (const DeviceComparison& c : compare_devices(device)) {
    if (between.count(c.op) == 0) ops.push_back(c.op);
    between[c.op] = std::max(between[c.op], c.deviation);
  }
  for (const AuditCase& c : audit_cases(device)) {
    if (between.count(c.name) > 0) gradient[c.name] = std::max(gradient[c.name], c.check().deviation);
  }
  std::string text = cat("| op | CPU | ", name_of(device), " | largest deviation between them, fp32 | of the gradient ",
                         "on the device from differences, fp64 |\n|---|---|---|---|---|\n");
  for (const std::string& op : ops) {
    text +=
        cat("| `", op, "` | yes | yes | ", scientific(between[op], 1), " | ", scientific(gradient.at(op), 1), " |\n");
  }
  return text;
}

std::vector<std::string> audit_self_test() {
  // Each case takes the gradient of one function and the differences of another, and so has a wrong gradient.
  struct Wrong {
    const char* name;
    GradientCase c;
  };
  const auto one = [](Shape s, auto differentiated, auto right) {
    GradientCase c;
    c.inputs = {rnd(kCpu, s, 1)};
    c.function = [=](const std::vector<Tensor>& x) { return differentiated(x[0]); };
    c.held = [=](const std::vector<Tensor>& x) { return right(x[0]); };
    return c;
  };
  const Tensor square_matrix = rnd(kCpu, {3, 3}, 2);
  const std::vector<Wrong> wrong = {
      {"a wrong sign", one(
                           {2, 3}, [](const Tensor& x) { return ops::neg(ops::sigmoid(x)); },
                           [](const Tensor& x) { return ops::sigmoid(x); })},
      {"a transposed gradient", one(
                                    {3, 3}, [=](const Tensor& x) { return ops::matmul(x, square_matrix); },
                                    [=](const Tensor& x) { return ops::matmul(x, square_matrix, false, true); })},
      {"a missing term", one(
                             {4}, [](const Tensor& x) { return ops::mul(x, x.detach()); },
                             [](const Tensor& x) { return ops::mul(x, x); })},
      {"softmax without its sum term", one(
                                           {2, 4},
                                           [](const Tensor& x) {
                                             const Tensor e = ops::exp(x);
                                             return ops::div(e, ops::sum(e.detach(), 1, true));
                                           },
                                           [](const Tensor& x) { return ops::softmax(x, 1); })},
      {"a factor 1.000001", one(
                                {2, 3}, [](const Tensor& x) { return ops::scale(x, 1.000001); },
                                [](const Tensor& x) { return ops::scale(x, 1.0); })},
  };
  std::vector<std::string> missed;
  for (const Wrong& w : wrong) {
    if (ops::check_gradient(w.c).passed()) missed.push_back(w.name);
  }
  return missed;
}

// The largest gradient that an objective passes to what stands under its stop-gradients.
static double gradient_of_held(const Objective& objective, const Tensor& y) {
  Tensor z = rnd(kCpu, {7, 3}, 5), held = z.clone();
  z.set_requires_grad();
  held.set_requires_grad();
  backward(objective.composed(default_task(), {z, mean_of_students(z), y, {}}, held, {}));
  double largest = 0;
  if (!held.grad().defined()) return largest;
  for (const double v : held.grad().to_vector<double>()) largest = std::max(largest, std::abs(v));
  return largest;
}

std::vector<std::string> audit_stop_gradients() {
  std::vector<std::string> broken;
  const Tensor y = labels(kCpu, 7);
  for (const Objective* objective : objectives()) {
    if (gradient_of_held(*objective, y) != 0) {
      broken.push_back(cat("objective ", objective->name, ": a teacher passes a gradient"));
    }
  }
  // The examination passes a gradient: the weights held constant give another one.
  Tensor a = rnd(kCpu, {7, 3}, 5), b = a.clone();
  a.set_requires_grad();
  b.set_requires_grad();
  backward(kdef_objective(a, y, {true, true, Examination::on}));
  backward(kdef_objective(b, y, {true, true, Examination::detached}));
  double difference = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    difference = std::max(difference, std::abs(a.grad().data<double>()[i] - b.grad().data<double>()[i]));
  }
  if (difference < 1e-6) broken.push_back("the weights carry no gradient of the examination");
  return broken;
}

std::string gradients_markdown() {
  std::string text =
      "# Gradients\n\n"
      "Every op with its value and its derivative, as the code states them. This file is written by "
      "`kdef audit --markdown`; a test keeps it current.\n\n"
      "L is the loss, dy stands for dL/dy, B for the number of rows, M for the number of students, sg for "
      "stop-gradient. Backward stands beside forward in the file that defines an op; elementwise ops are in "
      "`ops/elementwise_functors.h`.\n\n"
      "| op | value | derivative |\n|---|---|---|\n";
  const auto cell = [](std::string s) {
    for (size_t i = 0; (i = s.find('|', i)) != std::string::npos; i += 2) s.insert(i, "\\");
    return s;
  };
  std::set<const OpInfo*> seen;
  for (const AuditCase& c : audit_cases(kCpu)) {
    if (c.op == nullptr || !seen.insert(c.op).second) continue;
    text += cat("| `", c.op->name, "` | ", cell(c.op->forward), " | ", cell(c.op->backward), " |\n");
  }
  text += cat(
      "\n## How they are checked\n\n"
      "In fp64, every partial derivative of sum(r * f(x)), r a fixed random cotangent, against the central difference "
      "with step h = 1e-6 max(1, |x|). The largest accepted deviation |analytic - numeric| / max(1, |analytic|, "
      "|numeric|) is ",
      ops::kGradientTolerance,
      ". Points within 0.05 of a kink are not drawn. Whole objectives are checked with everything under a "
      "stop-gradient held at its value. `kdef audit --ops` runs the checks, with a self-test in which a wrong sign, "
      "a transposed gradient, a missing term and a factor of 1.000001 must be caught.\n\n"
      "| checked | case |\n|---|---|\n");
  for (const AuditCase& c : audit_cases(kCpu)) text += cat("| `", c.name, "` | ", cell(c.variant), " |\n");
  return text;
}

BreakReport audit_broken(const ops::BrokenOp& op, Device device) {
  BreakReport out;
  std::set<std::string> known;
  const ops::GradientBreaker breaker(op);
  const std::vector<AuditCase> cases = audit_cases(device);
  for (const AuditCase& c : cases) {
    if (c.op != nullptr) known.insert(c.op->name);
  }
  if (known.count(op.name) == 0) fail_unknown_name("op", op.name, {known.begin(), known.end()});
  for (const AuditCase& c : cases) {
    const GradientReport report = c.check();
    if (report.elements == 0) continue;
    ++out.concerned;
    if (!report.passed()) out.failures.push_back({c.name, c.variant, report});
  }
  if (out.concerned == 0) throw InputError(cat("op '", op.name, "' has no input ", op.input, "; the first is 0"));
  return out;
}

}  // namespace kdef
