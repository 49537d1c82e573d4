#include "kdef/serve/graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "core/base/random.h"
#include "ops/gemm/precision.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace kdef {
namespace {

using Value = Graph::Value;
constexpr int kNone = Graph::kNone;

// ---- One run of the model

// A call as the tape saw it. Handles on all tensors keep their memory from being used again during the run, so that a
// tensor is known by the place of its elements.
struct Step {
  const OpInfo* op;
  std::vector<Tensor> inputs;
  Tensor output;
  int64_t version;  // of the output, when it was recorded
  Attributes attributes;
};

struct TracedRun {
  int64_t rows;
  ModelInput input;
  std::vector<Step> steps;
  Tensor students, ensemble, student_predictions, prediction;

  // "call 12, 'add' [5, 3]"
  std::string name_of(size_t step) const {
    return cat("call ", step + 1, ", '", steps[step].op->name, "' ", steps[step].output.shape());
  }
};

ModelInput random_batch(const Traceable& model, int64_t rows) {
  Random random(17, static_cast<uint64_t>(rows));
  ModelInput input;
  if (!model.vocab_sizes.empty()) {
    std::vector<int32_t> ids;
    for (int64_t b = 0; b < rows; ++b) {
      for (const int64_t size : model.vocab_sizes) {
        ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(size))));
      }
    }
    input.ids = Tensor::from(ids, {rows, static_cast<int64_t>(model.vocab_sizes.size())});
  }
  if (model.numbers > 0) {
    std::vector<double> numbers;
    for (int64_t i = 0; i < rows * model.numbers; ++i) numbers.push_back(2 * random.uniform() - 1);
    input.values = Tensor::from(numbers, {rows, model.numbers}).to(model.type);
  }
  return input;
}

TracedRun run(const Traceable& model, int64_t rows) {
  const NoGrad no_grad;
  const ops::PrecisionScope precision(ops::GemmPrecision::f32);
  TracedRun run{.rows = rows, .input = random_batch(model, rows)};
  const RecordObserver observer([&](const Recorded& r) {
    run.steps.push_back({&r.op, r.inputs, r.output, r.output.version(), r.attributes});
  });
  const Ensemble::Output out = model.forward(run.input);
  run.students = out.students;
  run.ensemble = out.ensemble;
  run.student_predictions = model.task->predict(out.students);
  run.prediction = model.task->predict(out.ensemble);
  for (size_t s = 0; s < run.steps.size(); ++s) {
    KDEF_CHECK(run.steps[s].output.version() == run.steps[s].version, "graph: the result of ", run.name_of(s),
               " was changed in place, which no op tells");
  }
  return run;
}

// ---- Where a tensor comes from

// The elements that two handles share: their place, shape and type. A tensor that was taken off the tape by detach() is
// the tensor it was.
bool same_elements(const Tensor& a, const Tensor& b) {
  return a.defined() && b.defined() && a.same_storage(b) && a.raw() == b.raw() && a.shape() == b.shape() &&
         a.dtype() == b.dtype();
}

struct Origin {
  enum class Kind { none, ids, numbers, step, state, outside };
  Kind kind = Kind::none;
  size_t number = 0;  // of the step or of the tensor of the state
  bool operator==(const Origin&) const = default;
};

class Origins {
 public:
  Origins(const Traceable& model, const TracedRun& run) : run_(run) {
    for (size_t i = 0; i < model.state.size(); ++i) add(model.state[i].second, {Origin::Kind::state, i});
    for (size_t s = 0; s < run.steps.size(); ++s) add(run.steps[s].output, {Origin::Kind::step, s});
  }

  Origin of(const Tensor& t) const {
    if (!t.defined()) return {};
    if (same_elements(t, run_.input.ids)) return {Origin::Kind::ids};
    if (same_elements(t, run_.input.values)) return {Origin::Kind::numbers};
    const auto [first, last] = known_.equal_range(t.raw());
    for (auto it = first; it != last; ++it) {
      if (same_elements(t, it->second.first)) return it->second.second;
    }
    return {Origin::Kind::outside};
  }

