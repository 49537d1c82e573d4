#include "core/tensor/attributes.h"

namespace kdef {
namespace {

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(int64_t value) { return cat(value); }
std::string text_of(double value) { return cat(value); }
std::string text_of(const std::string& value) { return "'" + value + "'"; }
template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string text;
  for (const T& value : values) text += (text.empty() ? "" : ", ") + text_of(value);
  return "[" + text + "]";
}

}  // namespace

std::string to_text(const Attributes& attributes) {
  std::string text;
  for (const Attribute& a : attributes) {
    text += cat(text.empty() ? "" : ", ", a.name, "=");
    std::visit([&](const auto& value) { text += text_of(value); }, a.value);
  }
  return text;
}

}  // namespace kdef
