// From a configuration and an encoded schema to a model.
#pragma once

#include <vector>

#include "data/schema.h"
#include "kdef/config/config.h"
#include "kdef/method/ensemble.h"
#include "kdef/train/trainer.h"

namespace kdef {

/// The embedding's fields of a feature map, in model order.
std::vector<nn::EmbeddingField> embedding_fields(const data::FeatureMap& map);

/// The ensemble that a configuration asks for.
EnsembleConfig ensemble_config(const ExperimentConfig& experiment);

/// The training loop's settings.
TrainingConfig training_config(const ExperimentConfig& experiment);

}  // namespace kdef
