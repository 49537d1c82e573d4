// ONNX models: their structure, read back from the bytes; their numbers, by ONNX Runtime where there is one.
#include "kdef/serve/onnx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "kdef/run/run.h"
#include "kdef/serve/export_onnx.h"
#include "kdef/serve/graph.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "tests/kdef/serve/model.h"
#include "tests/kdef/support.h"
#include "tests/support/files.h"
#include "tests/support/onnx.h"

namespace kdef {
namespace {

using namespace test;
using nn::test::some_fields;
using testing::ElementsAre;
using testing::HasSubstr;
using Inputs = OnnxOptions::Inputs;

OnnxOptions options_of(const Ensemble& model, Inputs inputs) {
  return {.inputs = inputs, .fields = onnx_fields(model.embedding()), .students = model.student_count() > 1};
}

// ---- Reading a message back

// The fields of a message, by number: varints as text, and bytes.
std::multimap<uint64_t, std::string> fields(const std::string& text) {
  std::multimap<uint64_t, std::string> all;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(text.at(at++));
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < text.size()) {
    const uint64_t key = varint();
    if ((key & 7) == 0) {
      all.emplace(key >> 3, std::to_string(varint()));
      continue;
    }
    const uint64_t size = (key & 7) == 2 ? varint() : (key & 7) == 5 ? 4 : 8;
    all.emplace(key >> 3, text.substr(at, size));
    at += size;
  }
  return all;
}
std::vector<std::string> values(const std::string& message, uint64_t field) {
  std::vector<std::string> all;
  const auto read = fields(message);
  for (auto [it, end] = read.equal_range(field); it != end; ++it) all.push_back(it->second);
  return all;
}
std::string value(const std::string& message, uint64_t field) {
  const std::vector<std::string> all = values(message, field);
  return all.size() == 1 ? all[0] : cat(all.size(), " values");
}
std::vector<std::string> names(const std::string& graph, uint64_t field) {
  std::vector<std::string> all;
  for (const std::string& info : values(graph, field)) all.push_back(value(info, 1));
  return all;
}

class EveryNetworksOnnx : public testing::TestWithParam<std::string> {};

// Every node reads what stands before it, every name is made once, and no constant is unused.
TEST_P(EveryNetworksOnnx, ReadsOnlyWhatWasMade) {
  const RandomModel model(ensemble_of({GetParam()}));
  const Graph graph = trace(*model);
  for (const Inputs inputs : {Inputs::named, Inputs::matrix}) {
    const std::string text = onnx_model(graph, options_of(*model, inputs)).text();
    const std::string onnx = value(text, 7);
    std::set<std::string> known, unused;
    for (const std::string& name : names(onnx, 11)) known.insert(name);
    for (const std::string& tensor : values(onnx, 5)) {
      EXPECT_TRUE(known.insert(value(tensor, 8)).second) << value(tensor, 8);
      unused.insert(value(tensor, 8));
    }
    for (const std::string& node : values(onnx, 1)) {
      for (const std::string& input : values(node, 1)) {
        EXPECT_TRUE(known.contains(input)) << value(node, 4) << " reads " << input;
        unused.erase(input);
      }
      for (const std::string& output : values(node, 2)) EXPECT_TRUE(known.insert(output).second) << output;
    }
    EXPECT_THAT(unused, testing::IsEmpty());
    for (const std::string& output : names(onnx, 12)) EXPECT_TRUE(known.contains(output));
  }
}
INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworksOnnx, testing::ValuesIn(nn::network_names()),
                         [](const auto& of) { return of.param; });

