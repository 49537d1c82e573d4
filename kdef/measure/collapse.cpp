#include "kdef/measure/collapse.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "kdef/measure/collapse_json.h"
#include "kdef/measure/metrics.h"

namespace kdef {
namespace {

// Eigenvalues of a symmetric matrix, descending; those that rounding made negative are 0.
std::vector<double> eigenvalues(const Eigen::MatrixXd& symmetric) {
  if (!symmetric.allFinite()) throw CheckError("spectrum: the matrix has a number that is not finite, or is too large");
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(symmetric, Eigen::EigenvaluesOnly);
  if (solver.info() != Eigen::Success) throw CheckError("spectrum: the eigenvalues did not converge");
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

// The squares of the singular values, descending. A A^T has the eigenvalues of A^T A that are not 0: where A has fewer
// rows than columns, it is the smaller matrix, and zeros stand for the others.
static std::vector<double> squared_singular_values(const Tensor& matrix) {
  KDEF_CHECK(matrix.rank() == 2 && matrix.shape()[1] > 0, "spectrum: needs a matrix [N, D], got ", describe(matrix));
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  if (rows == 0 || rows >= columns) return eigenvalues(gram_of(matrix, Eigen::VectorXd::Zero(columns)));
  const Tensor copy = matrix.to(kCpu).to(DType::f64);
  const Eigen::Map<const Block> a(copy.data<double>(), rows, columns);
  std::vector<double> values = eigenvalues(a * a.transpose());
  values.resize(static_cast<size_t>(columns), 0.0);
  return values;
}

std::vector<double> singular_values(const Tensor& matrix) {
  std::vector<double> values = squared_singular_values(matrix);
  for (double& s : values) s = std::sqrt(s);
  return values;
}

Spectrum spectrum(const Tensor& matrix) {
  Spectrum result;
  double total = 0, squares = 0;
  std::vector<double> singular;
  for (const double square : squared_singular_values(matrix)) {
    const double s = std::sqrt(square);
    singular.push_back(s);
    result.log_spectrum.push_back(s > 0 ? std::log(s / singular[0]) : -std::numeric_limits<double>::infinity());
    total += s;
    squares += square;
  }
  result.rows = matrix.shape()[0];
  result.columns = matrix.shape()[1];
  const double top = singular[0];
  if (top == 0) return result;
  result.information_abundance = total / top;
  result.stable_rank = squares / (top * top);
  double entropy = 0;
  for (const double s : singular) {
    const double p = s / total + 1e-7;
    entropy -= p * std::log(p);
  }
  result.effective_rank = std::exp(entropy);

  // The factor 1 / (N - 1) of the covariance cancels in the ratio.
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(result.columns);
  for_blocks(matrix, [&](const Block& rows) { mean += rows.colwise().sum().transpose(); });
  mean /= static_cast<double>(result.rows);
  // The sum of the eigenvalues is the trace, that of their squares the squared Frobenius norm.
  const Eigen::MatrixXd gram = gram_of(matrix, mean);
  const double sum = gram.trace(), sum_squares = gram.squaredNorm();
  result.participation_ratio = sum_squares > 0 ? sum * sum / sum_squares : 0;
  return result;
}

namespace {

// The outputs of a model for a sample of rows.
struct Sample {
  std::vector<std::vector<std::vector<float>>> layers;  // per student and hidden layer: values row by row
  std::vector<std::vector<int64_t>> widths;             // of these layers
  std::vector<std::vector<double>> students;            // per student: predictions
  std::vector<double> ensemble;
  std::vector<float> labels, weights;  // weights: empty where rows have none

  explicit Sample(size_t m) : layers(m), widths(m), students(m) {}

  int64_t rows() const { return static_cast<int64_t>(labels.size()); }

  // The first `take` rows of a batch.
  void add(const Ensemble& model, data::Batch& batch, int64_t take) {
    const ModelInput input =
        model.fetched(model_input(batch, model.embedding().id_columns(), model.embedding().value_columns()));
    const Probabilities p = predict(model, input);
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

// Without tables.
static CollapseReport report_of(const Ensemble& model, const std::function<bool(data::Batch&)>& next,
                                int64_t max_rows) {
  CollapseReport report;
  Sample sample(model.student_count());
  data::Batch batch;
  while (sample.rows() < max_rows && next(batch)) {
    if (batch.labels.empty()) throw InputError("collapse: the rows have no labels; the metrics need them");
    sample.add(model, batch, std::min(batch.rows, max_rows - sample.rows()));
  }
  report.rows = sample.rows();
  if (report.rows == 0) throw InputError("collapse: there are no rows to measure on");
  measure_layers(sample, report);
  measure_students(sample, metrics_of(model.task())[0], report);
  return report;
}

void measure_tables(const Ensemble& model, const StoredTables& stored, CollapseReport& report) {
  std::map<const void*, std::string> names;  // of the model's parameters, by their bytes
  for (const nn::Parameter& p : model.parameters()) names[p.tensor.raw()] = p.name;
  const bool shared = model.config().shared_embedding;
  const std::string prefix = "embedding_layer.embedding_layers.", suffix = ".weight";
  std::vector<Tensor> tables;
  for (size_t k = 0; k < (shared ? 1 : model.student_count()); ++k) {
    for (const nn::Parameter& p : model.embedding(k).parameters()) {
      // Numeric fields have one vector, and layers behind an embedding are no tables.
      if (p.tensor.shape()[1] < 2 || !p.name.starts_with(prefix)) continue;
      const std::string field = p.name.substr(prefix.size(), p.name.size() - prefix.size() - suffix.size());
      report.embeddings.push_back({cat(shared ? "" : cat("student ", k + 1, " "), "embedding ", field), {}});
      const Tensor table = stored(names.at(p.tensor.raw()));
      tables.push_back(table.rows(1, table.shape()[0] - 1));
    }
  }
  measure(report.embeddings, tables);
}

// The tables where a model has them itself.
static void measure_own_tables(const Ensemble& model, CollapseReport& report) {
  std::map<std::string, Tensor> tables;
  for (const nn::Parameter& p : model.parameters()) tables.emplace(p.name, p.tensor);
  measure_tables(
      model, [&](const std::string& name) { return tables.at(name); }, report);
}

CollapseReport collapse_report(const Ensemble& model, const std::function<bool(data::Batch&)>& next, int64_t max_rows) {
  CollapseReport report = report_of(model, next, max_rows);
  measure_own_tables(model, report);
  return report;
}

CollapseReport collapse_report(const Ensemble& model, const data::EncodedFile& file, int64_t max_rows) {
  constexpr int64_t kBatch = 4096;
  const nn::DividedTables* divided = model.divided();
  data::Loader loader(file, divided == nullptr ? kBatch : std::min(kBatch, divided->batch_size()), false, 0);
  loader.start_epoch(0);
  const auto next = [&](data::Batch& batch) { return loader.next(batch); };
  return divided == nullptr ? collapse_report(model, next, max_rows) : report_of(model, next, max_rows);
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

static void to_json(Json& json, const CollapseReport::Entry& entry) {
  const Spectrum& s = entry.spectrum;
  Json logs = Json::array();
  for (const double v : s.log_spectrum) logs.push_back(number_to_json(v));
  json = Json{{"name", entry.name},
              {"rows", s.rows},
              {"columns", s.columns},
              {"information_abundance", s.information_abundance},
              {"effective_rank", s.effective_rank},
              {"stable_rank", s.stable_rank},
              {"participation_ratio_centred", s.participation_ratio},
              {"log_spectrum", logs}};
}

static void from_json(const Json& json, CollapseReport::Entry& entry) {
  Spectrum& s = entry.spectrum;
  json.at("name").get_to(entry.name);
  s.rows = count_from_json(json.at("rows"), "rows");
  s.columns = count_from_json(json.at("columns"), "columns");
  s.information_abundance = number_from_json(json.at("information_abundance"));
  s.effective_rank = number_from_json(json.at("effective_rank"));
  s.stable_rank = number_from_json(json.at("stable_rank"));
  s.participation_ratio = number_from_json(json.at("participation_ratio_centred"));
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
              {"mean_disagreement", report.mean_disagreement}};
  for (const auto& [key, entries] :
       {std::pair{"embeddings", &report.embeddings}, std::pair{"layers", &report.layers}}) {
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
  for (const auto& [key, entries] :
       {std::pair{"embeddings", &report.embeddings}, std::pair{"layers", &report.layers}}) {
    for (const Json& entry : json.at(key)) from_json(entry, entries->emplace_back());
  }
}

std::string to_json(const CollapseReport& report) { return Json(report).dump(); }

}  // namespace kdef
