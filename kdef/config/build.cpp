#include "kdef/config/build.h"

namespace kdef {

std::vector<nn::EmbeddingField> embedding_fields(const data::FeatureMap& map) {
  using Kind = nn::EmbeddingField::Kind;
  std::vector<nn::EmbeddingField> fields;
  for (const data::Field& f : map.fields) {
    nn::EmbeddingField field;
    field.name = f.name;
    field.vocab_size = f.vocab_size;
    field.max_len = f.max_len;
    field.dim = f.embedding_dim.value_or(0);
    field.shared = f.share_embedding;
    switch (f.type) {
      case data::FieldType::categorical:
        field.kind = Kind::categorical;
        break;
      case data::FieldType::numeric:
        field.kind = Kind::numeric;
        break;
      case data::FieldType::sequence:
        if (f.pooling == data::Pooling::none) {
          throw InputError(cat("field '", f.name,
                               "': a sequence needs a feature_encoder; known: "
                               "layers.MaskedAveragePooling(), layers.MaskedSumPooling()"));
        }
        field.kind = f.pooling == data::Pooling::average ? Kind::sequence_average : Kind::sequence_sum;
        break;
    }
    fields.push_back(field);
  }
  return fields;
}

}  // namespace kdef
