// Runs as one HTML page: self-contained, readable in light and dark, on a phone and on paper. It has no scripts, and a
// content security policy that forbids browsers to run or fetch any.
#pragma once

#include <string>
#include <vector>

#include "kdef/run/record.h"

namespace kdef {

/// What `kdef report` shows.
struct Report {
  std::vector<RunRecord> runs;     // by data set, ensemble, number of students, seed
  std::vector<std::string> notes;  // runs of a sweep that could not be read, a sentence each
};

/// Reads run directories, and the runs of sweep directories (SweepFiles). Throws InputError for a directory that is
/// neither, and for a sweep without any run that can be read.
Report read_report(const std::vector<std::string>& directories);

std::string to_html(const Report& report);

}  // namespace kdef
