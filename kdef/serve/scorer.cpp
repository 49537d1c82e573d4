#include "kdef/serve/scorer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "core/base/integers.h"
#include "core/base/parallel.h"
#include "kdef/serve/graph.h"
#include "kdef/serve/program.h"
#include "ops/serve/packed.h"

namespace kdef {

struct Scorer::Impl {
  const Ensemble& model;
  serve::Program program;
  std::vector<IdColumn> id_columns;
  std::string refusal;

  // Memory for the results of one thread. It is taken for a call and given back, so that there is as much as threads
  // have scored at the same time.
  mutable std::mutex mutex;
  mutable std::vector<ops::AlignedFloats> idle;

  ops::AlignedFloats take() const {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        ops::AlignedFloats memory = std::move(idle.back());
        idle.pop_back();
        return memory;
      }
    }
    return ops::AlignedFloats(static_cast<size_t>(program.memory));
  }
  void give_back(ops::AlignedFloats memory) const {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(memory));
  }

  void check(const int32_t* ids, int64_t rows) const {
    for (int64_t b = 0; b < rows; ++b) {
      for (size_t c = 0; c < id_columns.size(); ++c, ++ids) {
        const int64_t vocabulary = id_columns[c].vocab_size;
        if (vocabulary == 0 || static_cast<uint32_t>(*ids) < static_cast<uint64_t>(vocabulary)) continue;
        throw InputError(cat("scorer: row ", b, ", id column ", c, " (", id_columns[c].field, "): id ", *ids,
                             " is not in [0, ", vocabulary, ")"));
      }
    }
  }

  // Ops like max and relu may make a number again of what is none: it is the input that decides.
  void mark_rows_without_prediction(const float* numbers, int64_t rows, float* scores, float* students) const {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    const int64_t n = program.number_columns, m = program.student_count;
    for (int64_t b = 0; b < rows; ++b, numbers += n) {
      if (std::all_of(numbers, numbers + n, [](float x) { return std::isfinite(x); })) continue;
      scores[b] = kNan;
      if (students != nullptr) std::fill_n(students + b * m, m, kNan);
    }
  }

  // Rows [first, last), as many at once as there is memory for, in nearly equal pieces.
  void run(const int32_t* ids, const float* numbers, int64_t first, int64_t last, float* scores,
           float* students) const {
    ops::AlignedFloats memory = take();
    const int64_t pieces = divide_up(last - first, program.rows), size = divide_up(last - first, pieces);
    serve::Rows rows;
    rows.memory = memory.data();
    for (; first < last; first += rows.count) {
      rows.count = std::min(size, last - first);
      if (ids != nullptr) rows.ids = ids + first * program.id_columns;
      if (numbers != nullptr) rows.numbers = numbers + first * program.number_columns;
      for (const serve::Step& step : program.steps) step(rows);
      for (int64_t b = 0; b < rows.count; ++b) {
        scores[first + b] = *program.scores.read(rows, b);
        if (students != nullptr)
          std::copy_n(program.students.read(rows, b), program.student_count,
                      students + (first + b) * program.student_count);
      }
    }
    give_back(std::move(memory));
  }

  // By the engine, so many rows at once that memory is bounded.
  void run_model(const int32_t* ids, const float* numbers, int64_t rows, float* scores, float* students) const {
    constexpr int64_t kRows = 4096;
    for (int64_t first = 0; first < rows; first += kRows) {
      const int64_t count = std::min(kRows, rows - first), c = program.id_columns, n = program.number_columns;
      ModelInput input;
      // The model does not write into its input.
      if (c > 0) input.ids = Tensor::borrow(const_cast<int32_t*>(ids + first * c), {count, c});
      if (n > 0) input.values = Tensor::borrow(const_cast<float*>(numbers + first * n), {count, n});
      if (n > 0) input.values = input.values.to(model.parameters()[0].tensor.dtype());
      const Probabilities p = predict_unchecked(model, input);
      std::copy(p.ensemble.begin(), p.ensemble.end(), scores + first);
      if (students != nullptr)
        std::copy(p.students.begin(), p.students.end(), students + first * program.student_count);
    }
  }
};

