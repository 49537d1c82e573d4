#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "apps/commands.h"
#include "apps/process_group.h"
#include "core/base/csv.h"
#include "core/io/file.h"
#include "data/raw/kept_cells.h"
#include "kdef/run/run.h"
#include "kdef/run/warnings.h"
#include "kdef/serve/scorer.h"
#include "kdef/train/run_files.h"
#include "ops/serve/packed.h"

namespace kdef::apps {
namespace {

std::string header(const Run& run, bool with_students, const std::vector<std::string>& kept) {
  std::string text;
  for (const std::string& column : kept) text += csv_cell(column) + ",";
  text += run.model().task().labels == data::LabelKind::click ? "probability" : "prediction";
  const size_t students = with_students ? run.model().student_count() : 0;
  for (size_t k = 0; k < students; ++k) text += cat(",student", k + 1);
  return text + "\n";
}

// Rows with a prediction that is not finite, among those that are written: NaN, or infinity for a task of numbers.
struct NotFinite {
  int64_t count = 0, first = 0;

  // Row `row`, counted from 1. A model whose weights are the reason is refused.
  void add(const Ensemble& model, int64_t row) {
    if (count++ > 0) return;
    first = row;
    if (const std::string bad = first_bad_tensor(model); !bad.empty())
      throw CheckError(
          cat("row ", row, ": a prediction is not finite; the run's ", bad, " has values that are not finite"));
  }

