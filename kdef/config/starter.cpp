#include "kdef/config/starter.h"

#include <algorithm>

#include "core/base/names.h"
#include "kdef/config/key_types.h"

namespace kdef {
namespace {

using namespace config_keys;

constexpr int64_t kSteps = 60;        // of an epoch, at least, where there are rows for them
constexpr int64_t kFewestSteps = 20;  // where there are few rows
constexpr int64_t kSmallBatch = 8;    // batch normalisation needs some rows
constexpr int64_t kLargestBatch = 4096;

int64_t batch_size_for(int64_t rows) {
  int64_t size = 2;
  while (2 * size <= std::min(rows / kSteps, kLargestBatch)) size *= 2;
  while (size < kSmallBatch && 2 * size <= rows / kFewestSteps) size *= 2;
  // Batch normalisation cannot take a batch of one row.
  for (int64_t smaller = size; smaller > 1; --smaller) {
    if (rows % smaller != 1) return smaller;
  }
  while (rows % size == 1 && size < rows) ++size;
  return size;
}

std::string indented(const std::string& key, const std::string& value) { return cat("  ", key, ": ", value, "\n"); }

}  // namespace

StarterSettings starter_settings(int64_t rows) {
  StarterSettings s;
  s.batch_size = batch_size_for(rows);
  s.learning_rate = 1e-3;
  if (rows < 10000) {
    s.embedding_dim = 4;
    s.hidden_units = {32, 16};
    s.net_dropout = 0.2;
    s.embedding_regularizer = 1e-2;
  } else if (rows < 200000) {
    s.embedding_dim = 8;
    s.hidden_units = {64, 32};
    s.net_dropout = 0.2;
    s.embedding_regularizer = 1e-2;
  } else if (rows < 2000000) {
    s.embedding_dim = 16;
    s.hidden_units = {128, 64};
    s.net_dropout = 0.1;
    s.embedding_regularizer = 1e-2;
  } else {
    s.embedding_dim = 16;
    s.hidden_units = {400, 400, 400};
    s.net_dropout = 0.1;
    s.embedding_regularizer = 1e-5;
  }
  return s;
}

std::string starter_dataset_yaml(const data::Proposal& proposal) {
  Draft draft, standard;
  draft.config.dataset = proposal.dataset;
  std::string text =
      "# Written by kdef init. Relative paths start at the folder where kdef is called; where nothing is\n"
      "# there, at this folder, or at the one above it.\n";
  text += yaml_text(proposal.dataset.id) + ":\n";
  for (const Key<Draft>& key : dataset_keys()) {
    if (key.name == "feature_cols") continue;
    const std::string value = key.write(draft);
    if (key.name == "label_col" || value != key.write(standard)) text += indented(key.name, value);
  }
  text += "  feature_cols:\n";
  for (const data::ColumnProposal& column : proposal.columns) {
    for (const data::FieldConfig& field : column.fields) {
      FieldDraft f;
      f.field = field;
      std::set<std::string> always = {"name", "type", "dtype"};
      if (field.type == data::FieldType::sequence) always.insert("splitter");
      text += cat("    - ", write_map(field_keys(), f, always), "  # ", column.why, "\n");
    }
  }
  return text;
}

std::string starter_model_yaml(const data::Proposal& proposal, int64_t train_rows, const std::string& model_root) {
  const StarterSettings s = starter_settings(train_rows);
  std::vector<std::string> units;
  for (const int64_t width : s.hidden_units) units.push_back(cat(width));
  return cat("# Written by kdef init for ", grouped(train_rows), " training rows.\n", "Base:\n",
             indented("dataset_id", yaml_text(proposal.dataset.id)), indented("model_root", yaml_text(model_root)),
             indented("embedding_dim", cat(s.embedding_dim)), indented("hidden_units", yaml_list(units)),
             indented("net_dropout", yaml_number(s.net_dropout)),
             indented("embedding_regularizer", yaml_number(s.embedding_regularizer)),
             indented("learning_rate", yaml_number(s.learning_rate)), indented("batch_size", cat(s.batch_size)),
             "KDEF:\n", indented("model", "KDEF"), indented("num_student", "3"), "single:\n", indented("model", "KDEF"),
             indented("ensemble", "mean"), indented("num_student", "1"));
}

}  // namespace kdef
