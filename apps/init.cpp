// From a file of rows to a configuration that trains.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>

#include "apps/commands.h"
#include "apps/progress.h"
#include "apps/terminal.h"
#include "core/base/error.h"
#include "core/io/file.h"
#include "data/profile/proposal.h"
#include "data/raw/part_files.h"
#include "kdef/config/starter.h"

namespace kdef::apps {
namespace {

namespace fs = std::filesystem;
using Use = data::ColumnProposal::Use;

constexpr size_t kColumns = 80;

// The name of a file or folder without its endings, as letters that any shell takes.
std::string stem_of(const std::string& path) {
  fs::path name = fs::path(path).lexically_normal();
  name = name.has_filename() ? name.filename() : name.parent_path().filename();
  std::string stem = name.string().substr(0, name.string().find('.', 1));
  for (char& c : stem) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-') c = '_';
  }
  return stem.find_first_not_of('_') == std::string::npos ? "data" : stem;
}

// The file beside `train` whose name says `part` where that of `train` says "train"; empty if there is none.
std::string sibling_of(const std::string& train, const std::vector<std::string>& parts) {
  const fs::path path(train);
  const std::string name = path.filename().string();
  const size_t at = name.rfind("train");
  for (const std::string& part : parts) {
    if (at == std::string::npos) break;
    const std::string other = (path.parent_path() / std::string(name).replace(at, 5, part)).string();
    if (exists(other)) return other;
  }
  return "";
}

// --split, --valid and --test.
void set_split(const Parsed& parsed, data::DatasetConfig& dataset) {
  const std::string split = parsed.has("split") ? parsed.text("split") : parsed.has("valid") ? "given" : "random";
  if (split == "given") {
    dataset.valid_data = parsed.has("valid") ? parsed.text("valid")
                                             : sibling_of(dataset.train_data, {"valid", "validation", "val", "dev"});
    if (dataset.valid_data.empty()) {
      throw InputError(cat("--split given: there is no file of validation rows beside ", dataset.train_data,
                           " (its name with valid in the place of train); name it with --valid FILE"));
    }
    dataset.test_data = parsed.has("test") ? parsed.text("test") : sibling_of(dataset.train_data, {"test"});
    return;
  }
  if (parsed.has("valid") || parsed.has("test")) {
    throw InputError("--valid and --test name files of rows: give --valid with --split given, or no --split");
  }
  dataset.valid_size = dataset.test_size = 0.1;
  if (split == "random") {
    dataset.split_type = data::SplitType::random;
  } else if (split.starts_with("time:") && split.size() > 5) {
    dataset.split_by = split.substr(5);
  } else {
    throw InputError(cat("--split: expected random, time:COLUMN or given, found '", split, "'"));
  }
}

std::string percent(double share) {
  if (std::isnan(share)) return "";
  return share == 0 ? "0 %" : share < 0.001 ? "<.1 %" : cat(significant_digits(100 * share, share < 0.1 ? 2 : 3), " %");
}

std::string use_of(const data::ColumnProposal& column) {
  if (column.use == Use::label) return "label";
  if (column.use == Use::left_out) return "unused";
  const data::FieldConfig& field = column.fields.back();
  return field.type == data::FieldType::numeric ? "number" : field.type == data::FieldType::sequence ? "list" : "id";
}

// `text` in lines of at most `width` bytes, broken at blanks where there are any.
std::vector<std::string> wrapped(std::string text, size_t width) {
  std::vector<std::string> all;
  while (text.size() > width) {
    const size_t blank = text.rfind(' ', width);
    const size_t end = blank == std::string::npos || blank == 0 ? width : blank;
    all.push_back(text.substr(0, end));
    text.erase(0, end + (text[end] == ' '));
  }
  all.push_back(text);
  return all;
}

void print_columns(const data::Proposal& proposal) {
  constexpr size_t kLongestName = 20;
  size_t width = 6;
  for (const auto& column : proposal.columns) width = std::max(width, std::min(column.column.size(), kLongestName));
  const int name_width = static_cast<int>(width);
  print("%-*s  %-6s %10s %7s %7s  %s\n", name_width, "column", "as", "values", "missing", "new", "why");
  const std::string rest(width + 36, ' ');
  for (const data::ColumnProposal& column : proposal.columns) {
    const std::string name = column.column.size() > width ? column.column.substr(0, width - 2) + ".." : column.column;
    const std::string values = std::isnan(column.missing) ? "" : grouped(column.values);
    const std::vector<std::string> why = wrapped(column.why, kColumns - rest.size());
    print("%-*s  %-6s %10s %7s %7s  %s\n", name_width, name.c_str(), use_of(column).c_str(), values.c_str(),
          column.missing == 0 ? "" : percent(column.missing).c_str(), percent(column.unseen).c_str(), why[0].c_str());
    for (size_t i = 1; i < why.size(); ++i) print("%s%s\n", rest.c_str(), why[i].c_str());
  }
}

std::string separator_name(const data::DatasetConfig& dataset) {
  if (dataset.separator.empty()) return "";  // a format with columns of its own
  const std::string& s = dataset.separator;
  const std::string name = s == "," ? "comma" : s == "\t" ? "tab" : s == ";" ? "semicolon" : s == " " ? "blank" : s;
  return cat("separator ", name, dataset.quote == data::Quote::none ? ", quotes are characters" : "",
             dataset.columns.empty() ? ", a header line" : ", no header line");
}

std::string split_name(const data::DatasetConfig& dataset) {
  const auto name = [](const std::string& path) { return fs::path(path).filename().string(); };
  if (!dataset.splits())
    return cat(name(dataset.valid_data), dataset.test_data.empty() ? "" : ", ", name(dataset.test_data));
  if (dataset.split_by.empty()) return "chosen at random";
  return cat("the last ones by ", dataset.split_by);
}

void refuse_to_replace_files(const std::string& out) {
  refuse_to_replace(out, {kDatasetYaml, kModelYaml}, "; give another --out DIR, or remove them");
}

// Both files or none: one without the other would be in the way of the next call.
void write_files(const std::string& out, const std::string& dataset_yaml, const std::string& model_yaml) {
  make_directories(out);
  refuse_to_replace_files(out);
  const std::string first = (fs::path(out) / kDatasetYaml).string();
  write_file(first, dataset_yaml);
  try {
    write_file((fs::path(out) / kModelYaml).string(), model_yaml);
  } catch (...) {
    remove_file(first);
    throw;
  }
}

}  // namespace

