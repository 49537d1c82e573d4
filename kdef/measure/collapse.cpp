#include "kdef/measure/collapse.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "kdef/measure/collapse_json.h"
#include "kdef/measure/metrics.h"

namespace kdef {
namespace {

// Eigenvalues of a symmetric matrix, descending; those that rounding made negative are 0.
std::vector<double> eigenvalues(const Eigen::MatrixXd& symmetric) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(symmetric, Eigen::EigenvaluesOnly);
  if (solver.info() != Eigen::Success)
    throw CheckError("spectrum: the eigenvalues did not converge; is the matrix finite?");
  const Eigen::VectorXd values = solver.eigenvalues().reverse();
  std::vector<double> all(values.data(), values.data() + values.size());
  for (double& v : all) v = std::max(v, 0.0);
  return all;
}

using Block = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Calls fn with one block of rows after the other, in fp64, so that a large table is never copied as a whole.
template <class Fn>
void for_blocks(const Tensor& matrix, Fn fn) {
  constexpr int64_t kRows = 4096;
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  for (int64_t first = 0; first < rows; first += kRows) {
    const Tensor block = matrix.rows(first, std::min(kRows, rows - first)).to(kCpu).to(DType::f64);
    fn(Eigen::Map<const Block>(block.data<double>(), block.shape()[0], columns));
  }
}

// sum over rows a of (a - centre)(a - centre)^T
Eigen::MatrixXd gram_of(const Tensor& matrix, const Eigen::VectorXd& centre) {
  const int64_t columns = matrix.shape()[1];
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(columns, columns);
  for_blocks(matrix, [&](const Block& rows) {
    const Block moved = rows.rowwise() - centre.transpose();
    gram.noalias() += moved.transpose() * moved;
  });
  return gram;
}

// Measures matrices[i] as entry i. On the CPU the matrices are measured in parallel; a device is called by one thread.
void measure(std::vector<CollapseReport::Entry>& entries, const std::vector<Tensor>& matrices) {
  const int64_t count = static_cast<int64_t>(entries.size());
  const int64_t piece = count > 0 && !matrices[0].device().is_cpu() ? count : 1;
  parallel_for(count, piece, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      entries[static_cast<size_t>(i)].spectrum = spectrum(matrices[static_cast<size_t>(i)]);
    }
  });
}

}  // namespace

// The squares of the singular values, descending.
static std::vector<double> squared_singular_values(const Tensor& matrix) {
  KDEF_CHECK(matrix.rank() == 2 && matrix.shape()[1] > 0, "spectrum: needs a matrix [N, D], got ", describe(matrix));
  return eigenvalues(gram_of(matrix, Eigen::VectorXd::Zero(matrix.shape()[1])));
}

std::vector<double> singular_values(const Tensor& matrix) {
  std::vector<double> values = squared_singular_values(matrix);
  for (double& s : values) s = std::sqrt(s);
  return values;
}

// Of squared singular values, descending.
static Dimensions dimensions(const std::vector<double>& squares) {
  Dimensions result;
  const double top = squares[0];
  if (top == 0) return result;
  double total = 0, sum = 0, sum_of_squares = 0, entropy = 0;
  for (const double square : squares) {
    total += std::sqrt(square);
    sum += square;
    sum_of_squares += square * square;
  }
  for (const double square : squares) {
    const double p = std::sqrt(square) / total + 1e-7;
    entropy -= p * std::log(p);
  }
  result.information_abundance = total / std::sqrt(top);
  result.effective_rank = std::exp(entropy);
  result.stable_rank = sum / top;
  result.participation_ratio = sum * sum / sum_of_squares;
  return result;
}

Spectrum spectrum(const Tensor& matrix) {
  Spectrum result;
  const std::vector<double> squares = squared_singular_values(matrix);
  for (const double square : squares) {
    const double s = std::sqrt(square);
    result.log_spectrum.push_back(s > 0 ? std::log(s / std::sqrt(squares[0]))
                                        : -std::numeric_limits<double>::infinity());
  }
  result.rows = matrix.shape()[0];
  result.columns = matrix.shape()[1];
  result.raw = dimensions(squares);
  if (squares[0] == 0) return result;
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(result.columns);
  for_blocks(matrix, [&](const Block& rows) { mean += rows.colwise().sum().transpose(); });
  mean /= static_cast<double>(result.rows);
  result.centred = dimensions(eigenvalues(gram_of(matrix, mean)));
  return result;
}

