#include "kdef/study/sweep_table.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/csv.h"
#include "core/base/text.h"

namespace kdef {
namespace {

// Empty for an undefined value.
std::string exact(double value) { return std::isfinite(value) ? shortest(value) : ""; }
std::string rounded(double value, int decimals) { return std::isfinite(value) ? fixed_point(value, decimals) : ""; }
std::string rounded(const Statistic& s, int decimals) {
  return rounded(s.mean, decimals) + (std::isfinite(s.deviation) ? " ± " + rounded(s.deviation, decimals) : "");
}

// A cell of a Markdown table.
std::string markdown_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? std::string("\\|") : std::string(1, c == '\n' ? ' ' : c);
  return cell;
}

std::string runs_of(const SweepRow& row) {
  std::string names;
  for (const std::string& name : row.runs) names += (names.empty() ? "" : " ") + name;
  return names;
}

// The columns in front of the figures: the names of the runs, if they are shown, then the axes.
std::vector<std::string> leading_titles(const SweepTable& table) {
  std::vector<std::string> titles = table.columns;
  if (table.has_named_runs) titles.insert(titles.begin(), "experiment");
  return titles;
}
std::vector<std::string> leading_cells(const SweepTable& table, const SweepRow& row) {
  std::vector<std::string> cells = row.values;
  if (table.has_named_runs) cells.insert(cells.begin(), runs_of(row));
  return cells;
}

// The text with `line_break` instead of blanks where a line would have more than 78 characters.
std::string wrapped(const std::string& text, const std::string& line_break) {
  constexpr size_t kWidth = 78;
  std::string lines;
  size_t length = 0;
  for (const std::string& word : split(text, ' ')) {
    const bool fits = length + 1 + word.size() <= kWidth;
    length = fits && length > 0 ? length + 1 + word.size() : word.size();
    lines += (lines.empty() ? "" : fits ? " " : line_break) + word;
  }
  return lines;
}

std::string notes(const SweepTable& table) {
  const std::string name = table.metrics[0].title();
  return cat(
      "\n"
      "- Students' ",
      name,
      " is that of each student alone: mean, weakest and standard\n"
      "  deviation within a run, then the mean over seeds. It is empty for concat,\n"
      "  whose students' own output layers are not trained.\n"
      "- ",
      wrapped(one_student_note(), "\n  "),
      "\n"
      "- Distance to the ensemble is the mean of |p - q| over validation rows and\n"
      "  students, q the ensemble's prediction: the more the students fall apart, the\n"
      "  larger it is (docs/collapse.md).\n"
      "- Information abundance is that of the students' last hidden layers on\n"
      "  validation data, averaged over the students. Compare it only between layers\n"
      "  of the same width.\n"
      "- Seconds are those of training, evaluations included; a step is one batch.\n");
}

// Each reason once, behind all runs that have it.
std::string failure_lines(const std::vector<RefusedRun>& failures) {
  std::vector<RefusedRun> lines;
  for (const RefusedRun& f : failures) {
    const auto same =
        std::find_if(lines.begin(), lines.end(), [&](const auto& line) { return line.reason == f.reason; });
    if (same == lines.end()) {
      lines.push_back(f);
    } else {
      same->name += ", " + f.name;
    }
  }
  std::string text;
  for (const RefusedRun& line : lines) text += cat("\nFailed: ", line.name, ": ", line.reason, "\n");
  return text;
}

}  // namespace

