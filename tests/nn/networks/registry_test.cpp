// The list of networks and their settings.
#include "nn/networks/registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace kdef::nn {
namespace {

std::string refusal(const std::function<void()>& compute) {
  try {
    compute();
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const EmbeddingShape kShape{.fields = 2, .dim = 4, .width = 8, .list = {}};

TEST(Registry, UnknownNamesListTheKnown) {
  Builder build;
  const std::string message = refusal([&] { make_network({.network = "dcnv4"}, kShape, build); });
  EXPECT_TRUE(has(message, "'dcnv4' is unknown (did you mean 'DCNv2'?)")) << message;
  EXPECT_TRUE(has(message, "known: mlp, product")) << message;
}

TEST(Registry, HofmHasADimensionForEachOrderOrOneTable) {
  const auto problem = [](bool reuse, const std::vector<int64_t>& dims) {
    const NetworkType& type = network_type("HOFM");
    NetworkConfig config{.network = "HOFM"};
    config.settings = type.resolved({{"order", 3}, {"reuse_embedding", reuse}, {"order_dims", dims}});
    Builder build;
    return refusal([&] { make_network(config, kShape, build); });
  };
  EXPECT_TRUE(has(problem(true, {4, 4}), "with reuse_embedding: true all orders have one table; give one number"));
  EXPECT_TRUE(has(problem(false, {4}), "is a list of 1, where each of the orders 2 .. 3 needs a number"));
}

TEST(Registry, NamesAreDistinctAndRowsComplete) {
  std::set<std::string> names;
  std::map<std::string, size_t> types;  // of each key's values
  for (const NetworkType& type : network_types()) {
    EXPECT_TRUE(names.insert(type.name).second) << type.name;
    EXPECT_FALSE(type.title.empty() || type.source.empty() || type.formula.empty()) << type.name;
    EXPECT_TRUE(type.dropout_layers.empty() || type.find_key(type.dropout_layers)) << type.name;
    std::set<std::string> keys;
    for (const SettingKey& key : type.keys) {
      EXPECT_TRUE(keys.insert(key.name).second) << type.name << ": " << key.name;
      EXPECT_FALSE(key.meaning.empty()) << type.name << ": " << key.name;
      EXPECT_EQ(key.problem(key.standard), "") << type.name << ": the default of " << key.name;
      EXPECT_EQ(key.problem(key.small), "") << type.name << ": the small value of " << key.name;
      // One key of a configuration serves all networks that have it.
      const size_t value = key.standard.value.index();
      EXPECT_EQ(types.emplace(key.name, value).first->second, value) << type.name << ": " << key.name;
    }
  }
}

TEST(Registry, SettingsAreCheckedAndCompleted) {
  const NetworkType& type = network_type("kdef_autoint");
  const Settings s = type.resolved({{"num_heads", 4}, {"use_scale", false}});
  EXPECT_EQ(s.integer("num_heads"), 4);
  EXPECT_FALSE(s.flag("use_scale"));
  EXPECT_EQ(s.integer("attention_dim"), 8);
  EXPECT_EQ(s.entries().size(), type.keys.size());

  const auto problem = [&](const Settings& given) { return refusal([&] { type.resolved(given); }); };
  EXPECT_TRUE(
      has(problem({{"num_head", 4}}), "network kdef_autoint: has no setting 'num_head' (did you mean 'num_heads'?)"));
  EXPECT_TRUE(has(problem({{"num_heads", 0}}), "setting 'num_heads': expected integer in [1, 1048576]"));
  EXPECT_TRUE(has(problem({{"num_heads", 2.0}}), "expected integer"));
  EXPECT_TRUE(has(problem({{"use_scale", 1}}), "expected boolean"));
  EXPECT_TRUE(has(refusal([] { network_type("mlp").resolved({{"num_heads", 1}}); }), "it has none of its own"));
  EXPECT_TRUE(has(refusal([] {
                    network_type("cin").resolved({{"cin_units", std::vector<int64_t>{8, 0}}});
                  }),
                  "expected list of integers in [1, 1048576]"));
}

TEST(Registry, DropoutRatesFollowTheLayersThatHaveThem) {
  EXPECT_EQ(network_type("mlp").dropout_rates(3, {}), 3u);
  EXPECT_EQ(network_type("FM").dropout_rates(3, {}), 0u);
  EXPECT_EQ(network_type("exponential_cross").dropout_rates(0, {}), 3u);
  EXPECT_EQ(network_type("exponential_cross").dropout_rates(0, {{"num_cross_layers", 5}}), 5u);
}

// The tests mirror the tree. The file of a network has to stand in tests/nn/CMakeLists.txt, too. A class of FuxiCTR may
// have a recording in place of a test: tests/kdef/audit replays it.
TEST(Registry, EveryFileHasATest) {
  for (const auto& file : std::filesystem::directory_iterator("nn/networks")) {
    if (file.path().extension() != ".cpp") continue;
    const std::string name = file.path().stem().string() + "_test.cpp";
    std::ifstream in(file.path());
    const std::string code{std::istreambuf_iterator<char>(in), {}};
    EXPECT_TRUE(std::filesystem::exists("tests/nn/networks/" + name) || has(code, ".fuxictr = true")) << name;
  }
}

TEST(Registry, EveryClassOfFuxiCtrHasARecording) {
  std::set<std::string> recorded;
  for (const auto& file : std::filesystem::directory_iterator("tests/fixtures/zoo")) {
    const std::string name = file.path().filename().string();  // fuxictr_NAME_VARIANT_f64, fcn_NAME_VARIANT_f64
    for (const NetworkType& type : network_types()) {
      if (has(name, "_" + type.name + "_")) recorded.insert(type.name);
    }
  }
  for (const NetworkType& type : network_types()) {
    if (type.fuxictr) {
      EXPECT_EQ(recorded.count(type.name), 1u) << type.name;
    }
  }
}

}  // namespace
}  // namespace kdef::nn