  // What an unknown tensor has to do with the tensors that are known, for messages.
  std::string describe_unknown(const Tensor& t) const {
    for (size_t s = 0; s < run_.steps.size(); ++s) {
      if (t.same_storage(run_.steps[s].output))
        return cat("a part or another shape of the result of ", run_.name_of(s));
    }
    for (const Tensor& input : {run_.input.ids, run_.input.values}) {
      if (input.defined() && t.same_storage(input)) return "a part or another shape of the batch";
    }
    return "the result of no op, and no tensor of the model";
  }

 private:
  void add(const Tensor& t, Origin origin) { known_.emplace(t.raw(), std::pair{t, origin}); }

  const TracedRun& run_;
  std::multimap<const std::byte*, std::pair<Tensor, Origin>> known_;  // the first one that fits counts
};

// ---- Two runs together

// Runs of a model on two batches, and the graph that both are runs of.
class Comparison {
 public:
  explicit Comparison(const Traceable& model)
      : model_(model),
        a_(run(model, kFewRows)),
        of_a_(model, a_),
        held_(outside_contents()),
        b_(run(model, kMoreRows)),
        of_b_(model, b_) {}

  Graph graph() {
    graph_.task = model_.task;
    if (a_.input.ids.defined()) graph_.ids = add_input(Value::Kind::ids, a_.input.ids, b_.input.ids);
    if (a_.input.values.defined()) graph_.numbers = add_input(Value::Kind::numbers, a_.input.values, b_.input.values);
    KDEF_CHECK(a_.steps.size() == b_.steps.size(), "graph: the model makes ", a_.steps.size(), " calls for ", a_.rows,
               " rows and ", b_.steps.size(), " for ", b_.rows);
    for (size_t s = 0; s < a_.steps.size(); ++s) add_step(s);
    graph_.students = output(a_.students, b_.students, "the students' logits");
    graph_.ensemble = output(a_.ensemble, b_.ensemble, "the ensemble's logit");
    graph_.student_predictions = output(a_.student_predictions, b_.student_predictions, "the students' predictions");
    graph_.prediction = output(a_.prediction, b_.prediction, "the prediction");
    return std::move(graph_);
  }

 private:
  // Different primes, so that a size that is a multiple of both is told from one that is neither.
  static constexpr int64_t kFewRows = 5, kMoreRows = 7;

  // Copies of what the first run reads beside the batch and the state, by place: the second must find the same there.
  std::map<const std::byte*, Tensor> outside_contents() const {
    std::map<const std::byte*, Tensor> all;
    for (const Step& step : a_.steps) {
      for (const Tensor& t : step.inputs) {
        if (of_a_.of(t).kind == Origin::Kind::outside) all.try_emplace(t.raw(), t.clone());
      }
    }
    return all;
  }

  int add(Value value) {
    graph_.values.push_back(std::move(value));
    return static_cast<int>(graph_.values.size()) - 1;
  }

  int add_input(Value::Kind kind, const Tensor& a, const Tensor& b) {
    Value value{.kind = kind, .type = a.dtype()};
    set_shape(value, a.shape(), b.shape(), kind == Value::Kind::ids ? "the ids" : "the numbers");
    return add(std::move(value));
  }

  // size / rows, where it is the same whole number in both runs and the sizes differ.
  std::optional<int64_t> per_row(int64_t a, int64_t b) const {
    if (a == b || a % a_.rows != 0 || b % b_.rows != 0 || a / a_.rows != b / b_.rows) return std::nullopt;
    return a / a_.rows;
  }

  void set_shape(Value& value, const Shape& a, const Shape& b, const std::string& what) const {
    bool fits = a.rank() == b.rank();
    value.shape = a;
    for (int i = 0; fits && i < a.rank(); ++i) {
      if (a[i] == b[i]) continue;
      const std::optional<int64_t> size = per_row(a[i], b[i]);
      fits = size.has_value() && value.batch_axis == kNone;
      if (!fits) break;
      value.shape[i] = *size;
      value.batch_axis = i;
    }
    KDEF_CHECK(fits, "graph: ", what, " is ", a, " for ", a_.rows, " rows and ", b, " for ", b_.rows,
               "; one axis at most may grow with the rows");
  }