SweepTable sweep_table(const SweepPlan& plan, const std::vector<std::optional<RunRecord>>& records) {
  SweepTable table;
  table.experiment = plan.experiment;
  table.dataset = plan.dataset;
  table.planned = plan.runs.size();
  table.has_named_runs = plan.has_named_runs;
  for (const Axis& axis : plan.axes) table.columns.push_back(axis.title());
  // The finished runs of each row, by the indices of its values.
  std::map<std::vector<size_t>, std::vector<size_t>> rows;
  std::vector<const RunRecord*> finished;
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    if (!records[i]) continue;
    finished.push_back(&*records[i]);
    for (const std::vector<size_t>& row : plan.runs[i].rows) rows[row].push_back(i);
  }
  table.finished = finished.size();
  table.on_test = all_have_test(finished);
  for (const auto& [indices, runs] : rows) {
    SweepRow row;
    for (size_t a = 0; a < indices.size(); ++a) row.values.push_back(plan.axes[a].values[indices[a]]);
    std::vector<const RunRecord*> of_row;
    for (const size_t i : runs) {
      of_row.push_back(&*records[i]);
      row.runs.push_back(plan.runs[i].name);
    }
    row.summary = summarize(of_row, table.on_test);
    table.rows.push_back(std::move(row));
  }
  std::vector<const Summary*> summaries;
  for (const SweepRow& row : table.rows) summaries.push_back(&row.summary);
  table.metrics = measured_by(summaries);
  return table;
}

std::string to_csv(const SweepTable& table) {
  const Metric& main = table.metrics[0];
  std::string text;
  for (const std::string& title : leading_titles(table)) text += csv_cell(title) + ",";
  text += "seeds,data";
  for (const Metric& m : table.metrics) text += cat(",", m.key(), ",", m.key(), "_deviation");
  for (const char* what : {"_mean", "_weakest", "_deviation"}) text += cat(",student_", main.key(), what);
  text += ",student_distance,information_abundance,parameters,step_ms,seconds\n";
  for (const SweepRow& r : table.rows) {
    const Summary& s = r.summary;
    for (const std::string& cell : leading_cells(table, r)) text += csv_cell(cell) + ",";
    text += cat(s.runs, ",", table.on_test ? "test" : "valid");
    for (const Metric& m : table.metrics) {
      text += cat(",", exact(s.metrics[m].mean), ",", exact(s.metrics[m].deviation));
    }
    for (const double v :
         {s.student_mean.mean, s.student_weakest.mean, s.student_deviation.mean, s.distance.mean, s.abundance.mean}) {
      text += "," + exact(v);
    }
    text +=
        cat(",", s.parameters ? cat(*s.parameters) : "", ",", exact(s.step_ms.mean), ",", exact(s.seconds.mean), "\n");
  }
  return text;
}

std::string to_markdown(const SweepTable& table) {
  const Metric& main = table.metrics[0];
  std::string titles = "|", rule = "|";
  for (const std::string& title : leading_titles(table)) {
    titles += cat(" ", markdown_cell(title), " |");
    rule += title == "students" ? " --: |" : " --- |";
  }
  titles += " seeds |", rule += " --: |";
  for (const Metric& m : table.metrics) titles += cat(" ", m.title(), " |"), rule += " --: |";
  std::string text =
      cat("# ", table.experiment, " on ", table.dataset, "\n\n", table.finished, " of ", table.planned,
          " runs are finished. ", table.on_test ? "Test" : "Validation",
          " data; mean ± standard deviation (of the sample) over seeds.\n\n", titles, " students' mean ", main.title(),
          " | weakest | standard deviation | distance to the ensemble | information abundance | parameters | ms a step "
          "| seconds |\n",
          rule, " --: | --: | --: | --: | --: | --: | --: | --: |\n");
  for (const SweepRow& r : table.rows) {
    const Summary& s = r.summary;
    text += "|";
    for (const std::string& cell : leading_cells(table, r)) text += cat(" ", markdown_cell(cell), " |");
    text += cat(" ", s.runs, " | ");
    for (const Metric& m : table.metrics) text += rounded(s.metrics[m], m.decimals()) + " | ";
    text += cat(rounded(s.student_mean, main.decimals()), " | ", rounded(s.student_weakest, main.decimals()), " | ",
                rounded(s.student_deviation.mean, main.decimals()), " | ", rounded(s.distance, 4), " | ",
                rounded(s.abundance, 2), " | ", s.parameters ? cat(*s.parameters) : "", " | ",
                rounded(s.step_ms.mean, 2), " | ", rounded(s.seconds.mean, 1), " |\n");
  }
  text += notes(table);
  text += failure_lines(table.failures);
  return text;
}

}  // namespace kdef
