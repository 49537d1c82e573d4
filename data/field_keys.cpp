#include "data/field_keys.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/base/error.h"

namespace kdef::data {
namespace {

// ---- A member's value as a KeyValue and back.

template <class V>
struct Member {
  static constexpr KeyShape kShape = std::is_enum_v<V>                             ? KeyShape::choice
                                     : std::is_same_v<V, bool>                     ? KeyShape::boolean
                                     : std::is_same_v<V, int64_t>                  ? KeyShape::integer
                                     : std::is_same_v<V, std::vector<std::string>> ? KeyShape::cells
                                                                                   : KeyShape::text;
  static constexpr bool kNullable = false;
  static KeyValue get(const V& member) {
    if constexpr (std::is_enum_v<V>) {
      return static_cast<int64_t>(member);
    } else {
      return member;
    }
  }
  static void set(V& member, const KeyValue& value) {
    if constexpr (std::is_enum_v<V>) {
      member = static_cast<V>(std::get<int64_t>(value));
    } else {
      member = std::get<V>(value);
    }
  }
};

template <class V>
struct Member<std::optional<V>> {
  static_assert(!std::is_enum_v<V>, "an enumeration has a value of its own for null");
  static constexpr KeyShape kShape = std::is_same_v<V, std::string> ? KeyShape::text_or_number : Member<V>::kShape;
  static constexpr bool kNullable = true;
  static KeyValue get(const std::optional<V>& member) { return member ? Member<V>::get(*member) : KeyValue(); }
  static void set(std::optional<V>& member, const KeyValue& value) {
    member.reset();
    if (!std::holds_alternative<std::monostate>(value)) Member<V>::set(member.emplace(), value);
  }
};

template <class T, class At>
KeyAccess<T> access(At at) {
  using V = std::remove_cvref_t<decltype(at(std::declval<T&>()))>;
  return {[at](const T& t) { return Member<V>::get(at(t)); },
          [at](T& t, const KeyValue& value) { Member<V>::set(at(t), value); }};
}

// `at` returns the member of a FieldConfig. Where a Field has a member of the same name, the key is in the feature map.
template <class At>
FieldKey key(const char* name, At at, FieldKeyOptions options, const char* meaning) {
  using V = std::remove_cvref_t<decltype(at(std::declval<FieldConfig&>()))>;
  FieldKey key{std::move(options), name, Member<V>::kShape, meaning, access<FieldConfig>(at), {}};
  key.nullable = key.nullable || Member<V>::kNullable;
  if constexpr (std::is_invocable_v<At, Field&>) key.map = access<Field>(at);
  return key;
}

#define KDEF_AT(member) [](auto& field) -> decltype((field.member)) { return field.member; }

}  // namespace

const std::vector<FieldKey>& field_keys() {
  constexpr auto kEncoder = StoredIn::encoder, kFingerprint = StoredIn::fingerprint;
  static const std::vector<FieldKey> keys = {
      key("name", KDEF_AT(name), {.stored_in = kEncoder, .always_stored = true}, "column"),
      key("type", KDEF_AT(type),
          {.choices = {{"categorical", "categorical"}, {"sequence", "sequence"}, {"numeric", "numeric"}},
           .stored_in = kEncoder,
           .always_stored = true},
          "categorical: a cell is one id; sequence: several ids, separated by `splitter`; numeric: a number"),
      key("dtype", KDEF_AT(cell),
          {.choices = {{"str", "str"}, {"int", "int"}, {"float", "float"}},
           .stored_in = kEncoder,
           .always_stored = true},
          "how a cell is read; as float, 1 and 1.0 are the same value"),
      key("active", KDEF_AT(active), {}, "false: the column is not used"),
      key("column", KDEF_AT(column), {.stored_in = kEncoder},
          "the column of the file that it reads; empty: the one of its name"),
      key("fill_na", KDEF_AT(fill_na), {.stored_in = kEncoder},
          "replaces a missing cell; this value is never in the vocabulary"),
      key("fill_by_type", KDEF_AT(fill_by_type), {.stored_in = kEncoder},
          "true: without fill_na, a missing number is 0, a value like any other"),
      key("na_values", KDEF_AT(na_values), {.stored_in = kEncoder},
          "cells that are missing, as empty cells always are; null: na_values of the data set, or, if it has none, for "
          "a column of numbers with fill_na the usual markers (NaN, NULL, NA, N/A, None, \\N and the like)"),
      key("preprocess", KDEF_AT(preprocess),
          {.nullable = true,
           .choices = {{nullptr, "none"},
                       {"convert_to_bucket", "convert_to_bucket"},
                       {"extract_country_code", "extract_country_code"},
                       {"bucketize_age", "bucketize_age"},
                       {"convert_hour", "convert_hour"},
                       {"convert_weekday", "convert_weekday"},
                       {"convert_weekend", "convert_weekend"}},
           .stored_in = kEncoder,
           .always_stored = true},
          "applied to the cell after fill_na, and before it where `column` is another one; convert_to_bucket: "
          "floor(ln(v)^2) for v > 2, else v as an integer; convert_hour, convert_weekday (Sunday is 0) and "
          "convert_weekend: of a time YYMMDDHH"),
      key("min_categr_count", KDEF_AT(min_categr_count), {.min = 1, .stored_in = kFingerprint},
          "replaces the data set's min_categr_count for this column"),
      key("splitter", KDEF_AT(splitter),
          {.not_empty = true, .sequence = true, .stored_in = kEncoder, .always_stored = true},
          "separator between the ids of a sequence"),
      key("max_len", KDEF_AT(max_len), {.max = kMaxLen, .sequence = true, .stored_in = kEncoder, .always_stored = true},
          "number of ids of a sequence that are kept; 0: the length of the longest sequence in the training rows"),
      key("padding", KDEF_AT(padding),
          {.choices = {{"post", "post"}, {"pre", "pre"}},
           .sequence = true,
           .stored_in = kEncoder,
           .always_stored = true},
          "post: the first ids are kept and padding follows them; pre: the last ids are kept and padding precedes "
          "them"),
      key("feature_encoder", KDEF_AT(pooling),
          {.choices =
               {{"layers.MaskedAveragePooling()", "average", {"layers.MaskedAveragePooling", "MaskedAveragePooling"}},
                {"layers.MaskedSumPooling()", "sum", {"layers.MaskedSumPooling", "MaskedSumPooling"}},
                {nullptr, "none"}},
           .sequence = true,
           .stored_in = kEncoder,
           .stored_as = "pooling",
           .always_stored = true},
          "how the embeddings of a sequence become one: their average or their sum"),
      key("normalizer", KDEF_AT(normalizer),
          {.nullable = true,
           .choices = {{nullptr, "none"}, {"StandardScaler", "StandardScaler"}, {"MinMaxScaler", "MinMaxScaler"}},
           .stored_in = kFingerprint,
           .always_stored = true},
          "scaling of a numeric column, fitted to the training rows"),
      key("remap", KDEF_AT(remap), {.stored_in = kEncoder},
          "true: the values of the training rows get ids; false: the cells are the ids, from 0, which is padding, to "
          "vocab_size - 1"),
      key("vocab_size", KDEF_AT(id_count), {.max = (int64_t{1} << 31) - 1, .stored_in = kEncoder},
          "with remap: false the number of ids; 0: the largest one of the training rows + 1"),
      key("pretrained_emb", KDEF_AT(pretrained_emb), {.stored_in = kFingerprint},
          "a Parquet, .npz or .h5 file with the columns `key`, values of the column, and `value`, lists of "
          "pretrain_dim "
          "numbers; keys that training rows lack get ids, too"),
      key("pretrain_dim", KDEF_AT(pretrain_dim), {.max = kMaxEmbeddingDim, .stored_in = kEncoder},
          "with pretrained_emb the length of its vectors; 0: embedding_dim; where it differs from embedding_dim, a "
          "linear layer follows"),
      key("freeze_emb", KDEF_AT(freeze_emb), {.stored_in = kEncoder},
          "with pretrained_emb: true: the vectors are not trained, and values without one have zeros; false: they are "
          "the initial values"),
      key("pretrain_usage", KDEF_AT(pretrain_usage),
          {.choices = {{"init", "init"}, {"sum", "sum"}, {"concat", "concat"}}, .stored_in = kEncoder},
          "with pretrained_emb: init: the vector is the embedding; sum: an embedding by id is added; concat: a linear "
          "layer makes the embedding of the vector and an embedding by id"),
      key("embedding_dim", KDEF_AT(embedding_dim), {.min = 1, .max = kMaxEmbeddingDim, .stored_in = kEncoder},
          "replaces the model's embedding_dim for this column"),
      key("linear", KDEF_AT(linear), {.max = kMaxEmbeddingDim, .stored_in = kEncoder},
          "a linear layer without bias behind the embedding, pooled or not, reads and gives so many numbers, which is "
          "the embedding_dim of the column; 0: there is none; FuxiCTR's feature_encoder nn.Linear(N, N, bias=False) "
          "sets it"),
      key("share_embedding", KDEF_AT(share_embedding), {.stored_in = kEncoder, .always_stored = true},
          "name of an earlier column; this column uses its vocabulary and its embedding table"),
      key("source", KDEF_AT(source), {.stored_in = kEncoder},
          "the group of the column: user, item, context or another word; FLEN reads it, other networks do not"),
  };
  return keys;
}

#undef KDEF_AT

const FieldKey& field_key(std::string_view name) {
  const auto& keys = field_keys();
  const auto it = std::find_if(keys.begin(), keys.end(), [&](const FieldKey& key) { return key.name == name; });
  KDEF_CHECK(it != keys.end(), "field_key: no key '", std::string(name), "'");
  return *it;
}

std::vector<std::string> FieldKey::choice_names() const {
  std::vector<std::string> names;
  for (const FieldChoice& choice : choices) {
    if (choice.name != nullptr) names.push_back(choice.name);
  }
  return names;
}

}  // namespace kdef::data
