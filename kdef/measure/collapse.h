// Dimensional collapse, measured: how many of its dimensions a matrix of representations uses.
//
// For A [N, D] (rows: ids of a table, or samples) with singular values s_1 >= s_2 >= .. :
//   information abundance  sum(s) / s_1, between 1 and the rank (Guo et al., ICML 2024, arXiv 2310.04400)
//   effective rank         exp(-sum p_i ln p_i), p_i = s_i / sum(s) + 1e-7 (Roy, Vetterli 2007; RankMe, Garrido et al.
//                          2023, arXiv 2210.02885)
//   stable rank            ||A||_F^2 / s_1^2
//   participation ratio    (sum L)^2 / sum(L^2), L the eigenvalues of the covariance of the centred rows
//   spectrum               ln(s_i / s_1)
// The participation ratio is of the centred matrix, the others are of the raw, uncentred one. Values of matrices with
// different D must not be compared. Every measure of a matrix of zeros is 0. The KDEF paper speaks of the 'knowledge
// abundance' of a sub-network's representation, whose formula was not available: kdef gives the information abundance
// of the named matrix.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "data/feed/batching.h"
#include "kdef/measure/evaluation.h"
#include "kdef/method/ensemble.h"

namespace kdef {

/// Measures of the singular values s_1 >= s_2 >= .. of a matrix [N, D].
struct Spectrum {
  int64_t rows = 0, columns = 0;
  std::vector<double> log_spectrum;  // ln(s_i / s_1), of the uncentred matrix; -infinity where s_i = 0
  double information_abundance = 0;
  double effective_rank = 0;
  double stable_rank = 0;
  double participation_ratio = 0;  // of the centred rows
};

/// The singular values of a floating-point matrix [N, D], descending: roots of the eigenvalues of its D x D Gram matrix
/// in fp64.
std::vector<double> singular_values(const Tensor& matrix);
/// Measures a floating-point matrix [N, D] by its singular values, and by those of the centred matrix.
Spectrum spectrum(const Tensor& matrix);

/// How many of its dimensions a model uses, and how far its students are from each other and from the ensemble.
struct CollapseReport {
  struct Entry {
    std::string name;  // "embedding user" (with a table per student "student 1 embedding user"), "student 1 hidden 2"
    Spectrum spectrum;
  };
  std::vector<Entry> embeddings;                  // per table, without the padding row
  std::vector<Entry> layers;                      // per student and hidden layer, over the sample
  int64_t rows = 0;                               // of the sample
  Metric metric{kMetrics[0]};                     // the main metric of the model's task
  double ensemble_value = 0;                      // of the metric
  StudentSpread students;                         // of the metric
  std::vector<double> distance_to_ensemble;       // per student: mean |p_m - q|
  std::vector<std::vector<double>> disagreement;  // [M, M]: mean (p_i - p_j)^2
  double mean_distance_to_ensemble = 0;
  double mean_disagreement = 0;  // over i != j; 0 for one student

  /// The last hidden layer of every student, in their order.
  std::vector<Entry> last_layers() const;
};

/// The number of validation rows on which a training measures collapse.
inline constexpr int64_t kCollapseRows = 10000;

/// Measures a model on the first `max_rows` encoded rows of the batches that `next` gives, as for evaluate(). The bits
/// do not depend on the number of threads. Memory: 4 bytes for each row and hidden unit.
CollapseReport collapse_report(const Ensemble& model, const std::function<bool(data::Batch&)>& next, int64_t max_rows);
/// The same on the first rows of an encoded file. Where the tables of the model are divided (Ensemble::divide), all
/// members of the group call it, and the report lacks the tables, which measure_tables() adds.
CollapseReport collapse_report(const Ensemble& model, const data::EncodedFile& file, int64_t max_rows);
/// Gives a whole table of a model by the name of its parameter.
using StoredTables = std::function<Tensor(const std::string& name)>;
/// Measures the tables of a model, which `stored` gives; of divided tables too, by one member alone.
void measure_tables(const Ensemble& model, const StoredTables& stored, CollapseReport& report);

std::string to_json(const CollapseReport& report);

}  // namespace kdef
