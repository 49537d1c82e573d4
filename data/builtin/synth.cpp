#include "data/builtin/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/io/file.h"
#include "data/builtin/yaml_files.h"
#include "data/encode/feature_map.h"
#include "data/raw/cells.h"

namespace kdef::data {
namespace {

namespace fs = std::filesystem;

// Sub-streams of kStreamSynth: one per field for the effects of its values, one per row from kRowStreams on.
constexpr uint64_t kRowStreams = uint64_t{1} << 32, kPilotStreams = uint64_t{1} << 48;
constexpr int64_t kPilotRows = 20000;           // rows that set shift and scale of the logit
constexpr size_t kLatent = 2;                   // dimension of the vectors whose products are the interactions
constexpr double kZipf = 1.05;                  // P(k-th value) ~ k^-kZipf
constexpr double kPairs = 0.8, kTriples = 0.5;  // standard deviations; that of the single fields is 1
constexpr double kEmpty = 0.03;                 // share of empty cells where a field may have them

enum class Text { word, hex, number, decimal };  // how value k is written

struct SynthField {
  std::string name;
  Text text = Text::word;
  int64_t values = 1;  // 0: numeric
  int64_t max_len = 1;
  bool sequence = false;
  bool may_be_empty = false;
  // Taken from a feature map.
  Pooling pooling = Pooling::average;
  std::optional<int64_t> embedding_dim = {};
  std::string share_embedding = {};
};

struct Shape {
  std::string id, label = "label";
  std::vector<SynthField> fields;
  ExperimentSettings settings;
};

// With these sizes and settings a training lasts many epochs, as on the published data sets. With less regularization
// the students of an ensemble overfit a log of this size in one or two epochs, before they become different.
Shape default_shape() {
  Shape shape;
  shape.id = "synthetic";
  shape.fields = {{"user", Text::word, 6000},   {"item", Text::word, 4000},
                  {"category", Text::word, 80}, {"city", Text::word, 200, 1, false, true},
                  {"site", Text::word, 500},    {"hour", Text::word, 24},
                  {"device", Text::word, 10},   {"tags", Text::word, 100, 5, true, true},
                  {"price", Text::decimal, 0},  {"age", Text::decimal, 0}};
  shape.settings.embedding_regularizer = 0.01;
  shape.settings.hidden_units = "[128, 128, 128]";
  shape.settings.net_dropout = 0.1;
  shape.settings.batch_size = 2048;
  shape.settings.epochs = 40;
  return shape;
}

// The numbers of distinct values of the published runs, after min_categr_count 10.
Shape criteo_shape() {
  Shape shape;
  shape.id = "synthetic_criteo";
  shape.label = "Label";
  constexpr std::array<int64_t, 13> kNumbers = {42, 97, 120, 39, 218, 110, 78, 67, 90, 4, 25, 35, 70};
  constexpr std::array<int64_t, 26> kHex = {1444,  552,  157337, 117820, 304, 16,    11880,  628,  3,
                                            39528, 5129, 156654, 3174,   26,  11041, 148911, 10,   4558,
                                            2001,  3,    154562, 16,     15,  53029, 80,     40953};
  for (size_t i = 0; i < kNumbers.size(); ++i) {
    shape.fields.push_back({cat("I", i + 1), Text::number, kNumbers[i], 1, false, true});
  }
  for (size_t i = 0; i < kHex.size(); ++i)
    shape.fields.push_back({cat("C", i + 1), Text::hex, kHex[i], 1, false, true});
  shape.settings.batch_size = 10000;
  shape.settings.embedding_regularizer = 1e-5;
  shape.settings.net_dropout = 0.1;
  return shape;
}

// The criteo shape for a minute's training: no field has more than 2,001 values, so that most values of a small log
// occur often; cells are words, none is empty, and the fields stand in the order of their names. The settings keep four
// trainings within a minute, and regularize enough that none overfits in its first epochs.
Shape small_criteo_shape() {
  constexpr int64_t kMostValues = 2001;
  Shape shape = criteo_shape();
  shape.id = "synthetic_criteo_small";
  for (SynthField& field : shape.fields) {
    field.values = std::min(field.values, kMostValues);
    field.text = Text::word;
    field.may_be_empty = false;
  }
  std::sort(shape.fields.begin(), shape.fields.end(),
            [](const SynthField& a, const SynthField& b) { return a.name < b.name; });
  shape.settings.hidden_units = "[64, 64]";
  shape.settings.embedding_dim = 8;
  shape.settings.batch_size = 1024;
  shape.settings.embedding_regularizer = 0.01;
  shape.settings.learning_rate = 5e-4;
  return shape;
}

Shape movielens_shape() {
  Shape shape;
  shape.id = "synthetic_ml_1m";
  shape.label = "Label";
  shape.fields = {{"UserID", Text::word, 6040},       {"Gender", Text::word, 2},     {"Age", Text::word, 7},
                  {"Occupation", Text::word, 21},     {"MovieID", Text::word, 3641}, {"Release", Text::word, 8},
                  {"Genres", Text::word, 18, 5, true}};
  shape.settings.embedding_regularizer = 0.01;
  shape.settings.net_dropout = 0.1;
  return shape;
}

// A value takes about 32 bytes here, and a row a text for each of its values: 1 GiB, and 1 MiB a row.
constexpr int64_t kMaxValues = int64_t{1} << 25, kMaxCellValues = int64_t{1} << 16;

void check_size(const FeatureMap& map, const std::string& path) {
  int64_t values = 0, cell_values = 0;  // a map of 2^31 fields does not fit into a file
  for (const Field& field : map.fields) {
    values += field.vocab_size;
    cell_values += field.type == FieldType::sequence ? field.max_len : 1;
  }
  if (values > kMaxValues || cell_values > kMaxCellValues) {
    throw InputError(cat(path, ": its fields have ", values, " values together, and ", cell_values,
                         " in a row; synthetic data has at most ", kMaxValues, " and ", kMaxCellValues));
  }
}

Shape map_shape(const std::string& path) {
  const FeatureMap map = load_feature_map(path);
  check_size(map, path);
  Shape shape;
  shape.id = "synthetic_" + (map.dataset.empty() ? "map" : map.dataset);
  shape.label = map.label;
  for (const Field& field : map.fields) {
    SynthField f;
    f.name = field.name;
    if (f.name.find_first_of(",\"\r\n") != std::string::npos) {
      throw InputError(
          cat(path, ": field ", f.name, ": a name with a comma, quote or line end cannot be a column here"));
    }
    if (field.type == FieldType::numeric) {
      f.text = Text::decimal;
      f.values = 0;
    } else {
      f.values = std::max<int64_t>(1, field.vocab_size - 2);
      f.sequence = field.type == FieldType::sequence;
      f.max_len = field.max_len;
      if (f.sequence) f.pooling = field.pooling;
      f.share_embedding = field.share_embedding;
    }
    f.embedding_dim = field.embedding_dim;
    shape.fields.push_back(std::move(f));
  }
  shape.settings.embedding_regularizer = 1e-5;
  shape.settings.net_dropout = 0.1;
  return shape;
}

Shape find_shape(const std::string& name) {
  if (name == "default") return default_shape();
  if (name == "criteo") return criteo_shape();
  if (name == "criteo-small") return small_criteo_shape();
  if (name == "ml-1m") return movielens_shape();
  if (name.ends_with(".json")) return map_shape(name);
  throw InputError(cat("shape '", name,
                       "': default, criteo, criteo-small, ml-1m or the path of a feature map (FILE.json) is expected"));
}

// A number that convert_to_bucket turns into k + 1; bucket 0 belongs to fill_na.
std::string number_of_bucket(int64_t k) {
  return std::to_string(k < 2 ? k + 1
                              : static_cast<int64_t>(std::ceil(std::exp(std::sqrt(static_cast<double>(k + 1))))));
}

class Generator {
 public:
  Generator(const Shape& shape, const SynthConfig& config) : shape_(shape), seed_(config.seed) {
    for (size_t f = 0; f < shape.fields.size(); ++f) fields_.push_back(make_field(shape.fields[f], f));
    plant();
    calibrate(config);
  }

