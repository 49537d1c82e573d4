// A trained model made for serving: it answers requests of one row or of many, from any number of threads.
//
// A scorer computes what Ensemble::forward computes in evaluation mode, up to rounding: weights are folded and packed
// when it is made, and sums have another order. An evaluation that is to equal the one that a training recorded, bit
// for bit, uses kdef/measure/evaluation.h instead.
#pragma once

#include <memory>
#include <string>

#include "kdef/measure/evaluation.h"
#include "kdef/method/ensemble.h"

namespace kdef {

struct ScorerOptions {
  /// The most memory, in MiB, for products of first layers that are known by id: where W reads the embedding e of an
  /// id, W e is computed once for every id of the vocabulary. Fields with the smallest vocabularies come first. 0:
  /// none.
  int64_t fold_mib = 64;
};

/// Immutable: any number of threads may use one at the same time. A row's numbers have the same bits whatever rows are
/// beside it, for one instruction set (core/base/isa.h). A row with a number that is not finite gets NaN in all its
/// scores, whatever network reads it; the rows beside it do not notice.
class Scorer {
 public:
  /// The model, which may be on any device, must outlive the scorer. Embedding tables are shared with it, not copied.
  explicit Scorer(const Ensemble& model, const ScorerOptions& options = {});
  ~Scorer();
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;

  /// Predictions (Task::predict) of rows: ids [rows, id_columns()], numbers [rows, number_columns()] (null where there
  /// are no such columns); scores [rows] of the ensemble; students [rows, M], or null. Throws InputError, which names
  /// row, column and field, where an id is outside its vocabulary; then nothing is written.
  ///
  /// A compiled scorer works on the calling thread alone: it starts no thread, waits for none, and after the first call
  /// of as many threads at once allocates nothing. With `threads`, the calling thread's num_threads() share the rows.
  /// A model that is not compiled is scored by the engine, which uses num_threads() threads and allocates.
  void score(const int32_t* ids, const float* numbers, int64_t rows, float* scores, float* students,
             bool threads = false) const;

  int64_t id_columns() const;
  int64_t number_columns() const;
  int64_t students() const;

  /// Whether the model was compiled; if not, Ensemble::forward scores, and refusal() says what could not be compiled.
  bool compiled() const { return refusal().empty(); }
  const std::string& refusal() const;
  /// Bytes of packed weights, and of products that are known by id. Each thread that scores at the same time has
  /// workspace_bytes() besides.
  size_t weight_bytes() const;
  size_t table_bytes() const;
  size_t workspace_bytes() const;
  /// One line per step, to be read.
  std::string describe() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The same for a batch, as kdef::predict_unchecked gives it. Throws Error where it has other columns.
Probabilities predict(const Scorer& scorer, const ModelInput& input, bool threads = false);

}  // namespace kdef