// The one place that decides which way a model is scored.
Scorer::Scorer(const Ensemble& model, const ScorerOptions& options) : impl_(new Impl{.model = model}) {
  KDEF_CHECK(options.fold_mib >= 0, "scorer: fold_mib is ", options.fold_mib, "; give 0 or more");
  try {
    impl_->program =
        serve::compile(with_folded_norms(trace(model)), static_cast<size_t>(options.fold_mib) << 20, options.precision);
  } catch (const InputError&) {
    throw;
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    impl_->refusal = e.what();
  }
  if (options.precision != ops::Stored::f32 && !impl_->refusal.empty()) {
    throw InputError(cat("precision ", ops::name_of(options.precision),
                         ": this model is scored in f32 alone, by the "
                         "engine: ",
                         impl_->refusal));
  }
  impl_->program.id_columns = model.embedding().id_columns();
  impl_->program.number_columns = model.embedding().value_columns();
  impl_->program.student_count = static_cast<int64_t>(model.student_count());
  impl_->id_columns = kdef::id_columns(model.embedding());
  for (size_t c = 0; c < impl_->program.vocabularies.size(); ++c) {
    const int64_t rows = impl_->program.vocabularies[c];
    KDEF_CHECK(rows == 0 || rows >= impl_->id_columns[c].vocab_size, "scorer: id column ", c, " has ids below ",
               impl_->id_columns[c].vocab_size, ", and is looked up in a table of ", rows, " rows");
  }
}

Scorer::~Scorer() = default;

void Scorer::score(const int32_t* ids, const float* numbers, int64_t rows, float* scores, float* students,
                   bool threads) const {
  KDEF_CHECK(rows >= 0, "scorer: ", rows, " rows");
  if (rows == 0) return;
  KDEF_CHECK((ids != nullptr || id_columns() == 0) && (numbers != nullptr || number_columns() == 0),
             "scorer: ids or numbers are null");
  if (id_columns() > 0) impl_->check(ids, rows);
  if (!compiled()) {
    impl_->run_model(ids, numbers, rows, scores, students);
  } else if (!threads) {
    impl_->run(ids, numbers, 0, rows, scores, students);
  } else {
    parallel_for(rows, impl_->program.rows,
                 [&](int64_t first, int64_t last) { impl_->run(ids, numbers, first, last, scores, students); });
  }
  if (number_columns() > 0) impl_->mark_rows_without_prediction(numbers, rows, scores, students);
}

Probabilities predict(const Scorer& scorer, const ModelInput& input, bool threads) {
  const auto columns = [](const Tensor& t) { return t.defined() ? t.shape()[1] : 0; };
  KDEF_CHECK(columns(input.ids) == scorer.id_columns() && columns(input.values) == scorer.number_columns(),
             "scorer: the batch has ", columns(input.ids), " columns of ids and ", columns(input.values),
             " of numbers; the model reads ", scorer.id_columns(), " and ", scorer.number_columns());
  Probabilities p;
  p.ensemble.resize(static_cast<size_t>(input.rows()));
  p.students.resize(static_cast<size_t>(input.rows() * scorer.students()));
  scorer.score(input.ids.defined() ? input.ids.data<int32_t>() : nullptr,
               input.values.defined() ? input.values.data<float>() : nullptr, input.rows(), p.ensemble.data(),
               p.students.data(), threads);
  return p;
}

int64_t Scorer::id_columns() const { return impl_->program.id_columns; }
int64_t Scorer::number_columns() const { return impl_->program.number_columns; }
int64_t Scorer::students() const { return impl_->program.student_count; }
const std::string& Scorer::refusal() const { return impl_->refusal; }
size_t Scorer::weight_bytes() const { return impl_->program.packed_bytes; }
size_t Scorer::table_bytes() const { return impl_->program.table_bytes; }
size_t Scorer::embedding_bytes() const { return impl_->program.embedding_bytes; }
size_t Scorer::workspace_bytes() const { return static_cast<size_t>(impl_->program.memory) * sizeof(float); }

std::string Scorer::describe() const {
  if (!compiled()) return cat("not compiled: ", refusal(), "\n");
  std::string text;
  for (const std::string& line : impl_->program.lines) text += line + "\n";
  return text;
}

}  // namespace kdef
