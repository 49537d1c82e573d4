#include "nn/fields.h"

#include <optional>

#include "ops/layout.h"

namespace kdef::nn {

struct Fields::State {
  const EmbeddingTables* tables = nullptr;  // null where the embeddings were given
  Tensor ids, values;
  Pass pass;

  Tensor whole;  // undefined until it is asked for
  bool distinct_known = false;
  std::optional<DistinctFields> distinct;
};

Fields::Fields(const EmbeddingTables& tables, Tensor ids, Tensor values, const Pass& pass)
    : state_(std::make_shared<State>()) {
  KDEF_CHECK(ids.defined() || values.defined(), "fields: the batch has neither ids nor values");
  state_->tables = &tables;
  state_->ids = std::move(ids);
  state_->values = std::move(values);
  state_->pass = pass;
}

Fields::Fields(Tensor embeddings) : state_(std::make_shared<State>()) {
  KDEF_CHECK(embeddings.defined() && embeddings.rank() >= 2, "fields: needs embeddings [B, F, D] or [B, width]");
  state_->whole = std::move(embeddings);
}

const Tensor& Fields::whole() const {
  State& s = *state_;
  if (!s.whole.defined()) s.whole = s.tables->forward(s.ids, s.values, s.pass.fused);
  return s.whole;
}

Tensor Fields::flat() const { return flatten(whole()); }

const DistinctFields* Fields::distinct() const {
  State& s = *state_;
  if (!s.distinct_known) {
    s.distinct_known = true;
    if (s.tables != nullptr && s.pass.training && s.pass.fused && s.pass.distinct && device().is_cpu()) {
      s.distinct = s.tables->distinct(s.ids, s.values, ops::DistinctLimits::for_batch(rows()));
    }
  }
  return s.distinct ? &*s.distinct : nullptr;
}

Fields Fields::through(const EmbeddingTables& tables) const {
  KDEF_CHECK(state_->tables != nullptr,
             "fields: these are embeddings without a batch of ids; a network with tables of its own needs the batch");
  return Fields(tables, state_->ids, state_->values, state_->pass);
}

const Tensor& Fields::values() const {
  KDEF_CHECK(state_->tables != nullptr, "fields: these are embeddings without a batch of values");
  return state_->values;
}

int64_t Fields::rows() const {
  const Tensor& any = state_->ids.defined() ? state_->ids : state_->values.defined() ? state_->values : state_->whole;
  return any.shape()[0];
}

Device Fields::device() const { return state_->tables ? state_->tables->device() : state_->whole.device(); }

Tensor flatten(const Tensor& x) {
  return x.rank() == 2 ? x : ops::reshape(x, {x.shape()[0], x.shape().product(1, x.rank())});
}

}  // namespace kdef::nn
