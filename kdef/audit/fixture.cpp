// Replays files recorded from PyTorch: see audit.h.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "core/base/json.h"
#include "core/base/names.h"
#include "core/base/random.h"
#include "core/io/safetensors.h"
#include "kdef/audit/audit.h"
#include "kdef/config/build.h"
#include "kdef/config/config.h"
#include "kdef/measure/metric.h"
#include "kdef/method/state_dict.h"
#include "nn/networks/registry.h"
#include "nn/optimizer/optimizer.h"
#include "ops/elementwise.h"

namespace kdef {
namespace {

using Json = nlohmann::json;

// fp64 differs by the order of sums only. fp32 rounds every number at 6e-8; batch normalisation makes part of the run
// ill-conditioned: a bias in front of it has a true gradient of zero, and Adam turns its rounding noise into full
// steps.
constexpr double kTolerance64 = 1e-8;
constexpr double kTolerance32 = 1e-5;
constexpr double kTolerance32LaterLoss = 1e-4;
// Of such a run: how often it is repeated with initial weights that are changed by a rounding, and how much larger than
// the largest change of the predictions in these repetitions a deviation may be. PyTorch's run and ours round at every
// step, not only at the first.
constexpr int kRepetitions = 8;
constexpr double kRoundingFactor = 2;
constexpr double kToleranceMetrics = 1e-12;
// A tensor whose exact value is zero has no relative deviation. Every deviation is judged against this size or more.
constexpr double kZero = 1e-6;

const char* const kShown = "fp32 with batch norm: shown, not judged";

// Comparisons collected by group.
class Comparison {
 public:
  // Judges the largest deviation against the largest number of `want`, or against `size` where that is larger.
  void add(const std::string& group, const std::string& name, const Tensor& got, const Tensor& want, double tolerance,
           const std::string& note = "", bool by_absolute = false, double size = kZero) {
    const auto [it, fresh] = index_.emplace(group, rows_.size());
    if (fresh) rows_.push_back({group, 0, 0, 0, tolerance, "", note, true});
    FixtureRow& row = rows_[it->second];
    const std::vector<double> a = got.to(kCpu).to(DType::f64).to_vector<double>(),
                              b = want.to(kCpu).to(DType::f64).to_vector<double>();
    if (a.size() != b.size()) {
      throw InputError(cat("fixture: tensor '", name, "' has ", b.size(), " values where ", a.size(), " are expected"));
    }
    double absolute = 0, scale = size;
    for (size_t i = 0; i < a.size(); ++i) {
      const double d = std::abs(a[i] - b[i]);
      absolute = std::isnan(d) ? INFINITY : std::max(absolute, d);
      scale = std::max(scale, std::abs(b[i]));
    }
    const double relative = absolute == 0 ? 0 : absolute / scale;
    ++row.tensors;
    row.absolute = std::max(row.absolute, absolute);
    if (row.worst.empty() || relative > row.relative) {
      row.relative = std::max(row.relative, relative);
      row.worst = name;
    }
    if (tolerance > 0 && !((by_absolute ? absolute : relative) <= tolerance)) row.passed = false;
  }

  std::vector<FixtureRow> rows() && { return std::move(rows_); }

