#include "bindings/c/kdef.h"

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/c/arrow_rows.h"
#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/parallel.h"
#include "data/raw/memory_rows.h"
#include "kdef/run/run.h"
#include "kdef/serve/scorer.h"
#include "kdef/train/trainer.h"
#include "ops/serve/packed.h"

struct kdef_model {
  explicit kdef_model(const char* path, const kdef::ScorerOptions& how = {}) : kdef_model(kdef::Run(path), how) {}
  explicit kdef_model(std::string_view bytes, const kdef::ScorerOptions& how = {})
      : kdef_model(kdef::Run::of_bytes(bytes, "buffer"), how) {}

  std::unique_ptr<uint64_t[]> copy;  // of a buffer that does not begin at a multiple of 8
  kdef::data::Encoder encoder;
  std::unique_ptr<const kdef::Ensemble> model;  // of a scorer that is not compiled; null: the scorer has all it needs
  kdef::Scorer scorer;
  bool predicts_clicks;
  std::vector<std::string> columns;  // of raw rows

 private:
  kdef_model(kdef::Run run, const kdef::ScorerOptions& how)
      : encoder(std::move(run).take_encoder()),
        model(std::move(run).take_model()),
        scorer(*model, how),
        predicts_clicks(model->task().labels == kdef::data::LabelKind::click) {
    const auto known = [&](const std::string& name) {
      return std::find(columns.begin(), columns.end(), name) != columns.end();
    };
    for (const kdef::data::FieldConfig& field : encoder.config().fields)
      if (field.active && !known(field.raw_column())) columns.push_back(field.raw_column());
    if (scorer.compiled()) model.reset();
  }
};

