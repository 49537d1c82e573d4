// The state_dict of FuxiCTR's classes: the names of their parameters and buffers, and what it holds beside them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kdef/method/ensemble.h"

namespace kdef {

/// Whether the model is one network that is a class of FuxiCTR.
bool is_class_of_fuxictr(const EnsembleConfig& config);

/// The name that FuxiCTR's class gives to the parameter or buffer `name` of such a model: without the prefix of the
/// network, and with the class's own names of the tables. Names of other models stay as they are: those of KDEF's
/// authors are the names here.
std::string name_in_fuxictr(const EnsembleConfig& config, const std::string& name);

/// Whether a tensor of this name is a constant or a counter of PyTorch's or FuxiCTR's layers, which no prediction
/// depends on.
bool is_constant_in_fuxictr(const std::string& name);

/// A field that shares the table of another one has it under its own name in the state_dict, too, with what belongs to
/// a table of pretrained vectors: these names, each with its tensor.
std::vector<std::pair<std::string, Tensor>> shared_tables(const Ensemble& model,
                                                          const std::vector<nn::EmbeddingField>& fields);

/// The tensors of the state_dict of a model of one class of FuxiCTR. `steps` is the number of training steps, which
/// batch normalisation counts (num_batches_tracked).
std::vector<std::pair<std::string, Tensor>> state_dict(const Ensemble& model,
                                                       const std::vector<nn::EmbeddingField>& fields, int64_t steps);

}  // namespace kdef