 private:
  std::vector<FixtureRow> rows_;
  std::map<std::string, size_t> index_;
};

// A bias and the weight beside it get their gradients from the same rows: db = sum dy, dW = sum dy x. In front of batch
// norm, and behind a softmax, terms of that size add up to a true db of zero, of which only rounding is left. So the
// gradient of a bias is judged against the larger of the two recorded gradients.
const char* const kBiases = "a bias against the gradient of the weight beside it, if larger";
bool is_bias(const std::string& name) { return name.ends_with(".bias"); }
double gradient_size(const SafetensorsFile& file, const std::string& recorded) {
  if (!is_bias(recorded)) return kZero;
  const std::string weight = recorded.substr(0, recorded.size() - 4) + "weight";
  double size = kZero;
  if (!file.has(weight)) return size;
  for (const double g : file.read(weight).to(DType::f64).to_vector<double>()) size = std::max(size, std::abs(g));
  return size;
}

Tensor scalar(double value) { return Tensor::full({1}, value, DType::f64); }

// The values of a case that stand in the metadata: {"case0": {"AUC": "0.64", ..}, ..}, under the names of FuxiCTR.
std::map<Metric, double> recorded_values(const SafetensorsFile& file, const std::string& c) {
  std::map<Metric, double> all;
  const auto found = file.metadata().find("values");
  if (found == file.metadata().end()) return all;
  try {
    const Json json = parse_json<Json>(found->second, file.path());
    for (const auto& [name, text] : json.at(c).items()) {
      const std::optional<Metric> metric = find_metric(name);
      double value = 0;
      KDEF_CHECK(metric && text.is_string() && read_number(text.get<std::string>(), value), "case ", c, ": '", name,
                 "' is ", text.dump(), ", and not a metric with a number");
      all.emplace(*metric, value);
    }
  } catch (const Json::exception& e) {
    throw InputError(cat(file.path(), ": the metadata 'values' cannot be read: ", e.what()));
  }
  return all;
}

std::vector<FixtureRow> replay_metrics(const SafetensorsFile& file) {
  Comparison result;
  for (const std::string& name : file.names()) {
    const size_t dot = name.find('.');
    if (name.substr(dot + 1) != "labels") continue;
    const std::string c = name.substr(0, dot);
    const std::vector<double> scores = file.read(c + ".scores").to(DType::f64).to_vector<double>();
    const std::vector<float> labels = file.read(name).to(DType::f32).to_vector<float>();
    KDEF_CHECK(scores.size() == labels.size(), "case ", c, " has ", scores.size(), " scores, ", labels.size(),
               " labels");
    const std::vector<int64_t> groups =
        file.has(c + ".groups") ? file.read(c + ".groups").to_vector<int64_t>() : std::vector<int64_t>();
    KDEF_CHECK(groups.empty() || groups.size() == labels.size(), "case ", c, " has ", groups.size(), " groups, ",
               labels.size(), " labels");
    const auto compare = [&](const Metric& m, const Tensor& recorded) {
      result.add(m.title(), c, scalar(m.of(scores, labels, {}, groups)), recorded, kToleranceMetrics);
    };
    for (const MetricRow& row : kMetrics) {
      const std::string recorded = cat(c, ".", Metric(row).key());
      if (file.has(recorded)) compare(Metric(row), file.read(recorded));
    }
    for (const auto& [metric, value] : recorded_values(file, c)) compare(metric, scalar(value));
  }
  return std::move(result).rows();
}

// The objective of a recording: objective_NAME_* holds that of this name, another file that of KDEF.
const Objective& recorded_objective(const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem().string(), prefix = "objective_";
  if (!stem.starts_with(prefix)) return ensemble_type(EnsembleKind::kdef).objective;
  std::vector<std::string> names;
  for (const Objective* objective : objectives()) {
    names.emplace_back(objective->name);
    if (stem.starts_with(cat(prefix, objective->name, "_"))) return *objective;
  }
  throw InputError(cat(path, ": the name says which objective is recorded; expected ", prefix, "NAME_*, NAME one of ",
                       joined(names)));
}

std::vector<FixtureRow> replay_losses(const SafetensorsFile& file, bool fused, Device device) {
  Comparison result;
  const Objective& objective = recorded_objective(file.path());
  for (const std::string& name : file.names()) {
    const std::string suffix = ".grad_logits";
    if (name.size() < suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) continue;
    const std::string c = name.substr(0, name.size() - suffix.size());
    Tensor z = file.read(c + ".logits").to(device);
    z.set_requires_grad();
    const Tensor y = file.read(c + ".labels").to(device);
    const Tensor loss = objective.loss(default_task(), {z, mean_of_students(z), y, {}}, {}, fused);
    backward(loss);
    const double tolerance = z.dtype() == DType::f64 ? kTolerance64 : kTolerance32;
    result.add("loss", c + ".loss", loss, file.read(c + ".loss"), tolerance);
    result.add("gradient of the logits", name, z.grad(), file.read(name), tolerance);
  }
  return std::move(result).rows();
}

// A count in metadata: of rows of a table, values of a cell, units, steps. A recording has far smaller ones.
int64_t count_in(const Json& json) {
  constexpr int64_t kMax = int64_t{1} << 31;
  const bool fits = json.is_number_integer() && json.get<uint64_t>() < static_cast<uint64_t>(kMax);
  KDEF_CHECK(fits, "the metadata has the number ", json.dump(), ", which is no count");
  return json.get<int64_t>();
}

// The value of a network's setting.
template <class T>
T setting_in(const Json& json) {
  if constexpr (std::is_same_v<T, int64_t>) {
    return count_in(json);
  } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
    T counts;
    for (const Json& count : json) counts.push_back(count_in(count));
    return counts;
  } else {
    return json.get<T>();
  }
}

// A network's settings under the names of the recordings, which say cross_layers for num_cross_layers. The recordings
// have no dropout.
nn::NetworkConfig network_config(const std::string& name, const Json& s) {
  // The networks of KDEF's authors, where FuxiCTR has another one of that name.
  const std::vector<std::string> known = nn::network_names();
  const std::string of_authors = "kdef_" + name;
  nn::NetworkConfig c;
  c.network = std::find(known.begin(), known.end(), of_authors) != known.end() ? of_authors : name;
  c.hidden_units = setting_in<std::vector<int64_t>>(s.value("hidden_units", Json::array()));
  c.hidden_activations.assign(c.hidden_units.size(), "relu");
  c.batch_norm = s.value("batch_norm", false);
  c.layer_norm = s.value("layer_norm", false);
  const nn::NetworkType& type = nn::network_type(c.network);
  for (const nn::SettingKey& key : type.keys) {
    const std::string recorded = key.name == "num_cross_layers" ? "cross_layers" : key.name;
    if (!s.contains(recorded)) continue;
    std::visit([&]<class T>(const T&) { c.settings.set(key.name, setting_in<T>(s.at(recorded))); }, key.standard.value);
  }
  c.dropout.assign(type.dropout_rates(c.hidden_units.size(), c.settings), 0.0);
  return c;
}

// The recorded mlp is a class with other names of parameters: layer.i, norm.i, fc.
std::string recorded_name(const std::string& network, const std::string& name, size_t hidden_layers) {
  if (network != "mlp") return name;
  const size_t dot = name.find('.', 4);
  const size_t number = std::stoul(name.substr(4, dot - 4));  // mlp.NUMBER.weight
  if (number == 3 * hidden_layers) return "fc" + name.substr(dot);
  return cat(number % 3 == 0 ? "layer." : "norm.", number / 3, name.substr(dot));
}

// Networks alone, in training mode: output, the gradients of sum(out * out_weight), and the buffers afterwards.
std::vector<FixtureRow> replay_networks(const SafetensorsFile& file, bool fused, Device device) {
  Comparison result;
  const auto meta = file.metadata().find("networks");
  if (meta == file.metadata().end()) throw InputError(cat(file.path(), ": metadata has no 'networks'"));
  try {
    const Json networks = parse_json<Json>(meta->second, file.path());
    for (const auto& item : networks.items()) {
      const std::string& name = item.key();
      Tensor in = file.read(name + ".in").to(device);
      KDEF_CHECK(in.shape().rank() == 3, "tensor '", name, ".in' is ", in.shape(), ", not [rows, fields, dimensions]");
      in.set_requires_grad();
      const double tight = in.dtype() == DType::f64 ? kTolerance64 : kTolerance32;
      const nn::NetworkConfig config = network_config(name, item.value());
      nn::Builder build(0, in.dtype(), device);
      build.limit_values(file.values());  // the file holds the model, and its gradients or its states
      const nn::EmbeddingShape shape{
          .fields = in.shape()[1], .dim = in.shape()[2], .width = in.shape()[1] * in.shape()[2], .list = {}};
      const auto network = nn::make_network(config, shape, build);
      const auto recorded = [&](const std::string& of, const std::string& parameter) {
        return file.has(name + of + parameter) ? name + of + parameter
                                               : name + of + recorded_name(name, parameter, config.hidden_units.size());
      };
      // A recording without a head holds the representation, and nothing for the output layer.
      const Tensor want = file.read(name + ".out");
      KDEF_CHECK(want.shape().rank() == 2, "tensor '", name, ".out' is ", want.shape(), ", not [rows, columns]");
      const bool headless = want.shape().back() != 1;
      std::vector<nn::Parameter> parameters;
      for (nn::Parameter& p : network->parameters()) {
        if (headless && !file.has(recorded(".param.", p.name))) continue;
        p.tensor.copy_from(file.read(recorded(".param.", p.name)).alias(p.tensor.shape()));
        parameters.push_back(p);
      }
      const nn::Pass pass{.training = true, .fused = fused};
      const Tensor out = headless ? network->hidden(in, pass) : network->forward(in, pass);
      backward(out, file.read(name + ".out_weight").to(device));
      result.add(name + ": output", name + ".out", out, want, tight);
      result.add(name + ": gradient of the input", name + ".grad_in", in.grad(), file.read(name + ".grad_in"), tight);
      for (const nn::Parameter& p : parameters) {
        const std::string at = recorded(".grad.", p.name);
        result.add(name + ": gradients of the parameters", p.name, p.tensor.grad(), file.read(at), tight, kBiases,
                   false, gradient_size(file, at));
      }
      for (const nn::Buffer& b : network->buffers()) {
        result.add(name + ": buffers", b.name, b.tensor, file.read(recorded(".buffer_after.", b.name)), tight);
      }
    }
  } catch (const Json::exception& e) {
    throw InputError(cat(file.path(), ": metadata is not that of recorded networks: ", e.what()));
  }
  return std::move(result).rows();
}

// A field in the metadata of a run of KDEF's authors: [name, rows of the table, ids in a row].
nn::EmbeddingField field_in(const Json& f) {
  nn::EmbeddingField field;
  field.name = f.at(0);
  field.vocab_size = count_in(f.at(1));
  field.max_len = count_in(f.at(2));
  field.kind = field.max_len > 1 ? nn::EmbeddingField::Kind::average : nn::EmbeddingField::Kind::id;
  return field;
}

// A field in the metadata of a run of FuxiCTR: an entry of its feature map.
nn::EmbeddingField feature_in(const std::string& path, const std::string& name, const Json& f) {
  using Kind = nn::EmbeddingField::Kind;
  static const std::map<std::string, Kind> kPoolings = {{"layers.MaskedAveragePooling()", Kind::average},
                                                        {"layers.MaskedSumPooling()", Kind::sum}};
  static const std::set<std::string> kKnown = {
      "source", "type", "padding_idx", "vocab_size", "max_len", "feature_encoder", "embedding_dim", "share_embedding"};
  const auto require = [&](bool known, const std::string& what) {
    if (!known) throw InputError(cat(path, ": feature '", name, "' has ", what, ", which this program does not know"));
  };
  for (const auto& [key, value] : f.items()) require(kKnown.count(key) != 0, cat("the key '", key, "'"));
  const std::string type = f.at("type");
  const Json encoders = f.value("feature_encoder", Json());
  nn::EmbeddingField field{.name = name};
  require(type == "numeric" || type == "categorical" || type == "sequence", cat("the type '", type, "'"));
  if (type == "numeric") field.kind = Kind::numeric;
  if (type == "sequence") field.max_len = count_in(f.at("max_len"));
  std::optional<Kind> pooling;
  for (const Json& item : encoders.is_array() ? encoders : Json::array({encoders})) {
    if (item.is_null()) continue;
    const std::string encoder = item;
    if (const auto found = kPoolings.find(encoder); found != kPoolings.end()) {
      pooling = found->second;
    } else {
      field.linear = square_linear(encoder).value_or(0);
      require(field.linear > 0, cat("the encoder '", encoder, "'"));
    }
  }
  require(pooling.has_value() == (type == "sequence"), "a pooling that does not fit its type");
  if (pooling) field.kind = *pooling;
  if (f.contains("vocab_size")) field.vocab_size = count_in(f.at("vocab_size"));
  if (f.contains("embedding_dim")) field.dim = count_in(f.at("embedding_dim"));
  field.shared = f.value("share_embedding", "");
  field.source = f.value("source", "");
  return field;
}

// A recorded training run: the model and settings from the metadata, then step by step.
class Run {
 public:
  Run(const SafetensorsFile& file, bool fused, Device device)
      : file_(file), fused_(fused), device_(device), of_fuxictr_(file.metadata().count("config") != 0) {
    try {
      EnsembleConfig config = of_fuxictr_ ? fuxictr_model() : authors_model();
      config.fused = fused;
      const Json optimizer = metadata("optimizer");
      settings_.kind = nn::parse_optimizer(optimizer.at("name"));
      settings_.learning_rate = optimizer.at("lr");
      settings_.beta1 = optimizer.at("betas").at(0);
      settings_.beta2 = optimizer.at("betas").at(1);
      settings_.eps = optimizer.at("eps");
      settings_.clip_norm = metadata("clip_norm");
      steps_ = count_in(metadata("steps"));
      dtype_ = file.dtype(prefixed("init."));
      nn::Builder build(0, dtype_, device);
      build.limit_values(file.values());
      model_.emplace(config, fields_, build);
      if (!of_fuxictr_) return;
      const int64_t recorded = count_in(metadata("parameters"));
      if (model_->parameter_count() != recorded) {
        throw InputError(cat(file.path(), ": the recorded model has ", recorded, " trained values, this program's has ",
                             model_->parameter_count()));
      }
    } catch (const Json::exception& e) {
      throw InputError(cat(file.path(), ": metadata is not that of a recorded run: ", e.what()));
    }
  }

