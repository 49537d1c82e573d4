#include "kdef/config/build.h"

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/field_keys.h"

namespace kdef {
namespace {

nn::EmbeddingField::Kind kind_of(const data::Field& field) {
  using Kind = nn::EmbeddingField::Kind;
  switch (field.type) {
    case data::FieldType::categorical:
      return Kind::id;
    case data::FieldType::numeric:
      return Kind::numeric;
    case data::FieldType::sequence:
      break;
  }
  if (field.pooling == data::Pooling::none) {
    throw InputError(cat("field '", field.name,
                         "': a sequence needs a feature_encoder; known: "
                         "layers.MaskedAveragePooling(), layers.MaskedSumPooling()"));
  }
  return field.pooling == data::Pooling::average ? Kind::average : Kind::sum;
}

}  // namespace

std::optional<int64_t> square_linear(std::string_view text) {
  std::string plain(text);
  std::erase(plain, ' ');
  const std::string_view before = "nn.Linear(", after = ",bias=False)";
  if (!plain.starts_with(before) || !plain.ends_with(after) || plain.size() < before.size() + after.size()) return {};
  const std::vector<std::string> widths =
      split(plain.substr(before.size(), plain.size() - before.size() - after.size()), ',');
  int64_t in = 0, out = 0;
  const bool is_square = widths.size() == 2 && read_number(widths[0], in) && read_number(widths[1], out) && in == out;
  if (!is_square || in < 1 || in > data::kMaxEmbeddingDim) return {};
  return in;
}

std::vector<nn::EmbeddingField> embedding_fields(const data::FeatureMap& map) {
  using Pretrained = nn::EmbeddingField::Pretrained;
  std::vector<nn::EmbeddingField> fields;
  for (const data::Field& f : map.fields) {
    Pretrained pretrained;
    if (f.pretrain_dim > 0) {
      pretrained = {f.pretrain_dim, f.freeze_emb, static_cast<Pretrained::Usage>(f.pretrain_usage),
                    f.out_of_vocabulary() + 1};
    }
    fields.push_back({.name = f.name,
                      .kind = kind_of(f),
                      .vocab_size = f.vocab_size,
                      .max_len = f.max_len,
                      .dim = f.embedding_dim.value_or(0),
                      .shared = f.share_embedding,
                      .pretrained = pretrained,
                      .source = f.source,
                      .linear = f.linear});
  }
  return fields;
}

}  // namespace kdef
