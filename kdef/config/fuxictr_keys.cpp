// What files of FuxiCTR have beside the keys of this program: other names of keys, keys without effect, keys that are
// taken at one value only, and what follows from the version that a file was written for.
#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "kdef/config/key_types.h"

namespace kdef::config_keys {
namespace {

// A key that has no effect, whatever its value.
Key<Draft> ignored_key(const char* name, const char* meaning) {
  return {name, "anything", cat("ignored: ", meaning),
          [=](Draft& d, const YamlValue&) { d.config.ignored.push_back(name); }};
}

// A key of which one value, and null, changes nothing. Others would change results, and are refused.
Key<Draft> neutral_key(const char* name, const char* value, const char* meaning) {
  return {name, cat(value, ", null"), cat("taken at this value only; ", meaning), [=](Draft&, const YamlValue& v) {
            const std::string text = value;
            const bool is_boolean = text == "true" || text == "false";
            const bool is_neutral = v.is_null() || (is_boolean ? v.boolean() == (text == "true")
                                                               : cat(shortest(v.real(-kInfinity, kInfinity))) == text);
            if (!is_neutral) v.expected(cat(text, " (", meaning, ")"));
          }};
}

// A key that changes results and is not supported: only null is accepted.
Key<Draft> refused_key(const char* name, const char* reason) {
  return {name, "null", cat("not supported: ", reason), [=](Draft&, const YamlValue& v) {
            if (!v.is_null()) v.fail(reason);
          }};
}

// The keys that FuxiCTR read before version 2 alone.
constexpr const char* kVersion1Keys[] = {"patience", "every_x_epochs", "workers", "use_hdf5", "partition_block_size"};

}  // namespace

const std::vector<Alias>& aliases() {
  static const std::vector<Alias> all = {
      {"dropout", "net_dropout"},
      {"patience", "early_stop_patience"},
      {"sep", "separator"},
      {"workers", "num_workers"},
      {"crossing_layers", "num_cross_layers"},
      {"cin_layer_units", "cin_hidden_units"},
      {"partition_block_size", "data_block_size"},
      {"ordered_features", "use_features"},
      {"use_field_gate", "use_feature_gating"},
      {"group_index", "group_id"},
  };
  return all;
}

std::string key_of(const std::string& name) {
  const Alias* alias = find_row(aliases(), name);
  return alias == nullptr ? name : alias->key;
}

const std::vector<ForeignKeys>& foreign_keys() {
  static const std::vector<ForeignKeys> all = {
      {"APG_DCNv2", {}},  // whose keys are those of APG_DeepFM
      {"BST",
       {"bst_sequence_field", "bst_target_field", "seq_pooling_type", "stacked_transformer_layers", "use_causal_mask",
        "use_position_emb"}},
      {"DIEN",
       {"attention_type", "aux_loss_alpha", "dien_neg_seq_field", "dien_sequence_field", "dien_target_field",
        "gru_type", "use_attention_softmax"}},
      {"DIEN, DMIN", {"aux_activation", "aux_hidden_units"}},
      {"DIEN, DIN, DMIN, DMR", {"attention_hidden_units"}},
      {"DIEN, DMIN, DMR", {"attention_activation", "enable_sum_pooling"}},
      {"DIN",
       {"attention_hidden_activations", "attention_output_activation", "din_sequence_field", "din_target_field",
        "din_use_softmax"}},
      {"DMIN", {"aux_loss_lambda", "use_behavior_refiner"}},
      {"DMIN, DMR", {"bn_only_once", "neg_seq_field", "pos_emb_dim", "sequence_field", "target_field", "use_pos_emb"}},
      {"DMR", {"aux_loss_beta", "context_field", "enable_i2i_rel", "enable_u2i_rel"}},
      {"DSSM",
       {"item_tower_activations", "item_tower_dropout", "item_tower_units", "user_tower_activations",
        "user_tower_dropout", "user_tower_units"}},
      {"MMoE, PLE, ShareBottom", {"num_tasks", "tower_hidden_units"}},
      {"MMoE, PLE", {"expert_hidden_units", "gate_hidden_units"}},
      {"PLE", {"num_shared_experts", "num_specific_experts"}},
      {"ShareBottom", {"bottom_hidden_units"}},
      {"ETA, MIRRN, SDIM, SIM, TWIN",
       {"Kc_cross_features", "alpha", "beta", "gsu_type", "hash_bits", "l2_norm", "num_hashes", "reuse_hash",
        "short_seq_len", "topk", "use_qkvo"}},
      {"TransAct",
       {"concat_max_pool", "dcn_cross_layers", "dcn_hidden_units", "dim_feedforward", "first_k_cols",
        "sequence_item_field", "target_item_field", "time_window_ms", "transformer_dropout", "transformer_layers",
        "use_time_window_mask"}},
      {"WideDeep for TensorFlow", {"deep_learning_rate", "deep_optimizer", "wide_learning_rate"}},
  };
  return all;
}

Dialect dialect_of(const std::map<std::string, YamlValue>& files, const std::map<std::string, YamlValue>& given) {
  const auto version = given.find("fuxictr_version");
  if (version != given.end() && !version->second.is_null()) {
    return {static_cast<int>(version->second.integer(1, 2)), "fuxictr_version says so"};
  }
  std::set<std::string> found;
  for (const auto& [key, value] : files) {
    const auto& names = kVersion1Keys;
    if (std::find(std::begin(names), std::end(names), value.key()) != std::end(names)) found.insert(value.key());
  }
  if (found.empty()) return {2, "it has no key that only version 1 reads"};
  return {1, cat("version 1 alone reads ", either({found.begin(), found.end()}))};
}

std::string describe(const Dialect& dialect) {
  return cat("read as FuxiCTR ", dialect.version, " (", dialect.reason, "): ",
             dialect.version == 1
                 ? "encoder pools, a blank is the default splitter, na_value fills missing cells"
                 : "encoder and na_value have no effect, ^ is the default splitter, a missing number is 0",
             ". fuxictr_version: ", 3 - dialect.version, " changes that");
}

const std::vector<NetworkOfVersion1>& networks_of_version_1() {
  static const std::vector<NetworkOfVersion1> all = {
      {"EDCN", "", {{"use_regulation_module", "false"}, {"use_residual", "true"}}},
      {"DeepFM", "without the bias of its FM part", {}},
      {"DESTINE", "with heads that split the embedding and not the fields", {}},
      {"FiBiNET", "with one bilinear layer where version 2 has two", {}},
      {"InterHAt", "with heads that share attention_dim", {}},
  };
  return all;
}

const std::vector<Default>& fuxictr_defaults() {
  static const std::vector<Default> all = {{"batch_size", "32"}, {"epochs", "1"}};
  return all;
}

const std::vector<Key<Draft>>& fuxictr_keys() {
  static const std::vector<Key<Draft>> keys = {
      {"fuxictr_version", "1, 2, null",
       "the version of FuxiCTR that the file was written for, which decides what `encoder`, `na_value`, a sequence "
       "without `splitter` and a missing number without `fill_na` mean; null: 1 if a key is there that only version 1 "
       "reads, otherwise 2",
       [](Draft&, const YamlValue& v) {
         if (!v.is_null()) v.integer(1, 2);
       }},
      {"feature_specs", "list of maps, null",
       "`name`, a column or a list of columns, and values of feature_encoder and embedding_dim that replace those of "
       "feature_cols",
       read_feature_specs},
      {"use_features", "list of columns, null", "the input columns, in this order; null: those of feature_cols",
       read_use_features},
      {"data_format", "csv, h5, npz, parquet, null",
       "h5, npz, parquet: the path of a file may lack this ending; the first bytes of a file tell its format",
       [](Draft& d, const YamlValue& v) {
         if (v.is_scalar() && v.text() == "tfrecord") {
           v.fail("the records of TensorFlow are not read; name the CSV that they were made from");
         }
         if (!v.is_null()) v.one_of({"csv", "h5", "npz", "parquet"});
         if (!v.is_null() && v.text() == "h5") d.config.ignored.push_back("data_format");
       }},
      neutral_key("every_x_epochs", "1", "rows are evaluated after every epoch, or every eval_steps steps"),
      neutral_key("eval_interval", "1", "rows are evaluated after every epoch, or every eval_steps steps"),
      neutral_key("accumulation_steps", "1", "every batch is a step; set a larger batch_size"),
      neutral_key("embedding_dropout", "0", "embeddings have no dropout; net_dropout is that of the layers"),
      neutral_key("debug", "false", "all rows are read"),
      refused_key(
          "max_len",
          "is a key of the loader of FuxiCTR's LongCTR, which joins the rows with a table of items; this "
          "program does not have that loader. The length of a sequence is max_len in its entry of feature_cols"),
      ignored_key("gpu", "the device is an option of the command line"),
      ignored_key("num_workers", "rows are read by the threads of the process"),
      ignored_key("pickle_feature_encoder", "the encoded cache holds the vocabularies"),
      ignored_key("use_hdf5", "the encoded cache has a format of its own"),
      ignored_key("data_block_size", "data sets are streamed"),
      ignored_key("streaming", "data sets are streamed"),
      ignored_key("buffer_size", "all rows of an epoch are shuffled"),
      ignored_key("verbose", "output is an option of the command line"),
      ignored_key("debug_mode", "it has no effect in FuxiCTR"),
      ignored_key("threshold", "EKTF does not use it"),
      ignored_key("model_id", "the id of the experiment is used"),
      ignored_key("version", "the version of FuxiCTR"),
      ignored_key("feature_config", "FuxiCTR does not read it"),
  };
  return keys;
}

}  // namespace kdef::config_keys
