#include "data/profile/proposal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "core/base/error.h"
#include "core/base/names.h"
#include "data/profile/text_form.h"
#include "data/profile/value_kinds.h"
#include "data/raw/cell_numbers.h"
#include "data/raw/cells.h"
#include "data/raw/part_files.h"
#include "data/raw/row_format.h"

namespace kdef::data {
namespace {

constexpr double kNoIds = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kFewNumbers = 100;   // whole numbers: to here they are ids
constexpr int64_t kFewFractions = 20;  // numbers with a fraction
constexpr double kLongTail = 0.05;     // median / largest number: below it small numbers are the common ones
constexpr double kNamedTail = 0.25;    // the same where the name of the column says that it measures
constexpr double kSparse = 0.3;        // NumberSummary::density: below it many whole numbers are left out
constexpr double kMostUnseen = 0.95;   // share of validation rows without an id: from here a column is left out
constexpr double kSmallest = -10;      // a count of a few kinds may have -1 and the like for "unknown"
constexpr const char* kParts[] = {"training", "validation", "test"};

// A value for a message and for a line of the table.
std::string shown(std::string_view value) { return printable(value.substr(0, 16)); }

// ---- The label.

// Which of two texts means a click: the one that says so, otherwise the rarer one.
std::string positive_of(const ColumnProfile& column) {
  static const std::vector<std::string> clicks = {"yes", "y", "true", "t", "click", "clicked", "positive", "pos"};
  std::array<int64_t, 2> rows{};
  for (int64_t v = 0; v < 2; ++v) {
    const std::string word = lower_case(column.values[v]);
    if (std::find(clicks.begin(), clicks.end(), word) != clicks.end()) return std::string(column.values[v]);
    for (const auto& count : column.count) rows[static_cast<size_t>(v)] += count[static_cast<size_t>(v)];
  }
  return std::string(column.values[rows[0] <= rows[1] ? 0 : 1]);
}

// Sets what of the label is a click, and says why.
std::string read_label(DatasetConfig& dataset, const ColumnProfile& column) {
  const std::string what = cat(dataset.train_data, ": label column ", dataset.label);
  if (const int64_t rows = column.missing[0] + column.missing[1] + column.missing[2]; rows > 0) {
    throw InputError(cat(what, " is empty in ", rows, rows == 1 ? " row" : " rows",
                         "; a training needs the label of every row: leave these rows out"));
  }
  if (column.lists) throw InputError(cat(what, " holds lists; name the column that says click or no click"));
  if (column.values.size() == 1) {
    throw InputError(cat(what, " is ", shown(column.values[0]), " in every row; a model needs rows of both kinds"));
  }
  const NumberSummary numbers = summarize_numbers(column);
  const auto& values = column.values;
  if (!numbers.is_column() || !numbers.markers.empty()) {
    if (values.size() == 2) {
      dataset.label_positive = {positive_of(column)};
      return cat(shown(dataset.label_positive[0]), " is a click");
    }
    std::string some;
    for (int64_t v = 0; v < std::min<int64_t>(values.size(), 3); ++v) some += (v > 0 ? ", " : "") + shown(values[v]);
    throw InputError(cat(what, " has ", values.size(), " values, as ", some,
                         "; which of them are clicks is yours to say: write a column of 0 and 1"));
  }
  if (numbers.distinct == 2 && numbers.min >= 0 && numbers.max <= 1 && numbers.whole) return "0 and 1";
  const std::string range = cat(shortest(numbers.min), " to ", shortest(numbers.max));
  if (numbers.whole && numbers.min == 0 && numbers.distinct > 2) {
    dataset.label_threshold = 0.5;
  } else if (numbers.distinct <= 11) {
    dataset.label_threshold = (numbers.min + numbers.max) / 2;
  } else {
    throw InputError(
        cat(what, " has ", grouped(numbers.distinct), " numbers from ", range,
            "; kdef init is for clicks: name a column of two kinds, or write the configuration by hand with ",
            "task: regression (docs/configuration.md)"));
  }
  return cat(range, ": above ", shortest(*dataset.label_threshold), " is a click");
}

// The share of clicks in the training rows. InputError where a part lacks one of the labels.
double click_rate(const DatasetConfig& dataset, const FileProfile& profile) {
  const ColumnProfile& column = profile.column(dataset.label);
  double rate = 0;
  for (const Part part : {Part::train, Part::valid, Part::test}) {
    const auto p = static_cast<size_t>(part);
    const int64_t rows = profile.rows[p];
    if (rows == 0) continue;
    int64_t clicks = 0;
    for (int64_t v = 0; v < column.values.size(); ++v) {
      if (parse_label(column.values[v], dataset, {dataset.train_data, 0}) == 1) clicks += column.count_of(part, v);
    }
    if (part == Part::train) rate = static_cast<double>(clicks) / static_cast<double>(rows);
    if (clicks > 0 && clicks < rows) continue;
    throw InputError(cat(dataset.train_data, ": all ", rows, " ", kParts[p], " rows are ",
                         clicks == 0 ? "without a click" : "clicks", ", so that ",
                         part == Part::train ? "nothing can be learned" : "AUC is undefined",
                         "; give more rows, or another --split"));
  }
  return rate;
}

// ---- The inputs.

class Proposer {
 public:
  Proposer(const DatasetConfig& dataset, const FileProfile& profile, const ColumnProfile& column)
      : dataset_(dataset), column_(column), numbers_(summarize_numbers(column)) {
    field_.name = column.name;
    proposal_.column = column.name;
    proposal_.values = column.distinct();
    proposal_.unseen = kNoIds;
    const double rows = static_cast<double>(profile.rows[0] + profile.rows[1] + profile.rows[2]);
    const int64_t missing = column.missing[0] + column.missing[1] + column.missing[2] +
                            (numbers_.is_column() ? numbers_.rows_of_markers : 0);
    proposal_.missing = static_cast<double>(missing) / rows;
  }

