// What a data set is to be made of, proposed from what its columns hold. docs/own-data.md states the rules.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/profile/column_profile.h"
#include "data/schema.h"

namespace kdef::data {

/// A column of the file, and why it is used as it is.
struct ColumnProposal {
  std::string column;  // of the file
  enum class Use { input, label, left_out } use = Use::input;
  std::vector<FieldConfig>
      fields;          // what is made of it, `active` or not; none of the label and of columns without name
  int64_t values = 0;  // distinct ones in the training rows
  double missing = 0;  // share of all rows
  double unseen = 0;   // share of validation rows with a value that has no id; NaN: it is not an input of ids
  std::string why;
};

struct Proposal {
  DatasetConfig dataset;
  std::vector<ColumnProposal> columns;  // in the order of the file
  double click_rate = 0;                // of the training rows
};

/// What of the data set can be told before its columns are read: the form of text, and the paths. Completed by
/// propose(). `label` is a column, or, of a file without header line, the number of one. InputError for libsvm and
/// libffm text, which has no columns to describe, and for a pipe.
DatasetConfig describe_file(const std::string& path, const std::string& label);

/// profile(), and once more with quote none, which `dataset` then has, where a stray quote swallows rows: where a row
/// is refused, or rows are read in a way that their writer may not have meant, and neither is so without quotes.
FileProfile profile_with_quotes(DatasetConfig& dataset, const ProgressListener& progress = {});

/// `dataset` has the files, the split and the label. InputError where the label is missing in a row, has one value or
/// more than two texts, and where validation or test rows lack one of the labels.
Proposal propose(const DatasetConfig& dataset, const FileProfile& profile);

/// The min_categr_count for a number of training rows.
int64_t proposed_min_count(int64_t train_rows);

}  // namespace kdef::data