TEST(Onnx, SaysVersionsInputsAndOutputs) {
  const RandomModel model(ensemble_of({"mlp", "mlp"}));
  const Graph graph = trace(*model);
  OnnxOptions options = options_of(*model, Inputs::named);
  options.metadata = {{"task", "clicks"}};
  const std::string text = onnx_model(graph, options).text();
  EXPECT_EQ(value(text, 1), "8");
  EXPECT_EQ(value(text, 2), "kdef");
  EXPECT_EQ(value(value(text, 8), 2), "17");
  EXPECT_EQ(value(value(text, 14), 1) + "=" + value(value(text, 14), 2), "task=clicks");
  const std::string onnx = value(text, 7);
  EXPECT_THAT(names(onnx, 11), ElementsAre("user", "tags", "item", "price"));
  EXPECT_THAT(names(onnx, 12), ElementsAre("prediction", "students"));
  // tags: int64 [rows, 2].
  const std::string tensor = value(value(values(onnx, 11)[1], 2), 1);
  EXPECT_EQ(value(tensor, 1), "7");
  const std::vector<std::string> sizes = values(value(tensor, 2), 1);
  ASSERT_EQ(sizes.size(), 2u);
  EXPECT_EQ(value(sizes[0], 2), "rows");
  EXPECT_EQ(value(sizes[1], 1), "2");

  const std::string matrix = value(onnx_model(graph, options_of(*model, Inputs::matrix)).text(), 7);
  EXPECT_THAT(names(matrix, 11), ElementsAre("ids", "numbers"));
}

// A field with the name of an output is told; the matrix has no names of fields.
TEST(Onnx, RefusesAFieldWithTheNameOfAnOutput) {
  std::vector<nn::EmbeddingField> fields = some_fields();
  fields[0].name = "prediction";
  const RandomModel model(ensemble_of({"mlp"}), fields);
  const Graph graph = trace(*model);
  EXPECT_THROW(onnx_model(graph, options_of(*model, Inputs::named)), InputError);
  EXPECT_GT(onnx_model(graph, options_of(*model, Inputs::matrix)).size(), 0u);
}

// ---- Numbers, by ONNX Runtime

nlohmann::json table(const Tensor& t) {
  nlohmann::json rows = nlohmann::json::array();
  const Tensor wide = is_floating(t.dtype()) ? t.to(DType::f64) : t;
  for (int64_t b = 0; b < t.shape()[0]; ++b) {
    nlohmann::json row = nlohmann::json::array();
    for (int64_t j = 0; j < t.shape()[1]; ++j) {
      const auto at = static_cast<size_t>(b * t.shape()[1] + j);
      if (is_floating(t.dtype()))
        row.push_back(wide.data<double>()[at]);
      else
        row.push_back(t.data<int32_t>()[at]);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

class OnnxRuntime : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = no_onnxruntime(); !reason.empty()) GTEST_SKIP() << reason;
  }
  // Writes a model and what it is to give for a batch.
  void add(const std::string& name, const Graph& graph, const OnnxOptions& options, const ModelInput& input,
           const Tensor& prediction, const Tensor& students, double tolerance = 1e-6) const {
    put(folder_.path() + "/" + name + ".onnx", onnx_model(graph, options).text());
    expect_of(name, options, input, prediction, students, tolerance);
  }
  void expect_of(const std::string& name, const OnnxOptions& options, const ModelInput& input, const Tensor& prediction,
                 const Tensor& students, double tolerance = 1e-6) const {
    nlohmann::json expected = {{"tolerance", tolerance}, {"outputs", {{"prediction", table(prediction)}}}};
    if (options.students) expected["outputs"]["students"] = table(students);
    nlohmann::json& inputs = expected["inputs"] = nlohmann::json::object();
    if (options.inputs == Inputs::matrix) {
      if (input.ids.defined()) inputs["ids"] = table(input.ids);
      if (input.values.defined()) inputs["numbers"] = table(input.values);
    } else {
      for (const OnnxField& field : options.fields) {
        inputs[field.name] =
            table(ops::slice(field.is_number ? input.values : input.ids, 1, field.column, field.count));
      }
    }
    put(folder_.path() + "/" + name + ".json", expected.dump());
  }
  void add(const std::string& name, const Ensemble& model, const ModelInput& input, Inputs inputs) const {
    const NoGrad no_grad;
    const Graph graph = inputs == Inputs::named ? trace(model) : with_folded_norms(trace(model));
    const Ensemble::Output out = model.forward(input, {});
    add(name, graph, options_of(model, inputs), input, model.task().predict(out.ensemble),
        model.task().predict(out.students));
  }
  void expect_all_agree(int count) const {
    const std::string output = folder_.path() + "/output.txt";
    const int status = std::system(("'" KDEF_ONNX_PYTHON "' " KDEF_SOURCE_DIR "/tests/kdef/serve/check_onnx.py '" +
                                    folder_.path() + "' >'" + output + "' 2>&1")
                                       .c_str());
    const std::string text = read_file(output);
    EXPECT_EQ(status, 0) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), count) << text;
  }
  TemporaryDirectory folder_;
};