  ColumnProposal input() {
    choose();
    if (proposal_.use == ColumnProposal::Use::left_out) field_.active = false;
    proposal_.fields.insert(proposal_.fields.begin(), field_);
    return proposal_;
  }

  ColumnProposal label(const std::string& why) {
    proposal_.use = ColumnProposal::Use::label;
    proposal_.why = why;
    return proposal_;
  }

 private:
  void leave_out(const std::string& why) {
    proposal_.use = ColumnProposal::Use::left_out;
    proposal_.why = why;
  }

  void choose() {
    const TimeKind time = column_.lists ? TimeKind::none : time_kind(column_);
    if (proposal_.values == 0) return leave_out("empty in the training rows");
    if (proposal_.values == 1 && column_.missing[0] == 0 && !column_.lists) {
      return leave_out(cat("constant: ", shown(column_.values[0])));
    }
    if (time == TimeKind::hour_code) return take_hours();
    if (column_.name == dataset_.split_by) return leave_out("the rows are split by it");
    if (time == TimeKind::sortable) return leave_out(cat("a time; for a split: --split time:", column_.name));
    if (time == TimeKind::unsortable) return leave_out("a date with the year last, which cannot be sorted");
    if (column_.lists) return take_list();
    if (numbers_.is_column()) return take_numbers();
    if (const ListForm form = list_form(column_); !form.splitter.empty()) return take_list(form);
    take_ids(numbers_.any ? cat("texts beside numbers, as ", shown(numbers_.text)) : "texts");
  }

  // The hour and the day of the week; the day itself is new in the rows to come.
  void take_hours() {
    leave_out("a time YYMMDDHH: hour and day of the week");
    const auto make = [&](const char* ending, Preprocess preprocess) {
      FieldConfig made;
      made.name = column_.name + ending;
      made.column = column_.name;
      made.preprocess = preprocess;
      proposal_.fields.push_back(made);
    };
    if (distinct_parts(column_, 6, 2) > 1) make("_hour", Preprocess::convert_hour);
    if (distinct_parts(column_, 0, 6) > 1) make("_weekday", Preprocess::convert_weekday);
    if (proposal_.fields.empty()) return leave_out("a time, the same hour in all rows");
    proposal_.use = ColumnProposal::Use::input;
    field_.active = false;
  }

