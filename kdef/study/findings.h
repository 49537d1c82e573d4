// What runs show, in sentences that are computed from them.
#pragma once

#include <string>
#include <vector>

#include "kdef/run/record.h"
#include "kdef/study/groups.h"

namespace kdef {

/// Of the groups of one data set, as HTML: which is best, by how much it is better than the next one and than one
/// network, and whether that is more than the noise of seeds.
std::string finding(const std::vector<RunGroup>& groups);

/// Of one run, as HTML: its quality beside that of logistic regression, and of the ensemble beside its students'; of a
/// training that goes on, how far it is. `alone`: no other run is on the page.
std::string finding(const RunRecord& run, bool alone);

}  // namespace kdef
