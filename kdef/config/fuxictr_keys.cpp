// Keys of FuxiCTR that have no effect here, or that are not supported.
#include "kdef/config/key_types.h"

namespace kdef::config_keys {
namespace {

// A key that has no effect, whatever its value.
Key<Draft> ignored_key(const char* name, const char* meaning) {
  return {name, "anything", cat("ignored: ", meaning),
          [=](Draft& d, const YamlValue&) { d.config.ignored.push_back(name); }};
}

// A key that would change results, and is not supported: only null is accepted.
Key<Draft> null_key(const char* name, const char* instead) {
  return {name, "null", cat("not supported; ", instead), [=](Draft& d, const YamlValue& v) {
            if (!v.is_null()) v.fail(cat("expected null: this program does not support it; ", instead));
            d.config.ignored.push_back(name);
          }};
}

}  // namespace

const std::vector<Key<Draft>>& fuxictr_keys() {
  static const std::vector<Key<Draft>> keys = {
      {"data_format", "csv, h5, null", "ignored: the format follows from the name of the file",
       [](Draft& d, const YamlValue& v) {
         if (!v.is_null()) v.one_of({"csv", "h5"});
         if (!v.is_null() && v.text() != "csv") d.config.ignored.push_back("data_format");
       }},
      ignored_key("gpu", "the device is an option of the command line"),
      ignored_key("num_workers", "rows are read by the threads of the process"),
      ignored_key("pickle_feature_encoder", "the encoded cache holds the vocabularies"),
      ignored_key("use_hdf5", "the encoded cache has a format of its own"),
      ignored_key("data_block_size", "data sets are streamed"),
      ignored_key("verbose", "output is an option of the command line"),
      ignored_key("debug_mode", "it has no effect in FuxiCTR"),
      ignored_key("threshold", "EKTF does not use it"),
      ignored_key("model_id", "the id of the experiment is used"),
      ignored_key("version", "the version of FuxiCTR"),
      null_key("use_features", "set `active: false` in feature_cols"),
      null_key("ordered_features", "the order is that of feature_cols"),
      null_key("feature_specs", "write settings into feature_cols"),
      null_key("feature_config", "write settings into feature_cols"),
  };
  return keys;
}

}  // namespace kdef::config_keys
