// The groups of a data set side by side, as a section of a page.
#pragma once

#include <string>
#include <vector>

#include "kdef/study/groups.h"

namespace kdef {

/// "learning_rate 0.01, net_dropout 0.1": the settings of a group; empty if its data set's groups differ in none.
std::string settings_label(const RunGroup& group);

/// "KDEF, 3 x mlp 16-8, learning_rate 0.01".
std::string group_label(const RunGroup& group);

/// "test", or "validation": the data that groups of one data set are summarized on.
std::string data_name(const std::vector<RunGroup>& groups);

/// The metrics that some of the groups have, the main one first.
MetricList measured_in(const std::vector<RunGroup>& groups);

/// A table of the groups of one data set as HTML; where keys vary, the best group first, and what each key does
/// (effects.h). If there are not too many lines, charts of the figures against the number of students follow; where no
/// line has two numbers of students, one chart of the ensembles and their students. `runs` are those that were grouped.
std::string comparison(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups);

/// A table with one line per run of the groups, each a link to the run's section.
std::string run_list(const std::vector<RunRecord>& runs, const std::vector<RunGroup>& groups);

}  // namespace kdef
