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

EnsembleConfig ensemble_config(const ExperimentConfig& experiment) {
  EnsembleConfig config;
  config.kind = experiment.ensemble;
  config.students.assign(experiment.students.begin(), experiment.students.end());
  config.embedding_dim = experiment.embedding_dim;
  config.objective = experiment.objective;
  config.fused = experiment.fused;
  config.shared_embedding = experiment.shared_embedding;
  return config;
}

TrainingConfig training_config(const ExperimentConfig& experiment) {
  TrainingConfig config;
  config.batch_size = experiment.batch_size;
  config.epochs = experiment.epochs;
  config.shuffle = experiment.shuffle;
  config.seed = experiment.seed;
  config.precision = ops::parse_precision(experiment.precision);
  config.optimizer.kind = experiment.optimizer;
  config.optimizer.learning_rate = experiment.learning_rate;
  config.optimizer.embedding = experiment.embedding_regularizer;
  config.optimizer.net = experiment.net_regularizer;
  config.optimizer.clip_norm = experiment.max_gradient_norm;
  config.eval_steps = experiment.eval_steps;
  config.monitor = experiment.monitor;
  config.monitor_max = experiment.monitor_max;
  config.early_stop_patience = experiment.early_stop_patience;
  config.reduce_lr_on_plateau = experiment.reduce_lr_on_plateau;
  config.save_best_only = experiment.save_best_only;
  config.checkpoint_steps = experiment.checkpoint_every;
  config.collapse_every = experiment.collapse_every;
  return config;
}

}  // namespace kdef
