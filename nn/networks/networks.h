// The networks that make_network() knows, one maker each. A class stands with its formula in the file of its family.
#pragma once

#include <memory>

#include "nn/networks/network.h"

namespace kdef::nn {

using NetworkMaker = std::unique_ptr<Network>(const NetworkConfig&, const EmbeddingShape&, Builder&);

NetworkMaker make_mlp_network;  // mlp.cpp's layers on the flattened embeddings; network.cpp
NetworkMaker make_product;      // interaction_networks.cpp
NetworkMaker make_finalnet;
NetworkMaker make_fm;
NetworkMaker make_deepfm;
NetworkMaker make_logistic_regression;
NetworkMaker make_wide_deep;
NetworkMaker make_cin;
NetworkMaker make_xdeepfm;
NetworkMaker make_afn;
NetworkMaker make_exponential_cross;  // cross_networks.cpp
NetworkMaker make_cross_v2;
NetworkMaker make_dcnv2;
NetworkMaker make_autoint;  // attention_network.cpp

// -- what they share

/// The settings of the hidden layers as an Mlp takes them, with `output` numbers at its end.
MlpConfig mlp_config(const NetworkConfig& config, int64_t output = 1);
/// Throws InputError unless all fields have one dimension, which this network needs.
void require_uniform(const char* network, const EmbeddingShape& shape);
/// The numbers of the last hidden layer, `in` without any.
int64_t hidden_width(const NetworkConfig& config, int64_t in);

}  // namespace kdef::nn