  // Adds up what the members of the group have counted.
  void join(Group& group) {
    const auto mine = std::as_bytes(std::span(this, 1));
    NotFinite all;
    for (const Group::Bytes& bytes : group.all_gather({mine.begin(), mine.end()})) {
      NotFinite one;
      std::memcpy(&one, bytes.data(), sizeof one);
      if (one.count == 0) continue;
      all.first = all.count == 0 ? one.first : std::min(all.first, one.first);
      all.count += one.count;
    }
    *this = all;
  }
};

// NaN has a sign, which means nothing.
std::string written(float score) { return std::isnan(score) ? "nan" : shortest(score); }

// The lines of a batch whose first row is number `first`, from 0. `cells`: what goes before the predictions of its
// rows; empty: nothing.
std::string lines_of(const Run& run, const Scorer& scorer, data::Batch& batch, int64_t first,
                     const std::vector<std::string>& cells, bool students, NotFinite& not_finite) {
  const size_t m = run.model().student_count();
  const Probabilities p = kdef::predict(
      scorer, model_input(batch, run.encoder().id_columns(), run.encoder().numeric_columns()), /*threads=*/true);
  std::string text;
  for (size_t b = 0; b < p.ensemble.size(); ++b) {
    bool finite = std::isfinite(p.ensemble[b]);
    if (!cells.empty()) text += cells[b];
    text += written(p.ensemble[b]);
    for (size_t k = 0; students && k < m; ++k) {
      const float student = p.students[b * m + k];
      finite = finite && std::isfinite(student);
      text += ',';
      text += written(student);
    }
    if (!finite) not_finite.add(run.model(), first + static_cast<int64_t>(b) + 1);
    text += '\n';
  }
  return text;
}

Group::Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Gives the lines of all rows to `write`, in their order. Returns the number of rows.
// `kept`: the cells that go before the predictions; null: none. In a group of P processes each reads all rows and
// predicts every P-th batch; all get the lines.
int64_t predict_rows(const Run& run, data::RawFile& rows, data::KeptCells* kept, bool students, UnknownValues& unknown,
                     NotFinite& not_finite, const ScorerOptions& how,
                     const std::function<void(std::string_view)>& write) {
  Group& group = Group::current();
  const GroupScope by_itself(Group::alone());  // a process predicts its batches without the others
  const Scorer scorer(run.model(), how);
  data::Batch batch;
  int64_t count = 0;
  for (bool more = true; more;) {
    std::string mine;
    for (int turn = 0; more && turn < group.size(); ++turn) {
      more = rows.next(batch, run.config().training.batch_size);
      if (!more) break;
      std::vector<std::string> cells;
      for (int64_t b = 0; kept != nullptr && b < batch.rows; ++b) cells.push_back(kept->next());
      if (turn == group.rank()) mine = lines_of(run, scorer, batch, count, cells, students, not_finite);
      count += batch.rows;
      unknown.add(batch);
    }
    for (const Group::Bytes& text : group.all_gather(bytes_of(mine)))
      write({reinterpret_cast<const char*>(text.data()), text.size()});
  }
  not_finite.join(group);
  return count;
}

// Says where the n-th prediction is not that of the n-th line, and what else is to be known of the rows.
void say_what_was_read(const data::RowSource& source, int64_t rows) {
  say_warnings(source.warnings());
  if (source.lines() == rows) return;
  say_warnings({cat(source.path(), ": ", rows, " rows stand on ", source.lines(),
                    " lines (header lines aside): blank lines are skipped, and a quoted cell may hold line ends; "
                    "prediction n is that of row n, not of line n")});
}

constexpr const char* kDescription =
    "Writes click probabilities of the best model of a run: one line per row, in the order\n"
    "of the rows. The output is written atomically.\n\n"
    "Several files: FILE may be a folder or a pattern in quotes ('part-*.csv'); the rows of\n"
    "all files go to one output, in the order of the files' names. Each file may have its\n"
    "columns in an order of its own.\n\n"
    "Columns: every file needs the columns of the model and those of --keep. If one is\n"
    "missing, kdef predict stops and writes nothing. Other columns are not read.\n\n"
    "Quoting: the output is CSV. A kept cell has the text that it has in the data, without\n"
    "the quotes around it; it is in double quotes if it holds a comma, a quote or a line end.\n"
    "A missing value of a Parquet, .npz or .h5 file becomes an empty cell. On standard output\n"
    "control characters are written as escapes.";

std::vector<std::string> kept_columns(const Parsed& parsed) {
  if (!parsed.has("keep")) return {};
  std::vector<std::string> columns = parsed.options["keep"].as<std::vector<std::string>>();
  std::vector<std::string> sorted = columns;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) throw InputError(cat("--keep: column '", *twice, "' is named twice; name it once"));
  return columns;
}

// The rows of a file; with columns to keep, `cells` is set to what keeps them, a part of the source.
std::unique_ptr<data::RowSource> open_keeping(const std::string& path, const data::DatasetConfig& config,
                                              const std::vector<std::string>& kept, data::KeptCells*& cells) {
  std::unique_ptr<data::RowSource> source = data::open_rows(path, config, config.label);
  if (kept.empty()) return source;
  auto keeping = std::make_unique<data::KeptCells>(std::move(source), kept);
  cells = keeping.get();
  return keeping;
}

void say_not_finite(const NotFinite& not_finite, const std::string& path) {
  if (not_finite.count == 0) return;
  say_warnings(
      {cat(path, ": rows with a prediction that is not finite: ", not_finite.count, ", the first of them row ",
           not_finite.first, ": the numbers of such a row are too large for the model; nan or inf is written for it")});
}

// Predictions must not replace what they are made from.
void check_not_of_run(const std::string& out, const std::string& run) {
  const RunFiles files(run);
  std::error_code absent;
  for (const std::string& file : {run, files.config(), files.vocabulary(), files.model()}) {
    if (std::filesystem::is_regular_file(out, absent) && std::filesystem::equivalent(file, out, absent))
      throw InputError(cat("--out: ", out, " is a file of the model that predicts (--run); give another file"));
  }
}

int predict_file(const Parsed& parsed) {
  const ScorerOptions how{.precision = ops::parse_stored(parsed.text("precision"))};
  const Run run(parsed.text("run"), use_device(parsed));
  const bool students = parsed.flag("students");
  const std::string path = parsed.text("out");
  const std::string data = parsed.text("data");
  check_divisible(data);
  std::error_code absent;
  if (std::filesystem::is_regular_file(path, absent) && std::filesystem::equivalent(data, path, absent)) {
    throw InputError(cat("--out: ", path, " is the file of --data; give another file"));
  }
  check_not_of_run(path, parsed.text("run"));
  const std::vector<std::string> kept = kept_columns(parsed);
  data::KeptCells* cells = nullptr;
  std::unique_ptr<data::RowSource> source = open_keeping(data, run.encoder().config(), kept, cells);
  data::RawFile rows(run.encoder(), std::move(source), false);
  const bool writes = Group::current().is_first();
  std::optional<AtomicFile> file;
  if (path != "-" && writes) file.emplace(path, NamedBy::user);
  const auto write = [&](std::string_view text) {
    if (file)
      file->write(text.data(), text.size());
    else if (writes)
      std::cout.write(text.data(), static_cast<std::streamsize>(text.size()));
  };
  if (parsed.flag("header")) write(header(run, students, kept));
  UnknownValues unknown(run.encoder().feature_map());
  NotFinite not_finite;
  const int64_t count = predict_rows(run, rows, cells, students, unknown, not_finite, how, write);
  say_what_was_read(rows.source(), count);
  say_not_finite(not_finite, rows.source().path());
  say_warnings(unknown.warnings(rows.source().path(), data, run.encoder()));
  if (file) {
    file->commit();
    std::cout << "Wrote " << count << " predictions to " << path << "\n";
  }
  return kDone;
}

}  // namespace

int predict(const Arguments& arguments) {
  po::options_description options;
  options.add_options()("run", po::value<std::string>()->value_name("DIR")->required(),
                        "run directory of kdef train, or a file of kdef export --out FILE.kdef");
  options.add_options()("data", po::value<std::string>()->value_name("FILE")->required(),
                        "raw rows; columns in any order; labels are not read; - for standard input");
  options.add_options()("out", po::value<std::string>()->value_name("FILE")->required(),
                        "file to write; - for standard output");
  options.add_options()("students", po::bool_switch(), "add a column with the probability of every student");
  options.add_options()("keep", po::value<std::vector<std::string>>()->value_name("COLUMN"),
                        "copy the cells of this column before the prediction; give it again for more columns");
  options.add_options()("header", po::bool_switch(), "write a first line with column names");
  options.add_options()("precision", po::value<std::string>()->value_name("P")->default_value("f32"),
                        "how weights and tables are kept: f32, bf16 (half the memory) or int8 (a quarter)");
  add_device_option(options);
  add_threads_option(options);
  const auto parsed = parse({"predict", "--run DIR --data FILE --out FILE [--students] [--keep COLUMN]", kDescription},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  ProcessGroup processes;
  return processes.run([&] { return predict_file(*parsed); });
}

}  // namespace kdef::apps
