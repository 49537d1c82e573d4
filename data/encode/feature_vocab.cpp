#include "data/encode/feature_vocab.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/json.h"

namespace kdef::data {

FeatureVocab parse_feature_vocab(const std::string& text, const std::string& path) {
  using Json = nlohmann::json;
  FeatureVocab all;
  try {
    const Json json = parse_json<Json>(text, path);
    if (!json.is_object()) throw InputError(cat(path, ": is no feature_vocab.json: a map of fields is expected"));
    for (const auto& [field, words] : json.items()) {
      std::map<std::string, int64_t>& ids = all[field];
      for (const auto& word : words.items()) ids[word.key()] = integer_at<int64_t>(words, word.key().c_str(), path);
    }
  } catch (const Json::exception& e) {
    throw InputError(cat(path, ": is no feature_vocab.json: ", e.what()));
  }
  return all;
}

}  // namespace kdef::data
