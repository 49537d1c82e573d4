#include "kdef/run/tensorboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "kdef/run/record.h"
#include "tests/kdef/support.h"

namespace kdef::test {
namespace {

// RFC 3720, B.4, and the check value of the catalogue of CRC algorithms.
TEST(TensorBoard, ChecksumsAreThoseOfTheStandard) {
  const std::string zeros(32, '\0'), ones(32, '\xff');
  std::string up(32, '\0');
  std::iota(up.begin(), up.end(), char{0});
  EXPECT_EQ(crc32c(zeros.data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(ones.data(), 32), 0x62A8AB43u);
  EXPECT_EQ(crc32c(up.data(), 32), 0x46DD794Eu);
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  // The start of every event file that TensorFlow writes: a record of 24 bytes.
  const unsigned char length[8] = {24}, masked[4] = {0xa3, 0x7f, 0x4b, 0x22};
  const uint32_t mask = masked_crc32c(length, 8);
  EXPECT_EQ(std::memcmp(&mask, masked, 4), 0);
}

struct Scalars {
  double wall_time = 0;
  int64_t step = 0;
  std::string version;
  std::map<std::string, float> values;
};

// A reader of its own: of the wire format as far as events use it.
class Wire {
 public:
  explicit Wire(const std::string& message) : p_(message.data()), end_(p_ + message.size()) {}
  bool next() {
    if (p_ == end_) return false;
    const uint64_t tag = varint();
    number = static_cast<int>(tag >> 3);
    const int type = static_cast<int>(tag & 7);
    const size_t size = type == 0 ? 0 : type == 1 ? 8 : type == 5 ? 4 : varint();
    if (type == 0) integer = varint();
    EXPECT_LE(size, static_cast<size_t>(end_ - p_));
    bytes.assign(p_, std::min(size, static_cast<size_t>(end_ - p_)));
    p_ += bytes.size();
    return true;
  }
  template <class T>
  T as() const {
    T value{};
    EXPECT_EQ(bytes.size(), sizeof(T));
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  int number = 0;
  uint64_t integer = 0;
  std::string bytes;

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; p_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*p_++);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }
  const char *p_, *end_;
};

std::vector<Scalars> read_events(const std::string& text) {
  std::vector<Scalars> events;
  for (size_t at = 0; at < text.size();) {
    uint64_t length = 0;
    uint32_t length_crc = 0, crc = 0;
    if (text.size() - at < 16) throw std::runtime_error("half a record");
    std::memcpy(&length, &text[at], 8);
    std::memcpy(&length_crc, &text[at + 8], 4);
    if (length_crc != masked_crc32c(&text[at], 8) || length > text.size() - at - 16) throw std::runtime_error("length");
    std::memcpy(&crc, &text[at + 12 + length], 4);
    if (crc != masked_crc32c(&text[at + 12], length)) throw std::runtime_error("checksum");
    Scalars e;
    const std::string record = text.substr(at + 12, length);
    for (Wire event(record); event.next();) {
      if (event.number == 1) e.wall_time = event.as<double>();
      if (event.number == 2) e.step = static_cast<int64_t>(event.integer);
      if (event.number == 3) e.version = event.bytes;
      if (event.number != 5) continue;
      for (Wire summary(event.bytes); summary.next();) {
        std::string tag;
        for (Wire value(summary.bytes); value.next();) {
          if (value.number == 1) tag = value.bytes;
          if (value.number == 2) e.values[tag] = value.as<float>();
        }
      }
    }
    events.push_back(e);
    at += 16 + length;
  }
  return events;
}

std::vector<std::string> event_files(const std::string& run) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) found.push_back(entry.path().string());
  }
  return found;
}

