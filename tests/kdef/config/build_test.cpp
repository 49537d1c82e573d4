// The fields of an embedding follow the schema.
#include "kdef/config/build.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace kdef {
namespace {

using Kind = nn::EmbeddingField::Kind;

data::Field field(data::FieldType type, data::Pooling pooling = data::Pooling::none) {
  data::Field f;
  f.name = "f";
  f.type = type;
  f.pooling = pooling;
  return f;
}

TEST(EmbeddingFields, HaveTheKindsOfTheSchema) {
  data::FeatureMap map;
  map.fields = {field(data::FieldType::categorical), field(data::FieldType::numeric),
                field(data::FieldType::sequence, data::Pooling::average),
                field(data::FieldType::sequence, data::Pooling::sum)};
  const std::vector<nn::EmbeddingField> fields = embedding_fields(map);
  ASSERT_EQ(fields.size(), 4u);
  EXPECT_EQ(fields[0].kind, Kind::id);
  EXPECT_EQ(fields[1].kind, Kind::numeric);
  EXPECT_EQ(fields[2].kind, Kind::average);
  EXPECT_EQ(fields[3].kind, Kind::sum);
}

TEST(EmbeddingFields, HaveTheSizesOfTheSchema) {
  data::FeatureMap map;
  map.fields = {field(data::FieldType::sequence, data::Pooling::sum)};
  map.fields[0].vocab_size = 7;
  map.fields[0].max_len = 3;
  map.fields[0].embedding_dim = 5;
  map.fields[0].share_embedding = "other";
  const nn::EmbeddingField f = embedding_fields(map).at(0);
  EXPECT_EQ(f.name, "f");
  EXPECT_EQ(f.vocab_size, 7);
  EXPECT_EQ(f.max_len, 3);
  EXPECT_EQ(f.dim, 5);
  EXPECT_EQ(f.shared, "other");
  map.fields[0].embedding_dim.reset();
  EXPECT_EQ(embedding_fields(map).at(0).dim, 0) << "the dimension of the model";
}

TEST(EmbeddingFields, ASequenceNeedsPooling) {
  data::FeatureMap map;
  map.fields = {field(data::FieldType::sequence)};
  EXPECT_THROW(embedding_fields(map), InputError);
}

}  // namespace
}  // namespace kdef
