// What the members of a group do together in a preparation, where each reads some of the files; internal to data/. All
// of it is collective, within by_all_members() (core/base/first_member.h), and speaks of Group::current(). A group of
// one process does nothing here that it would not do alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/first_member.h"
#include "data/encode/field_count.h"
#include "data/encode/passes.h"
#include "data/encode/row_groups.h"

namespace kdef::data {

/// Calls work(groups) for every group of the rows that this member reads; `source`: see open_rows_of_member(). The
/// members meet after each group. `path` is what the sources of all members are parts of: InputError where it has no
/// row. The other arguments are those of RowGroups.
template <class Work>
void for_groups(RowSource* source, const std::string& path, const std::string& verb, const ProgressListener& progress,
                const RowFilter& rows, Work&& work) {
  Group& group = Group::current();
  std::optional<RowGroups> groups;
  if (source != nullptr) groups.emplace(*source, verb, progress, rows, true);
  in_steps(group, [&] {
    if (!groups || !groups->next()) return false;
    work(*groups);
    return true;
  });
  if (!group.agree(groups && groups->any_row())) refuse_no_rows(path);
}

/// Makes the counts of every member those of all rows. `spool`: the rows that this member has counted. Words, their
/// counts and the moments of numbers are what one process finds that reads the rows of all members, by rank.
void add_counts_of_members(std::vector<FieldCount>& counts, Spool& spool);

/// Makes the report of every member that of all files.
void add_reports_of_members(SourceReport& report);

/// Replaces every number by the largest that a member has in its place.
void take_largest_of_members(std::vector<int64_t>& numbers);

/// InputError where another member finds other files than the first one; `files`: those that this member has found.
void check_same_files(const std::vector<FileState>& files);

}  // namespace kdef::data
