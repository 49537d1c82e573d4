// The audit as a test: layers, networks, objectives, recorded runs, published parameter counts.
#include "kdef/audit/audit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/io/safetensors.h"
#include "data/encode/feature_map.h"
#include "kdef/config/build.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

const std::string kFixtures = std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/";

class Audit : public testing::TestWithParam<AuditCase> {};

TEST_P(Audit, AgreesWithDifferences) {
  const ops::GradientReport report = GetParam().check();
  EXPECT_GT(report.elements, 0);
  EXPECT_LE(report.deviation, ops::kGradientTolerance) << report.worst;
}

// The cases of ops are tests of ops/.
std::vector<AuditCase> cases_of_kdef() {
  std::set<const OpInfo*> in_ops;
  for (const ops::OpCase& c : ops::op_cases()) in_ops.insert(c.info);
  std::vector<AuditCase> all;
  for (const AuditCase& c : audit_cases()) {
    if (in_ops.count(c.op) == 0) all.push_back(c);
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Layers, Audit, testing::ValuesIn(cases_of_kdef()), [](const auto& test) {
  std::string name = test.param.name + "_" + test.param.variant + "_" + std::to_string(test.index);
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

TEST(AuditItself, CatchesWrongGradients) { EXPECT_TRUE(audit_self_test().empty()) << audit_self_test()[0]; }
TEST(AuditItself, AnOpMadeWrongFailsItsChecks) {
  const BreakReport broken = audit_broken({"softmin"});
  ASSERT_FALSE(broken.failures.empty());
  EXPECT_EQ(broken.failures[0].name, "softmin");
  EXPECT_GT(broken.failures[0].report.deviation, 0.1);
  EXPECT_LE(static_cast<int64_t>(broken.failures.size()), broken.concerned);
  EXPECT_THROW(audit_broken({"nosuch"}), InputError);
  EXPECT_THROW(audit_broken({"softmin", 1}), InputError);
  for (const AuditCase& c : audit_cases()) {  // the breaker is gone
    if (c.name == "softmin") EXPECT_TRUE(c.check().passed());
  }
}
TEST(AuditItself, StopGradientsHold) { EXPECT_TRUE(audit_stop_gradients().empty()) << audit_stop_gradients()[0]; }

TEST(AuditItself, GradientsDocumentIsCurrent) {
  EXPECT_EQ(test::read_file(std::string(KDEF_SOURCE_DIR) + "/docs/gradients.md"), gradients_markdown())
      << "docs/gradients.md is not what the code states; write it anew with: kdef audit --markdown > docs/gradients.md";
}

TEST(AuditItself, EveryOpOfTheTreeHasACase) {
  // Op constants are defined as `const OpInfo kNameInfo{"name", ...` or by the lists of elementwise ops.
  std::set<std::string> defined, covered;
  for (const char* folder : {"ops", "nn", "kdef"}) {
    for (const auto& file :
         std::filesystem::recursive_directory_iterator(std::string(KDEF_SOURCE_DIR) + "/" + folder)) {
      if (file.path().extension() != ".cpp") continue;
      const std::string code = test::read_file(file.path().string());
      for (size_t at = 0; (at = code.find("const OpInfo k", at)) != std::string::npos; ++at) {
        const size_t open = code.find('"', at), brace = code.find('{', at);
        if (brace == std::string::npos || code.find_first_of(";#", at) < brace) continue;
        defined.insert(code.substr(open + 1, code.find('"', open + 1) - open - 1));
      }
    }
  }
  for (const AuditCase& c : audit_cases()) {
    if (c.op) covered.insert(c.op->name);
  }
  EXPECT_GE(defined.size(), 15u);
  for (const std::string& name : defined)
    EXPECT_TRUE(covered.count(name)) << "op '" << name << "' has no gradient case";
}

class Fixtures : public testing::TestWithParam<const char*> {};

TEST_P(Fixtures, AreReplayedFusedAndComposed) {
  for (const bool fused : {true, false}) {
    const std::vector<FixtureRow> rows = audit_fixture(kFixtures + GetParam() + ".safetensors", fused);
    EXPECT_FALSE(rows.empty());
    bool judged = false;
    for (const FixtureRow& r : rows) {
      judged = judged || r.tolerance > 0;
      EXPECT_TRUE(r.passed) << (fused ? "fused, " : "composed, ") << r.group << ": absolute " << r.absolute
                            << ", relative " << r.relative << " at " << r.worst;
    }
    EXPECT_TRUE(judged);
  }
}
INSTANTIATE_TEST_SUITE_P(Recorded, Fixtures,
                         testing::Values("kdef_loss_M2", "kdef_loss_M3", "kdef_loss_M5", "kdef_loss_M10",
                                         "kdef_loss_M24", "kdef_mlp_M3_f64", "kdef_mlp_M3_clipped_f64",
                                         "kdef_mlp_M5_nobn_f64", "kdef_mlp_M3_f32", "kdef_mlp_M5_nobn_f32",
                                         "kdef_large_f64", "kdef_large_f32", "backbones", "metrics", "metrics_grouped"),
                         [](const auto& test) { return std::string(test.param); });

// The recordings of FuxiCTR's classes, each of which is a model name of this program.
std::vector<std::string> zoo() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kFixtures + "zoo")) {
    if (file.path().extension() == ".safetensors") names.push_back("zoo/" + file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}
class Zoo : public testing::TestWithParam<std::string> {};

TEST_P(Zoo, IsReplayedFusedAndComposed) {
  for (const bool fused : {true, false}) {
    for (const FixtureRow& r : audit_fixture(kFixtures + GetParam() + ".safetensors", fused)) {
      EXPECT_EQ(r.tolerance, 1e-8) << r.group;
      EXPECT_TRUE(r.passed) << (fused ? "fused, " : "composed, ") << r.group << ": absolute " << r.absolute
                            << ", relative " << r.relative << " at " << r.worst;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Recorded, Zoo, testing::ValuesIn(zoo()),
                         [](const auto& test) { return test.param.substr(4); });

// A recorded run with one number changed must fail, whichever number it is.
TEST(FixturesThemselves, NoticeAChangedNumber) {
  const SafetensorsFile file(kFixtures + "kdef_mlp_M5_nobn_f64.safetensors");
  const test::TemporaryDirectory directory;
  for (const char* changed : {"step0.data_loss", "step3.loss", "step2.grad_norm", "step0.grad.networks.1.mlp.0.weight",
                              "final.networks.4.mlp.2.bias",
                              "final.embedding_layer.embedding_layer.embedding_layers.tags.weight", "eval.prob"}) {
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const std::string& name : file.names()) {
      Tensor t = file.read(name);
      if (name == changed) t.data<double>()[t.numel() - 1] += 1e-6;
      tensors.emplace_back(name, t);
    }
    const std::string path = directory / "changed.safetensors";
    write_safetensors(path, tensors, file.metadata());
    bool failed = false;
    for (const FixtureRow& r : audit_fixture(path, true)) failed = failed || !r.passed;
    EXPECT_TRUE(failed) << changed;
  }
}

// The same of a recording of FuxiCTR, by which of its values is wrong.
TEST(FixturesThemselves, NoticeAChangedNumberOfFuxiCtr) {
  const SafetensorsFile file(kFixtures + "zoo/fuxictr_FinalNet_2B_sum_f64.safetensors");
  const test::TemporaryDirectory directory;
  for (const char* changed : {"step0.prob", "step1.loss", "step2.grad_norm", "step0.grad.fc2.weight",
                              "final.block1.norm.0.running_var", "eval.prob", "eval.student_logits"}) {
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const std::string& name : file.names()) {
      Tensor t = file.read(name);
      if (name == changed) t.data<double>()[0] += 1e-6;
      tensors.emplace_back(name, t);
    }
    const std::string path = directory / "changed.safetensors";
    write_safetensors(path, tensors, file.metadata());
    bool failed = false;
    for (const FixtureRow& r : audit_fixture(path, true)) failed = failed || !r.passed;
    EXPECT_TRUE(failed) << changed;
  }
}

// An objective is told by the name of its file: under another one's name it does not agree.
TEST(FixturesThemselves, NameTheObjectiveOfTheirLogits) {
  const SafetensorsFile file(kFixtures + "zoo/objective_final_M3.safetensors");
  const test::TemporaryDirectory directory;
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.read(name));
  const auto passes = [&](const char* name) {
    write_safetensors(directory / name, tensors, file.metadata());
    const std::vector<FixtureRow> rows = audit_fixture(directory / name, true);
    return std::all_of(rows.begin(), rows.end(), [](const FixtureRow& r) { return r.passed; });
  };
  EXPECT_TRUE(passes("objective_final_copy.safetensors"));
  for (const char* name : {"objective_self_ensemble_M3.safetensors", "objective_tri_bce_M3.safetensors",
                           "objective_kdef_M3.safetensors", "kdef_loss_M3.safetensors"}) {
    EXPECT_FALSE(passes(name)) << name;
  }
  EXPECT_THROW(passes("objective_finale_M3.safetensors"), InputError);
}

// What a recording has and this program does not know is said in a sentence that names it.
TEST(FixturesThemselves, TellWhatTheyDoNotKnow) {
  const SafetensorsFile file(kFixtures + "zoo/fuxictr_DCN_f64.safetensors");
  const test::TemporaryDirectory directory;
  const auto refusal = [&](const char* key, const std::string& before, const std::string& after) -> std::string {
    auto metadata = file.metadata();
    std::string& text = metadata.at(key);
    text.replace(text.find(before), before.size(), after);
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const std::string& name : file.names()) tensors.emplace_back(name, file.read(name));
    write_safetensors(directory / "changed.safetensors", tensors, metadata);
    try {
      audit_fixture(directory / "changed.safetensors", true);
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  };
  const auto says = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(says(refusal("config", "num_cross_layers", "num_crossings"), "unknown key 'num_crossings'"));
  EXPECT_TRUE(says(refusal("model", "DCN", "DCNv9"), "'DCNv9'"));
  EXPECT_TRUE(says(refusal("features", "MaskedAveragePooling()", "GRU()"),
                   "feature 'tags' has the encoder 'layers.GRU()', which this program does not know"));
  EXPECT_TRUE(says(refusal("features", "padding_idx", "oov_idx"), "feature 'user' has the key 'oov_idx'"));
  EXPECT_TRUE(says(refusal("parameters", "6", "7"), "trained values, this program's has 653"));
}

// A bias in front of batch norm has a true gradient of zero: what is recorded is the rounding of the machine that
// recorded it. Another machine's rounding passes; an error of 1e-6 of what is summed into the gradient does not.
TEST(FixturesThemselves, AGradientOfZeroIsJudgedByWhatIsSummedIntoIt) {
  const SafetensorsFile file(kFixtures + "backbones.safetensors");
  const std::string bias = "dcnv2.grad.dnn.mlp.3.bias";
  double summed = 0, recorded = 0;
  for (const double g : file.read("dcnv2.grad.dnn.mlp.3.weight").to_vector<double>())
    summed = std::max(summed, std::abs(g));
  for (const double g : file.read(bias).to_vector<double>()) recorded = std::max(recorded, std::abs(g));
  ASSERT_LT(recorded, 1e-12 * summed) << "the true gradient is not zero";
  const test::TemporaryDirectory directory;
  for (const auto& [error, passes] : {std::pair{1e-13, true}, std::pair{1e-6 * summed, false}}) {
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const std::string& name : file.names()) {
      Tensor t = file.read(name);
      if (name == bias) t.data<double>()[0] += error;
      tensors.emplace_back(name, t);
    }
    const std::string path = directory / "changed.safetensors";
    write_safetensors(path, tensors, file.metadata());
    for (const FixtureRow& r : audit_fixture(path, true)) {
      EXPECT_EQ(r.passed, passes || r.group != "dcnv2: gradients of the parameters") << r.group << " " << r.relative;
    }
  }
}

