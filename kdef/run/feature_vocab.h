// FuxiCTR's order of the rows of embedding tables. Words of equal counts have no fixed order there, so that the rows of
// a table may stand in another order than here; feature_vocab.json tells.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "data/encode/encoder.h"
#include "data/encode/feature_vocab.h"

namespace kdef {

using data::FeatureVocab;
using data::parse_feature_vocab;

/// Moves the rows of embedding tables between the order of an encoder's vocabularies and that of a FeatureVocab.
class RowOrder {
 public:
  /// Both orders are equal.
  RowOrder() = default;
  /// Throws InputError, which begins with `path`, for a field or a word that only one of both has.
  RowOrder(const FeatureVocab& theirs, const data::Encoder& encoder, const std::string& path);

  /// The table `name` (..embedding_layers.FIELD.weight), whose rows are in this program's order, in theirs. Any other
  /// tensor as it is.
  Tensor to_theirs(const std::string& name, const Tensor& table) const;
  /// The same back.
  Tensor to_ours(const std::string& name, const Tensor& table) const;

 private:
  const std::vector<int64_t>* rows_of(const std::string& name, const Tensor& table) const;

  std::map<std::string, std::vector<int64_t>> rows_;  // of a field: the row there of each row here
};

/// That of the file `path`; without a path, equal orders. Errors as above.
RowOrder read_row_order(const std::string& path, const data::Encoder& encoder);

}  // namespace kdef