int init(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("label", po::value<std::string>()->value_name("COLUMN")->required(),
                        "the column that says click or no click; of a file without header line its number, from 1");
  options.add_options()("split", po::value<std::string>()->value_name("HOW"),
                        "random (default): a tenth of the rows each for validation and test; time:COLUMN: the last "
                        "rows in the order of COLUMN; given: the files of --valid and --test, or those beside FILE "
                        "with valid and test in the name in the place of train");
  options.add_options()("valid", po::value<std::string>()->value_name("FILE"), "validation rows");
  options.add_options()("test", po::value<std::string>()->value_name("FILE"), "test rows");
  options.add_options()("out", po::value<std::string>()->value_name("DIR"),
                        "folder for the configuration, later also for the cache and the runs (default: the name of "
                        "FILE without its ending)");
  add_threads_option(options);
  const auto parsed = parse(
      {"init", "FILE --label COLUMN [--split HOW] [--out DIR]",
       "Writes a configuration for a file of rows: dataset_config.yaml and model_config.yaml. It reads the whole\n"
       "file (twice where rows are split), prints a table of its columns with what is proposed and why, and\n"
       "replaces no file. In the table, `values` is the number of distinct values in the training rows,\n"
       "`missing` the share of rows without a value, and `new` the share of validation rows whose value has\n"
       "no id.",
       Synopsis::Rest::paths},
      options, arguments);
  if (!parsed) return kDone;
  if (parsed->rest.size() != 1) throw InputError("kdef init takes one FILE of rows; see kdef init --help");
  use_threads(*parsed);
  const std::string path = parsed->rest[0];
  if (path == "-") throw InputError("kdef init reads a file, which training reads again; standard input is none");
  const std::string out = parsed->has("out") ? parsed->text("out") : stem_of(path);
  refuse_to_replace_files(out);

  data::DatasetConfig dataset = data::describe_file(path, parsed->text("label"));
  dataset.id = stem_of(out);
  dataset.data_root = (fs::path(out) / "cache").string();
  set_split(*parsed, dataset);
  data::FileProfile profile;
  {
    ProgressDisplay display(0);
    profile = data::profile_with_quotes(dataset, [&](const data::Progress& p) { display.preparing(p); });
  }
  const data::Proposal proposal = data::propose(dataset, profile);
  const std::string dataset_yaml = starter_dataset_yaml(proposal);
  const std::string model_yaml = starter_model_yaml(proposal, profile.rows[0], (fs::path(out) / "runs").string());

  print("%s%s%s\n", path.c_str(), dataset.separator.empty() ? "" : ": ", separator_name(dataset).c_str());
  print("%s training, %s validation, %s test rows; %s clicks in training rows\n", grouped(profile.rows[0]).c_str(),
        grouped(profile.rows[1]).c_str(), grouped(profile.rows[2]).c_str(), percent(proposal.click_rate).c_str());
  print("validation and test rows: %s\n\n", split_name(dataset).c_str());
  print_columns(proposal);
  say_warnings(profile.warnings);

  write_files(out, dataset_yaml, model_yaml);
  print("\nWrote %s/%s and %s.\n", out.c_str(), kDatasetYaml, kModelYaml);
  print(
      "To use a column otherwise, edit its line there (docs/own-data.md). Then:\n  %s train --config %s --expid KDEF\n",
      program_name().c_str(), out.c_str());
  return kDone;
}

}  // namespace kdef::apps