namespace {

// Measures the embedding tables of a model without their padding rows.
void measure_tables(const Ensemble& model, CollapseReport& report) {
  const bool shared = model.config().shared_embedding;
  const std::string prefix = "embedding_layer.embedding_layers.", suffix = ".weight";
  std::vector<Tensor> tables;
  for (size_t k = 0; k < (shared ? 1 : model.student_count()); ++k) {
    for (const nn::Parameter& p : model.embedding(k).parameters()) {
      if (p.tensor.shape()[1] < 2) continue;  // numeric fields have one vector, not a table
      const std::string field = p.name.substr(prefix.size(), p.name.size() - prefix.size() - suffix.size());
      report.embeddings.push_back({cat(shared ? "" : cat("student ", k + 1, " "), "embedding ", field), {}});
      tables.push_back(p.tensor.rows(1, p.tensor.shape()[0] - 1));
    }
  }
  measure(report.embeddings, tables);
}

// The outputs of a model for a sample of rows.
struct Sample {
  std::vector<std::vector<std::vector<float>>> layers;  // per student and hidden layer: values row by row
  std::vector<std::vector<int64_t>> widths;             // of these layers
  std::vector<std::vector<double>> students;            // per student: predictions
  std::vector<double> ensemble;
  std::vector<double> logits;          // of the students, row by row
  std::vector<float> labels, weights;  // weights: empty where rows have none

  explicit Sample(size_t m) : layers(m), widths(m), students(m) {}

  int64_t rows() const { return static_cast<int64_t>(labels.size()); }

  // The first `take` rows of a batch.
  void add(const Ensemble& model, data::Batch& batch, int64_t take) {
    const ModelInput input = model_input(batch, model.embedding().id_columns(), model.embedding().value_columns());
    const Ensemble::Output output = outputs(model, input);
    const Probabilities p = predictions(model, output);
    const std::vector<double> z = output.students.to(DType::f64).to_vector<double>();
    const std::vector<std::vector<Tensor>> hidden = model.hidden_layers(input.to(model.device()));
    const size_t m = students.size();
    for (size_t k = 0; k < m; ++k) {
      layers[k].resize(hidden[k].size());
      widths[k].resize(hidden[k].size());
      for (size_t l = 0; l < hidden[k].size(); ++l) {
        widths[k][l] = hidden[k][l].shape()[1];
        const Tensor values = hidden[k][l].to(kCpu);
        layers[k][l].insert(layers[k][l].end(), values.data<float>(), values.data<float>() + take * widths[k][l]);
      }
      for (int64_t b = 0; b < take; ++b) {
        students[k].push_back(static_cast<double>(p.students[static_cast<size_t>(b) * m + k]));
      }
    }
    ensemble.insert(ensemble.end(), p.ensemble.begin(), p.ensemble.begin() + take);
    logits.insert(logits.end(), z.begin(), z.begin() + take * static_cast<int64_t>(m));
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.begin() + take);
    if (!batch.weights.empty()) weights.insert(weights.end(), batch.weights.begin(), batch.weights.begin() + take);
  }
};

void measure_layers(Sample& sample, CollapseReport& report) {
  std::vector<Tensor> matrices;
  for (size_t k = 0; k < sample.layers.size(); ++k) {
    for (size_t l = 0; l < sample.layers[k].size(); ++l) {
      matrices.push_back(Tensor::borrow(sample.layers[k][l].data(), {sample.rows(), sample.widths[k][l]}));
      report.layers.push_back({cat("student ", k + 1, " hidden ", l + 1), {}});
    }
  }
  measure(report.layers, matrices);
}

// The gradient of the objective by the students' logits, as if the sample was one batch.
Tensor gradient_of_logits(const Ensemble& model, const Sample& sample) {
  const auto column = [&](const std::vector<float>& values) {
    return Tensor::from(values, {sample.rows(), 1}).to(DType::f64);
  };
  const auto m = static_cast<int64_t>(model.student_count());
  Tensor z = Tensor::from(sample.logits, {sample.rows(), m});
  z.set_requires_grad();
  const auto combine = ensemble_type(model.config().kind).combine;
  // A layer over hidden layers does not read the logits.
  if (combine == nullptr) return Tensor::zeros({sample.rows(), m}, DType::f64);
  backward(model.loss({z, combine(z), {}}, column(sample.labels),
                      sample.weights.empty() ? Tensor() : column(sample.weights)));
  return z.grad();
}