  // The attributes of both runs as those of every batch.
  Attributes attributes(size_t s) const {
    Attributes all = a_.steps[s].attributes;
    const Attributes& others = b_.steps[s].attributes;
    bool fit = all.size() == others.size();
    for (size_t i = 0; fit && i < all.size(); ++i) {
      fit = std::string_view(all[i].name) == others[i].name;
      if (!fit || all[i].value == others[i].value) continue;
      auto* sizes = std::get_if<std::vector<int64_t>>(&all[i].value);
      const auto* more = std::get_if<std::vector<int64_t>>(&others[i].value);
      fit = std::string_view(all[i].name) == "shape" && sizes && more && sizes->size() == more->size();
      for (size_t k = 0; fit && k < sizes->size(); ++k) {
        if ((*sizes)[k] == (*more)[k]) continue;
        fit = per_row((*sizes)[k], (*more)[k]).has_value();
        (*sizes)[k] = -1;
      }
    }
    KDEF_CHECK(fit, "graph: ", a_.name_of(s), " has the attributes ", kdef::to_text(a_.steps[s].attributes), " for ",
               a_.rows, " rows, and ", kdef::to_text(others), " for ", b_.rows, " others");
    return all;
  }

  const Value& value(int number) const { return graph_.values[static_cast<size_t>(number)]; }

  // The value that both tensors are, in their runs. `what` is the tensor's name in messages.
  int value_of(const Tensor& a, const Tensor& b, const std::string& what) {
    const Origin origin = of_a_.of(a);
    KDEF_CHECK(origin == of_b_.of(b), "graph: ", what, " comes from elsewhere in another batch");
    switch (origin.kind) {
      case Origin::Kind::none:
        return kNone;
      case Origin::Kind::ids:
        return graph_.ids;
      case Origin::Kind::numbers:
        return graph_.numbers;
      case Origin::Kind::step:
        return of_step_.at(origin.number);
      case Origin::Kind::state:
      case Origin::Kind::outside:
        break;
    }
    // The same memory in both runs: it was there before the first.
    KDEF_CHECK(same_elements(a, b), "graph: ", what, ", ", describe(a), ", is ", of_a_.describe_unknown(a),
               ": the tape does not know how it is computed. Compute it by ops (core/tensor/tape.h: record)");
    const auto before = held_.find(a.raw());
    KDEF_CHECK(before == held_.end() || std::memcmp(before->second.raw(), b.raw(), b.bytes()) == 0, "graph: ", what,
               ", ", describe(a), ", is no result of an op, and was changed between two batches. Compute it by ops");
    const auto known = constants_.find(a.raw());
    if (known != constants_.end() && same_elements(value(known->second).constant, a)) return known->second;
    const std::string name = origin.kind == Origin::Kind::state ? model_.state[origin.number].first : std::string();
    const int constant = add(
        {.kind = Value::Kind::constant, .type = a.dtype(), .shape = a.shape(), .constant = a.detach(), .name = name});
    constants_[a.raw()] = constant;
    return constant;
  }

  void add_step(size_t s) {
    const Step &a = a_.steps[s], &b = b_.steps[s];
    KDEF_CHECK(a.op == b.op && a.inputs.size() == b.inputs.size(), "graph: ", a_.name_of(s), " for ", a_.rows,
               " rows is ", b_.name_of(s), " for ", b_.rows, ": the calls depend on the rows");
    Graph::Call call{.op = a.op, .attributes = attributes(s)};
    bool depends = false;
    for (size_t i = 0; i < a.inputs.size(); ++i) {
      const int input = value_of(a.inputs[i], b.inputs[i], cat("input ", i + 1, " of ", a_.name_of(s)));
      depends = depends || (input != kNone && value(input).kind != Value::Kind::constant);
      call.inputs.push_back(input);
    }
    of_step_.push_back(depends ? add_result(s, std::move(call)) : add_folded(s));
  }

