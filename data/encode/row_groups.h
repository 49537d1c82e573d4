// Parsed rows of a source, one group of chunks after the other; internal to data/.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/encode/progress.h"
#include "data/encode/split.h"
#include "data/raw/row_source.h"

namespace kdef::data {

/// All threads work on a group while the next group is read. Usage:
///   while (groups.next()) groups.run(tasks, task, beside);
class RowGroups {
 public:
  /// `progress` reports the stage "VERB FILE". The listener may be empty. Only rows of `filter` are given; a group may
  /// have none of them.
  /// `may_be_empty`: a source without any row is no error.
  RowGroups(RowSource& source, const std::string& verb, const ProgressListener& progress, RowFilter filter = {},
            bool may_be_empty = false);

  /// Parses the next group; false at the end. InputError for a bad row, and for a source without any row.
  bool next();
  /// Whether the source has had a row, of `filter` or not.
  bool any_row() const { return read_ > 0; }
  /// The chunks of the group.
  std::span<const Chunk> chunks() const { return {chunks_.data(), count_}; }
  int64_t rows_in_group() const;
  /// Rows that were given in all groups for which run() has ended.
  int64_t rows() const { return rows_; }

  /// Calls task(i) for i in [0, tasks), on any thread. Meanwhile `beside` is called once, and the next group is read.
  /// Of several failures the first in this order is thrown: beside, tasks by their number, the reading.
  void run(size_t tasks, const std::function<void(size_t)>& task, const std::function<void()>& beside = {});

 private:
  RowSource& source_;
  const std::string stage_;
  const ProgressListener& progress_;
  std::vector<Chunk> chunks_, ahead_;
  size_t count_ = 0, count_ahead_ = 0;  // chunks of the group, and of the next one
  bool begun_ = false;
  const RowFilter filter_;
  const bool may_be_empty_;
  int64_t read_ = 0;  // rows of the source in the groups so far
  int64_t rows_ = 0;
};

/// The error of rows that are none. `path`: where they should be.
[[noreturn]] void refuse_no_rows(const std::string& path);

}  // namespace kdef::data