  void take_list() {
    field_.type = FieldType::sequence;
    field_.max_len = std::min(column_.longest, kLongestList);
    proposal_.why = cat("lists of up to ", column_.longest);
  }
  void take_list(const ListForm& form) {
    field_.type = FieldType::sequence;
    field_.splitter = form.splitter;
    field_.max_len = std::min(form.longest, kLongestList);
    proposal_.why = cat("lists split by '", form.splitter, "', up to ", form.longest, " of ", grouped(form.elements));
  }

  void take_numbers() {
    static const std::vector<std::string> ids = {"id", "ids", "uid", "key", "code", "hash", "zip"};
    static const std::vector<std::string> amounts = {"amount",   "balance", "clicks", "cost",    "count", "distance",
                                                     "duration", "income",  "length", "minutes", "price", "salary",
                                                     "seconds",  "size",    "views",  "visits"};
    const NumberSummary& n = numbers_;
    const bool many = n.distinct > (n.whole ? kFewNumbers : kFewFractions);
    const bool named_id = name_says(column_.name, ids);
    if (!n.whole && many && !n.zeros) return take_amount();
    if (!many) return take_number_ids(cat("few numbers, ", shortest(n.min), " to ", shortest(n.max)));
    if (named_id) return take_number_ids("numbers that name things");
    // Ids that were given in the order of their first use have a long tail, too, but leave out few numbers.
    const double tail = name_says(column_.name, amounts) ? kNamedTail : n.density() < kSparse ? kLongTail : 0;
    const bool long_tail = n.min >= kSmallest && n.median < tail * n.max && !n.zeros;
    if (long_tail) return take_counts();
    if (n.zeros) return take_number_ids("numbers that begin with 0: names");
    take_number_ids("whole numbers that repeat: names");
  }

  void take_amount() {
    field_.type = FieldType::numeric;
    field_.cell = CellType::real;
    field_.normalizer = Normalizer::standard;
    field_.fill_na = significant_digits(numbers_.mean, 6);
    set_markers();
    proposal_.why =
        cat("amounts, ", significant_digits(numbers_.min, 4), " to ", significant_digits(numbers_.max, 4), ": scaled");
  }

  void take_counts() {
    field_.cell = CellType::real;
    field_.preprocess = Preprocess::convert_to_bucket;
    field_.fill_na = shortest(std::min(numbers_.min, 0.0) - 1);
    set_markers();
    proposal_.why = cat("counts with a long tail, to ", shortest(numbers_.max), ": in buckets");
  }

  // 1 and 1.0 are one value; a text keeps its zeros.
  void take_number_ids(const std::string& why) {
    const bool as_numbers = !numbers_.plain && !numbers_.zeros;
    if (as_numbers) {
      field_.cell = CellType::real;
      field_.fill_na = shortest(std::floor(std::min(numbers_.min, 0.0)) - 1);
    }
    if (as_numbers || !numbers_.markers.empty()) set_markers();
    take_ids(why);
  }

  void set_markers() {
    if (numbers_.markers.empty() || (numbers_.usual_markers && field_.fill_na)) return;
    field_.na_values = numbers_.markers;
  }

  void take_ids(const std::string& why) {
    proposal_.why = why;
    const int64_t min_count = dataset_.min_categr_count;
    proposal_.unseen = column_.unseen(Part::valid, min_count);
    if (column_.unseen(Part::train, 2) == 1) return leave_out("another value in every row");
    if (column_.distinct(min_count) == 0 || proposal_.unseen >= kMostUnseen) {
      leave_out(cat("nearly all validation values are new"));
    }
  }

  static constexpr int64_t kLongestList = 50;