  struct Row {
    std::string text;
    double logit = 0;
    bool label = false;
  };

  void make(int64_t index, Row& row) {
    Random random(seed_, kStreamSynth + kRowStreams + static_cast<uint64_t>(index));
    row.text.clear();
    row.logit = shift_ + scale_ * draw(random, &row.text);
    row.label = random.uniform53() < 1 / (1 + std::exp(-row.logit));
    row.text += '\n';
  }

 private:
  using Effect = std::array<float, 1 + kLatent>;  // of a value: its own effect, then its latent vector
  struct FieldModel {
    std::vector<double> cumulative;  // of the Zipf distribution
    std::vector<Effect> effects;     // per value
  };

  FieldModel make_field(const SynthField& field, size_t index) const {
    FieldModel model;
    double sum = 0;
    for (int64_t k = 0; k < field.values; ++k) {
      sum += std::pow(static_cast<double>(k + 1), -kZipf);
      model.cumulative.push_back(sum);
      // 16 draws a value: three normals take 12.
      Random random(seed_, kStreamSynth + index, static_cast<uint64_t>(16 * k));
      Effect effect;
      for (float& e : effect) e = static_cast<float>(random.normal());
      model.effects.push_back(effect);
    }
    return model;
  }

  // Plants interactions between the fields with the fewest values, because a model can learn these: pairs and triples
  // of neighbours in the order of the number of values.
  void plant() {
    std::vector<size_t> order;
    for (size_t f = 0; f < fields_.size(); ++f) {
      if (shape_.fields[f].values >= 2) order.push_back(f);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return shape_.fields[a].values < shape_.fields[b].values; });
    if (order.size() > 6) order.resize(6);
    for (size_t i = 0; i + 1 < order.size(); ++i) pairs_.push_back({order[i], order[i + 1]});
    for (size_t i = 0; i + 2 < order.size(); i += 2) triples_.push_back({order[i], order[i + 1], order[i + 2]});
  }