  std::vector<FixtureRow> replay() {
    load("init.");
    const bool exact = dtype_ == DType::f64;
    const bool normalised = !model_->buffers().empty();
    const double tight = exact ? kTolerance64 : kTolerance32;
    const double later = !exact && normalised ? kTolerance32LaterLoss : tight;
    const bool judge_state = exact || !normalised;
    train([&](int64_t step, const Tensor& loss, const nn::StepRecord& report) {
      const std::string at = cat("step", step, "."), when = step == 0 ? ", step 0" : ", later steps";
      const double tolerance = step == 0 ? tight : later;
      result_.add("loss" + when, at + "data_loss", loss, file_.read(at + "data_loss"), tolerance);
      result_.add("loss" + when, at + "loss", scalar(loss.item() + report.regularization), file_.read(at + "loss"),
                  tolerance);
      result_.add("gradient norm" + when, at + "grad_norm", scalar(report.gradient_norm), file_.read(at + "grad_norm"),
                  step == 0 || judge_state ? tight : 0, step == 0 || judge_state ? "" : kShown);
    });
    const std::set<std::string> noisy = biases_before_norm();
    for (const nn::Parameter& p : model_->parameters()) {
      const bool judged = judge_state || noisy.count(p.name) == 0;
      const std::string kind = p.embedding ? "final embeddings"
                               : judged    ? "final network parameters"
                                           : "final biases in front of batch norm";
      result_.add(kind, p.name, p.tensor, file_.read("final." + recorded(p.name)), judge_state ? tight : 0,
                  judge_state ? "" : kShown);
    }
    for (const nn::Buffer& b : model_->buffers()) {
      const bool mean = b.name.size() > 12 && b.name.compare(b.name.size() - 12, 12, "running_mean") == 0;
      result_.add(mean ? "final running means" : "final running variances", b.name, b.tensor,
                  file_.read("final." + recorded(b.name)), judge_state ? tight : 0, judge_state ? "" : kShown);
    }
    const Ensemble::Output output = predict();
    // Another device rounds differently, and the difference has the size of a few steps.
    const double prediction = judge_state ? tight : device_.is_cpu() ? kRoundingFactor * change_by_rounding(output) : 0;
    // Noisy biases give probabilities near 1/2, which are judged by their absolute deviation.
    const char* how = judge_state        ? ""
                      : device_.is_cpu() ? "fp32 with batch norm: the absolute deviation, against that of roundings"
                                         : kShown;
    result_.add("predictions of the ensemble", "eval.prob", ops::sigmoid(output.ensemble), file_.read("eval.prob"),
                prediction, how, !judge_state);
    if (of_fuxictr_) {
      compare_branches(output);
      return std::move(result_).rows();
    }
    const Tensor students = file_.read("eval.student_logits");
    result_.add("predictions of the students", "sigmoid(eval.student_logits)", ops::sigmoid(output.students),
                ops::sigmoid(students), prediction, how, !judge_state);
    result_.add("logits of the students", "eval.student_logits", output.students, students, judge_state ? tight : 0,
                judge_state ? "" : kShown);
    return std::move(result_).rows();
  }