  int add_result(size_t s, Graph::Call call) {
    Value result{.type = a_.steps[s].output.dtype()};
    set_shape(result, a_.steps[s].output.shape(), b_.steps[s].output.shape(), cat("the result of ", a_.name_of(s)));
    KDEF_CHECK(result.batch_axis != kNone && !along_rows(call), "graph: the result of ", a_.name_of(s),
               " mixes the rows of a batch; a prediction must not depend on the rows beside it");
    call.output = add(std::move(result));
    graph_.calls.push_back(std::move(call));
    return graph_.calls.back().output;
  }

  // Whether a call works along the axis of the rows.
  bool along_rows(const Graph::Call& call) const {
    for (const Attribute& a : call.attributes) {
      const int64_t* axis = std::get_if<int64_t>(&a.value);
      if (std::string_view(a.name) != "axis" || axis == nullptr) continue;
      for (const int input : call.inputs) {
        if (input != kNone && value(input).batch_axis == *axis) return true;
      }
    }
    return false;
  }

  // The result of a call that reads constants only.
  int add_folded(size_t s) {
    const Tensor &a = a_.steps[s].output, &b = b_.steps[s].output;
    KDEF_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0,
               "graph: ", a_.name_of(s), " reads constants only, and differs from one batch to the next");
    return add({.kind = Value::Kind::constant, .type = a.dtype(), .shape = a.shape(), .constant = a.detach()});
  }

  int output(const Tensor& a, const Tensor& b, const std::string& what) {
    const int number = value_of(a, b, what);
    KDEF_CHECK(number != kNone, "graph: needs ", what);
    KDEF_CHECK(value(number).batch_axis == 0 && a.rank() == 2 && a.size(0) == a_.rows, "graph: ", what, " ", a.shape(),
               " of ", a_.rows, " rows: needs numbers for each row");
    return number;
  }

  const Traceable& model_;
  const TracedRun a_;
  const Origins of_a_;
  const std::map<const std::byte*, Tensor> held_;
  const TracedRun b_;
  const Origins of_b_;
  Graph graph_;
  std::vector<int> of_step_;                   // the value of each step's output
  std::map<const std::byte*, int> constants_;  // by place
};

// ---- What the outputs do not depend on

// A reshape reads what was reshaped before it, and one that gives the shape that its input has is left out.
void join_reshapes(Graph& graph) {
  std::vector<int> base(graph.values.size());  // before all reshapes
  std::vector<int> same(graph.values.size());  // the value that is to be read in its place
  for (size_t v = 0; v < base.size(); ++v) base[v] = same[v] = static_cast<int>(v);
  const auto replace = [&](int& value) {
    if (value != kNone) value = same[static_cast<size_t>(value)];
  };
  for (Graph::Call& call : graph.calls) {
    for (int& input : call.inputs) replace(input);
    if (call.op != &ops::kReshapeInfo) continue;
    const auto out = static_cast<size_t>(call.output);
    call.inputs[0] = base[out] = base[static_cast<size_t>(call.inputs[0])];
    const Value &from = graph.values[static_cast<size_t>(base[out])], &to = graph.values[out];
    if (from.shape == to.shape && from.batch_axis == to.batch_axis) same[out] = base[out];
  }
  for (int* output : {&graph.students, &graph.ensemble, &graph.student_predictions, &graph.prediction}) {
    replace(*output);
  }
}

