#include <iostream>

#include "apps/commands.h"
#include "apps/terminal.h"
#include "core/base/text.h"
#include "core/io/file.h"
#include "kdef/measure/collapse.h"
#include "kdef/run/run.h"

namespace kdef::apps {
namespace {

// A line of the table: a name, the size, and eight cells.
void print_line(const std::string& name, const std::string& size, const std::vector<std::string>& cells) {
  print("  %-26s %15s", name.c_str(), size.c_str());
  for (const std::string& cell : cells) print(" %9s", cell.c_str());
  print("\n");
}

void print_head() {
  std::vector<std::string> forms, titles;
  for (const char* form : {"raw", "centred"}) {
    for (const DimensionsRow& row : kDimensions) {
      forms.emplace_back(&row == kDimensions ? form : "");
      titles.emplace_back(row.title);
    }
  }
  print_line("", "", forms);
  print_line("matrix", "rows x columns", titles);
}

void print_entries(const std::vector<CollapseReport::Entry>& entries) {
  for (const CollapseReport::Entry& e : entries) {
    const Spectrum& s = e.spectrum;
    std::vector<std::string> cells;
    for (const Dimensions* of : {&s.raw, &s.centred}) {
      for (const DimensionsRow& row : kDimensions) cells.push_back(fixed_point(of->*row.value, 2));
    }
    print_line(e.name, cat(s.rows, " x ", s.columns), cells);
  }
}

void print_students(const CollapseReport& report) {
  print(
      "\n  %s of the ensemble %.6f, of its students: mean %.6f, weakest %.6f, standard deviation %.6f\n"
      "  mean |p_m - q| %.6f, mean (p_i - p_j)^2 %.3e, mean cosine of the gradients of two students %.6f\n",
      report.metric.heading().c_str(), report.ensemble_value, report.students.mean, report.students.weakest,
      report.students.deviation, report.mean_distance_to_ensemble, report.mean_disagreement, report.gradient_agreement);
}

void print_legend() {
  print("\nOf the singular values s_1 >= s_2 >= ..:");
  for (const DimensionsRow& row : kDimensions) {
    print("%s %s: %s, %s", &row == kDimensions ? "" : ";", row.title, row.name, row.formula);
  }
  print(
      ".\nCentred: the mean row is subtracted. Tables are without their padding row. The gradient of the logits is\n"
      "dL/dz [rows, students] of the objective L, in evaluation mode: one dimension means that all students receive "
      "the\n"
      "same gradient. Compare with the number of columns: a low value means that few dimensions are used.\n");
}

}  // namespace

int collapse(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(), "run directory of kdef train");
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
                             "hidden layer of every student and in the gradient that the students receive, and how\n"
                             "far its students are from each other and from the ensemble. Compare values only between\n"
                             "matrices of the same width."},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const Run run(parsed->text("run"), use_device(*parsed));
  const std::string file = run_data(*parsed, run.config().dataset.valid_data, "valid_data");
  data::RawFile rows(run.encoder(), file, true);
  const CollapseReport report = collapse_report(
      run.model(), [&](data::Batch& batch) { return rows.next(batch, 4096); }, parsed->integer("rows", 1));
  print("%s, %lld rows\n\n", file.c_str(), static_cast<long long>(report.rows));
  print_head();
  print_entries(report.embeddings);
  print_entries(report.layers);
  print_entries(report.gradients);
  print_students(report);
  print_legend();
  if (parsed->has("json")) write_file(parsed->text("json"), to_json(report) + "\n", NamedBy::user);
  return kDone;
}

}  // namespace kdef::apps