 private:
  std::string text_metadata(const char* key) const {
    const auto it = file_.metadata().find(key);
    if (it == file_.metadata().end()) throw InputError(cat(file_.path(), ": metadata has no '", key, "'"));
    return it->second;
  }
  Json metadata(const char* key) const { return parse_json<Json>(text_metadata(key), file_.path()); }

  // The model, its fields and its regularizers in a recording of the classes of KDEF's authors.
  EnsembleConfig authors_model() {
    const Json fields = metadata("fields"), model = metadata("model");
    for (const Json& f : fields) fields_.push_back(field_in(f));
    settings_.embedding.l2 = metadata("embedding_regularizer");
    EnsembleConfig config;
    config.embedding_dim = count_in(metadata("embedding_dim"));
    for (const Json& s : model.at("students")) config.students.push_back(network_config(s.at("network"), s));
    return config;
  }

  // The same in a recording of a class of FuxiCTR: an experiment with the recorded keys is read as one of a file.
  EnsembleConfig fuxictr_model() {
    const auto features = parse_json<nlohmann::ordered_json>(text_metadata("features"), file_.path());
    for (const auto& [name, feature] : features.items())
      fields_.push_back(feature_in(file_.path(), name, Json(feature)));
    Json keys = metadata("config");
    keys["model"] = text_metadata("model");
    const ExperimentConfig experiment = read_experiment(keys.dump(), cat(file_.path(), ", 'config' of the metadata"));
    if (!experiment.ignored.empty()) {
      throw InputError(cat(file_.path(), ": the recorded model has settings that this program's does not have: ",
                           joined(experiment.ignored)));
    }
    settings_ = experiment.training.optimizer;
    return experiment.model;
  }