// The graph without calls and constants that no output needs, and with values numbered anew.
Graph needed(const Graph& all) {
  std::vector<bool> need(all.values.size());
  const auto want = [&](int value) {
    if (value != kNone) need[static_cast<size_t>(value)] = true;
  };
  for (const int value : {all.ids, all.numbers, all.students, all.ensemble, all.student_predictions, all.prediction}) {
    want(value);
  }
  for (size_t c = all.calls.size(); c-- > 0;) {
    if (!need[static_cast<size_t>(all.calls[c].output)]) continue;
    for (const int input : all.calls[c].inputs) want(input);
  }
  std::vector<int> number(all.values.size(), kNone);
  Graph some;
  for (size_t v = 0; v < all.values.size(); ++v) {
    if (!need[v]) continue;
    number[v] = static_cast<int>(some.values.size());
    some.values.push_back(all.values[v]);
  }
  const auto renumbered = [&](int value) { return value == kNone ? kNone : number[static_cast<size_t>(value)]; };
  for (Graph::Call call : all.calls) {
    call.output = renumbered(call.output);
    if (call.output == kNone) continue;
    for (int& input : call.inputs) input = renumbered(input);
    some.calls.push_back(std::move(call));
  }
  some.ids = renumbered(all.ids);
  some.numbers = renumbered(all.numbers);
  some.students = renumbered(all.students);
  some.ensemble = renumbered(all.ensemble);
  some.student_predictions = renumbered(all.student_predictions);
  some.prediction = renumbered(all.prediction);
  some.task = all.task;
  return some;
}

// The layer of weights W [N, K] and b [N], scaled by s[n] and moved to the mean m[n] and the bias c[n]: s W, s (b - m)
// + c. Undefined b: 0.
struct LinearLayer {
  Tensor weight, bias;
};
LinearLayer folded(const LinearLayer& layer, const Tensor& scale, const Tensor& mean, const Tensor& beta) {
  const int64_t out = layer.weight.shape()[0], in = layer.weight.shape()[1];
  const Tensor w = layer.weight.to(DType::f64).clone(), s = scale.to(DType::f64), m = mean.to(DType::f64),
               c = beta.to(DType::f64);
  const Tensor b = layer.bias.defined() ? layer.bias.to(DType::f64).clone() : Tensor::zeros({out}, DType::f64);
  for (int64_t n = 0; n < out; ++n) {
    const double factor = s.data<double>()[n];
    for (int64_t k = 0; k < in; ++k) w.data<double>()[n * in + k] *= factor;
    b.data<double>()[n] = factor * (b.data<double>()[n] - m.data<double>()[n]) + c.data<double>()[n];
  }
  return {w.to(layer.weight.dtype()), b.to(layer.weight.dtype())};
}

// gamma / sqrt(var + eps), in fp64.
Tensor scale_of_norm(const Tensor& gamma, const Tensor& var, double eps) {
  const Tensor scale = gamma.to(DType::f64).clone(), v = var.to(DType::f64);
  for (int64_t n = 0; n < scale.numel(); ++n) scale.data<double>()[n] /= std::sqrt(v.data<double>()[n] + eps);
  return scale;
}

}  // namespace

Shape Graph::Value::shape_of(int64_t rows) const {
  Shape s = shape;
  if (batch_axis != kNone) s[batch_axis] *= rows;
  return s;
}

std::vector<IdColumn> id_columns(const nn::EmbeddingTables& tables) {
  std::vector<IdColumn> columns(static_cast<size_t>(tables.id_columns()));
  std::map<std::string, int64_t> of_field;
  for (const nn::EmbeddingField& field : tables.shape().list) {
    if (field.kind == nn::EmbeddingField::Kind::numeric) continue;
    const int64_t size = field.vocab_size > 0 ? field.vocab_size : of_field.at(field.shared);
    of_field[field.name] = size;
    std::fill_n(columns.begin() + field.column, field.max_len, IdColumn{field.name, size});
  }
  return columns;
}

Graph trace(const Traceable& model) {
  Graph graph = Comparison(model).graph();
  join_reshapes(graph);
  return needed(graph);
}

