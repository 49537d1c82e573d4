// The groups of a data set side by side, as a section of a page.
#pragma once

#include <string>
#include <vector>

#include "kdef/study/groups.h"

namespace kdef {

/// A table of the groups of one data set and, if they have several numbers of students, charts of the figures against
/// the number of students, as HTML.
std::string comparison(const std::vector<RunGroup>& groups);

/// A table with one line per run of the groups, each a link to the run's section.
std::string run_list(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups);

}  // namespace kdef
