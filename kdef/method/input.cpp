#include "kdef/method/input.h"

namespace kdef {

ModelInput ModelInput::to(Device device) const {
  const auto moved = [&](const Tensor& t) { return t.defined() ? t.to(device) : t; };
  return {moved(ids), moved(values), moved(labels), moved(weights)};
}

ModelInput ModelInput::rows(int64_t first, int64_t count) const {
  const auto part = [&](const Tensor& t) { return t.defined() ? t.rows(first, count) : t; };
  return {part(ids), part(values), part(labels), part(weights)};
}

ModelInput model_input(data::Batch& batch, int64_t id_columns, int64_t value_columns) {
  ModelInput input;
  if (id_columns > 0) input.ids = Tensor::borrow(batch.ids.data(), {batch.rows, id_columns});
  if (value_columns > 0) input.values = Tensor::borrow(batch.numerics.data(), {batch.rows, value_columns});
  if (!batch.labels.empty()) input.labels = Tensor::borrow(batch.labels.data(), {batch.rows, 1});
  if (!batch.weights.empty()) input.weights = Tensor::borrow(batch.weights.data(), {batch.rows, 1});
  return input;
}

}  // namespace kdef
