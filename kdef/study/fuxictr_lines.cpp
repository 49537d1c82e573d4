#include "kdef/study/fuxictr_lines.h"

#include <sys/stat.h>

#include <ctime>

#include "core/base/text.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

std::string two_digits(int number) { return cat(number < 10 ? "0" : "", number); }

// When the run's result was written: "20261129-181500"; zeros if the system does not tell.
std::string time_of(const RunRecord& record) {
  struct stat status {};
  std::tm local{};
  const bool known = ::stat(RunFiles(record.directory).result().c_str(), &status) == 0 &&
                     ::localtime_r(&status.st_mtime, &local) != nullptr;
  if (!known) return "00000000-000000";
  return cat(local.tm_year + 1900, two_digits(local.tm_mon + 1), two_digits(local.tm_mday), "-",
             two_digits(local.tm_hour), two_digits(local.tm_min), two_digits(local.tm_sec));
}

std::string metrics_of_run(const RunRecord& record, const std::optional<Evaluation>& evaluation) {
  std::string text;
  for (const std::string& name : record.config.metrics) {
    const std::optional<Metric> metric = find_metric(name);
    if (!evaluation || !metric || !evaluation->ensemble.has(*metric)) continue;
    constexpr int kDecimals = 6;
    text += cat(text.empty() ? "" : " - ", name, ": ", fixed_point(evaluation->ensemble[*metric], kDecimals));
  }
  return text;
}

}  // namespace

std::string fuxictr_lines(const SweepPlan& plan, const std::vector<std::optional<RunRecord>>& records) {
  std::string text;
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    if (!records[i]) continue;
    const RunRecord& r = *records[i];
    text +=
        cat(" ", time_of(r), ",[command] kdef train --config ", shell_word(RunFiles(r.directory).config()), " --run ",
            shell_word(r.directory + "-again"), ",[exp_id] ", plan.runs[i].name, ",[dataset_id] ", r.config.dataset_id,
            ",[train] N.A.,[val] ", metrics_of_run(r, r.valid), ",[test] ", metrics_of_run(r, r.test), "\n");
  }
  return text;
}

}  // namespace kdef
