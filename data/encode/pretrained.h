// Tables of pretrained vectors: a file with the columns `key`, the words of a field, and `value`, their vectors.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "data/encode/vocabulary.h"
#include "data/raw/byte_source.h"
#include "data/schema.h"

namespace kdef::data {

/// Calls fn(word, vector) for every row of field.pretrained_emb, whose keys are read as the cells of the field are,
/// without its preprocess. Only the keys are read, and the vectors are empty, without `vectors`. InputError for a file
/// without these columns, for values that are not lists of pretrain_dim numbers, and for one word with two vectors.
void read_pretrained(const FieldConfig& field, bool vectors,
                     const std::function<void(std::string_view word, std::span<const float> vector)>& fn);

/// Appends to the vocabulary of a field the words of its table that it lacks. They are known, but no row has taught
/// their ids: they stand behind out-of-vocabulary. A field that has ids has them already: ids_file() tells which.
void append_pretrained(const FieldConfig& field, Vocabulary& vocabulary);

/// Gives for a word of the table its row in the embedding table, -1 where it has none.
std::function<int64_t(std::string_view word)> pretrained_rows(const FieldConfig& field, const Vocabulary& vocabulary);

/// Of a field that has ids: FuxiCTR's feature_vocab.json beside its table, which has the id of every word. InputError
/// where it is not there.
std::string ids_file(const FieldConfig& field);

/// The states of the files of pretrained tables of active fields, and of what names their ids. With `content` they are
/// read for their content.
std::vector<FileState> pretrained_states(const DatasetConfig& config, bool content);

}  // namespace kdef::data
