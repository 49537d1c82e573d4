// Pretrained vectors as initial values of a model.
#pragma once

#include <string>
#include <vector>

#include "data/schema.h"
#include "nn/module.h"

namespace kdef {

/// Gives the tables of `model` that are made for pretrained vectors (nn::EmbeddingField::Pretrained) the vectors of the
/// files of the data set; `vocabulary`: the bytes of its vocabulary.kdefvoc. Rows of values without a vector keep their
/// values. Returns warnings of files whose vectors no training row gets. InputError as data::read_pretrained().
std::vector<std::string> load_pretrained(const data::DatasetConfig& dataset, const std::string& vocabulary,
                                         const nn::Module& model);

}  // namespace kdef
