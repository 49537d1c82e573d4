// The keys of a data set.
#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "data/field_keys.h"
#include "kdef/config/key_types.h"

namespace kdef::config_keys {
namespace {

const std::vector<Choice<data::SplitType>> kSplitTypes = {{"sequential", data::SplitType::sequential},
                                                          {"random", data::SplitType::random}};
const std::vector<Choice<data::Quote>> kQuotes = {{"double", data::Quote::double_quote}, {"none", data::Quote::none}};

void read_label(Draft& d, const YamlValue& v) {
  d.config.dataset.label_positive.clear();
  d.config.dataset.label_threshold.reset();
  d.config.dataset.label_whole = false;
  if (v.is_scalar()) {
    d.config.dataset.label = v.text();
    return;
  }
  YamlValue map = v;
  if (v.is_list()) {
    if (v.node().size() != 1) v.expected("one label column");
    map = v.list()[0];
  }
  bool named = false;
  data::DatasetConfig& dataset = d.config.dataset;
  for (const YamlValue::Entry& e : map.map()) {
    if (e.name == "name") {
      dataset.label = e.value.text();
      named = true;
    } else if (e.name == "dtype") {
      const auto type = std::get<int64_t>(read_value(data::field_key("dtype"), e.value));
      dataset.label_whole = static_cast<data::CellType>(type) == data::CellType::integer;
    } else if (e.name == "positive") {
      for (const YamlValue& item : e.value.list()) dataset.label_positive.push_back(item.text());
      if (dataset.label_positive.empty()) e.value.expected("the values that are clicks");
    } else if (e.name == "threshold") {
      dataset.label_threshold = e.value.real(-kInfinity, kInfinity);
    } else if (e.name == "active") {
      if (!e.value.boolean()) e.value.fail("a label that is not active leaves nothing to train on");
    } else if (e.name == "fill_na" || e.name == "preprocess") {
      if (!e.value.is_null())
        e.value.fail("labels are read as they are; rows without a label must be left out of the file");
    } else {
      fail_unknown(e.key, e.name, {"name", "dtype", "positive", "threshold"});
    }
  }
  if (!named) map.fail("expected a key 'name' with the name of the label's column");
  if (!dataset.label_positive.empty() && dataset.label_threshold) map.fail("give positive or threshold, not both");
}

std::string write_label(const Draft& d) {
  const data::DatasetConfig& dataset = d.config.dataset;
  return cat("{name: ", yaml_text(dataset.label), dataset.label_whole ? ", dtype: int" : "",
             dataset.label_positive.empty() ? "" : ", positive: " + write_list(dataset.label_positive, yaml_text),
             dataset.label_threshold ? ", threshold: " + yaml_number(*dataset.label_threshold) : "", "}");
}

Key<Draft> dataset_text_key(const char* name, std::string data::DatasetConfig::*member, const char* meaning) {
  return text_key<Draft>(
      name, [=](auto& d) -> auto& { return d.config.dataset.*member; }, meaning, "path");
}

// The name of a column that a data set may lack.
Key<Draft> column_or_none_key(const char* name, std::string data::DatasetConfig::*member, const char* meaning) {
  return {name, "column, null", meaning,
          [=](Draft& d, const YamlValue& v) { d.config.dataset.*member = v.is_null() ? "" : v.text(); },
          [=](const Draft& d) {
            const std::string& column = d.config.dataset.*member;
            return column.empty() ? "null" : yaml_text(column);
          }};
}

Key<Draft> part_size_key(const char* name, double data::DatasetConfig::*member, const char* rows) {
  return {name, "number >= 0",
          cat(rows, " rows that are taken from train_data: a fraction of its rows below 1, otherwise their number"),
          [=](Draft& d, const YamlValue& v) {
            const double size = v.is_null() ? 0 : v.real(0, kInfinity);
            if (size > 1 && size != std::floor(size)) v.expected("a fraction below 1, or a number of rows");
            d.config.dataset.*member = size;
          },
          [=](const Draft& d) { return yaml_number(d.config.dataset.*member); }};
}

}  // namespace

const std::vector<Key<Draft>>& dataset_keys() {
  static const std::vector<Key<Draft>> keys = {
      dataset_text_key("data_root", &data::DatasetConfig::data_root,
                       "the encoded cache is in data_root/dataset_id, or in the folder kdef there, where FuxiCTR has "
                       "prepared its data"),
      boolean_key<Draft>(
          "rebuild_dataset", KDEF_AT(config.dataset.rebuild),
          "true: ids are made from the values of the columns; false: the files hold ids, as the data that "
          "FuxiCTR has prepared; so it is for a data set without feature_cols, whose columns "
          "data_root/dataset_id/feature_map.json describes"),
      dataset_text_key("train_data", &data::DatasetConfig::train_data,
                       "training rows: a CSV or TSV file, plain or compressed by "
                       "gzip or zstd, a pipe, a Parquet, .npz or .h5 file, or a folder of such files or a pattern "
                       "(part_*.csv), which are read in "
                       "the order of their names"),
      dataset_text_key("valid_data", &data::DatasetConfig::valid_data, "validation rows"),
      dataset_text_key("test_data", &data::DatasetConfig::test_data, "test rows"),
      part_size_key("valid_size", &data::DatasetConfig::valid_size, "validation"),
      part_size_key("test_size", &data::DatasetConfig::test_size, "test"),
      choice_key<Draft>("split_type", KDEF_AT(config.dataset.split_type), kSplitTypes,
                        "which rows those of valid_size and test_size are; sequential: test rows are the last ones, "
                        "validation rows the last ones of the rest; random: the same after the rows are shuffled"),
      column_or_none_key("split_by", &data::DatasetConfig::split_by,
                         "sequential: the rows are taken in the order of this column, for instance a time, numbers by "
                         "their value and other texts by their bytes; null: in the order of the file"),
      integer_key<Draft>("split_seed", KDEF_AT(config.dataset.split_seed), 0,
                         "random: the seed; FuxiCTR takes the same rows where its `seed` is this number", UINT32_MAX),
      {"separator", "one character, null", "separator between cells; null: a tab for .tsv, otherwise a comma",
       [](Draft& d, const YamlValue& v) {
         d.config.dataset.separator = v.is_null() ? "" : v.text();
         if (d.config.dataset.separator.size() > 1) v.expected("one character (a tab is \"\\t\")");
       },
       [](const Draft& d) {
         return d.config.dataset.separator.empty() ? "null" : yaml_text(d.config.dataset.separator);
       }},
      choice_key<Draft>("quote", KDEF_AT(config.dataset.quote), kQuotes,
                        "double: a cell that begins with a double quote ends at the next one, and may hold separators "
                        "and line ends; none: a quote is a character like any other"),
      {"na_values", "list of texts, null",
       "cells that are missing, as empty cells always are, in columns without na_values of their own; null: see the "
       "key of `feature_cols`",
       [](Draft& d, const YamlValue& v) {
         d.config.dataset.na_values.reset();
         if (!v.is_null()) d.config.dataset.na_values = read_cells(v);
       },
       [](const Draft& d) {
         const auto& cells = d.config.dataset.na_values;
         return cells ? write_list(*cells, yaml_text) : "null";
       }},
      {"columns", "list of texts, null",
       "names of the columns, for files without a header line; null: the first line has them; columns that are not "
       "used may have any names",
       [](Draft& d, const YamlValue& v) {
         d.config.dataset.columns.clear();
         if (v.is_null()) return;
         for (const YamlValue& item : v.list()) d.config.dataset.columns.push_back(item.text());
       },
       [](const Draft& d) {
         const auto& columns = d.config.dataset.columns;
         return columns.empty() ? "null" : write_list(columns, yaml_text);
       }},
      {"label_col", "map with name and dtype, and positive or threshold; or the name",
       "the column of labels; 0 or 1, or any finite number for regression, a whole one with dtype int. `positive: "
       "[yes, 1]` lists the texts that "
       "are clicks, all others are none; with `threshold: 0.5` numbers above it are clicks",
       read_label, write_label},
      column_or_none_key("weight_col", &data::DatasetConfig::weight,
                         "the column of row weights, finite numbers >= 0; null: every row has weight 1"),
      column_or_none_key("group_id", &data::DatasetConfig::group, "the column of groups, for metrics by group"),
      {"group_by", "id, text, null",
       "id: rows with the same id, or the same number, in the input column `group_id` are one group, so that values "
       "without an id of their own are one; text: rows with the same text in the column; null: id where `group_id` is "
       "an input column, as in FuxiCTR, otherwise text",
       [](Draft& d, const YamlValue& v) {
         d.group_by_id = v.is_null() ? std::nullopt : std::optional(v.one_of({"id", "text"}) == "id");
       },
       [](const Draft& d) {
         const data::DatasetConfig& dataset = d.config.dataset;
         return dataset.group.empty() ? "null" : dataset.group_by_id ? "id" : "text";
       }},
      integer_key<Draft>(
          "min_categr_count", KDEF_AT(config.dataset.min_categr_count), 1,
          "a value gets an id if it occurs at least this often in the training rows; all rarer values share one id"),
      {"feature_cols", "list of maps",
       "the input columns, in the order of the model; each map has keys of the last table", read_fields, write_fields},
  };
  return keys;
}

}  // namespace kdef::config_keys