  // Finds shift and scale of the raw logit from separate rows, so that the standard deviation becomes config.signal and
  // the mean probability config.positive_rate.
  void calibrate(const SynthConfig& config) {
    std::vector<double> raw;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < kPilotRows; ++i) {
      Random random(seed_, kStreamSynth + kPilotStreams + static_cast<uint64_t>(i));
      raw.push_back(draw(random, nullptr));
      sum += raw.back();
      squares += raw.back() * raw.back();
    }
    const double mean = sum / kPilotRows, variance = squares / kPilotRows - mean * mean;
    scale_ = variance > 0 ? config.signal / std::sqrt(variance) : 0;
    double low = -100, high = 100;
    for (int step = 0; step < 60; ++step) {
      shift_ = (low + high) / 2;
      double rate = 0;
      for (double z : raw) rate += 1 / (1 + std::exp(-(shift_ + scale_ * z)));
      (rate / kPilotRows < config.positive_rate ? low : high) = shift_;
    }
  }

  // The raw logit of a new row; its cells are appended to `text`, each after a comma.
  double draw(Random& random, std::string* text) {
    values_.resize(fields_.size());
    double alone = 0;
    for (size_t f = 0; f < fields_.size(); ++f) {
      const SynthField& field = shape_.fields[f];
      if (text != nullptr) *text += ',';
      values_[f] = Effect{};
      if (field.values == 0) {
        alone += draw_number(f, random, text);
        continue;
      }
      if (field.may_be_empty && random.uniform() < kEmpty) continue;
      const int64_t length =
          field.sequence ? 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(field.max_len))) : 1;
      for (int64_t i = 0; i < length; ++i) {
        const int64_t value = draw_value(fields_[f], random);
        if (text != nullptr) {
          if (i > 0) *text += '^';
          append_value(*text, field, f, value);
        }
        // sum / sqrt(length): unit variance whatever the length.
        for (size_t d = 0; d < values_[f].size(); ++d) {
          values_[f][d] += fields_[f].effects[static_cast<size_t>(value)][d] / std::sqrt(static_cast<float>(length));
        }
      }
      alone += values_[f][0];
    }
    double pairs = 0, triples = 0;
    for (const auto& [a, b] : pairs_) {
      for (size_t d = 1; d <= kLatent; ++d) pairs += values_[a][d] * values_[b][d];
    }
    for (const auto& [a, b, c] : triples_) {
      for (size_t d = 1; d <= kLatent; ++d) triples += values_[a][d] * values_[b][d] * values_[c][d];
    }
    const auto unit = [](double x, size_t terms) { return terms == 0 ? 0 : x / std::sqrt(static_cast<double>(terms)); };
    return unit(alone, fields_.size()) + kPairs * unit(pairs, kLatent * pairs_.size()) +
           kTriples * unit(triples, kLatent * triples_.size());
  }

  // A numeric cell: even fields log-normal with an effect that rises, odd ones normal with an effect that peaks.
  static double draw_number(size_t f, Random& random, std::string* text) {
    const double x = random.normal();
    if (text != nullptr) {
      *text += f % 2 == 0 ? fixed_point(std::exp(3 + 0.7 * x), 2) : fixed_point(40 + 12 * x, 0);
    }
    return f % 2 == 0 ? x : (1 - x * x) / std::sqrt(2.0);
  }

  static int64_t draw_value(const FieldModel& model, Random& random) {
    const double u = random.uniform53() * model.cumulative.back();
    const auto at = std::upper_bound(model.cumulative.begin(), model.cumulative.end(), u);
    return std::min<int64_t>(at - model.cumulative.begin(), static_cast<int64_t>(model.cumulative.size()) - 1);
  }

  void append_value(std::string& text, const SynthField& field, size_t f, int64_t value) const {
    char buffer[32];
    switch (field.text) {
      case Text::hex:  // eight digits; multiplication by an odd number permutes the 32-bit integers
        std::snprintf(buffer, sizeof(buffer), "%08x",
                      (static_cast<uint32_t>(value) + 1) * 0x9E3779B1u + static_cast<uint32_t>(f));
        text += buffer;
        break;
      case Text::number:
        text += number_of_bucket(value);
        break;
      default:
        text += std::to_string(value + 1);
    }
  }

  const Shape& shape_;
  const uint64_t seed_;
  std::vector<FieldModel> fields_;
  std::vector<std::array<size_t, 2>> pairs_;
  std::vector<std::array<size_t, 3>> triples_;
  double shift_ = 0, scale_ = 1;
  std::vector<Effect> values_;  // of the row that is being drawn
};

