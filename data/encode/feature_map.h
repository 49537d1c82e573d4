// Feature maps as JSON:
//   {"dataset": NAME, "label": COLUMN, "fields": [{"name": .., "type": "categorical" | "sequence" | "numeric",
//     "vocab_size": .., "max_len": .., "pooling": "average" | "sum", "embedding_dim": .., "share_embedding": ..,
//     "source": ..}, ..]}
// vocab_size counts padding (0) and out-of-vocabulary (the last); required are name, type and what the type needs.
#pragma once

#include <string>

#include "data/schema.h"

namespace kdef::data {

/// Throws InputError, naming file and field, for anything that is not a feature map.
FeatureMap load_feature_map(const std::string& path);
/// The same from text; `path` is for messages.
FeatureMap parse_feature_map(const std::string& text, const std::string& path);
std::string to_json(const FeatureMap& map);
void save_feature_map(const FeatureMap& map, const std::string& path);

/// The content of a small file, as it is. InputError where there is no such file.
std::string read_text(const std::string& path);

}  // namespace kdef::data
