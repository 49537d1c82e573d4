#include "data/builtin/yaml_files.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/io/file.h"

namespace kdef::data {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      throw InputError(
          cat("'", text, "': a name with a line break or control character cannot be written into a configuration"));
    }
    out += c == '\'' ? std::string("''") : std::string(1, c);
  }
  return out + "'";
}

const char* dtype(CellType cell) {
  switch (cell) {
    case CellType::integer:
      return "int";
    case CellType::real:
      return "float";
    case CellType::str:
      break;
  }
  return "str";
}

std::string field_yaml(const FieldConfig& f) {
  TextStream out;
  const char* type = f.type == FieldType::categorical ? "categorical"
                     : f.type == FieldType::sequence  ? "sequence"
                                                      : "numeric";
  out << "        - {name: " << quoted(f.name) << ", active: true, dtype: " << dtype(f.cell) << ", type: " << type;
  if (f.type == FieldType::sequence) {
    out << ", splitter: " << quoted(f.splitter) << ", max_len: " << f.max_len << ", padding: post";
    if (f.pooling == Pooling::sum) out << ", feature_encoder: 'layers.MaskedSumPooling()'";
  }
  if (f.embedding_dim) out << ", embedding_dim: " << *f.embedding_dim;
  if (!f.share_embedding.empty()) out << ", share_embedding: " << quoted(f.share_embedding);
  if (f.fill_na) out << ", fill_na: " << (f.cell == CellType::str ? quoted(*f.fill_na) : *f.fill_na);
  if (f.preprocess == Preprocess::convert_to_bucket) out << ", preprocess: convert_to_bucket";
  if (f.normalizer != Normalizer::none) {
    out << ", normalizer: " << (f.normalizer == Normalizer::standard ? "StandardScaler" : "MinMaxScaler");
  }
  out << "}\n";
  return out.str();
}

}  // namespace

void write_yaml_files(const std::string& dir, const DatasetConfig& dataset, const ExperimentSettings& settings) {
  const std::filesystem::path folder(dir);
  TextStream data;
  data << quoted(dataset.id) << ":\n"
       << "    data_format: csv\n"
       << "    data_root: " << quoted(dataset.data_root) << "\n"
       << "    train_data: " << quoted(dataset.train_data) << "\n"
       << "    valid_data: " << quoted(dataset.valid_data) << "\n"
       << "    test_data: " << quoted(dataset.test_data) << "\n"
       << "    min_categr_count: " << dataset.min_categr_count << "\n"
       << "    feature_cols:\n";
  for (const FieldConfig& field : dataset.fields) data << field_yaml(field);
  data << "    label_col: {name: " << quoted(dataset.label) << ", dtype: float}\n";
  write_file((folder / "dataset_config.yaml").string(), data.str());

  TextStream model;
  model << "Base:\n"
        << "    model_root: './checkpoints/'\n"
        << "    early_stop_patience: 2\n"
        << "    save_best_only: true\n"
        << "    eval_steps: null\n";
  const struct {
    const char *id, *model;
    int students;
  } experiments[] = {{"KDEF", "EKTF", 3}, {"mean", "MLPs_mean", 3}, {"single", "MLPs_mean", 1}};
  for (const auto& experiment : experiments) {
    model << "\n"
          << experiment.id << ":\n"
          << "    model: " << experiment.model << "\n"
          << "    dataset_id: " << quoted(dataset.id) << "\n"
          << "    num_student: " << experiment.students << "\n"
          << "    loss: binary_crossentropy\n"
          << "    metrics: [logloss, AUC]\n"
          << "    task: binary_classification\n"
          << "    optimizer: adam\n"
          << "    learning_rate: " << settings.learning_rate << "\n"
          << "    embedding_regularizer: " << settings.embedding_regularizer << "\n"
          << "    net_regularizer: 0\n"
          << "    batch_size: " << settings.batch_size << "\n"
          << "    embedding_dim: " << settings.embedding_dim << "\n"
          << "    hidden_units: " << settings.hidden_units << "\n"
          << "    hidden_activations: relu\n"
          << "    net_dropout: " << settings.net_dropout << "\n"
          << "    batch_norm: true\n"
          << "    epochs: " << settings.epochs << "\n"
          << "    shuffle: true\n"
          << "    seed: " << settings.seed << "\n"
          << "    monitor: {AUC: 1, logloss: 0}\n"
          << "    monitor_mode: max\n";
  }
  write_file((folder / "model_config.yaml").string(), model.str());
}

}  // namespace kdef::data
