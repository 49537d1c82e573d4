#include "kdef/run/feature_vocab.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "data/encode/feature_map.h"

namespace kdef {
namespace {

using data::kFuxiPadding, data::kFuxiUnknown;

// Words as both programs write them: FuxiCTR's 1.0 is 1 here.
std::string same_word(const data::FieldConfig& field, const std::string& word) {
  double number = 0;
  if (field.cell == data::CellType::str || !read_number(word, number)) return word;
  return shortest(number);
}

// The row there of each row here, of one field.
std::vector<int64_t> rows_there(const std::map<std::string, int64_t>& given, const data::Encoder::Column& column,
                                const std::string& where) {
  const data::FieldConfig& field = column.cells.field();
  std::map<std::string, int64_t> theirs;
  for (const auto& [word, id] : given) theirs.emplace(word == kFuxiUnknown ? word : same_word(field, word), id);
  const data::Vocabulary& words = *column.vocabulary;
  std::vector<int64_t> rows(static_cast<size_t>(column.vocabulary->size()), -1);
  const auto place = [&](size_t row, const std::string& word) {
    const auto found = theirs.find(word);
    if (found == theirs.end()) {
      throw InputError(cat(where, " has no word '", word,
                           "', which the training data of this experiment has; use the "
                           "files that the weights were trained on, with the same min_categr_count and fill_na"));
    }
    rows[row] = found->second;
    theirs.erase(found);
  };
  rows[0] = 0;
  theirs.erase(kFuxiPadding);
  for (int64_t i = 0; i < words.word_count(); ++i) {
    place(static_cast<size_t>(words.id(words.word(i))), same_word(field, std::string(words.word(i))));
  }
  place(static_cast<size_t>(column.vocabulary->out_of_vocabulary()), kFuxiUnknown);
  if (!theirs.empty()) {
    throw InputError(
        cat(where, " has the word '", theirs.begin()->first,
            "', which the training data of this experiment "
            "does not have; use the files that the weights were trained on, with the same min_categr_count"));
  }
  std::vector<int64_t> sorted = rows;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i)) throw InputError(cat(where, ": its ids are not 0, 1, 2, ..."));
  }
  return rows;
}

// `table` with row i at row to[i], or, if `back`, row to[i] at row i.
Tensor moved(const Tensor& table, const std::vector<int64_t>& to, bool back) {
  const Tensor out = Tensor::empty(table.shape(), table.dtype());
  const size_t bytes = table.bytes() / to.size();
  const std::byte* from = table.raw();
  std::byte* place = out.raw();
  for (size_t i = 0; i < to.size(); ++i) {
    const size_t there = static_cast<size_t>(to[i]);
    std::memcpy(place + (back ? i : there) * bytes, from + (back ? there : i) * bytes, bytes);
  }
  return out;
}

}  // namespace

RowOrder::RowOrder(const FeatureVocab& theirs, const data::Encoder& encoder, const std::string& path) {
  for (const data::Encoder::Column& column : encoder.columns()) {
    if (column.vocabulary == nullptr) continue;
    const std::string& name = column.cells.field().name;
    const auto found = theirs.find(name);
    if (found == theirs.end()) throw InputError(cat(path, ": has no field '", name, "'"));
    rows_[name] = rows_there(found->second, column, cat(path, ": field '", name, "'"));
  }
}

const std::vector<int64_t>* RowOrder::rows_of(const std::string& name, const Tensor& table) const {
  const std::string before = "embedding_layers.", after = ".weight";
  const size_t at = name.rfind(before);
  if (at == std::string::npos || !name.ends_with(after) || table.rank() != 2) return nullptr;
  const size_t first = at + before.size();
  std::string field = name.substr(first, name.size() - after.size() - first);
  for (const std::string part :
       {".pretrain_embedding", ".id_embedding"}) {  // tables of a field with pretrained vectors
    if (field.ends_with(part)) field.resize(field.size() - part.size());
  }
  const auto found = rows_.find(field);
  if (found == rows_.end() || table.shape()[0] != static_cast<int64_t>(found->second.size())) return nullptr;
  return &found->second;
}

RowOrder read_row_order(const std::string& path, const data::Encoder& encoder) {
  if (path.empty()) return {};
  return {parse_feature_vocab(data::read_text(path), path), encoder, path};
}

Tensor RowOrder::to_theirs(const std::string& name, const Tensor& table) const {
  const std::vector<int64_t>* rows = rows_of(name, table);
  return rows == nullptr ? table : moved(table, *rows, false);
}

Tensor RowOrder::to_ours(const std::string& name, const Tensor& table) const {
  const std::vector<int64_t>* rows = rows_of(name, table);
  return rows == nullptr ? table : moved(table, *rows, true);
}

}  // namespace kdef