  // The name of a parameter or buffer in the recording: FuxiCTR's model is one network and its tables.
  std::string recorded(const std::string& name) const {
    return of_fuxictr_ ? name_in_fuxictr(model_->config(), name) : name;
  }

  // The logits of a network's branches, where they are recorded.
  void compare_branches(const Ensemble::Output& output) {
    if (file_.has("eval.student_logits")) {
      result_.add("logits of the branches", "eval.student_logits", output.branches.at(0),
                  file_.read("eval.student_logits"), kTolerance64);
    }
    if (file_.has("eval.student_probs")) {
      result_.add("predictions of the branches", "eval.student_probs", ops::sigmoid(output.branches.at(0)),
                  file_.read("eval.student_probs"), kTolerance64);
    }
  }

  // Trains from the weights that the model has, and calls `done` after every step.
  void train(const std::function<void(int64_t step, const Tensor& loss, const nn::StepRecord& report)>& done) {
    nn::Optimizer optimizer(model_->parameters(), settings_);
    for (int64_t step = 0; step < steps_; ++step) {
      const std::string at = cat("step", step, ".");
      const ModelInput input = batch(at + "x.", at + "y");
      const Ensemble::Output output = model_->forward(input, {.training = true});
      const Tensor loss = model_->loss(output, input.labels);
      backward(loss);
      if (step == 0 && done && of_fuxictr_ && file_.has(at + "prob")) {
        result_.add("predictions in training, step 0", at + "prob", ops::sigmoid(output.ensemble),
                    file_.read(at + "prob"), kTolerance64);
      }
      if (step == 0 && done) compare_gradients(optimizer);
      const nn::StepRecord report = fused_ ? optimizer.step() : nn::composed_step(optimizer);
      if (done) done(step, loss, report);
    }
  }
  Ensemble::Output predict() const {
    const NoGrad no_grad;
    return model_->forward(batch("eval.x.", ""), {});
  }

