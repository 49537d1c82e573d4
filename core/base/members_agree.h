// What all members of a group must have in common before they work together.
#pragma once

#include <string>

#include "core/base/group.h"

namespace kdef {

/// What the members have, in lines "KEY: VALUE"; an indented line belongs to the key above it. Throws InputError in all
/// members where one of them has other lines than the first: "processes 0 and 2 WHAT: KEYS; ADVICE", with the keys
/// whose lines differ. Collective.
void check_members_agree(Group& group, const std::string& lines, const std::string& what, const std::string& advice);

}  // namespace kdef
