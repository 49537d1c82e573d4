#include "nn/networks/parts.h"

#include <algorithm>

#include "core/base/names.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/pairs.h"
#include "ops/reduce.h"

namespace kdef::nn {

MlpConfig mlp_config(const NetworkConfig& config, int64_t output) {
  MlpConfig mlp;
  mlp.hidden_units = config.hidden_units;
  for (const std::string& name : config.hidden_activations) mlp.activations.push_back(parse_activation(name));
  mlp.dropout = config.dropout;
  mlp.batch_norm = config.batch_norm;
  mlp.layer_norm = config.layer_norm;
  mlp.output = output;
  return mlp;
}

MlpConfig mlp_config(const Settings& settings, const MlpKeys& keys, int64_t output) {
  MlpConfig mlp;
  mlp.hidden_units = settings.integers(keys.units);
  const size_t layers = mlp.hidden_units.size();
  for (const std::string& name : settings.texts(keys.activations)) mlp.activations.push_back(parse_activation(name));
  mlp.dropout = keys.dropout.empty() ? std::vector{0.0} : settings.numbers(keys.dropout);
  if (mlp.activations.size() != layers) mlp.activations.resize(layers, mlp.activations.at(0));
  if (mlp.dropout.size() != layers) mlp.dropout.resize(layers, mlp.dropout.at(0));
  mlp.batch_norm = !keys.batch_norm.empty() && settings.flag(keys.batch_norm);
  mlp.output = output;
  return mlp;
}

void require_uniform(const std::string& network, const EmbeddingShape& shape) {
  if (shape.dim == 0) {
    throw InputError(cat("network ", network,
                         ": needs the same embedding_dim for all fields; remove embedding_dim from feature_cols, or "
                         "use mlp"));
  }
}

std::vector<int64_t> field_numbers(const std::vector<std::string>& names, const std::string& what,
                                   const EmbeddingShape& shape) {
  std::vector<int64_t> places;
  for (size_t f = 0; f < shape.list.size(); ++f) {
    if (std::find(names.begin(), names.end(), shape.list[f].name) == names.end()) continue;
    places.push_back(static_cast<int64_t>(f));
  }
  if (places.size() != names.size()) {
    throw InputError(cat(what, " names columns that the data set does not have: ", joined(names)));
  }
  return places;
}

// A field that shares a table elsewhere has one of its own, which FuxiCTR draws as PyTorch does.
static void give_own_table(EmbeddingField& field) {
  if (!field.shared.empty()) field.deviation = 1;
  field.shared.clear();
}

std::vector<EmbeddingField> fields_named(const std::vector<std::string>& names, const std::string& what,
                                         const EmbeddingShape& shape) {
  std::vector<EmbeddingField> fields;
  for (const int64_t place : field_numbers(names, what, shape)) {
    const EmbeddingField& field = shape.list[static_cast<size_t>(place)];
    const auto is_there = [&](const EmbeddingField& other) { return other.name == field.shared; };
    const bool has_own_table = std::none_of(fields.begin(), fields.end(), is_there);
    fields.push_back(field);
    fields.back().dim = 0;
    if (has_own_table) give_own_table(fields.back());
  }
  return fields;
}

Tensor chosen_fields(const Tensor& e, const std::vector<int64_t>& places) {
  std::vector<Tensor> runs;
  for (size_t i = 0; i < places.size();) {
    size_t end = i + 1;
    while (end < places.size() && places[end] == places[end - 1] + 1) ++end;
    runs.push_back(ops::slice(e, 1, places[i], static_cast<int64_t>(end - i)));
    i = end;
  }
  return runs.size() == 1 ? runs[0] : ops::concat(runs, 1);
}

namespace {

std::vector<EmbeddingField> first_order_fields(const EmbeddingShape& shape) {
  KDEF_CHECK(!shape.list.empty(), "first order: needs the fields of the data set, not only the shape of embeddings");
  std::vector<EmbeddingField> fields = shape.list;
  for (EmbeddingField& field : fields) {
    field.dim = 1;
    field.pretrained = {};
    field.linear = 0;
    give_own_table(field);
    if (field.kind == EmbeddingField::Kind::average) field.kind = EmbeddingField::Kind::sum;
  }
  return fields;
}

}  // namespace

FirstOrder::FirstOrder(const EmbeddingShape& shape, bool bias, Builder& build)
    : tables_(add_child("embedding_layer", std::make_unique<EmbeddingTables>(first_order_fields(shape), 1, build))) {
  if (bias) bias_ = add_parameter("bias", build.constant({1}, 0));
}

Tensor FirstOrder::forward(const Fields& fields) const {
  const Tensor z = ops::sum(fields.through(tables_).flat(), 1, true);
  return bias_.defined() ? ops::add(z, bias_) : z;
}

Tensor sum_of_pairs(const Tensor& e) {
  return ops::scale(ops::sub(ops::square(ops::sum(e, 1)), ops::sum(ops::square(e), 1)), 0.5);
}

Tensor pair_products(const Tensor& e) {
  return pair_products(e, [&](int64_t i) { return ops::slice(e, 1, i, 1); });
}

Tensor pair_products(const Tensor& e, const std::function<Tensor(int64_t i)>& left) {
  const int64_t fields = e.shape()[1];
  std::vector<Tensor> rows;
  for (int64_t i = 0; i + 1 < fields; ++i) {
    rows.push_back(ops::mul(left(i), ops::slice(e, 1, i + 1, fields - i - 1)));
  }
  return ops::concat(rows, 1);
}

Tensor bilinear_products(const Tensor& e, const Tensor& matrices) {
  const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
  int64_t first = 0;
  return pair_products(e, [&](int64_t i) {
    const int64_t count = fields - 1 - i;
    const Tensor own = ops::transpose(ops::slice(matrices, 0, first, count), 0, 1);  // [D, count, D]
    first += count;
    const Tensor field = ops::reshape(ops::slice(e, 1, i, 1), {rows, dim});
    return ops::reshape(ops::matmul(field, ops::reshape(own, {dim, count * dim})), {rows, count, dim});
  });
}

std::vector<Tensor> subset_products(const Tensor& e, int64_t order) {
  const int64_t rows = e.shape()[0], dim = e.shape()[2];
  std::vector<Tensor> sums(static_cast<size_t>(order));  // over the fields so far
  for (int64_t f = 0; f < e.shape()[1]; ++f) {
    const Tensor field = ops::reshape(ops::slice(e, 1, f, 1), {rows, dim});
    for (size_t k = static_cast<size_t>(std::min(order, f + 1)); k-- > 0;) {
      const Tensor with = k == 0 ? field : ops::mul(sums[k - 1], field);
      sums[k] = sums[k].defined() ? ops::add(sums[k], with) : with;
    }
  }
  for (Tensor& sum : sums) {
    if (!sum.defined()) sum = ops::scale(sums[0], 0);  // fewer fields than that
  }
  return sums;
}

Tensor inner_products(const Tensor& e) { return ops::upper_triangle(ops::matmul(e, e, false, true)); }

Tensor SumNetwork::hidden(const Fields& fields, const Pass& pass) const {
  std::vector<Tensor> all;
  for (const Part& part : parts_) all.push_back(part.hidden(fields, pass));
  return all.size() == 1 ? all[0] : ops::concat(all, 1);
}

Tensor SumNetwork::output(const Tensor& h) const {
  Tensor z;
  int64_t first = 0;
  for (const Part& part : parts_) {
    const Tensor logit = part.output(parts_.size() == 1 ? h : ops::slice(h, 1, first, part.width));
    z = z.defined() ? ops::add(z, logit) : logit;
    first += part.width;
  }
  return z;
}

int64_t SumNetwork::hidden_width() const {
  int64_t width = 0;
  for (const Part& part : parts_) width += part.width;
  return width;
}

void SumNetwork::add_linear(const std::string& name, const EmbeddingShape& shape, Builder& build) {
  Linear& lr = add_child(name, std::make_unique<Linear>(shape.width, 1, build));
  add_part({shape.width, [](const Fields& x, const Pass&) { return x.flat(); },
            [&lr](const Tensor& h) { return lr.forward(h); }});
}

void SumNetwork::add_mlp(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
  add_mlp("dnn", mlp_config(config), shape, build);
}

void SumNetwork::add_mlp(const std::string& name, const MlpConfig& config, const EmbeddingShape& shape,
                         Builder& build) {
  add_mlp(add_child(name, std::make_unique<Mlp>(shape.width, config, build)));
}

void SumNetwork::add_mlp(const Mlp& mlp) {
  add_part({mlp.hidden_width(), [&mlp](const Fields& x, const Pass& pass) { return mlp.hidden(x, pass); },
            [&mlp](const Tensor& h) { return mlp.output(h); }});
}

void SumNetwork::add_first_order(const std::string& name, bool bias, const EmbeddingShape& shape, Builder& build) {
  FirstOrder& lr = add_child(name, std::make_unique<FirstOrder>(shape, bias, build));
  add_part({1, [&lr](const Fields& x, const Pass&) { return lr.forward(x); }, [](const Tensor& h) { return h; }});
}

void SumNetwork::add_fm(const std::string& name, const EmbeddingShape& shape, Builder& build) {
  add_first_order(name, true, shape, build);
  add_part({shape.dim, [](const Fields& x, const Pass&) { return sum_of_pairs(x.whole()); },
            [](const Tensor& h) { return ops::sum(h, 1, true); }});
}

}  // namespace kdef::nn
