// What a training is about to read, in numbers: rows, clicks, and of every column the values that have an id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/encode/prepare.h"
#include "kdef/method/task.h"
#include "kdef/run/warnings.h"

namespace kdef {

/// A column of ids.
struct ColumnSummary {
  std::string name;
  int64_t seen = -1;  // distinct values of the training rows; -1: not counted
  int64_t kept = 0;   // of them, those that have an id
  /// Share of the rows without a value that has an id; NaN where there are no such rows.
  double valid_unknown = 0, test_unknown = 0;
};

struct DataSummary {
  struct Rows {
    int64_t rows = 0;
    std::optional<int64_t> clicks;  // nothing where the labels are no clicks
  };
  Rows train, valid, test;
  std::vector<ColumnSummary> columns;  // every column of ids, in the order of the model
};

DataSummary summarize_data(const data::Prepared& prepared, const UnknownRows& unknown, const Task& task);

/// {"train":{"rows":..,"clicks":..},"valid":..,"test":..,"columns":[{"name":..,"seen":..,"kept":..,"valid_unknown":..,
/// "test_unknown":..},..]}; "clicks" only where the labels are clicks, an unknown number is null.
std::string to_json(const DataSummary& summary);
/// Reads a file of that format. Throws InputError, which begins with the path, for one that is missing or damaged.
DataSummary read_data_summary(const std::string& path);

}  // namespace kdef
