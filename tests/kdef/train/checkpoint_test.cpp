// Models and checkpoints on disk: what is written comes back, and what does not fit is refused by name.
#include "kdef/train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "tests/kdef/small_model.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallModel;
using testing::HasSubstr;

std::vector<std::vector<float>> values(const Ensemble& model) {
  std::vector<std::vector<float>> all;
  for (const nn::Parameter& p : model.parameters()) all.push_back(p.tensor.to_vector<float>());
  return all;
}

template <class Fn>
std::string refusal(Fn fn) {
  try {
    fn();
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing was refused";
}

TEST(Checkpoint, AModelComesBack) {
  const test::TemporaryDirectory directory;
  SmallModel a(3), b(4);
  ASSERT_NE(values(a.model), values(b.model));
  save_model(directory / "m", a.model, {{"step", "7"}});
  load_model(directory / "m", b.model);
  EXPECT_EQ(values(a.model), values(b.model));
}

TEST(Checkpoint, RefusesTensorsThatDoNotFitByName) {
  const test::TemporaryDirectory directory;
  EnsembleConfig three = SmallModel::config();
  three.students.push_back(three.students[0]);
  SmallModel two, larger(3, three), users(3, SmallModel::config(), 6);
  save_model(directory / "two", two.model, {});
  save_model(directory / "three", larger.model, {});
  const std::vector<std::vector<float>> before = values(users.model);
  EXPECT_THAT(refusal([&] { load_model(directory / "two", larger.model); }), HasSubstr("has no tensor 'networks.2."));
  EXPECT_THAT(refusal([&] { load_model(directory / "three", two.model); }), HasSubstr("tensor 'networks.2."));
  EXPECT_THAT(refusal([&] { load_model(directory / "two", users.model); }), HasSubstr("user.weight' is "));
  EXPECT_EQ(values(users.model), before) << "a refused file changed the model";
}

TEST(Checkpoint, AStateComesBackToTheLastBit) {
  const test::TemporaryDirectory directory;
  SmallModel a(3), b(4);
  nn::Optimizer of_a(a.model.parameters(), {}), of_b(b.model.parameters(), {});
  TrainingState state;
  state.step = 12;
  state.epoch = 2;
  state.batch = 5;
  state.learning_rate = 1.0 / 3;
  state.loss_sum = 0.1;
  state.loss_count = 9;
  state.best = -2.0 / 7;
  state.has_best = true;
  state.without_improvement = 1;
  state.window = 4096;
  state.seconds = 1e-9;
  state.metrics_bytes = 77;
  state.collapse_bytes = 78;
  save_checkpoint(directory / "c", a.model, of_a, state, "mine");
  const TrainingState read = load_checkpoint(directory / "c", b.model, of_b, "mine");
  EXPECT_EQ(values(a.model), values(b.model));
  EXPECT_EQ(read.step, 12);
  EXPECT_EQ(read.epoch, 2);
  EXPECT_EQ(read.batch, 5);
  EXPECT_EQ(read.learning_rate, 1.0 / 3);
  EXPECT_EQ(of_b.learning_rate(), 1.0 / 3);
  EXPECT_EQ(read.loss_sum, 0.1);
  EXPECT_EQ(read.loss_count, 9);
  EXPECT_EQ(read.best, -2.0 / 7);
  EXPECT_TRUE(read.has_best);
  EXPECT_EQ(read.without_improvement, 1);
  EXPECT_FALSE(read.finished);
  EXPECT_EQ(read.window, 4096);
  EXPECT_EQ(read.seconds, 1e-9);
  EXPECT_EQ(read.metrics_bytes, 77);
  EXPECT_EQ(read.collapse_bytes, 78);
  EXPECT_THAT(refusal([&] { load_checkpoint(directory / "c", b.model, of_b, "other"); }),
              HasSubstr("with another configuration, with other data or by another version"));
  save_model(directory / "m", a.model, {});
  EXPECT_THAT(refusal([&] { load_checkpoint(directory / "m", b.model, of_b, "mine"); }), HasSubstr("no 'format'"));
}

// Rewrites the header of a safetensors file without its checksum, after `change` of the metadata.
void change_metadata(const std::string& path, const std::function<void(nlohmann::ordered_json&)>& change) {
  const std::string bytes = test::read_file(path);
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  auto header = nlohmann::ordered_json::parse(bytes.substr(8, size));
  change(header["__metadata__"]);
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t changed = text.size();
  test::put(path, std::string(reinterpret_cast<const char*>(&changed), 8) + text + bytes.substr(8 + size));
}

TEST(Checkpoint, WithoutItsChecksumItIsRefused) {
  const test::TemporaryDirectory directory;
  SmallModel a(3), b(4);
  nn::Optimizer of_a(a.model.parameters(), {}), of_b(b.model.parameters(), {});
  const std::vector<std::vector<float>> before = values(b.model);
  save_checkpoint(directory / "c", a.model, of_a, {}, "mine");
  change_metadata(directory / "c", [](auto& metadata) { metadata.erase("crc32"); });
  EXPECT_THAT(refusal([&] { load_checkpoint(directory / "c", b.model, of_b, "mine"); }), HasSubstr("has no checksum"));
  EXPECT_EQ(values(b.model), before);
}

TEST(Checkpoint, EveryNumberIsReadStrictlyBeforeAnythingIsTaken) {
  const test::TemporaryDirectory directory;
  SmallModel a(3), b(4);
  nn::Optimizer of_a(a.model.parameters(), {}), of_b(b.model.parameters(), {});
  const std::vector<std::vector<float>> before = values(b.model);
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const nn::Parameter& p : a.model.parameters()) tensors.emplace_back("model." + p.name, p.tensor);
  for (const nn::Buffer& p : a.model.buffers()) tensors.emplace_back("model." + p.name, p.tensor);
  for (const nn::Buffer& s : of_a.state()) tensors.emplace_back("optimizer." + s.name, s.tensor);
  save_checkpoint(directory / "c", a.model, of_a, {}, "mine");
  const std::map<std::string, std::string> whole = SafetensorsFile(directory / "c").metadata();
  const auto with = [&](const std::string& key, const std::string& value) {
    std::map<std::string, std::string> metadata = whole;
    metadata[key] = value;
    write_safetensors(directory / "c", tensors, metadata);
    return refusal([&] { load_checkpoint(directory / "c", b.model, of_b, "mine"); });
  };
  for (const char* key : {"step", "epoch", "batch", "loss_count", "has_best", "without_improvement", "finished",
                          "window", "metrics_bytes", "collapse_bytes", "optimizer_steps"}) {
    for (const char* bad : {"", "x", "1x", " 1", "+1", "1.0", "-1", "99999999999999999999"}) {
      EXPECT_THAT(with(key, bad), HasSubstr(cat("its metadata '", key, "' is '", bad, "', which is "))) << bad;
    }
  }
  for (const char* key : {"learning_rate", "loss_sum", "best", "seconds"}) {
    for (const char* bad : {"", "garbage", "0x1p+1x"})
      EXPECT_THAT(with(key, bad), HasSubstr(cat("'", key, "' is"))) << bad;
  }
  for (const char* bad : {"nan", "inf", "-0x1p+0"}) EXPECT_THAT(with("learning_rate", bad), HasSubstr("finite")) << bad;
  for (const char* key : {"has_best", "finished"}) EXPECT_THAT(with(key, "2"), HasSubstr("not 0 or 1"));
  EXPECT_EQ(values(b.model), before) << "a refused checkpoint changed the model";
  EXPECT_EQ(with("step", "7"), "nothing was refused");
}

}  // namespace
}  // namespace kdef