TEST(FixturesThemselves, AForeignFileIsRefused) {
  const test::TemporaryDirectory directory;
  write_safetensors(directory / "a.safetensors", {{"w", Tensor::zeros({2})}}, {});
  EXPECT_THROW(audit_fixture(directory / "a.safetensors", true), InputError);
  write_safetensors(directory / "b.safetensors", {{"init.w", Tensor::zeros({2})}}, {{"fields", "[[1]]"}});
  EXPECT_THROW(audit_fixture(directory / "b.safetensors", true), InputError);
}

// "[400, 400]" -> 400, 400
std::vector<int64_t> integers(std::string text) {
  std::vector<int64_t> all;
  for (char& c : text) {
    if (!std::isdigit(static_cast<unsigned char>(c))) c = ' ';
  }
  std::istringstream in(text);
  for (int64_t v; in >> v;) all.push_back(v);
  return all;
}

TEST(Published, ParameterCountsOfEveryRun) {
  std::ifstream in(kFixtures + "published_parameters.csv");
  std::string line;
  std::getline(in, line);
  int checked = 0;
  while (std::getline(in, line)) {
    const size_t open = line.find('"'), close = line.find('"', open + 1);
    const std::vector<int64_t> hidden = integers(line.substr(open, close - open));
    line = line.substr(0, open) + line.substr(close + 1);
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
    ASSERT_EQ(cells.size(), 9u) << line;
    const std::string& model_name = cells[1];
    nn::NetworkConfig student;
    student.hidden_units = hidden;
    student.hidden_activations.assign(hidden.size(), "relu");
    student.dropout.assign(8, 0.1);
    student.dropout.resize(hidden.size());
    student.batch_norm = true;
    EnsembleConfig config;
    config.embedding_dim = std::stoll(cells[7]);
    config.kind = model_name == "MLP_mean"      ? EnsembleKind::mean
                  : model_name == "MLPs_sum"    ? EnsembleKind::sum
                  : model_name == "MLPs_concat" ? EnsembleKind::concat
                                                : EnsembleKind::kdef;
    config.students.assign(static_cast<size_t>(std::stoll(cells[3])), student);
    if (model_name == "EKTF_L") {
      config.students[0].network = "product";
      config.students[1].network = "kdef_finalnet";
      config.students[2].network = "exponential_cross";
      const int64_t layers = std::stoll(cells[5]);
      config.students[2].settings.set("num_cross_layers", layers);
      config.students[2].dropout.assign(static_cast<size_t>(layers), 0.1);
    }
    const data::FeatureMap map = data::load_feature_map(kFixtures + "feature_maps/" + cells[2] + ".json");
    nn::Builder build = nn::Builder::zeros();
    const Ensemble model(config, embedding_fields(map), build);
    EXPECT_EQ(model.parameter_count(), std::stoll(cells[8])) << cells[0];
    ++checked;
  }
  EXPECT_EQ(checked, 47);
}

}  // namespace
}  // namespace kdef
