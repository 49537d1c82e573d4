#include <iostream>

#include "apps/commands.h"
#include "apps/terminal.h"
#include "core/io/file.h"
#include "kdef/measure/collapse.h"
#include "kdef/run/run.h"

namespace kdef::apps {
namespace {

void print_entries(const std::vector<CollapseReport::Entry>& entries) {
  for (const CollapseReport::Entry& e : entries) {
    const Spectrum& s = e.spectrum;
    print("  %-28s %8lld x %-5lld %10.2f %10.2f %10.2f %10.2f\n", e.name.c_str(), static_cast<long long>(s.rows),
          static_cast<long long>(s.columns), s.information_abundance, s.effective_rank, s.stable_rank,
          s.participation_ratio);
  }
}

}  // namespace

int collapse(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(),
                        "run directory of kdef train, or a file of kdef export --out FILE.kdef");
  options.add_options()("data", po::value<std::string>()->value_name("FILE"),
                        "raw rows with labels (default: valid_data of the run's configuration)");
  options.add_options()("rows", po::value<int64_t>()->value_name("N")->default_value(10000),
                        "measure on the first N rows of the file");
  options.add_options()("json", po::value<std::string>()->value_name("FILE"),
                        "also write the measures and the spectra as JSON");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed = parse({"collapse", "--run DIR [--data FILE] [--rows N] [--json FILE]",
                             "Measures how many dimensions a trained model uses, in every embedding table and every\n"
                             "hidden layer of every student, and how far its students are from each other and from\n"
                             "the ensemble. Compare values only between matrices of the same width."},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const Run run(parsed->text("run"), use_device(*parsed));
  const std::string file = run_data(*parsed, run.config().dataset.valid_data, "valid_data");
  data::RawFile rows(run.encoder(), file, true);
  const CollapseReport report = collapse_report(
      run.model(), [&](data::Batch& batch) { return rows.next(batch, 4096); }, parsed->integer("rows", 1));
  print("%s, %lld rows\n\n", file.c_str(), static_cast<long long>(report.rows));
  print(
      "  distance to the ensemble, mean |p_m - q| %.6f; disagreement, mean (p_i - p_j)^2 %.3e\n"
      "  %s of the ensemble %.6f, of its students: mean %.6f, weakest %.6f, standard deviation %.6f\n\n",
      report.mean_distance_to_ensemble, report.mean_disagreement, report.metric.heading().c_str(),
      report.ensemble_value, report.students.mean, report.students.weakest, report.students.deviation);
  print("  %-28s %8s   %-5s %10s %10s %10s %10s\n", "matrix (rows x columns)", "", "", "abundance", "effective",
        "stable", "particip.");
  print_entries(report.embeddings);
  print_entries(report.layers);
  print(
      "\nThe more the students fall apart, the larger their distance to the ensemble is. The matrices say how many\n"
      "dimensions are used.\n"
      "abundance: information abundance, sum(s)/s_1; effective: effective rank; stable: stable rank (all three of\n"
      "the uncentred matrix); particip.: participation ratio of the centred rows. Tables without the padding row.\n"
      "Compare with the number of columns: a low value means that few dimensions are used.\n");
  if (parsed->has("json")) write_file(parsed->text("json"), to_json(report) + "\n", NamedBy::user);
  return kDone;
}

}  // namespace kdef::apps