// The mean cosine of two different columns.
double mean_cosine(const Tensor& matrix) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  const double* a = matrix.data<double>();
  const auto product = [&](int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t b = 0; b < rows; ++b) sum += a[b * columns + i] * a[b * columns + j];
    return sum;
  };
  double total = 0;
  for (int64_t i = 0; i < columns; ++i) {
    for (int64_t j = 0; j < i; ++j) total += product(i, j) / std::sqrt(product(i, i) * product(j, j));
  }
  return total / (static_cast<double>(columns * (columns - 1)) / 2);
}

void measure_gradients(const Ensemble& model, const Sample& sample, CollapseReport& report) {
  const Tensor gradient = gradient_of_logits(model, sample);
  report.gradients.push_back({"gradient of the logits", spectrum(gradient)});
  report.gradient_agreement = mean_cosine(gradient);
}

void measure_students(const Sample& sample, const Metric& metric, CollapseReport& report) {
  const size_t m = sample.students.size();
  const double n = static_cast<double>(sample.rows()), count = static_cast<double>(m);
  report.metric = metric;
  report.ensemble_value = metric.of(sample.ensemble, sample.labels, sample.weights);
  Evaluation students;
  for (const std::vector<double>& scores : sample.students) {
    students.students.push_back({{metric.key(), metric.of(scores, sample.labels, sample.weights)}});
    double distance = 0;
    for (size_t b = 0; b < scores.size(); ++b) distance += std::abs(scores[b] - sample.ensemble[b]) / n;
    report.distance_to_ensemble.push_back(distance);
    report.mean_distance_to_ensemble += distance / count;
  }
  report.students = student_spread(students, metric);
  report.disagreement.assign(m, std::vector<double>(m, 0.0));
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < m; ++j) {
      double d = 0;
      for (size_t b = 0; b < sample.ensemble.size(); ++b) {
        d += (sample.students[i][b] - sample.students[j][b]) * (sample.students[i][b] - sample.students[j][b]);
      }
      report.disagreement[i][j] = d / n;
      if (i != j) report.mean_disagreement += d / n / (count * (count - 1));
    }
  }
}

}  // namespace

CollapseReport collapse_report(const Ensemble& model, const std::function<bool(data::Batch&)>& next, int64_t max_rows) {
  CollapseReport report;
  measure_tables(model, report);
  Sample sample(model.student_count());
  data::Batch batch;
  while (sample.rows() < max_rows && next(batch)) {
    if (batch.labels.empty()) throw InputError("collapse: the rows have no labels; the metrics need them");
    sample.add(model, batch, std::min(batch.rows, max_rows - sample.rows()));
  }
  report.rows = sample.rows();
  if (report.rows == 0) throw InputError("collapse: there are no rows to measure on");
  measure_layers(sample, report);
  measure_gradients(model, sample, report);
  measure_students(sample, metrics_of(model.task())[0], report);
  return report;
}

CollapseReport collapse_report(const Ensemble& model, const data::EncodedFile& file, int64_t max_rows) {
  constexpr int64_t kBatch = 4096;
  data::Loader loader(file, kBatch, false, 0);
  loader.start_epoch(0);
  return collapse_report(
      model, [&](data::Batch& batch) { return loader.next(batch); }, max_rows);
}

std::vector<CollapseReport::Entry> CollapseReport::last_layers() const {
  // Layers are named "student N hidden L" and stand in that order.
  std::vector<Entry> last;
  std::string student;
  for (const Entry& layer : layers) {
    const std::string of = layer.name.substr(0, layer.name.find(" hidden"));
    if (of == student && !last.empty())
      last.back() = layer;
    else
      last.push_back(layer);
    student = of;
  }
  return last;
}

// Older files have the participation ratio of the centred matrix alone, under a name of its own.
static const char* const kFormerCentred = "participation_ratio_centred";

static void to_json(Json& json, const CollapseReport::Entry& entry) {
  const Spectrum& s = entry.spectrum;
  Json logs = Json::array(), centred;
  for (const double v : s.log_spectrum) logs.push_back(number_to_json(v));
  json = Json{{"name", entry.name}, {"rows", s.rows}, {"columns", s.columns}};
  for (const DimensionsRow& row : kDimensions) {
    json[row.key] = number_to_json(s.raw.*row.value);
    centred[row.key] = number_to_json(s.centred.*row.value);
  }
  json["centred"] = centred;
  json["log_spectrum"] = logs;
}

