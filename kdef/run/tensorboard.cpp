#include "kdef/run/tensorboard.h"

#include <array>
#include <cmath>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>

#include "core/base/little_endian.h"
#include "core/io/append_file.h"
#include "core/io/file.h"
#include "core/io/protobuf.h"
#include "kdef/run/record.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

// The table of the reflected polynomial 0x82F63B78.
const auto kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0x82F63B78u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}();

// ---- Records.

std::string tfrecord(const std::string& bytes) {
  const std::string length = little_endian(static_cast<uint64_t>(bytes.size()));
  return length + little_endian(masked_crc32c(length.data(), length.size())) + bytes +
         little_endian(masked_crc32c(bytes.data(), bytes.size()));
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5. Summary: value = 1. Value: tag = 1, simple_value = 2.
std::string file_header(double wall_time) {
  return tfrecord(ProtoMessage().number(1, wall_time).bytes(3, "brain.Event:2").text());
}

std::string scalars(double wall_time, const TrainingListener::Evaluated& e) {
  ProtoMessage summary;
  const auto add = [&](const std::string& tag, double value) {
    if (std::isnan(value)) return;
    summary.message(1, ProtoMessage().bytes(1, tag).number(2, static_cast<float>(value)));
  };
  const auto add_quality = [&](const std::string& prefix, const Quality& q) {
    for (const Metric& m : q.measured()) add(cat(prefix, "/", m.key()), q[m]);
  };
  add("train/loss", e.train_loss);
  add("train/lr", e.learning_rate);
  add_quality("valid", e.valid.ensemble);
  for (size_t k = 0; k < e.valid.students.size(); ++k) {
    add_quality(cat("valid/student_", k + 1), e.valid.students[k]);
  }
  return tfrecord(ProtoMessage().number(1, wall_time).integer(2, e.step).message(5, summary).text());
}

class EventFile {
 public:
  explicit EventFile(const std::string& directory) : files_(directory) {}

  void write(const TrainingListener::Evaluated& e) {
    const auto now = static_cast<double>(std::time(nullptr));
    if (file_) {
      file_->append(scalars(now, e));
      file_->sync();
      return;
    }
    // Wall times of the past are those of a training that was never interrupted.
    std::string text = file_header(now - e.seconds);
    for (const TrainingListener::Evaluated& past : read_metrics(files_.metrics())) {
      text += scalars(now - e.seconds + past.seconds, past);
    }
    remove_event_files(files_.directory());
    const std::string path = files_.events(static_cast<int64_t>(now));
    write_file(path, text);
    file_.emplace(path);
  }

 private:
  RunFiles files_;
  std::optional<AppendFile> file_;  // from the first evaluation on
};

}  // namespace

uint32_t crc32c(const void* data, size_t bytes) {
  const unsigned char* p = static_cast<const unsigned char*>(data);
  uint32_t c = ~0u;
  for (; bytes > 0; --bytes, ++p) c = kTable[(c ^ *p) & 0xFF] ^ (c >> 8);
  return ~c;
}

uint32_t masked_crc32c(const void* data, size_t bytes) { return std::rotr(crc32c(data, bytes), 15) + 0xA282EAD8u; }

TrainingListener with_tensorboard(const std::string& run_directory, TrainingListener listener) {
  const auto file = std::make_shared<EventFile>(run_directory);
  const auto evaluated = listener.evaluated;
  listener.evaluated = [=](const TrainingListener::Evaluated& e) {
    file->write(e);
    evaluated(e);
  };
  return listener;
}

void remove_event_files(const std::string& run_directory) {
  for (const std::string& name : names_in(run_directory)) {
    if (RunFiles::is_events(final_name(name))) remove_file(cat(run_directory, "/", name));
  }
}

}  // namespace kdef