  // The largest change of a student's predicted probability in trainings whose initial weights are changed by a
  // rounding. Trains the model again.
  double change_by_rounding(const Ensemble::Output& output) {
    const std::vector<float> want = ops::sigmoid(output.students).to_vector<float>();
    double largest = 0;
    for (int repetition = 0; repetition < kRepetitions; ++repetition) {
      load("init.");
      Random random(static_cast<uint64_t>(repetition));
      for (const nn::Parameter& p : model_->parameters()) {
        for (float& w : std::span(p.tensor.data<float>(), static_cast<size_t>(p.tensor.numel()))) {
          w = std::nextafter(w, random.uniform() < 0.5 ? -INFINITY : INFINITY);
        }
      }
      train({});
      const std::vector<float> got = ops::sigmoid(predict().students).to_vector<float>();
      for (size_t i = 0; i < got.size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(got[i]) - want[i]));
      }
    }
    return largest;
  }

  // A name that starts with `prefix`; its tensor has the element type of the run.
  std::string prefixed(const std::string& prefix) const {
    for (const std::string& name : file_.names()) {
      if (name.rfind(prefix, 0) == 0) return name;
    }
    throw InputError(cat(file_.path(), ": has no tensors '", prefix, "*'"));
  }

  void load(const std::string& prefix) {
    for (nn::Parameter& p : model_->parameters()) copy(p.tensor, prefix + recorded(p.name));
    for (nn::Buffer& b : model_->buffers()) copy(b.tensor, prefix + recorded(b.name));
  }
  void copy(Tensor& to, const std::string& name) const {
    const Tensor from = file_.read(name);
    if (from.shape() != to.shape() || from.dtype() != to.dtype()) {
      throw InputError(
          cat(file_.path(), ": tensor '", name, "' is ", describe(from), ", the model needs ", describe(to)));
    }
    to.copy_from(from);
  }

  ModelInput batch(const std::string& x, const std::string& y) const {
    ModelInput input;
    const std::vector<nn::EmbeddingField> fields = nn::with_columns(fields_);
    const int64_t rows = file_.read(x + fields.at(0).name).shape()[0];
    const int64_t id_columns = model_->embedding().id_columns(), values = model_->embedding().value_columns();
    if (id_columns > 0) input.ids = Tensor::empty({rows, id_columns}, DType::i32);
    if (values > 0) input.values = Tensor::empty({rows, values}, dtype_);
    for (const nn::EmbeddingField& f : fields) {
      const Tensor cells = file_.read(x + f.name);
      if (cells.numel() != rows * f.max_len) {
        throw InputError(
            cat(file_.path(), ": tensor '", x, f.name, "' is ", cells.shape(), ", not [", rows, ", ", f.max_len, "]"));
      }
      if (f.kind == nn::EmbeddingField::Kind::numeric) {
        KDEF_CHECK(dtype_ == DType::f64, "a run with numeric fields is recorded in fp64");
        const std::vector<double> column = cells.to(DType::f64).to_vector<double>();
        for (int64_t b = 0; b < rows; ++b)
          input.values.data<double>()[b * values + f.column] = column[static_cast<size_t>(b)];
        continue;
      }
      const std::vector<int64_t> ids = cells.to_vector<int64_t>();
      for (int64_t b = 0; b < rows; ++b) {
        for (int64_t l = 0; l < f.max_len; ++l) {
          input.ids.data<int32_t>()[b * id_columns + f.column + l] =
              static_cast<int32_t>(ids[static_cast<size_t>(b * f.max_len + l)]);
        }
      }
    }
    if (!y.empty()) input.labels = file_.read(y);
    return input.to(device_);
  }

  void compare_gradients(nn::Optimizer& optimizer) {
    const std::vector<Tensor> grads = optimizer.clipped_gradients();
    const std::vector<nn::Parameter> parameters = model_->parameters();
    const double tolerance = dtype_ == DType::f64 ? kTolerance64 : kTolerance32;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::string name = "step0.grad." + recorded(parameters[i].name);
      const bool embedding = parameters[i].embedding;
      result_.add(embedding ? "gradient of the embeddings, step 0" : "gradient of the networks, step 0", name, grads[i],
                  file_.read(name), tolerance, embedding ? "" : kBiases, false, gradient_size(file_, name));
    }
  }

  // Biases of a Linear that feeds batch norm: `S.k.bias` where `S.(k+1)` has a running mean.
  std::set<std::string> biases_before_norm() const {
    std::set<std::string> norms, found;
    for (const nn::Buffer& b : model_->buffers()) norms.insert(b.name);
    for (const nn::Parameter& p : model_->parameters()) {
      const std::string suffix = ".bias";
      if (p.name.size() <= suffix.size() || p.name.compare(p.name.size() - 5, 5, suffix) != 0) continue;
      const std::string layer = p.name.substr(0, p.name.size() - 5);
      const size_t dot = layer.rfind('.');
      const std::string number = layer.substr(dot + 1);
      if (number.find_first_not_of("0123456789") != std::string::npos) continue;
      if (norms.count(cat(layer.substr(0, dot + 1), std::stoll(number) + 1, ".running_mean"))) found.insert(p.name);
    }
    return found;
  }

  const SafetensorsFile& file_;
  bool fused_;
  Device device_;
  bool of_fuxictr_;
  std::vector<nn::EmbeddingField> fields_;
  nn::OptimizerConfig settings_;
  int64_t steps_ = 0;
  DType dtype_ = DType::f64;
  std::optional<Ensemble> model_;
  Comparison result_;
};

}  // namespace

std::vector<FixtureRow> audit_fixture(const std::string& path, bool fused, Device device) {
  const SafetensorsFile file(path);
  try {
    for (const std::string& name : file.names()) {
      if (name.starts_with("init.")) return Run(file, fused, device).replay();
      if (name.ends_with(".out_weight")) return replay_networks(file, fused, device);
      if (name.ends_with(".grad_logits")) return replay_losses(file, fused, device);
      if (name.ends_with(".scores")) return replay_metrics(file);
    }
  } catch (const Error& e) {
    // Ops throw where shapes or ids contradict each other, nn::Builder where a model is larger than the file.
    const bool unnamed = typeid(e) == typeid(Error) ||
                         (typeid(e) == typeid(InputError) && !std::string_view(e.what()).starts_with(path));
    if (!unnamed) throw;
    throw InputError(cat(path, ": its tensors do not fit each other: ", e.what(), "; record the run again"));
  }
  throw InputError(cat(
      path, ": not a recorded run (init.*), network (*.out_weight), loss (*.grad_logits) or metric (*.scores) file"));
}

}  // namespace kdef
