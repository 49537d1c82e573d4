// Makes a run of weights that were trained elsewhere.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kdef/config/config.h"
#include "kdef/measure/evaluation.h"

namespace kdef {

struct Imported {
  int64_t parameters = 0;
  Evaluation valid;
  std::optional<Evaluation> test;
  std::vector<std::string> warnings;  // a sentence each
};

/// Writes into `out` a run that predicts with the weights of the safetensors file `weights`, which has the names of the
/// state_dict of FuxiCTR's class of the experiment's network (kdef/method/state_dict.h), or those of model.safetensors.
/// Values may be fp64, and are then rounded. The data of the experiment is prepared where its cache is missing, since
/// the vocabulary gives the rows of the tables their meaning, and its validation and test rows are measured. The
/// directory gets its name by one rename, once all of it is on disk. Throws InputError where a tensor is missing, has
/// another shape or is unknown, where the data set has no validation rows, and if `out` is there and is no empty
/// folder.
/// `vocabulary`: the feature_vocab.json of FuxiCTR that says which word each row of a table is; empty: the rows stand
/// in this program's order.
Imported import_weights(const ExperimentConfig& config, const std::string& weights, const std::string& vocabulary,
                        const std::string& out);

}  // namespace kdef
