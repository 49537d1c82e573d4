// The settings that only some networks have: their values, and the keys that describe them.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kdef::nn {

/// The value of a setting. Its type is that of the key's default value.
class SettingValue {
 public:
  using Variant = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>>;

  SettingValue(bool v) : value(v) {}                                      // NOLINT: the conversions are the purpose
  SettingValue(std::integral auto v) : value(static_cast<int64_t>(v)) {}  // NOLINT
  SettingValue(double v) : value(v) {}                                    // NOLINT
  SettingValue(const char* v) : value(std::string(v)) {}                  // NOLINT
  SettingValue(std::string v) : value(std::move(v)) {}                    // NOLINT
  SettingValue(std::vector<int64_t> v) : value(std::move(v)) {}           // NOLINT
  SettingValue(std::vector<double> v) : value(std::move(v)) {}            // NOLINT
  SettingValue(std::vector<std::string> v) : value(std::move(v)) {}       // NOLINT
  bool operator==(const SettingValue&) const = default;

  Variant value;
};

/// Settings by name, in the order in which they were first set. The readers throw Error for a name that is missing and
/// for a value of another type. A network's maker gets complete and valid settings (NetworkType::resolved), so that
/// neither can happen there.
class Settings {
 public:
  Settings() = default;
  Settings(std::initializer_list<std::pair<std::string, SettingValue>> all);

  void set(const std::string& name, SettingValue value);
  /// Null if the setting is missing.
  const SettingValue* find(const std::string& name) const;
  const std::vector<std::pair<std::string, SettingValue>>& entries() const { return entries_; }

  bool flag(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  const std::vector<int64_t>& integers(const std::string& name) const;
  const std::vector<double>& numbers(const std::string& name) const;
  const std::vector<std::string>& texts(const std::string& name) const;

 private:
  template <class T>
  const T& read(const std::string& name, const char* type) const;

  std::vector<std::pair<std::string, SettingValue>> entries_;
};

/// The name, range and meaning of a setting. Checks, defaults and documentation follow from it.
struct SettingKey {
  std::string name;
  SettingValue standard;             // the default value
  std::string meaning;               // for the documentation, in lower case and without a full stop
  double min = 0, max = 0;           // of integers and numbers, alone or in a list
  bool below = false;                // max itself is not allowed
  std::vector<std::string> choices;  // of texts, alone or in a list; empty: any text
  SettingValue small = standard;     // a value that keeps the network small, for gradient checks and tests
  bool per_layer = false;            // of lists: a value alone is for all layers, and is a list of that value here
  std::optional<SettingValue> null = std::nullopt;  // what `null` in a configuration stands for; nothing: it is refused

  /// The same key with another small value.
  SettingKey with_small(SettingValue value) const;
  /// The same key, for which `null` in a configuration stands for `value`.
  SettingKey with_null(SettingValue value) const;
  /// The type and range in words: "integer in [1, 1000]".
  std::string type() const;
  /// What is wrong with `value`: "expected integer in [1, 1000]"; empty if it is allowed.
  std::string problem(const SettingValue& value) const;
};

SettingKey flag_setting(std::string name, bool standard, std::string meaning);
SettingKey integer_setting(std::string name, int64_t standard, int64_t min, int64_t max, std::string meaning);
SettingKey number_setting(std::string name, double standard, double min, double max, std::string meaning);
SettingKey choice_setting(std::string name, std::string standard, std::vector<std::string> choices,
                          std::string meaning);
/// The widths of layers.
SettingKey widths_setting(std::string name, std::vector<int64_t> standard, std::string meaning);
/// A width of each layer: one number is that of every layer, and is a list of this number here.
SettingKey width_setting(std::string name, std::vector<int64_t> standard, std::string meaning);
/// A list of rates in [0, 1), for instance of dropout.
SettingKey rates_setting(std::string name, std::vector<double> standard, std::string meaning);
/// The activation, or the dropout rate, of every layer, or one for each: a list of one is for all.
SettingKey activation_setting(std::string name, std::string standard, std::string meaning);
SettingKey rate_setting(std::string name, double standard, std::string meaning);
/// FuxiCTR's key `embedding_dropout`, which its classes take and do not read.
SettingKey unread_embedding_dropout();
SettingKey texts_setting(std::string name, std::vector<std::string> standard, std::vector<std::string> choices,
                         std::string meaning);

/// The keys of a multilayer perceptron, of which FuxiCTR's networks have up to two under various names. A list of
/// activations or rates holds one value for each layer, or a single one for all layers.
struct MlpKeys {
  std::string units, activations;
  std::string dropout = "net_dropout", batch_norm = "batch_norm";  // empty: there is no such key
  std::vector<int64_t> standard_units = {64, 64, 64};
  std::string standard_activation = "relu";
  double standard_rate = 0;
  bool standard_norm = false;
  bool nullable = false;  // units: null is allowed, and means that there is no MLP (is_absent)
  std::string of = "";    // which hidden layers they are: "behind the cross layers"

  std::vector<SettingKey> keys() const;
  bool is_absent(const Settings& settings) const;
  /// Why the settings do not fit each other, after the name of the key that is wrong; empty: they do.
  std::pair<std::string, std::string> problem(const Settings& settings) const;
};

/// Limits far above any use. A larger value is a typing error, and the message should say so before memory runs out.
inline constexpr int64_t kMaxLayers = 1000, kMaxWidth = 1 << 20;

}  // namespace kdef::nn