Graph trace(const Ensemble& model) {
  KDEF_CHECK(model.device().is_cpu(), "graph: the model is on ", name_of(model.device()), "; load it on the CPU");
  Traceable traced;
  for (const nn::Parameter& p : model.parameters()) traced.state.emplace_back(p.name, p.tensor);
  for (const nn::Buffer& b : model.buffers()) traced.state.emplace_back(b.name, b.tensor);
  for (const IdColumn& column : id_columns(model.embedding()))
    traced.vocab_sizes.push_back(std::max<int64_t>(1, column.vocab_size));
  traced.numbers = model.embedding().value_columns();
  if (!traced.state.empty()) traced.type = traced.state[0].second.dtype();
  traced.task = &model.task();
  traced.forward = [&](const ModelInput& input) { return model.forward(input, {.fused = false}); };
  return trace(traced);
}

Graph with_folded_norms(Graph graph) {
  std::vector<int> readers(graph.values.size());
  std::map<int, size_t> makers;
  for (size_t c = 0; c < graph.calls.size(); ++c) {
    makers[graph.calls[c].output] = c;
    for (const int input : graph.calls[c].inputs) {
      if (input != kNone) ++readers[static_cast<size_t>(input)];
    }
  }
  const auto value = [&](int number) -> const Value& { return graph.values[static_cast<size_t>(number)]; };
  const auto known = [&](int number) { return number == kNone || value(number).kind == Value::Kind::constant; };
  const auto constant = [&](int number) { return number == kNone ? Tensor() : value(number).constant; };
  const auto add = [&](const Tensor& t) {
    graph.values.push_back({.kind = Value::Kind::constant, .type = t.dtype(), .shape = t.shape(), .constant = t});
    return static_cast<int>(graph.values.size()) - 1;
  };
  for (Graph::Call& call : graph.calls) {
    const auto maker = makers.find(call.inputs[0]);
    if (call.op != &ops::kBatchNormEvalInfo || maker == makers.end() ||
        readers[static_cast<size_t>(maker->first)] != 1) {
      continue;
    }
    const Graph::Call& linear = graph.calls[maker->second];
    const std::vector<int>&of = linear.inputs, &norm = call.inputs;
    if (linear.op != &ops::kLinearInfo || !known(of[1]) || !known(of[2])) continue;
    if (!std::all_of(norm.begin() + 1, norm.end(), known)) continue;
    const Tensor scale = scale_of_norm(constant(norm[1]), constant(norm[4]), attribute<double>(call, "eps"));
    const LinearLayer layer = folded({constant(of[1]), constant(of[2])}, scale, constant(norm[3]), constant(norm[2]));
    const std::vector<int> inputs = {of[0], add(layer.weight), add(layer.bias)};
    call = {linear.op, linear.attributes, inputs, call.output};
  }
  return needed(graph);
}

std::string to_text(const Graph& graph) {
  const auto name = [&](int number) {
    if (number == kNone) return std::string("-");
    const Value& value = graph.values[static_cast<size_t>(number)];
    if (value.kind == Value::Kind::ids) return std::string("ids");
    if (value.kind == Value::Kind::numbers) return std::string("numbers");
    return value.name.empty() ? cat("v", number) : value.name;
  };
  const auto shape = [](const Value& value) {
    std::string text;
    for (int i = 0; i < value.shape.rank(); ++i) {
      const bool rows = i == value.batch_axis;
      text += text.empty() ? "" : ", ";
      if (!rows || value.shape[i] != 1) text += cat(value.shape[i], rows ? " " : "");
      if (rows) text += "rows";
    }
    return cat("[", text, "]");
  };
  std::string text;
  for (const Graph::Call& call : graph.calls) {
    const Value& value = graph.values[static_cast<size_t>(call.output)];
    text += cat("v", call.output, " ", name_of(value.type), " ", shape(value), " = ", call.op->name, "(");
    for (size_t i = 0; i < call.inputs.size(); ++i) text += cat(i ? ", " : "", name(call.inputs[i]));
    const std::string attributes = to_text(call.attributes);
    text += cat(attributes.empty() ? "" : "; ", attributes, ")\n");
  }
  return text + cat("students ", name(graph.students), ", ensemble ", name(graph.ensemble), ", prediction ",
                    name(graph.prediction), "\n");
}

}  // namespace kdef
