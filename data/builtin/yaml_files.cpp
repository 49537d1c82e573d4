#include "data/builtin/yaml_files.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/io/file.h"
#include "data/field_keys.h"

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

// As YAML. Words and numbers need no quotes; what fill_na stands for follows the column's dtype.
std::string key_yaml(const FieldKey& key, const KeyValue& value, CellType dtype) {
  switch (key.shape) {
    case KeyShape::boolean:
      return std::get<bool>(value) ? "true" : "false";
    case KeyShape::integer:
      return cat(std::get<int64_t>(value));
    case KeyShape::choice: {
      const std::string name = key.choices.at(static_cast<size_t>(std::get<int64_t>(value))).name;
      return name.find('(') == std::string::npos ? name : quoted(name);
    }
    case KeyShape::text_or_number:
      if (dtype != CellType::str) return std::get<std::string>(value);
      break;
    case KeyShape::cells: {
      std::string list;
      for (const std::string& cell : std::get<std::vector<std::string>>(value)) {
        list += (list.empty() ? "" : ", ") + quoted(cell);
      }
      return "[" + list + "]";
    }
    case KeyShape::text:
      break;
  }
  return quoted(std::get<std::string>(value));
}

// Whether the key is null, a text that was not set, or a key that caches, too, hold only beside its default.
bool unset(const FieldKey& key, const KeyValue& value) {
  const bool optional = key.stored_in != StoredIn::nothing && !key.always_stored;
  if (optional && value == key.config.get(FieldConfig{})) return true;
  if (key.shape == KeyShape::text) return value == KeyValue(std::string());
  if (key.shape != KeyShape::choice) return value == KeyValue();
  return key.choices.at(static_cast<size_t>(std::get<int64_t>(value))).name == nullptr;
}

// Every key that the field has. Defaults stand there too: those of FuxiCTR are different in part (padding).
std::string field_yaml(const FieldConfig& f) {
  std::string text;
  for (const FieldKey& key : field_keys()) {
    const KeyValue value = key.config.get(f);
    if (!key.applies_to(f.type) || unset(key, value)) continue;
    text += cat(text.empty() ? "" : ", ", key.name, ": ", key_yaml(key, value, f.cell));
  }
  return cat("        - {", text, "}\n");
}

}  // namespace

std::vector<std::string> builtin_files() {
  return {"train.csv", "valid.csv", "test.csv", "dataset_config.yaml", "model_config.yaml"};
}

void refuse_to_replace_data(const std::string& dir) {
  refuse_to_replace(dir, builtin_files(), "; name another folder, or give --overwrite to replace them");
}

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
  } experiments[] = {{"KDEF", "EKTF", 3}, {"mean", "MLPs_mean", 3}, {"sum", "MLPs_sum", 3}, {"single", "MLPs_mean", 1}};
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