// All networks, by named inputs and by matrices.
TEST_F(OnnxRuntime, AgreesOnEveryNetwork) {
  int count = 0;
  for (const std::string& network : nn::network_names()) {
    const RandomModel model(ensemble_of({network}), some_fields(), 0.5);
    add(network + "-named", *model, six_rows(), Inputs::named);
    add(network + "-matrix", *model, six_rows(), Inputs::matrix);
    count += 2;
  }
  expect_all_agree(count);
}

TEST_F(OnnxRuntime, AgreesOnEveryKindOfEnsemble) {
  int count = 0;
  for (const EnsembleType& type : ensemble_types()) {
    for (const bool shared : {true, false}) {
      EnsembleConfig config = ensemble_of({"mlp", "kdef_dcnv2", "mlp"}, type.kind);
      config.shared_embedding = shared;
      const RandomModel model(config, some_fields(), 0.5);
      add(cat(type.name, shared ? "" : "-own-tables"), *model, six_rows(), Inputs::named);
      ++count;
    }
  }
  EnsembleConfig config = ensemble_of({"mlp"});
  config.task = &find_task("regression");
  const RandomModel model(config);
  add("regression", *model, six_rows(), Inputs::matrix);
  expect_all_agree(count + 1);
}

// Pooling by sum and average with empty sequences, shared tables, layers behind an embedding, pretrained vectors.
TEST_F(OnnxRuntime, AgreesOnEveryKindOfField) {
  using Usage = nn::EmbeddingField::Pretrained::Usage;
  int count = 0;
  for (const Usage usage : {Usage::init, Usage::sum, Usage::concat}) {
    std::vector<nn::EmbeddingField> fields = some_fields();
    fields[0].pretrained = {.dim = 3, .frozen = count % 2 == 0, .usage = usage, .known = 4};
    fields[1].linear = 4;
    fields[3].kind = nn::EmbeddingField::Kind::sum;
    fields[3].shared = "tags";
    fields[3].vocab_size = fields[1].vocab_size;
    const RandomModel model(ensemble_of({"mlp", "DeepFM"}), fields);
    add(cat("fields-", ++count), *model, six_rows(), Inputs::named);
  }
  std::vector<nn::EmbeddingField> fields = some_fields();
  fields[1].kind = nn::EmbeddingField::Kind::sum;
  fields[3].dim = 6;
  const RandomModel model(ensemble_of({"mlp"}), fields);
  ModelInput empty = six_rows();
  for (const int64_t at : {1, 2, 22}) empty.ids.data<int32_t>()[at] = 0;
  add("empty-sequences", *model, empty, Inputs::named);
  const RandomModel average(ensemble_of({"mlp"}));
  add("empty-averages", *average, empty, Inputs::named);
  expect_all_agree(count + 2);
}

// A trained run, whose rows are encoded by its own vocabularies.
TEST_F(OnnxRuntime, AgreesOnATrainedRun) {
  const SmallExperiment experiment(2000);
  RunOptions training;
  training.directory = experiment.directory / "run";
  run_experiment(experiment.load({"epochs=1"}), training);
  const kdef::Run run(training.directory);
  data::RawFile file(run.encoder(), experiment.directory / "data/test.csv", false);
  data::Batch batch;
  ASSERT_TRUE(file.next(batch, 100));
  const ModelInput input = model_input(batch, run.encoder().id_columns(), run.encoder().numeric_columns());
  const NoGrad no_grad;
  int count = 0;
  for (const char* student : {"ensemble", "2"}) {
    const std::string path = cat(folder_.path(), "/", student, ".onnx");
    export_onnx(training.directory, student, {.inputs = Inputs::matrix}, path);
    const Ensemble::Output out = run.model().forward(input, {});
    const bool all = student == std::string("ensemble");
    expect_of(cat(student), {.inputs = Inputs::matrix, .students = all}, input,
              ops::sigmoid(all ? out.ensemble : ops::slice(out.students, 1, 1, 1)), ops::sigmoid(out.students));
    ++count;
  }
  expect_all_agree(count);
}

