#include "nn/networks/settings.h"

#include <algorithm>
#include <type_traits>

#include "core/base/names.h"
#include "nn/activations.h"

namespace kdef::nn {

Settings::Settings(std::initializer_list<std::pair<std::string, SettingValue>> all) {
  for (const auto& [name, value] : all) set(name, value);
}

void Settings::set(const std::string& name, SettingValue value) {
  for (auto& [known, old] : entries_) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  entries_.emplace_back(name, std::move(value));
}

const SettingValue* Settings::find(const std::string& name) const {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e.first == name; });
  return it == entries_.end() ? nullptr : &it->second;
}

template <class T>
const T& Settings::read(const std::string& name, const char* type) const {
  const SettingValue* found = find(name);
  KDEF_CHECK(found != nullptr, "settings: '", name, "' is not set");
  const T* value = std::get_if<T>(&found->value);
  KDEF_CHECK(value != nullptr, "settings: '", name, "' is not ", type);
  return *value;
}

bool Settings::flag(const std::string& name) const { return read<bool>(name, "a boolean"); }
int64_t Settings::integer(const std::string& name) const { return read<int64_t>(name, "an integer"); }
double Settings::number(const std::string& name) const { return read<double>(name, "a number"); }
const std::string& Settings::text(const std::string& name) const { return read<std::string>(name, "a text"); }
const std::vector<int64_t>& Settings::integers(const std::string& name) const {
  return read<std::vector<int64_t>>(name, "a list of integers");
}
const std::vector<double>& Settings::numbers(const std::string& name) const {
  return read<std::vector<double>>(name, "a list of numbers");
}
const std::vector<std::string>& Settings::texts(const std::string& name) const {
  return read<std::vector<std::string>>(name, "a list of texts");
}

namespace {

template <class T>
struct ListOf : std::false_type {};
template <class T>
struct ListOf<std::vector<T>> : std::true_type {
  using Element = T;
};

// One value, not a list, against the limits of its key.
template <class T>
bool allowed(const SettingKey& key, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return key.choices.empty() || std::any_of(key.choices.begin(), key.choices.end(), [&](const std::string& choice) {
             return lower_case(choice) == lower_case(value);
           });
  } else if constexpr (std::is_same_v<T, bool>) {
    return true;
  } else {
    const double v = static_cast<double>(value);
    return v >= key.min && (key.below ? v < key.max : v <= key.max);
  }
}

}  // namespace

SettingKey SettingKey::with_small(SettingValue value) const {
  SettingKey key = *this;
  key.small = std::move(value);
  return key;
}

SettingKey SettingKey::with_null(SettingValue value) const {
  SettingKey key = *this;
  key.null = std::move(value);
  return key;
}

std::string SettingKey::type() const {
  if (per_layer) {
    SettingKey one = *this;
    one.per_layer = false;
    one.standard = std::holds_alternative<std::vector<double>>(standard.value)    ? SettingValue(0.0)
                   : std::holds_alternative<std::vector<int64_t>>(standard.value) ? SettingValue(int64_t{0})
                                                                                  : SettingValue("");
    return one.type() + ", or a list of them";
  }
  const std::string range = cat(" in [", min, ", ", max, below ? ")" : "]");
  return std::visit(
      [&]<class T>(const T&) -> std::string {
        if constexpr (std::is_same_v<T, bool>) return "boolean";
        if constexpr (std::is_same_v<T, int64_t>)
          return cat("integer in [", static_cast<int64_t>(min), ", ", static_cast<int64_t>(max), "]");
        if constexpr (std::is_same_v<T, double>) return "number" + range;
        if constexpr (std::is_same_v<T, std::string>) return choices.empty() ? "text" : joined(choices);
        if constexpr (std::is_same_v<T, std::vector<int64_t>>)
          return cat("list of integers in [", static_cast<int64_t>(min), ", ", static_cast<int64_t>(max), "]");
        if constexpr (std::is_same_v<T, std::vector<double>>) return "list of numbers" + range;
        if constexpr (std::is_same_v<T, std::vector<std::string>>)
          return choices.empty() ? "list of texts" : "list of " + joined(choices);
      },
      standard.value);
}

