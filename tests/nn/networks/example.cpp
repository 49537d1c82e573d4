#include "tests/nn/networks/example.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace kdef::nn::test {
namespace {

constexpr double kEpsilon = 1e-5;  // of batch norm and layer norm

double normal(double x, double mean, double var, double gamma, double beta) {
  return (x - mean) / std::sqrt(var + kEpsilon) * gamma + beta;
}

double mean_of(const Row& x) {
  double sum = 0;
  for (const double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

double variance_of(const Row& x) {
  const double mean = mean_of(x);
  double squares = 0;
  for (const double v : x) squares += (v - mean) * (v - mean);
  return squares / static_cast<double>(x.size());
}

std::vector<Parameter> all_parameters(const Module& tables, const Module& network) {
  std::vector<Parameter> all = tables.parameters();
  for (Parameter& p : network.parameters()) all.push_back(std::move(p));
  return all;
}

}  // namespace

double dot(const Row& a, const Row& b) {
  KDEF_CHECK(a.size() == b.size(), "dot: ", a.size(), " and ", b.size(), " numbers");
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

Row joined(Row a, const Row& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

double activation(const std::string& name, double x) {
  KDEF_CHECK(name == "relu" || name == "tanh", "no activation ", name, " here");
  return name == "relu" ? std::max(x, 0.0) : std::tanh(x);
}

Example::Example(const NetworkConfig& config, int64_t dim)
    : config_(config),
      build_(3, DType::f64),
      tables_(some_fields(), dim, build_),
      network_(make_network(config_, tables_.shape(), build_)) {
  uint64_t seed = 10;
  for (Parameter& p : all_parameters(tables_, *network_)) {
    p.tensor.copy_from(ops::random_uniform(p.tensor.shape(), -1, 1, seed++));
  }
  for (Buffer& b : network_->buffers()) {
    const bool variance = b.name.ends_with("var");
    b.tensor.copy_from(ops::random_uniform(b.tensor.shape(), variance ? 0.5 : -1, variance ? 2 : 1, seed++));
  }
}

Rows Example::hidden() const {
  const Tensor h = network_->hidden(batch(), pass());
  Rows rows;
  for (int64_t b = 0; b < h.shape()[0]; ++b) rows.push_back(h.rows(b, 1).to_vector<double>());
  return rows;
}

Row Example::at(const std::string& name) const {
  for (const Parameter& p : all_parameters(tables_, *network_)) {
    if (p.name == name) return p.tensor.to_vector<double>();
  }
  for (const Buffer& b : network_->buffers()) {
    if (b.name == name) return b.tensor.to_vector<double>();
  }
  throw Error(cat("the network ", config_.network, " has no ", name));
}

bool Example::has(const std::string& name) const {
  for (const Parameter& p : network_->parameters()) {
    if (p.name == name) return true;
  }
  return false;
}

std::vector<Tensor> Example::leaves() const {
  std::vector<Tensor> all;
  for (const Parameter& p : all_parameters(tables_, *network_)) all.push_back(p.tensor);
  return all;
}

Rows Example::embeddings() const {
  const Tensor ids = some_ids(), values = some_values();
  Rows rows(static_cast<size_t>(ids.shape()[0]));
  for (int64_t b = 0; b < ids.shape()[0]; ++b) {
    const int32_t* id = ids.data<int32_t>() + b * ids.shape()[1];
    for (const EmbeddingField& f : tables_.shape().list) {
      const Row table = at("embedding_layer.embedding_layers." + f.name + ".weight");
      const auto entry = [&](int64_t i, size_t d) { return table[static_cast<size_t>(i) * dim() + d]; };
      for (size_t d = 0; d < dim(); ++d) {
        double e = 0, count = 0;
        for (int64_t i = f.column; i < f.column + f.max_len && f.kind == EmbeddingField::Kind::average; ++i) {
          if (id[i] != 0) e += entry(id[i], d), count += 1;
        }
        if (count > 0) e /= count;
        if (f.kind == EmbeddingField::Kind::id) e = entry(id[f.column], d);
        if (f.kind == EmbeddingField::Kind::numeric) e = entry(0, d) * values.data<double>()[b];
        rows[static_cast<size_t>(b)].push_back(e);
      }
    }
  }
  return rows;
}

Row Example::field(const Row& x, size_t f) const {
  Row e;
  for (size_t d = 0; d < dim(); ++d) e.push_back(x.at(f * dim() + d));
  return e;
}

Row Example::linear(const std::string& name, const Row& x) const {
  const Row w = at(name + ".weight");
  const size_t units = w.size() / x.size();
  KDEF_CHECK(units * x.size() == w.size(), name, ".weight: ", w.size(), " numbers for an input of ", x.size());
  Row y = has(name + ".bias") ? at(name + ".bias") : Row(units);
  for (size_t u = 0; u < units; ++u) {
    for (size_t k = 0; k < x.size(); ++k) y[u] += w[u * x.size() + k] * x[k];
  }
  return y;
}

Rows Example::linear(const std::string& name, const Rows& x) const {
  Rows y;
  for (const Row& row : x) y.push_back(linear(name, row));
  return y;
}

Rows Example::batch_norm(const std::string& name, Rows x) const {
  const Row gamma = at(name + ".weight"), beta = at(name + ".bias"), running_mean = at(name + ".running_mean"),
            running_var = at(name + ".running_var");
  for (size_t c = 0; c < gamma.size(); ++c) {
    Row column;
    for (const Row& row : x) column.push_back(row.at(c));
    const double mean = training ? mean_of(column) : running_mean[c],
                 var = training ? variance_of(column) : running_var[c];
    for (Row& row : x) row[c] = normal(row[c], mean, var, gamma[c], beta[c]);
  }
  return x;
}

Row Example::layer_norm(const std::string& name, Row x) const {
  const Row gamma = at(name + ".weight"), beta = at(name + ".bias");
  const double mean = mean_of(x), var = variance_of(x);
  for (size_t c = 0; c < x.size(); ++c) x[c] = normal(x[c], mean, var, gamma.at(c), beta.at(c));
  return x;
}

Rows Example::hidden_layers(const std::string& prefix, Rows x, const NetworkConfig& layers) const {
  int number = 0;  // every layer that exists takes one
  const auto name = [&] { return cat(prefix, "mlp.", number++); };
  for (size_t i = 0; i < layers.hidden_units.size(); ++i) {
    x = linear(name(), x);
    if (layers.batch_norm) {
      x = batch_norm(name(), x);
    } else if (layers.layer_norm) {
      const std::string norm = name();
      for (Row& row : x) row = layer_norm(norm, row);
    }
    ++number;
    for (Row& row : x) {
      for (double& v : row) v = activation(layers.hidden_activations[i], v);
    }
  }
  return x;
}

Row Example::mlp(const std::string& prefix, const Rows& x, const NetworkConfig& layers) const {
  const size_t per_layer = layers.batch_norm || layers.layer_norm ? 3 : 2;
  Row z;
  for (const Row& h : hidden_layers(prefix, x, layers)) {
    z.push_back(linear(cat(prefix, "mlp.", per_layer * layers.hidden_units.size()), h).at(0));
  }
  return z;
}

NetworkConfig one_layer(const std::string& name) {
  NetworkConfig config = small_config(name);
  config.batch_norm = false;
  if (!config.hidden_units.empty()) {
    config.hidden_units = {5};
    config.hidden_activations = {"relu"};
    config.dropout = {0.0};
  }
  return config;
}

void expect_formula(NetworkConfig config, const std::function<Row(const Example&)>& formula, int64_t dim) {
  for (const bool batch_norm : {true, false}) {
    config.batch_norm = batch_norm;
    Example example(config, dim);
    for (const bool training : {false, true}) {
      example.training = training;
      SCOPED_TRACE(cat(training ? "training" : "prediction", batch_norm ? ", batch norm" : ""));
      const Row want = formula(example), got = example.logits();
      ASSERT_EQ(got.size(), want.size());
      for (size_t b = 0; b < want.size(); ++b) {
        EXPECT_NEAR(got[b], want[b], 1e-12 * std::max(1.0, std::abs(want[b]))) << "row " << b;
      }
    }
  }
}

void expect_state(const NetworkConfig& config, const std::vector<std::string>& state, int64_t values) {
  const Example example(config);
  std::vector<std::string> got;
  for (const Parameter& p : example.network().parameters()) got.push_back(cat(p.name, " ", p.tensor.shape()));
  for (const Buffer& b : example.network().buffers()) got.push_back(cat(b.name, " ", b.tensor.shape()));
  EXPECT_EQ(got, state);
  EXPECT_EQ(example.network().parameter_count(), values);
}

void expect_gradients(NetworkConfig config, int64_t dim) {
  config.dropout.assign(config.dropout.size(), 0.3);
  Example example(config, dim);
  example.training = true;
  const std::vector<Tensor> leaves = example.leaves();
  const ops::GradientReport report = ops::check_leaves(leaves, [&] { return example.forward(); });
  EXPECT_TRUE(report.passed()) << report.worst;
}

void expect_dropout_in(size_t first, size_t count, NetworkConfig config) {
  Example plain(config);
  config.dropout.back() = 0.5;
  Example dropping(config);
  EXPECT_EQ(dropping.hidden(), plain.hidden()) << "prediction";
  plain.training = dropping.training = true;
  const Rows want = plain.hidden(), got = dropping.hidden();
  size_t kept = 0, dropped = 0;
  for (size_t b = 0; b < want.size(); ++b) {
    ASSERT_EQ(got[b].size(), want[b].size());
    ASSERT_LE(first + count, want[b].size());
    for (size_t c = 0; c < want[b].size(); ++c) {
      if (c < first || c >= first + count || want[b][c] == 0) {
        EXPECT_EQ(got[b][c], want[b][c]) << "row " << b << ", column " << c;
      } else if (got[b][c] == 0) {
        ++dropped;
      } else {
        EXPECT_DOUBLE_EQ(got[b][c], 2 * want[b][c]) << "row " << b << ", column " << c;
        ++kept;
      }
    }
  }
  EXPECT_GT(kept, 0u);
  EXPECT_GT(dropped, 0u);
}

void expect_refusal(const NetworkConfig& config, const std::string& text, int64_t dim) {
  try {
    const Example example(config, dim);
    ADD_FAILURE() << "not refused";
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find(text), std::string::npos) << e.what();
  }
}

}  // namespace kdef::nn::test