void expect_events_of_metrics(const std::string& run) {
  ASSERT_EQ(event_files(run).size(), 1u);
  const std::vector<Scalars> events = read_events(read_file(event_files(run)[0]));
  const auto metrics = read_metrics(run + "/metrics.jsonl");
  ASSERT_EQ(events.size(), metrics.size() + 1);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  for (size_t i = 0; i < metrics.size(); ++i) {
    const auto& e = events[i + 1];
    EXPECT_EQ(e.step, metrics[i].step);
    EXPECT_GE(e.wall_time, events[i].wall_time);
    EXPECT_EQ(e.values.size(), 5 + 3 * metrics[i].valid.students.size());
    EXPECT_EQ(e.values.at("train/loss"), static_cast<float>(metrics[i].train_loss));
    EXPECT_EQ(e.values.at("train/lr"), static_cast<float>(metrics[i].learning_rate));
    EXPECT_EQ(e.values.at("valid/auc"), static_cast<float>(metrics[i].valid.ensemble["auc"]));
    EXPECT_EQ(e.values.at("valid/logloss"), static_cast<float>(metrics[i].valid.ensemble["logloss"]));
    EXPECT_EQ(e.values.at("valid/normalized_entropy"),
              static_cast<float>(metrics[i].valid.ensemble["normalized_entropy"]));
    EXPECT_EQ(e.values.at("valid/student_2/auc"), static_cast<float>(metrics[i].valid.students[1]["auc"]));
    EXPECT_EQ(e.values.at("valid/student_2/logloss"), static_cast<float>(metrics[i].valid.students[1]["logloss"]));
  }
}

TEST(TensorBoard, AnInterruptedTrainingShowsEveryStepOnce) {
  const SmallExperiment experiment;
  RunOptions options;
  options.directory = experiment.directory / "run";
  int64_t stop_at = 8;  // of 15: after the first evaluation, before the second
  int64_t steps = 0;
  options.listener.step = [&](const auto& s) { steps = s.step; };
  options.listener.stop_requested = [&] { return steps == stop_at; };
  const ExperimentConfig config = experiment.load({"num_student=2", "tensorboard=true"});
  ASSERT_TRUE(run_experiment(config, options).interrupted);
  expect_events_of_metrics(options.directory);
  // As a training killed after an evaluation and before its checkpoint leaves them: a line too many in both files.
  const std::string metrics = read_file(options.directory + "/metrics.jsonl");
  std::ofstream(options.directory + "/metrics.jsonl", std::ios::app) << metrics;
  std::ofstream(event_files(options.directory)[0], std::ios::app) << "half a record";
  std::filesystem::rename(event_files(options.directory)[0], options.directory + "/events.out.tfevents.1.kdef");
  stop_at = -1;
  options.resume = true;
  ASSERT_FALSE(run_experiment(config, options).interrupted);
  EXPECT_EQ(read_metrics(options.directory + "/metrics.jsonl").size(), 3u);
  expect_events_of_metrics(options.directory);
}

TEST(TensorBoard, EventFilesComeOnRequestAndGoWithTheirRun) {
  const SmallExperiment experiment;
  RunOptions options;
  options.directory = experiment.directory / "run";
  run_experiment(experiment.load({"num_student=2", "epochs=1", "tensorboard=true"}), options);
  std::ofstream(options.directory + "/events.out.tfevents.1.mine") << "";
  EXPECT_EQ(event_files(options.directory).size(), 2u);
  options.overwrite = true;
  run_experiment(experiment.load({"num_student=2", "epochs=1"}), options);
  EXPECT_THAT(event_files(options.directory), testing::ElementsAre(testing::EndsWith("events.out.tfevents.1.mine")));
}

TEST(TensorBoard, AnUndefinedAucIsLeftOut) {
  const TemporaryDirectory run;
  TrainingListener::Evaluated e{};
  e.step = 300;
  e.train_loss = 0.5;
  e.valid.ensemble = {{"auc", std::nan("")}, {"logloss", 0.25}};
  std::ofstream(run / "metrics.jsonl") << metrics_line(e) << "\n";
  int heard = 0;
  TrainingListener listener;
  listener.evaluated = [&](const auto&) { ++heard; };
  with_tensorboard(run.path(), listener).evaluated(e);
  EXPECT_EQ(heard, 1);
  const std::vector<Scalars> events = read_events(read_file(event_files(run.path()).at(0)));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].step, 300);  // two bytes as a varint
  EXPECT_EQ(events[1].values.count("valid/auc"), 0u);
  EXPECT_EQ(events[1].values.at("valid/logloss"), 0.25f);
}

}  // namespace
}  // namespace kdef::test
