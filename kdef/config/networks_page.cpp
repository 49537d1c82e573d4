#include "kdef/config/networks_page.h"

#include <algorithm>

#include "kdef/config/keys.h"

namespace kdef {
namespace {

// As a cell of a Markdown table.
std::string cell(std::string text) {
  for (size_t i = 0; (i = text.find('|', i)) != std::string::npos; i += 2) text.insert(i, "\\");
  return text;
}

std::string keys_of(const nn::NetworkType& type) {
  if (type.keys.empty()) return "";
  std::string text = "| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n";
  for (const nn::SettingKey& key : type.keys) {
    const std::string null = key.null ? ", null" : "";
    text += cat("| `", key.name, "` | ", cell(key.type()), null, " | `", config_keys::write_setting(key.standard),
                "` | ", cell(key.meaning), " |\n");
  }
  return text + "\n";
}

// What a network has beside the keys of its own.
std::string common_part(const nn::NetworkType& type) {
  if (type.fuxictr) return cat("`embedding_dim` is ", type.embedding_dim, " unless it is set.\n\n");
  const std::string keys = "`hidden_units`, `hidden_activations`, `net_dropout`, `batch_norm`, `layer_norm`";
  switch (type.hidden_layers) {
    case nn::HiddenLayers::required:
      return cat("The common keys ", keys, " describe its hidden layers, of which it needs one or more.\n\n");
    case nn::HiddenLayers::optional:
      return cat("The common keys ", keys, " describe its hidden layers; it can be without them.\n\n");
    case nn::HiddenLayers::none:
      break;
  }
  return type.dropout_layers.empty() ? "It has no hidden layers.\n\n"
                                     : cat("It has no hidden layers; `net_dropout` is for its layers, which `",
                                           type.dropout_layers, "` counts.\n\n");
}

std::string section(const nn::NetworkType& type) {
  return cat("### ", type.name, "\n\n", type.title, ": ", type.source, ".\n\n```text\n", type.formula, "\n```\n\n",
             common_part(type), keys_of(type));
}

// The sections of the networks that are, or are not, classes of FuxiCTR.
std::string sections(bool fuxictr) {
  std::string text;
  for (const nn::NetworkType& type : nn::network_types()) {
    if (type.fuxictr == fuxictr) text += section(type);
  }
  return text;
}

}  // namespace

std::string networks_page() {
  const auto& types = nn::network_types();
  const auto fuxictr = std::count_if(types.begin(), types.end(), [](const auto& type) { return type.fuxictr; });
  std::string text = cat(
      "# Networks\n\n`kdef networks --markdown` writes this page from the list of networks (`nn/networks/registry.h`); "
      "a "
      "test keeps it current. Any network can be trained alone or be a student of an ensemble: `network: NAME` in a "
      "configuration, for all students or for one ([configuration.md](configuration.md)).\n\n"
      "z is the logit of a row, e_i the embedding of field i, x all of them side by side, F their number, `*` "
      "elementwise, `.` an inner product, sg a stop-gradient, BN a batch normalisation. LR is the first order: the sum "
      "over the fields of one number per id (or one number times the value), and a bias b.\n\n## Classes of "
      "FuxiCTR\n\nA network with the name of a class of FuxiCTR is that class, number for number, with the keys and "
      "the defaults of the class. Its name is a value of `model`, too. There are ",
      fuxictr, " of them.\n\n");
  text += sections(true);
  text +=
      "## Networks of KDEF's authors\n\nWhere the authors' network of a name differs from FuxiCTR's, `kdef_` stands "
      "before its name.\n\n";
  text += sections(false);
  text.pop_back();  // one line break at the end
  return text;
}

std::string network_section(const std::string& name) { return section(nn::network_type(name)); }

std::string networks_list() {
  size_t width = 0;
  for (const nn::NetworkType& type : nn::network_types()) width = std::max(width, type.name.size());
  std::string text;
  for (const nn::NetworkType& type : nn::network_types()) {
    text += cat(type.name, std::string(width + 2 - type.name.size(), ' '), type.title, "\n");
  }
  return text;
}

}  // namespace kdef
