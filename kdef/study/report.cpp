#include "kdef/study/report.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include "core/base/error.h"
#include "core/io/file.h"
#include "kdef/run/run_path.h"
#include "kdef/study/comparison.h"
#include "kdef/study/findings.h"
#include "kdef/study/html.h"
#include "kdef/study/labels.h"
#include "kdef/study/plot.h"
#include "kdef/study/run_section.h"
#include "kdef/study/sweep_files.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

namespace fs = std::filesystem;
using plot::escape;

constexpr size_t kMaxOpenRuns = 3;  // with more runs, their sections are closed at first, on paper too

void read_sweep(const SweepFiles& sweep, Report& report) {
  const size_t before = report.runs.size();
  for (const std::string& name : names_in(sweep.runs())) {
    const std::string run = sweep.run(name);
    if (!fs::is_directory(run)) continue;
    try {
      report.runs.push_back(read_run(run));
    } catch (const InputError& e) {
      report.notes.push_back(cat("A run was left out: ", e.what()));
    }
  }
  if (report.runs.size() == before) {
    throw InputError(cat(sweep.runs(), ": holds no run that can be read",
                         report.notes.empty() ? "" : cat("; ", report.notes.back())));
  }
}

void read_directory(std::string directory, Report& report) {
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  check_is_directory(directory, "the directory of a run or of a sweep");
  const RunFiles run(directory);
  const SweepFiles sweep(directory);
  if (exists(run.config())) {
    report.runs.push_back(read_run(directory));
  } else if (fs::is_directory(sweep.runs())) {
    read_sweep(sweep, report);
  } else {
    throw InputError(cat(directory, ": is neither a run (it has no ", run.name(run.config()),
                         ") nor a sweep (it has no folder runs)"));
  }
}

// By data set, ensemble, networks, number of students and seed.
void sort_runs(std::vector<RunRecord>& runs) {
  const auto order = [](const RunRecord& r) {
    return std::make_tuple(r.config.dataset_id, r.config.model.kind, ensemble_label(r.config),
                           networks_label(r.config, false), r.config.model.students.size(),
                           networks_label(r.config, true), r.config.id, r.config.training.seed, r.directory);
  };
  std::sort(runs.begin(), runs.end(), [&](const auto& a, const auto& b) { return order(a) < order(b); });
}

// A directory that was named twice, under whatever path, counts once.
void remove_duplicates(std::vector<RunRecord>& runs) {
  std::set<std::string> seen;
  std::erase_if(runs, [&](const RunRecord& r) {
    std::error_code error;
    const std::filesystem::path place = std::filesystem::weakly_canonical(r.directory, error);
    return !seen.insert(error ? r.directory : place.string()).second;
  });
}

std::string state_of(const RunRecord& run) {
  if (run.finished()) return "";
  return run.running ? "running, " : "not finished, ";
}

}  // namespace

Report read_report(const std::vector<std::string>& directories) {
  Report report;
  for (const std::string& directory : directories) read_directory(directory, report);
  sort_runs(report.runs);
  remove_duplicates(report.runs);
  std::sort(report.notes.begin(), report.notes.end());
  return report;
}

std::string to_html(const Report& report) {
  const std::vector<RunRecord>& runs = report.runs;
  const bool one = runs.size() == 1;
  const std::string title = one ? run_label(runs[0]) : cat(runs.size(), " runs compared");
  std::string page =
      cat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
          "img-src data:\">\n"  // a browser then fetches nothing and runs nothing, whatever the text of a run says
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          escape(title), "</title>\n<style>", plot::style_sheet(), "</style>\n</head>\n<body>\n<header><h1>",
          escape(title), "</h1></header>\n<main>\n");
  page += html::notes(report.notes);
  if (one) {
    page += run_section(runs[0], true);
  } else {
    const std::vector<RunGroup> groups = group_runs(runs);
    for (size_t first = 0; first < groups.size();) {
      std::vector<RunGroup> of_dataset;
      for (; first < groups.size() && (of_dataset.empty() || groups[first].dataset == of_dataset[0].dataset); ++first)
        of_dataset.push_back(groups[first]);
      page += cat("<section><h2>Data set ", escape(of_dataset[0].dataset), "</h2>", finding(of_dataset),
                  comparison(runs, of_dataset), run_list(runs, of_dataset), "</section>\n");
    }
    std::vector<std::string> settings(runs.size());
    for (const RunGroup& g : groups) {
      for (const size_t i : g.runs) settings[i] = g.settings.empty() ? "" : ", " + settings_label(g);
    }
    page += "<section><h2>Run by run</h2>\n";
    if (runs.size() > kMaxOpenRuns) {
      page +=
          "<p class=\"paper unit\">A run\u2019s figures are on paper if it was open on the screen when the page was "
          "printed.</p>\n";
    }
    for (size_t i = 0; i < runs.size(); ++i) {
      page += cat("<details class=\"run\"", runs.size() <= kMaxOpenRuns ? " open" : "", "><summary>",
                  escape(run_label(runs[i])), " <span>", state_of(runs[i]), "seed ", runs[i].config.training.seed,
                  escape(settings[i]), "</span></summary><div id=\"", html::anchor(i), "\">",
                  run_section(runs[i], false), "</div></details>\n");
    }
    page += "</section>\n";
  }
  return page + "</main>\n</body>\n</html>\n";
}

}  // namespace kdef
