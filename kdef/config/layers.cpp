#include "kdef/config/layers.h"

#include <algorithm>
#include <cctype>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"

namespace kdef::config_keys {
namespace {

// Sets the value at parts[depth..] inside `node`, which is changed in place.
void assign(YAML::Node node, const std::vector<std::string>& parts, size_t depth, const YamlValue& value) {
  const std::string& part = parts[depth];
  const bool last = depth + 1 == parts.size();
  if (node.IsSequence()) {
    size_t index = 0;
    if (part.empty() || !std::all_of(part.begin(), part.end(), [](unsigned char c) { return std::isdigit(c); }) ||
        part.size() > 9 || (index = std::stoul(part)) >= node.size()) {
      value.fail(cat("expected an index from 0 to ", node.size() - 1, " into the list, found '", part, "'"));
    }
    if (last) {
      node[index] = value.node();
    } else {
      assign(node[index], parts, depth + 1, value);
    }
    return;
  }
  if (node.IsScalar()) value.fail(cat("the value before '.", part, "' is neither a map nor a list"));
  if (last) {
    node[part] = value.node();
  } else {
    assign(node[part], parts, depth + 1, value);
  }
}

}  // namespace

void merge(Layer& merged, const std::vector<YamlValue::Entry>& entries) {
  std::map<std::string, std::string> seen;  // from the key to the name that it has in this map
  for (const YamlValue::Entry& e : entries) {
    const std::string name = key_of(e.name);
    if (find_row(experiment_keys(), name) == nullptr) {
      fail_unknown(YamlValue(e.key.node(), e.key.source(), e.name), e.name, row_names(experiment_keys()));
    }
    const auto [before, is_new] = seen.emplace(name, e.name);
    if (!is_new && YAML::Dump(merged.at(name).node()) != YAML::Dump(e.value.node())) {
      e.key.fail(cat("is another name of ", before->second, ", which stands beside it with another value; keep one"));
    }
    merged.insert_or_assign(name, YamlValue(e.value.node(), e.value.source(), e.name));
  }
}

std::pair<std::string, std::string> split_override(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw InputError(cat(kCommandLine, ": expected KEY=VALUE, found '", text, "'"));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void merge_override(Layer& merged, const std::string& text) {
  const auto [path, written] = split_override(text);
  const YamlValue value = parse_yaml(written, kCommandLine, path, false);
  std::vector<std::string> parts = split(path, '.');
  parts[0] = key_of(parts[0]);
  const Key<Draft>* key = find_row(experiment_keys(), parts[0]);
  if (key == nullptr)
    fail_unknown(YamlValue({}, kCommandLine, parts[0], false), parts[0], row_names(experiment_keys()));
  if (parts.size() == 1) {
    merged.insert_or_assign(parts[0], value);
    return;
  }
  const auto before = merged.find(parts[0]);
  YAML::Node node = before != merged.end()   ? YAML::Clone(before->second.node())
                    : !key->standard.empty() ? YAML::Load(key->standard)
                    : key->write             ? YAML::Load(key->write(Draft{}))
                                             : YAML::Node();
  assign(node, parts, 1, value);
  merged.insert_or_assign(parts[0], YamlValue(node, kCommandLine, parts[0], false));
}

}  // namespace kdef::config_keys
