#include "nn/networks/parts.h"

#include "ops/elementwise.h"
#include "ops/layout.h"
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

void require_uniform(const std::string& network, const EmbeddingShape& shape) {
  if (shape.dim == 0) {
    throw InputError(cat("network ", network,
                         ": needs the same embedding_dim for all fields; remove embedding_dim from feature_cols, or "
                         "use mlp"));
  }
}

namespace {

std::vector<EmbeddingField> first_order_fields(const EmbeddingShape& shape) {
  KDEF_CHECK(!shape.list.empty(), "first order: needs the fields of the data set, not only the shape of embeddings");
  std::vector<EmbeddingField> fields = shape.list;
  for (EmbeddingField& field : fields) {
    field.dim = 1;
    field.shared.clear();
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
  Mlp& dnn = add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config), build));
  add_part({dnn.hidden_width(), [&dnn](const Fields& x, const Pass& pass) { return dnn.hidden(x.flat(), pass); },
            [&dnn](const Tensor& h) { return dnn.output(h); }});
}

}  // namespace kdef::nn