namespace {

using kdef::cat;
using kdef::InputError;

thread_local std::string last_error;
thread_local int scoring_threads = 1;

// Rows of text that are encoded together.
constexpr size_t kRows = 4096;
// As the program's --threads. Where a thread cannot be started, the OpenMP runtime ends the process.
constexpr int kMostThreads = 4096;

kdef_status failed(kdef_status status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

// The status of what `work` throws; KDEF_OK where it throws nothing.
template <class Work>
kdef_status guarded(const Work& work) noexcept {
  try {
    return work();
  } catch (const kdef::CheckError& e) {
    return failed(KDEF_CHECK_FAILED, e.what());
  } catch (const kdef::SystemError& e) {
    return failed(KDEF_SYSTEM_FAILURE, e.what());
  } catch (const kdef::Error& e) {
    return failed(KDEF_BAD_INPUT, e.what());
  } catch (const std::bad_alloc&) {
    return failed(KDEF_SYSTEM_FAILURE, "not enough memory");
  } catch (const std::exception& e) {
    return failed(KDEF_SYSTEM_FAILURE, e.what());
  } catch (...) {
    return failed(KDEF_SYSTEM_FAILURE, "failed for an unknown reason");
  }
}

void require(const void* pointer, const char* function, const char* argument) {
  if (pointer == nullptr) throw InputError(cat(function, ": ", argument, " is null"));
}

// The caller's own OpenMP code finds the number of threads that it had set.
class Threads {
 public:
  explicit Threads(int count) : before_(kdef::num_threads()) { kdef::set_num_threads(count); }
  ~Threads() { kdef::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

// The caller's rows of text.
std::unique_ptr<kdef::data::RowSource> source_of(const char* function, const kdef_model& model,
                                                 const kdef_text_rows& rows, std::vector<std::string_view>& cells) {
  require(rows.cells, function, "cells");
  std::vector<std::string> columns = model.columns;
  if (rows.columns != nullptr) {
    columns.clear();
    for (size_t c = 0; c < rows.column_count; ++c) {
      require(rows.columns[c], function, cat("column ", c).c_str());
      columns.emplace_back(rows.columns[c]);
    }
  }
  const size_t width = columns.size();
  cells.resize(rows.rows * width);
  for (size_t i = 0; i < cells.size(); ++i) {
    const char* cell = rows.cells[i];
    if (cell == nullptr) throw InputError(cat(function, ": cell ", i % width, " of row ", i / width, " is null"));
    cells[i] = rows.sizes != nullptr ? std::string_view(cell, rows.sizes[i]) : std::string_view(cell);
  }
  return std::make_unique<kdef::data::MemoryRows>(columns, cells);
}

// Rows, encoded: gives each batch to `use`, with the number of rows before it.
template <class Use>
void encode(const kdef_model& model, std::unique_ptr<kdef::data::RowSource> source, Use&& use) {
  kdef::data::RawFile encoded(model.encoder, std::move(source), false);
  kdef::data::Batch batch;
  for (size_t first = 0; encoded.next(batch, kRows); first += static_cast<size_t>(batch.rows)) use(batch, first);
}

template <class Use>
void encode(const char* function, const kdef_model* model, const kdef_text_rows* rows, Use&& use) {
  require(model, function, "model");
  require(rows, function, "rows");
  if (rows->rows == 0) return;
  std::vector<std::string_view> cells;
  encode(*model, source_of(function, *model, *rows, cells), use);
}

void score(const kdef_model* model, const int32_t* ids, const float* numbers, size_t rows, float* scores,
           float* student_scores) {
  model->scorer.score(ids, numbers, static_cast<int64_t>(rows), scores, student_scores, scoring_threads > 1);
}

// Scores of encoded batches. A later row may be wrong: the caller's memory is written at the end.
class Scores {
 public:
  Scores(const char* function, const kdef_model& model, const float* scores, bool with_students)
      : function_(function), model_(model), scores_(scores), students_(with_students ? kdef_students(&model) : 0) {}

  void operator()(kdef::data::Batch& batch, size_t first) {
    require(scores_, function_, "scores");
    const auto count = static_cast<size_t>(batch.rows);
    all_.resize(first + count);
    of_students_.resize((first + count) * students_);
    score(&model_, batch.ids.data(), batch.numerics.data(), count, all_.data() + first,
          students_ > 0 ? of_students_.data() + first * students_ : nullptr);
  }
  void write(float* scores, float* student_scores) const {
    std::copy(all_.begin(), all_.end(), scores);
    std::copy(of_students_.begin(), of_students_.end(), student_scores);
  }

 private:
  const char* const function_;
  const kdef_model& model_;
  const float* const scores_;
  const size_t students_;  // 0: they are not wanted
  std::vector<float> all_, of_students_;
};

kdef::TrainingListener listener_of(const kdef_training& t, bool& stop) {
  kdef::TrainingListener listener;
  listener.step = [&t, &stop](const kdef::TrainingListener::Step& s) {
    const kdef_step step{s.step, s.epoch, s.batch, s.batches, s.loss};
    if (t.step != nullptr && t.step(t.context, &step) != 0) stop = true;
  };
  listener.evaluated = [&t](const kdef::TrainingListener::Evaluated& e) {
    if (t.evaluated != nullptr) t.evaluated(t.context, kdef::metrics_line(e).c_str());
  };
  listener.note = [&t](const std::string& text) {
    if (t.note != nullptr) t.note(t.context, text.c_str());
  };
  listener.stop_requested = [&stop] { return stop; };
  return listener;
}

// What the configuration has to say, through the callback.
void tell(const kdef_training& t, const kdef::ExperimentConfig& config) {
  if (t.note == nullptr) return;
  if (!config.ignored.empty()) {
    t.note(t.context, cat("keys without effect here: ", kdef::joined(config.ignored)).c_str());
  }
  for (const std::string& note : config.notes) t.note(t.context, note.c_str());
}

}  // namespace

int kdef_abi(void) { return KDEF_ABI; }
const char* kdef_version(void) { return KDEF_VERSION; }
const char* kdef_last_error(void) { return last_error.c_str(); }

kdef_status kdef_set_threads(int threads) {
  return guarded([&] {
    if (threads < 1 || threads > kMostThreads)
      throw InputError(cat("kdef_set_threads: threads is ", threads, "; give 1 to ", kMostThreads));
    scoring_threads = threads;
    return KDEF_OK;
  });
}

void kdef_opening_defaults(kdef_opening* opening) {
  *opening = {};
  opening->size = sizeof *opening;
}

kdef_status kdef_open_as(const kdef_opening* opening, kdef_model** model) {
  return guarded([&] {
    require(opening, "kdef_open_as", "opening");
    require(model, "kdef_open_as", "model");
    const kdef_opening& o = *opening;
    if (o.size != sizeof o) throw InputError("kdef_open_as: call kdef_opening_defaults() before filling the struct");
    if ((o.path == nullptr) == (o.bytes == nullptr)) throw InputError("kdef_open_as: give path or bytes");
    kdef::ScorerOptions how;
    if (o.precision != nullptr) how.precision = kdef::ops::parse_stored(o.precision);
    const Threads threads(scoring_threads);
    if (o.path != nullptr) {
      *model = std::make_unique<kdef_model>(o.path, how).release();
      return KDEF_OK;
    }
    std::string_view bytes(static_cast<const char*>(o.bytes), o.byte_count);
    std::unique_ptr<uint64_t[]> copy;
    if (reinterpret_cast<uintptr_t>(o.bytes) % alignof(uint64_t) != 0) {
      copy = std::make_unique<uint64_t[]>(bytes.size() / sizeof(uint64_t) + 1);
      std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(copy.get()));
      bytes = {reinterpret_cast<const char*>(copy.get()), bytes.size()};
    }
    auto made = std::make_unique<kdef_model>(bytes, how);
    made->copy = std::move(copy);
    *model = made.release();
    return KDEF_OK;
  });
}

kdef_status kdef_open(const char* path, kdef_model** model) {
  return guarded([&] {
    require(path, "kdef_open", "path");
    require(model, "kdef_open", "model");
    kdef_opening opening;
    kdef_opening_defaults(&opening);
    opening.path = path;
    return kdef_open_as(&opening, model);
  });
}

kdef_status kdef_open_buffer(const void* bytes, size_t size, kdef_model** model) {
  return guarded([&] {
    require(bytes, "kdef_open_buffer", "bytes");
    require(model, "kdef_open_buffer", "model");
    kdef_opening opening;
    kdef_opening_defaults(&opening);
    opening.bytes = bytes;
    opening.byte_count = size;
    return kdef_open_as(&opening, model);
  });
}

void kdef_close(kdef_model* model) { delete model; }

size_t kdef_students(const kdef_model* model) { return static_cast<size_t>(model->scorer.students()); }
int kdef_predicts_clicks(const kdef_model* model) { return model->predicts_clicks ? 1 : 0; }
size_t kdef_memory(const kdef_model* model) {
  const kdef::Scorer& s = model->scorer;
  return s.weight_bytes() + s.table_bytes() + s.embedding_bytes();
}
size_t kdef_columns(const kdef_model* model) { return model->columns.size(); }
const char* kdef_column(const kdef_model* model, size_t i) {
  return i < model->columns.size() ? model->columns[i].c_str() : nullptr;
}
size_t kdef_id_columns(const kdef_model* model) { return static_cast<size_t>(model->scorer.id_columns()); }
size_t kdef_number_columns(const kdef_model* model) { return static_cast<size_t>(model->encoder.numeric_columns()); }

kdef_status kdef_score_text(const kdef_model* model, const kdef_text_rows* rows, float* scores, float* student_scores) {
  return guarded([&] {
    require(model, "kdef_score_text", "model");
    const Threads threads(scoring_threads);
    Scores all("kdef_score_text", *model, scores, student_scores != nullptr);
    encode("kdef_score_text", model, rows, all);
    all.write(scores, student_scores);
    return KDEF_OK;
  });
}

kdef_status kdef_score_arrow(const kdef_model* model, const ArrowSchema* schema, const ArrowArray* batch, float* scores,
                             float* student_scores) {
  return guarded([&] {
    require(model, "kdef_score_arrow", "model");
    require(schema, "kdef_score_arrow", "schema");
    require(batch, "kdef_score_arrow", "batch");
    const Threads threads(scoring_threads);
    Scores all("kdef_score_arrow", *model, scores, student_scores != nullptr);
    encode(*model, std::make_unique<kdef::ArrowRows>(*schema, *batch), all);
    all.write(scores, student_scores);
    return KDEF_OK;
  });
}

kdef_status kdef_encode_text(const kdef_model* model, const kdef_text_rows* rows, int32_t* ids, float* numbers) {
  return guarded([&] {
    const Threads threads(scoring_threads);
    std::vector<int32_t> all_ids;
    std::vector<float> all_numbers;
    encode("kdef_encode_text", model, rows, [&](const kdef::data::Batch& batch, size_t) {
      if (!batch.ids.empty()) require(ids, "kdef_encode_text", "ids");
      if (!batch.numerics.empty()) require(numbers, "kdef_encode_text", "numbers");
      all_ids.insert(all_ids.end(), batch.ids.begin(), batch.ids.end());
      all_numbers.insert(all_numbers.end(), batch.numerics.begin(), batch.numerics.end());
    });
    std::copy(all_ids.begin(), all_ids.end(), ids);
    std::copy(all_numbers.begin(), all_numbers.end(), numbers);
    return KDEF_OK;
  });
}

kdef_status kdef_score_encoded(const kdef_model* model, const int32_t* ids, const float* numbers, size_t rows,
                               float* scores, float* student_scores) {
  return guarded([&] {
    require(model, "kdef_score_encoded", "model");
    const size_t id_columns = kdef_id_columns(model), number_columns = kdef_number_columns(model);
    if (rows > 0) {
      require(scores, "kdef_score_encoded", "scores");
      if (id_columns > 0) require(ids, "kdef_score_encoded", "ids");
      if (number_columns > 0) require(numbers, "kdef_score_encoded", "numbers");
    }
    const Threads threads(scoring_threads);
    if (rows > 0) score(model, ids, numbers, rows, scores, student_scores);
    return KDEF_OK;
  });
}

void kdef_training_defaults(kdef_training* training) {
  *training = {};
  training->size = sizeof *training;
}

kdef_status kdef_train(const kdef_training* training) {
  return guarded([&] {
    require(training, "kdef_train", "training");
    const kdef_training& t = *training;
    if (t.size != sizeof t) throw InputError("kdef_train: call kdef_training_defaults() before filling the struct");
    require(t.config, "kdef_train", "config");
    require(t.experiment, "kdef_train", "experiment");
    if (t.value_count > 0) require(t.values, "kdef_train", "values");
    if (t.threads < 0 || t.threads > kMostThreads)
      throw InputError(
          cat("kdef_train: threads is ", t.threads, "; give 1 to ", kMostThreads, ", or 0 for all processors"));
    std::vector<std::string> values;
    for (size_t i = 0; i < t.value_count; ++i) {
      require(t.values[i], "kdef_train", cat("value ", i).c_str());
      values.emplace_back(t.values[i]);
    }
    std::optional<Threads> threads;
    if (t.threads > 0) threads.emplace(t.threads);
    const kdef::ExperimentConfig config = kdef::load_experiment(t.config, t.experiment, values);
    tell(t, config);
    kdef::RunOptions run;
    run.directory = t.run != nullptr ? t.run : kdef::default_run_directory(config);
    run.resume = t.resume != 0;
    run.overwrite = t.overwrite != 0;
    bool stop = false;
    run.listener = listener_of(t, stop);
    if (!kdef::run_experiment(config, run).interrupted) return KDEF_OK;
    return failed(KDEF_INTERRUPTED, cat("the training was stopped; resume continues it from ", run.directory).c_str());
  });
}
