// What a training is about to read, in numbers: rows, clicks, and of every column the values that have an id.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/encode/prepare.h"
#include "kdef/method/task.h"

namespace kdef {

/// A column of ids.
struct ColumnSummary {
  std::string name;
  int64_t seen = -1;  // distinct values of the training rows; -1: not counted
  int64_t kept = 0;   // of them, those that have an id
  /// Share of the rows without a value that has an id; NaN where there are no such rows.
  double valid_unknown = 0, test_unknown = 0;
};

/// Every column of ids, in the order of the model. Reads all encoded validation and test rows once.
std::vector<ColumnSummary> column_summaries(const data::PreparedData& data);

/// {"train":{"rows":..,"clicks":..},"valid":..,"test":..,"columns":[{"name":..,"seen":..,"kept":..,"valid_unknown":..,
/// "test_unknown":..},..]}; "clicks" only where the labels are clicks, an unknown number is null.
std::string data_summary_json(const data::Prepared& prepared, const std::vector<ColumnSummary>& columns,
                              const Task& task);

}  // namespace kdef
