#include "kdef/run/pretrained.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "core/base/error.h"
#include "data/encode/encoder.h"
#include "data/encode/pretrained.h"

namespace kdef {
namespace {

// The tables of a field, in every set of tables of the model.
std::vector<Tensor> tables_of(const std::string& field, const nn::Module& model) {
  const std::string end = cat("embedding_layers.", field, ".pretrain_embedding.weight");
  std::vector<Tensor> tables;
  for (const nn::Parameter& parameter : model.parameters()) {
    if (parameter.name.ends_with(end)) tables.push_back(parameter.tensor);
  }
  for (const nn::Buffer& buffer : model.buffers()) {
    if (buffer.name.ends_with(end)) tables.push_back(buffer.tensor);
  }
  return tables;
}

// Returns a warning, or an empty text.
std::string load(const data::FieldConfig& field, const data::Encoder& encoder, const std::vector<Tensor>& tables) {
  const auto column = std::find_if(encoder.columns().begin(), encoder.columns().end(),
                                   [&](const auto& c) { return c.cells.field().name == field.name; });
  KDEF_CHECK(column != encoder.columns().end(), "load_pretrained: no column ", field.name);
  std::vector<Tensor> hosts;
  for (const Tensor& table : tables) hosts.push_back(table.detach().to(kCpu).clone());
  const data::Vocabulary& vocabulary = *column->vocabulary;
  const auto row_of = data::pretrained_rows(field, vocabulary);
  int64_t known = 0, of_training = 0;
  std::string first;
  data::read_pretrained(field, true, [&](std::string_view word, std::span<const float> vector) {
    const int64_t id = row_of(word);
    if (id < 0) return;
    if (known++ == 0) first = data::printable(word);
    of_training += id < vocabulary.out_of_vocabulary();
    for (const Tensor& host : hosts) {
      std::copy(vector.begin(), vector.end(), host.data<float>() + id * host.shape()[1]);
    }
  });
  if (known == 0 && field.has_ids()) {
    throw InputError(cat(field.pretrained_emb, ": none of its keys is a word of column ", field.name, " in ",
                         data::ids_file(field), "; correct the keys"));
  }
  for (size_t i = 0; i < tables.size(); ++i) Tensor(tables[i]).copy_from(hosts[i]);
  if (known == 0 || of_training > 0 || field.has_ids() || vocabulary.word_count() == 0) return "";
  return cat("column ", field.name, ": none of the ", known, " keys of ", field.pretrained_emb, ", as ", first,
             ", is a value of train_data, as ", data::printable(vocabulary.word(0)),
             "; check that both files write the values in the same way");
}

}  // namespace

std::vector<std::string> load_pretrained(const data::DatasetConfig& dataset, const std::string& vocabulary,
                                         const nn::Module& model) {
  std::vector<std::string> warnings;
  std::optional<data::Encoder> encoder;
  for (const data::FieldConfig& field : dataset.fields) {
    if (!field.active || field.pretrained_emb.empty()) continue;
    const std::vector<Tensor> tables = tables_of(field.name, model);
    if (tables.empty()) continue;
    if (!encoder) encoder = data::Encoder::parse(vocabulary, "the vocabulary");
    if (std::string warning = load(field, *encoder, tables); !warning.empty()) warnings.push_back(std::move(warning));
  }
  return warnings;
}

}  // namespace kdef
