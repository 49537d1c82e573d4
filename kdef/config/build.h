// From an encoded schema to the fields of a model's embedding.
#pragma once

#include <vector>

#include "data/schema.h"
#include "nn/embedding.h"

namespace kdef {

/// The embedding's fields of a feature map, in model order. Throws InputError for a sequence without pooling.
std::vector<nn::EmbeddingField> embedding_fields(const data::FeatureMap& map);

}  // namespace kdef