  const DatasetConfig& dataset_;
  const ColumnProfile& column_;
  const NumberSummary numbers_;
  FieldConfig field_;
  ColumnProposal proposal_;
};

void check_split(const DatasetConfig& dataset, const FileProfile& profile) {
  if (dataset.split_by.empty()) return;
  const ColumnProfile& column = profile.column(dataset.split_by);
  if (time_kind(column) == TimeKind::unsortable) {
    throw InputError(cat(dataset.train_data, ": column ", dataset.split_by, " has dates as ", shown(column.values[0]),
                         ", which do not sort by time; write them as YYYY-MM-DD"));
  }
}

}  // namespace

int64_t proposed_min_count(int64_t train_rows) { return train_rows < 1000000 ? 2 : train_rows < 10000000 ? 5 : 10; }

DatasetConfig describe_file(const std::string& path, const std::string& label) {
  DatasetConfig dataset;
  dataset.train_data = path;
  dataset.label = label;
  const std::string file = names_part_files(path) ? part_files(path).at(0) : path;
  const RowFormat format = row_format(file);
  if (format == RowFormat::svm) {
    throw InputError(cat(file, ": is libsvm or libffm text, whose columns are numbers without a meaning to find out; ",
                         "write its configuration by hand (docs/configuration.md, Raw files)"));
  }
  if (format != RowFormat::text) return dataset;
  const TextForm form = find_text_form(file, label);
  dataset.separator = form.separator;
  dataset.quote = form.quote;
  dataset.columns = form.columns;
  const std::vector<std::string>& columns = form.columns;
  if (columns.empty() || std::find(columns.begin(), columns.end(), label) != columns.end()) return dataset;
  int64_t number = 0;
  if (!read_number(label, number) || number < 1 || number > static_cast<int64_t>(columns.size())) {
    throw InputError(cat(file, ": no column '", label,
                         "'; the file has no header line (line 1 looks like data), and so ", "its columns are called ",
                         columns.front(), " to ", columns.back(), ": name one, or its number"));
  }
  dataset.label = columns[static_cast<size_t>(number) - 1];
  return dataset;
}

FileProfile profile_with_quotes(DatasetConfig& dataset, const ProgressListener& progress) {
  std::exception_ptr failure;
  FileProfile first;
  try {
    first = profile(dataset, progress);
    if (first.warnings.empty()) return first;
  } catch (const InputError&) {
    failure = std::current_exception();
  }
  const bool is_text = !dataset.separator.empty();
  if (is_text && dataset.quote == Quote::double_quote) {
    DatasetConfig without = dataset;
    without.quote = Quote::none;
    try {
      FileProfile second = profile(without, progress);
      dataset.quote = Quote::none;
      return second;
    } catch (const InputError&) {
      // Quotes are not what is wrong.
    }
  }
  if (failure) std::rethrow_exception(failure);
  return first;
}

Proposal propose(const DatasetConfig& dataset, const FileProfile& profile) {
  Proposal proposal;
  proposal.dataset = dataset;
  DatasetConfig& d = proposal.dataset;
  d.min_categr_count = proposed_min_count(profile.rows[0]);
  check_split(d, profile);
  const std::string why = read_label(d, profile.column(d.label));
  proposal.click_rate = click_rate(d, profile);
  for (const ColumnProfile& column : profile.columns) {
    Proposer proposer(d, profile, column);
    proposal.columns.push_back(column.name == d.label ? proposer.label(why) : proposer.input());
    for (const FieldConfig& field : proposal.columns.back().fields) d.fields.push_back(field);
  }
  for (const std::string& name : profile.unnamed) {
    ColumnProposal left_out;
    left_out.column = name;
    left_out.use = ColumnProposal::Use::left_out;
    left_out.missing = left_out.unseen = kNoIds;
    left_out.why = name.empty() ? "has no name" : "its name is that of another column, or not printable";
    proposal.columns.push_back(left_out);
  }
  const bool any = std::any_of(d.fields.begin(), d.fields.end(), [](const FieldConfig& field) { return field.active; });
  if (!any) {
    std::vector<std::string> reasons;
    for (const ColumnProposal& column : proposal.columns) {
      if (column.use == ColumnProposal::Use::left_out) reasons.push_back(cat(column.column, " (", column.why, ")"));
    }
    throw InputError(cat(d.train_data, ": no column is left to predict ", d.label, " from: ", joined(reasons)));
  }
  return proposal;
}

}  // namespace kdef::data
