// Pretrained vectors as initial values of a model.
#pragma once

#include <string>

#include "data/schema.h"
#include "nn/module.h"

namespace kdef {

/// Gives the tables of `model` that are made for pretrained vectors (nn::EmbeddingField::Pretrained) the vectors of the
/// files of the data set; `vocabulary`: the bytes of its vocabulary.kdefvoc. Rows of values without a vector keep their
/// values. InputError as data::read_pretrained().
void load_pretrained(const data::DatasetConfig& dataset, const std::string& vocabulary, const nn::Module& model);

}  // namespace kdef
