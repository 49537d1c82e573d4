// What the tests of single networks share: a small network in fp64, the parts that many formulas are made of, and the
// checks that every such test makes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/nn/networks/support.h"

namespace kdef::nn::test {

using Row = std::vector<double>;
using Rows = std::vector<Row>;  // one per row of the batch

/// A network over the fields of some_fields(). All its parameters and buffers are random, and so are those of its
/// embedding tables. The formula of a network is computed from numbers that are read by name, in plain loops over
/// doubles that use no op of the library.
class Example {
 public:
  explicit Example(const NetworkConfig& config, int64_t dim = 6);

  /// The result of Network::forward(), the logits [B, 1], for this class's batch of 6 rows.
  Tensor forward() const { return network_->forward(batch(), pass()); }
  Row logits() const { return forward().to_vector<double>(); }
  /// The result of Network::hidden().
  Rows hidden() const;

  /// The values of a parameter or buffer of the network or of its embedding tables. Throws Error for an unknown name.
  Row at(const std::string& name) const;
  bool has(const std::string& name) const;
  const NetworkConfig& config() const { return config_; }
  const Network& network() const { return *network_; }
  /// All parameters, those of the tables first.
  std::vector<Tensor> leaves() const;

  size_t fields() const { return static_cast<size_t>(tables_.shape().fields); }  // F
  size_t dim() const { return static_cast<size_t>(tables_.shape().dim); }        // D

  // Parts of formulas.

  /// The embeddings of each row, field after field: x = flatten(e), F D numbers.
  Rows embeddings() const;
  /// The embedding of field f in a row of embeddings().
  Row field(const Row& x, size_t f) const;
  /// W x + b of the layer NAME; b is 0 where the layer has none.
  Row linear(const std::string& name, const Row& x) const;
  Rows linear(const std::string& name, const Rows& x) const;
  /// (x - mean) / sqrt(var + 1e-5) * gamma + beta per column: in training with the mean and the biased variance of the
  /// column, otherwise with the running ones.
  Rows batch_norm(const std::string& name, Rows x) const;
  /// The same per row, with the moments of the row.
  Row layer_norm(const std::string& name, Row x) const;
  /// The hidden layers PREFIXmlp.N that `layers` describes: linear, normalisation, activation.
  Rows hidden_layers(const std::string& prefix, Rows x, const NetworkConfig& layers) const;
  /// The hidden layers and the output layer behind them: one number per row.
  Row mlp(const std::string& prefix, const Rows& x, const NetworkConfig& layers) const;
  Row mlp(const std::string& prefix, const Rows& x) const { return mlp(prefix, x, config_); }

  bool training = false;

 private:
  Pass pass() const { return {.training = training}; }
  Fields batch() const { return Fields(tables_, some_ids(), some_values(), pass()); }

  NetworkConfig config_;
  Builder build_;
  EmbeddingTables tables_;
  std::unique_ptr<Network> network_;
};

double dot(const Row& a, const Row& b);
/// `a` and then `b`.
Row joined(Row a, const Row& b);
/// relu or tanh.
double activation(const std::string& name, double x);

/// small_config() with one hidden layer of 5 units and without batch norm.
NetworkConfig one_layer(const std::string& name);

/// Expects the logits of `formula` from the network, in training and in prediction, with batch norm and without.
void expect_formula(NetworkConfig config, const std::function<Row(const Example&)>& formula, int64_t dim = 6);
/// Expects these parameters and then buffers, "NAME [SHAPE]", of the network for F = 4 and D = 6, and the number of
/// trained values.
void expect_state(const NetworkConfig& config, const std::vector<std::string>& state, int64_t values);
/// Expects the gradients of all parameters in training to be those of finite differences, with a dropout of 0.3 in
/// every layer that has a rate.
void expect_gradients(NetworkConfig config, int64_t dim = 6);
/// Expects that the last rate of `dropout` acts on `count` columns of hidden() from `first` on and on no other column,
/// and that it acts in training only: by the rate 0.5 a number becomes 0 or doubles.
void expect_dropout_in(size_t first, size_t count, NetworkConfig config);
/// Expects an InputError with this text.
void expect_refusal(const NetworkConfig& config, const std::string& text, int64_t dim = 6);

}  // namespace kdef::nn::test