// ---- Elementwise ops, activations among them

using OpFunction = std::function<Tensor(const Tensor&)>;

// Every elementwise op as a function of x [B, 3].
std::vector<std::pair<std::string, OpFunction>> elementwise_ops() {
  const auto positive = [](const Tensor& x) { return ops::shift(ops::square(x), 0.5); };
  const auto fit = [positive](const std::string& op, const Tensor& x) {
    return op == "log" || op == "sqrt" || op == "pow" ? positive(x) : x;
  };
  std::vector<std::pair<std::string, OpFunction>> all;
#define KDEF_ADD(function, ...) \
  all.emplace_back(#function, [=](const Tensor& x) { return ops::function(fit(#function, x)); });
  KDEF_UNARY_OPS(KDEF_ADD)
#undef KDEF_ADD
#define KDEF_ADD(function, ...) \
  all.emplace_back(#function, [=](const Tensor& x) { return ops::function(fit(#function, x), 0.75); });
  KDEF_SCALAR_OPS(KDEF_ADD)
#undef KDEF_ADD
#define KDEF_ADD(function, ...) \
  all.emplace_back(#function, [=](const Tensor& x) { return ops::function(x, positive(ops::neg(x))); });
  KDEF_BINARY_OPS(KDEF_ADD)
#undef KDEF_ADD
  return all;
}

Ensemble::Output sum_of(const OpFunction& f, const ModelInput& input) {
  const Tensor z = ops::sum(f(input.values), 1, true);
  return {z, z, {}};
}
Graph graph_of(const OpFunction& f) {
  return trace(Traceable{.numbers = 3, .task = &find_task("regression"), .forward = [f](const ModelInput& input) {
                           return sum_of(f, input);
                         }});
}

TEST(Onnx, HasOperatorsForEveryElementwiseOp) {
  for (const auto& [name, f] : elementwise_ops()) {
    EXPECT_NO_THROW(onnx_model(graph_of(f), {.inputs = Inputs::matrix})) << name;
  }
}

TEST_F(OnnxRuntime, AgreesOnEveryElementwiseOp) {
  auto all = elementwise_ops();
  // Angles in all four quadrants, and of zeros.
  const auto one = [](const Tensor& x) { return ops::shift(ops::scale(x, 0), 1); };
  all.emplace_back("atan2-left", [=](const Tensor& x) { return ops::atan2(x, ops::neg(one(x))); });
  all.emplace_back("atan2-down", [=](const Tensor& x) { return ops::atan2(ops::neg(one(x)), x); });
  all.emplace_back("atan2-zeros", [](const Tensor& x) {
    return ops::atan2(ops::relu(x), ops::relu(ops::shift(ops::neg(x), 0)));  // shift: -0 as 0
  });
  all.emplace_back("softmin", [](const Tensor& x) { return ops::mul(x, ops::softmin(x, 1)); });
  all.emplace_back("softmax", [](const Tensor& x) { return ops::mul(x, ops::softmax(x, 1)); });
  all.emplace_back("k_max", [](const Tensor& x) { return ops::mul(ops::k_max(x, 1, 2), ops::slice(x, 1, 0, 2)); });
  all.emplace_back("max", [](const Tensor& x) { return ops::mul(x, ops::max(x, 1, true)); });
  const ModelInput input{{}, Tensor::from<float>({-1.5f, -0.25f, 0, 0.5f, 1.25f, 2, -2, 3, -0.5f}, {3, 3}), {}, {}};
  const NoGrad no_grad;
  for (const auto& [name, f] : all) {
    const Tensor z = sum_of(f, input).ensemble;
    add("op-" + name, graph_of(f), {.inputs = Inputs::matrix}, input, z, z, 2e-6);  // of sums up to 20
  }
  expect_all_agree(static_cast<int>(all.size()));
}

}  // namespace
}  // namespace kdef