std::string SettingKey::problem(const SettingValue& value) const {
  const bool fits = value.value.index() == standard.value.index() &&
                    std::visit(
                        [&]<class T>(const T& v) {
                          if constexpr (ListOf<T>::value) {
                            return std::all_of(v.begin(), v.end(), [&](const auto& e) { return allowed(*this, e); });
                          } else {
                            return allowed(*this, v);
                          }
                        },
                        value.value);
  return fits ? "" : "expected " + type();
}

SettingKey flag_setting(std::string name, bool standard, std::string meaning) {
  return {std::move(name), standard, std::move(meaning)};
}

SettingKey integer_setting(std::string name, int64_t standard, int64_t min, int64_t max, std::string meaning) {
  return {std::move(name), standard, std::move(meaning), static_cast<double>(min), static_cast<double>(max)};
}

SettingKey number_setting(std::string name, double standard, double min, double max, std::string meaning) {
  return {std::move(name), standard, std::move(meaning), min, max};
}

SettingKey choice_setting(std::string name, std::string standard, std::vector<std::string> choices,
                          std::string meaning) {
  return {std::move(name), std::move(standard), std::move(meaning), 0, 0, false, std::move(choices)};
}

SettingKey widths_setting(std::string name, std::vector<int64_t> standard, std::string meaning) {
  return {std::move(name), std::move(standard), std::move(meaning), 1, static_cast<double>(kMaxWidth)};
}

SettingKey width_setting(std::string name, std::vector<int64_t> standard, std::string meaning) {
  SettingKey key = widths_setting(std::move(name), std::move(standard), std::move(meaning));
  key.per_layer = true;
  return key;
}

SettingKey rates_setting(std::string name, std::vector<double> standard, std::string meaning) {
  return {std::move(name), std::move(standard), std::move(meaning), 0, 1, true};
}

std::vector<SettingKey> MlpKeys::keys() const {
  const std::string layer = of.empty() ? "hidden layer" : "hidden layer " + of;
  std::vector<SettingKey> all = {
      widths_setting(units, standard_units, "width of each " + layer).with_small(std::vector<int64_t>{6, 4})};
  if (nullable) {
    all[0].min = 0;
    all[0] = all[0].with_null(std::vector<int64_t>{0});
    all[0].meaning += "; null: there are none, and no output layer";
  } else {
    all[0] = all[0].with_null(std::vector<int64_t>{});
    all[0].meaning += "; null: there are none";
  }
  all.push_back(
      activation_setting(activations, standard_activation, "the activation of every " + layer + ", or one for each")
          .with_small(std::vector<std::string>{"relu", "sigmoid"}));
  if (!dropout.empty()) {
    all.push_back(rate_setting(dropout, standard_rate, "dropout rate of every layer, or one for each"));
  }
  if (!batch_norm.empty()) {
    all.push_back(
        flag_setting(batch_norm, standard_norm, "batch normalisation in every hidden layer").with_small(true));
  }
  return all;
}

bool MlpKeys::is_absent(const Settings& settings) const {
  return nullable && settings.integers(units) == std::vector<int64_t>{0};
}

std::pair<std::string, std::string> MlpKeys::problem(const Settings& settings) const {
  const size_t layers = settings.integers(units).size();
  const auto wrong = [&](const std::string& key, size_t found) -> std::pair<std::string, std::string> {
    if (layers == 0 || found == 1 || found == layers) return {};
    return {key, cat("expected one value, or one for each of the ", layers, " layers of ", units, ", found ", found)};
  };
  const auto of_activations = wrong(activations, settings.texts(activations).size());
  if (!of_activations.first.empty() || dropout.empty()) return of_activations;
  return wrong(dropout, settings.numbers(dropout).size());
}

SettingKey activation_setting(std::string name, std::string standard, std::string meaning) {
  SettingKey key = texts_setting(std::move(name), {std::move(standard)}, activation_names(), std::move(meaning));
  key.per_layer = true;
  return key.with_null(std::vector<std::string>{"none"});
}

SettingKey rate_setting(std::string name, double standard, std::string meaning) {
  SettingKey key = rates_setting(std::move(name), {standard}, std::move(meaning));
  key.per_layer = true;
  return key;
}

SettingKey unread_embedding_dropout() {
  return number_setting("embedding_dropout", 0, 0, 1, "not read, as in FuxiCTR");
}

SettingKey texts_setting(std::string name, std::vector<std::string> standard, std::vector<std::string> choices,
                         std::string meaning) {
  return {std::move(name), std::move(standard), std::move(meaning), 0, 0, false, std::move(choices)};
}

}  // namespace kdef::nn
