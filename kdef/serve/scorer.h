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
#include "ops/serve/stored.h"

namespace kdef {

struct ScorerOptions {
  /// The most memory, in MiB, for products of first layers that are known by id: where W reads the embedding e of an
  /// id, W e is computed once for every id of the vocabulary. Fields with the smallest vocabularies come first. 0:
  /// none.
  int64_t fold_mib = 64;
  /// How packed weights, these products and embedding tables are kept (ops/serve/stored.h); sums are fp32 in all. With
  /// bf16 or int8 a row's scores differ a little from the model's. Layers of at most 4 outputs, and whatever is no
  /// matrix of a product and no embedding table, stay in fp32. InputError for a model that is not compiled.
  ops::Stored precision = ops::Stored::f32;
};

/// Immutable: any number of threads may use one at the same time. A row's numbers have the same bits whatever rows are
/// beside it, for one instruction set (core/base/isa.h). A row with a number that is not finite gets NaN in all its
/// scores, whatever network reads it; the rows beside it do not notice.
class Scorer {
 public:
  /// The model may be on any device. It must outlive the scorer unless that is compiled(). In fp32, embedding tables
  /// are shared with the model, not copied.
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
  /// Bytes of packed weights, of products that are known by id, and of embedding tables, which in fp32 are the model's
  /// own. Each thread that scores at the same time has workspace_bytes() besides.
  size_t weight_bytes() const;
  size_t table_bytes() const;
  size_t embedding_bytes() const;
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
