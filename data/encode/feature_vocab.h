// FuxiCTR's feature_vocab.json: the ids of the words of every field.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace kdef::data {

/// {FIELD: {WORD: ID, ..}, ..}.
using FeatureVocab = std::map<std::string, std::map<std::string, int64_t>>;

/// Its words for padding and for every unknown word.
inline constexpr const char *kFuxiPadding = "__PAD__", *kFuxiUnknown = "__OOV__";

/// Reads the file's text. Throws InputError, which begins with `path`, for anything else than such a map.
FeatureVocab parse_feature_vocab(const std::string& text, const std::string& path);

}  // namespace kdef::data