DatasetConfig dataset_config(const Shape& shape, const fs::path& out) {
  DatasetConfig config;
  config.id = shape.id;
  config.label = shape.label;
  config.data_root = (out / "cache").string();
  config.train_data = (out / "train.csv").string();
  config.valid_data = (out / "valid.csv").string();
  config.test_data = (out / "test.csv").string();
  for (const SynthField& f : shape.fields) {
    FieldConfig& field = config.fields.emplace_back();
    field.name = f.name;
    field.embedding_dim = f.embedding_dim;
    field.share_embedding = f.share_embedding;
    if (f.sequence) {
      field.pooling = f.pooling;
      field.type = FieldType::sequence;
      field.max_len = f.max_len;
    } else if (f.text == Text::decimal) {
      field.type = FieldType::numeric;
      field.cell = CellType::real;
      field.normalizer = Normalizer::standard;
      field.fill_na = "0";
    } else if (f.text == Text::number) {
      field.cell = CellType::real;
      field.fill_na = "0";
      field.preprocess = Preprocess::convert_to_bucket;
    } else {
      field.fill_na = "";
    }
  }
  return config;
}

}  // namespace

FeatureMap shape_feature_map(const std::string& name) {
  if (name.ends_with(".json")) return load_feature_map(name);
  const Shape shape = find_shape(name);
  FeatureMap map;
  map.dataset = shape.id;
  map.label = shape.label;
  for (const SynthField& f : shape.fields) {
    Field field;
    field.name = f.name;
    field.type = f.values == 0 ? FieldType::numeric : f.sequence ? FieldType::sequence : FieldType::categorical;
    field.vocab_size = f.values == 0 ? 0 : f.values + 2;
    field.max_len = f.max_len;
    map.fields.push_back(std::move(field));
  }
  return map;
}

SynthResult synthesize(const SynthConfig& config, const std::function<void(const Progress&)>& progress) {
  if (config.rows < 10) throw InputError(cat("rows is ", config.rows, "; at least 10 are needed to make three files"));
  if (config.out_dir.empty()) throw InputError("the folder to write to is missing");
  if (!(config.signal >= 0) || !(config.positive_rate > 0 && config.positive_rate < 1)) {
    throw InputError(cat("signal ", config.signal, " must not be negative, positive_rate ", config.positive_rate,
                         " must lie between 0 and 1"));
  }
  if (!config.overwrite) refuse_to_replace_data(config.out_dir);
  const Shape shape = find_shape(config.shape);
  std::error_code error;
  fs::create_directories(config.out_dir, error);
  if (!fs::is_directory(config.out_dir)) {
    throw SystemError(cat(config.out_dir, ": the folder cannot be made: ", error.message()));
  }
  SynthResult result;
  const fs::path out = fs::absolute(config.out_dir).lexically_normal();
  result.dataset = dataset_config(shape, out);
  result.valid_rows = result.test_rows = config.rows / 10;
  result.train_rows = config.rows - result.valid_rows - result.test_rows;

  Generator generator(shape, config);
  std::string header = shape.label;
  for (const SynthField& field : shape.fields) header += "," + field.name;
  int64_t index = 0;
  Generator::Row row;
  const std::pair<std::string, int64_t> files[] = {{result.dataset.train_data, result.train_rows},
                                                   {result.dataset.valid_data, result.valid_rows},
                                                   {result.dataset.test_data, result.test_rows}};
  for (const auto& [path, rows] : files) {
    AtomicFile file(path);
    std::string text = header + "\n";
    for (int64_t i = 0; i < rows; ++i, ++index) {
      generator.make(index, row);
      text += row.label ? '1' : '0';
      text += row.text;
      if (path == result.dataset.test_data) {
        result.test_logits.push_back(row.logit);
        result.test_labels.push_back(row.label);
      }
      if (text.size() > (size_t{1} << 20)) {
        file.write(text.data(), text.size());
        text.clear();
        if (progress) progress({"writing rows", index, static_cast<double>(index) / static_cast<double>(config.rows)});
      }
    }
    file.write(text.data(), text.size());
    file.commit();
  }
  write_yaml_files(out.string(), result.dataset, shape.settings);
  return result;
}

}  // namespace kdef::data
