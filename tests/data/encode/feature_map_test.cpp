#include "data/encode/feature_map.h"

#include "tests/data/support.h"

namespace kdef::data {
namespace {

TEST(FeatureMap, RoundTrip) {
  FeatureMap map;
  map.dataset = "set";
  map.label = "click";
  map.fields = {{.name = "a", .vocab_size = 10, .embedding_dim = 8},
                {.name = "s",
                 .type = FieldType::sequence,
                 .vocab_size = 10,
                 .max_len = 5,
                 .pooling = Pooling::sum,
                 .share_embedding = "a"},
                {.name = "n", .type = FieldType::numeric}};
  TemporaryFolder dir;
  save_feature_map(map, dir / "m.json");
  const FeatureMap again = load_feature_map(dir / "m.json");
  EXPECT_EQ(again.label, "click");
  ASSERT_EQ(again.fields.size(), 3u);
  EXPECT_EQ(again.fields[0].embedding_dim, 8);
  EXPECT_EQ(again.fields[1].max_len, 5);
  EXPECT_EQ(again.fields[1].pooling, Pooling::sum);
  EXPECT_EQ(again.fields[1].share_embedding, "a");
  EXPECT_EQ(again.fields[2].type, FieldType::numeric);
  EXPECT_EQ(to_json(again), to_json(map));
}

TEST(FeatureMap, ForeignKeysAndDefaults) {
  const FeatureMap map = parse_feature_map(
      R"({"dataset": "d", "note": "x", "fields": [{"name": "a", "type": "categorical", "vocab_size": 3}]})", "m.json");
  EXPECT_EQ(map.fields[0].vocab_size, 3);
  EXPECT_EQ(map.label, "label");
}

TEST(FeatureMap, WrongContent) {
  const auto parse = [](const std::string& text) { return [=] { parse_feature_map(text, "m.json"); }; };
  const auto one = [&](const std::string& entry) { return parse("{\"fields\": [" + entry + "]}"); };
  expect_error<InputError>(parse("{"), {"m.json", "not valid JSON"});
  expect_error<InputError>(parse("[]"), {"not a feature map"});
  expect_error<InputError>(parse("{\"fields\": []}"), {"non-empty"});
  expect_error<InputError>(one("3"), {"fields[0]"});
  expect_error<InputError>(one("{\"type\": \"numeric\"}"), {"\"name\""});
  expect_error<InputError>(one(R"({"name": "a", "type": "meta"})"),
                           {"(a)", "'meta'", "categorical, sequence or numeric"});
  expect_error<InputError>(one(R"({"name": "a", "type": "categorical"})"), {"(a)", "vocab_size", "missing"});
  expect_error<InputError>(one(R"({"name": "a", "type": "categorical", "vocab_size": -4})"), {"vocab_size", "-4"});
  expect_error<InputError>(one(R"({"name": "a", "type": "categorical", "vocab_size": 1.5})"), {"vocab_size", "1.5"});
  expect_error<InputError>(one(R"({"name": "a", "type": "categorical", "vocab_size": 1e999})"),
                           {"m.json", "too large"});
  expect_error<InputError>(one(R"({"name": "a", "type": "sequence", "vocab_size": 9})"), {"max_len"});
  expect_error<InputError>(one(R"({"name": "a", "type": "numeric"}, {"name": "a", "type": "numeric"})"),
                           {"two fields"});
  expect_error<InputError>(one(R"({"name": "a", "type": "categorical", "vocab_size": 5, "share_embedding": "b"})"),
                           {"shares", "not an earlier field"});
}

TEST(FeatureMap, PublishedMaps) {
  const std::string folder = std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/feature_maps/";
  EXPECT_EQ(load_feature_map(folder + "Criteo_x4_10_h5.json").fields.size(), 39u);
  EXPECT_EQ(load_feature_map(folder + "ML_1M_7_x1.json").fields[2].max_len, 5);
}

}  // namespace
}  // namespace kdef::data