static void from_json(const Json& json, CollapseReport::Entry& entry) {
  Spectrum& s = entry.spectrum;
  json.at("name").get_to(entry.name);
  s.rows = count_from_json(json.at("rows"), "rows");
  s.columns = count_from_json(json.at("columns"), "columns");
  const bool former = json.contains(kFormerCentred);
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  for (const DimensionsRow& row : kDimensions) {
    s.raw.*row.value = former && !json.contains(row.key) ? unknown : number_from_json(json.at(row.key));
    s.centred.*row.value = former ? unknown : number_from_json(json.at("centred").at(row.key));
  }
  if (former) s.centred.participation_ratio = number_from_json(json.at(kFormerCentred));
  for (const Json& v : json.at("log_spectrum")) {
    s.log_spectrum.push_back(v.is_null() ? -std::numeric_limits<double>::infinity() : v.get<double>());
  }
}

void to_json(Json& json, const CollapseReport& report) {
  const Metric& m = report.metric;
  json = Json{{"rows", report.rows},
              {cat("ensemble_", m.key()), number_to_json(report.ensemble_value)},
              {cat("students_", m.key()),
               {{"mean", number_to_json(report.students.mean)},
                {m.higher_is_better() ? "min" : "max", number_to_json(report.students.weakest)},
                {"deviation", number_to_json(report.students.deviation)}}},
              {"ensemble_minus_students", number_to_json(report.ensemble_value - report.students.mean)},
              {"distance_to_ensemble", report.distance_to_ensemble},
              {"mean_distance_to_ensemble", report.mean_distance_to_ensemble},
              {"disagreement", report.disagreement},
              {"mean_disagreement", report.mean_disagreement},
              {"gradient_agreement", number_to_json(report.gradient_agreement)}};
  for (const auto& [key, entries] : {std::pair{"embeddings", &report.embeddings}, std::pair{"layers", &report.layers},
                                     std::pair{"gradients", &report.gradients}}) {
    json[key] = Json::array();
    for (const CollapseReport::Entry& entry : *entries) {
      to_json(json[key].emplace_back(), entry);
    }
  }
}

// The keys of the main metric name it.
static void read_metric(const Json& json, CollapseReport& report) {
  for (const MetricRow& row : kMetrics) {
    const Metric m(row);
    const std::string ensemble = cat("ensemble_", m.key()), students = cat("students_", m.key());
    if (!json.contains(ensemble)) continue;
    report.metric = m;
    report.ensemble_value = number_from_json(json.at(ensemble));
    report.students.mean = number_from_json(json.at(students).at("mean"));
    report.students.weakest = number_from_json(json.at(students).at(m.higher_is_better() ? "min" : "max"));
    report.students.deviation = number_from_json(json.at(students).at("deviation"));
  }
}

void from_json(const Json& json, CollapseReport& report) {
  report = {};
  report.rows = count_from_json(json.at("rows"), "rows");
  read_metric(json, report);
  for (const Json& d : json.at("distance_to_ensemble")) report.distance_to_ensemble.push_back(number_from_json(d));
  for (const Json& row : json.at("disagreement")) {
    report.disagreement.emplace_back();
    for (const Json& d : row) report.disagreement.back().push_back(number_from_json(d));
  }
  const size_t m = report.distance_to_ensemble.size();
  const auto fits = [&](const std::vector<double>& row) { return row.size() == m; };
  if (report.disagreement.size() != m || !std::all_of(report.disagreement.begin(), report.disagreement.end(), fits)) {
    throw InputError("disagreement: expected a square matrix, one row per student");
  }
  report.mean_distance_to_ensemble = number_from_json(json.at("mean_distance_to_ensemble"));
  report.mean_disagreement = number_from_json(json.at("mean_disagreement"));
  report.gradient_agreement = std::numeric_limits<double>::quiet_NaN();
  if (json.contains("gradient_agreement")) report.gradient_agreement = number_from_json(json.at("gradient_agreement"));
  for (const auto& [key, entries] : {std::pair{"embeddings", &report.embeddings}, std::pair{"layers", &report.layers},
                                     std::pair{"gradients", &report.gradients}}) {
    if (!json.contains(key) && entries == &report.gradients) continue;  // an older file
    for (const Json& entry : json.at(key)) from_json(entry, entries->emplace_back());
  }
}

std::string to_json(const CollapseReport& report) { return Json(report).dump(); }

}  // namespace kdef
