// From an encoded schema to the fields of a model's embedding.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "data/schema.h"
#include "nn/embedding.h"

namespace kdef {

/// The embedding's fields of a feature map, in model order. Throws InputError for a sequence without pooling.
std::vector<nn::EmbeddingField> embedding_fields(const data::FeatureMap& map);

/// The width N of FuxiCTR's encoder "nn.Linear(N, N, bias=False)"; nothing for any other text.
std::optional<int64_t> square_linear(std::string_view text);

}  // namespace kdef
