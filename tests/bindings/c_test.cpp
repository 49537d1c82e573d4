// The C interface, against what the program kdef writes for the same rows.
#include <cmath>
#include <cstdlib>
#include <limits>
#include <thread>

#include "bindings/c/kdef.h"
#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::HasSubstr;

// A table of text, row by row.
struct Table {
  std::vector<std::string> columns, cells;
  size_t rows = 0;

  // The first rows of a CSV file without quotes.
  static Table read(const std::string& path, size_t count) {
    Table table;
    const auto split = [](const std::string& line) {
      std::vector<std::string> parts(1);
      for (char c : line) {
        if (c == ',')
          parts.emplace_back();
        else
          parts.back() += c;
      }
      return parts;
    };
    const std::vector<std::string> all = lines(read_file(path));
    table.columns = split(all[0]);
    for (size_t i = 1; i < all.size() && i <= count; ++i, ++table.rows)
      for (std::string& cell : split(all[i])) table.cells.push_back(std::move(cell));
    return table;
  }
};

class CInterface : public RunTest {
 protected:
  CInterface() {
    EXPECT_EQ(train("num_student=2 --run " + path("run")).status, 0);
    EXPECT_EQ(kdef_open(path("run").c_str(), &model_), KDEF_OK) << kdef_last_error();
  }
  ~CInterface() override { kdef_close(model_); }

  // The view of the table; valid until the next call.
  const kdef_text_rows& rows_of(const Table& table) {
    columns_.clear();
    cells_.clear();
    for (const std::string& name : table.columns) columns_.push_back(name.c_str());
    for (const std::string& cell : table.cells) cells_.push_back(cell.c_str());
    rows_ = {columns_.data(), columns_.size(), cells_.data(), nullptr, table.rows};
    return rows_;
  }
  // What `kdef predict --students` writes of the test file: per row the ensemble's score, then the students'.
  std::vector<float> predicted() {
    const Outcome outcome =
        kdef("predict --students --run " + path("run") + " --data " + path("data/test.csv") + " --out -");
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    std::vector<float> scores;
    for (const std::string& line : lines(outcome.text)) {
      const char* at = line.c_str();
      for (size_t k = 0; k < 3; ++k) {
        char* end = nullptr;
        scores.push_back(std::strtof(at, &end));
        at = end + 1;
      }
    }
    return scores;
  }

  kdef_model* model_ = nullptr;

 private:
  std::vector<const char*> columns_, cells_;
  kdef_text_rows rows_{};
};

TEST_F(CInterface, RowsOfTextHaveTheScoresOfPredict) {
  const Table table = Table::read(path("data/test.csv"), 300);
  ASSERT_EQ(table.rows, 300u);
  ASSERT_EQ(kdef_students(model_), 2u);
  EXPECT_EQ(kdef_predicts_clicks(model_), 1);
  std::vector<float> scores(table.rows), students(table.rows * 2);
  ASSERT_EQ(kdef_score_text(model_, &rows_of(table), scores.data(), students.data()), KDEF_OK) << kdef_last_error();
  const std::vector<float> expected = predicted();
  ASSERT_EQ(expected.size(), 900u);
  for (size_t b = 0; b < table.rows; ++b) {
    EXPECT_EQ(scores[b], expected[3 * b]) << b;
    EXPECT_EQ(students[2 * b], expected[3 * b + 1]) << b;
    EXPECT_EQ(students[2 * b + 1], expected[3 * b + 2]) << b;
  }
}

TEST_F(CInterface, AScoreDoesNotDependOnTheOtherRowsNorOnThreads) {
  const Table table = Table::read(path("data/test.csv"), 300);
  std::vector<float> together(table.rows);
  ASSERT_EQ(kdef_score_text(model_, &rows_of(table), together.data(), nullptr), KDEF_OK);
  const kdef_text_rows all = rows_of(table);
  std::vector<std::vector<float>> alone(4, std::vector<float>(table.rows));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < alone.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t b = 0; b < table.rows; ++b) {
        kdef_text_rows one = all;
        one.rows = 1;
        one.cells += b * one.column_count;
        EXPECT_EQ(kdef_score_text(model_, &one, &alone[t][b], nullptr), KDEF_OK) << kdef_last_error();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& scores : alone) EXPECT_EQ(scores, together);
}

TEST_F(CInterface, EncodedRowsHaveTheScoresOfTheirText) {
  const Table table = Table::read(path("data/test.csv"), 300);
  const size_t ids = kdef_id_columns(model_), numbers = kdef_number_columns(model_);
  ASSERT_GT(ids, 0u);
  std::vector<int32_t> encoded(table.rows * ids);
  std::vector<float> values(table.rows * numbers);
  ASSERT_EQ(kdef_encode_text(model_, &rows_of(table), encoded.data(), values.data()), KDEF_OK) << kdef_last_error();
  std::vector<float> of_text(table.rows), of_ids(table.rows);
  ASSERT_EQ(kdef_score_text(model_, &rows_of(table), of_text.data(), nullptr), KDEF_OK);
  ASSERT_EQ(kdef_score_encoded(model_, encoded.data(), values.data(), table.rows, of_ids.data(), nullptr), KDEF_OK);
  EXPECT_EQ(of_ids, of_text);

  encoded[7 * ids + 1] = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(kdef_score_encoded(model_, encoded.data(), values.data(), table.rows, of_ids.data(), nullptr),
            KDEF_BAD_INPUT);
  EXPECT_THAT(kdef_last_error(), HasSubstr("row 7, id column 1"));
}

TEST_F(CInterface, SizesStandForTheEndOfACell) {
  const size_t columns = kdef_columns(model_);
  const std::vector<const char*> ended(columns, "1"), longer(columns, "1junk");
  const std::vector<size_t> sizes(columns, 1);
  float a = 0, b = 1;
  kdef_text_rows rows{nullptr, 0, ended.data(), nullptr, 1};
  ASSERT_EQ(kdef_score_text(model_, &rows, &a, nullptr), KDEF_OK) << kdef_last_error();
  rows = {nullptr, 0, longer.data(), sizes.data(), 1};
  ASSERT_EQ(kdef_score_text(model_, &rows, &b, nullptr), KDEF_OK) << kdef_last_error();
  EXPECT_EQ(a, b);
}

TEST_F(CInterface, AModelFileIsTheRun) {
  const Table table = Table::read(path("data/test.csv"), 50);
  std::vector<float> want(table.rows), got(table.rows);
  ASSERT_EQ(kdef_score_text(model_, &rows_of(table), want.data(), nullptr), KDEF_OK);
  for (const std::string option : {"", " --private"}) {
    const std::string file = path("model" + option.substr(std::min<size_t>(2, option.size())) + ".kdef");
    ASSERT_EQ(kdef("export --run " + path("run") + " --out " + file + option).status, 0);
    const std::string bytes = read_file(file);
    std::string shifted;
    for (int way = 0; way < 3; ++way) {
      kdef_model* model = nullptr;
      shifted = std::string(static_cast<size_t>(way), ' ') + bytes;  // way 1: no multiple of 8
      const kdef_status status =
          way == 2 ? kdef_open(file.c_str(), &model) : kdef_open_buffer(shifted.data() + way, bytes.size(), &model);
      ASSERT_EQ(status, KDEF_OK) << kdef_last_error();
      std::fill(got.begin(), got.end(), -1.0f);
      EXPECT_EQ(kdef_students(model), 2u);
      EXPECT_EQ(kdef_score_text(model, &rows_of(table), got.data(), nullptr), KDEF_OK) << kdef_last_error();
      EXPECT_EQ(got, want) << option << way;
      kdef_close(model);
    }
  }
  kdef_model* model = nullptr;
  EXPECT_EQ(kdef_open_buffer("no model file at all, though it is long", 39, &model), KDEF_BAD_INPUT);
  EXPECT_THAT(kdef_last_error(), HasSubstr("buffer: is not a model file"));
  EXPECT_EQ(model, nullptr);
}

TEST_F(CInterface, APrecisionIsThatOfPredict) {
  const Table table = Table::read(path("data/test.csv"), 50);
  std::vector<float> scores(table.rows), exact(table.rows);
  size_t memory = 0;
  for (const std::string precision : {"f32", "bf16", "int8"}) {
    const Outcome outcome = kdef("predict --precision " + precision + " --run " + path("run") + " --data " +
                                 path("data/test.csv") + " --out -");
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    kdef_opening opening;
    kdef_opening_defaults(&opening);
    const std::string run = path("run");
    opening.path = run.c_str();
    opening.precision = precision.c_str();
    kdef_model* model = nullptr;
    ASSERT_EQ(kdef_open_as(&opening, &model), KDEF_OK) << kdef_last_error();
    ASSERT_EQ(kdef_score_text(model, &rows_of(table), scores.data(), nullptr), KDEF_OK) << kdef_last_error();
    const std::vector<std::string> printed = lines(outcome.text);
    for (size_t b = 0; b < scores.size(); ++b) EXPECT_EQ(std::strtof(printed[b].c_str(), nullptr), scores[b]) << b;
    if (precision == "f32") {
      exact = scores;
    } else {
      EXPECT_NE(scores, exact) << precision;
      EXPECT_LT(kdef_memory(model), memory) << precision;
    }
    memory = kdef_memory(model);
    EXPECT_GT(memory, 0u);
    kdef_close(model);
  }
}

TEST_F(CInterface, AnOpeningIsChecked) {
  kdef_opening opening;
  kdef_model* model = nullptr;
  const std::string run = path("run");
  const auto refusal = [&] {
    EXPECT_EQ(kdef_open_as(&opening, &model), KDEF_BAD_INPUT);
    EXPECT_EQ(model, nullptr);
    return std::string(kdef_last_error());
  };
  opening = {};
  EXPECT_THAT(refusal(), HasSubstr("kdef_opening_defaults()"));
  kdef_opening_defaults(&opening);
  EXPECT_THAT(refusal(), HasSubstr("give path or bytes"));
  opening.path = run.c_str();
  opening.precision = "fp16";
  EXPECT_THAT(refusal(), HasSubstr("expected f32, bf16 or int8, found 'fp16'"));
  EXPECT_EQ(kdef_open_as(nullptr, &model), KDEF_BAD_INPUT);
}

TEST_F(CInterface, WhatIsWrongIsSaid) {
  kdef_model* other = nullptr;
  EXPECT_EQ(kdef_open(path("none").c_str(), &other), KDEF_BAD_INPUT);
  EXPECT_THAT(kdef_last_error(), HasSubstr("none"));
  EXPECT_EQ(other, nullptr);
  EXPECT_EQ(kdef_open(nullptr, &other), KDEF_BAD_INPUT);
  EXPECT_STREQ(kdef_last_error(), "kdef_open: path is null");
  EXPECT_EQ(kdef_set_threads(0), KDEF_BAD_INPUT);
  EXPECT_EQ(kdef_column(model_, kdef_columns(model_)), nullptr);

  Table table = Table::read(path("data/test.csv"), 2);
  float score = 0;
  table.columns[1] = "unknown";
  EXPECT_EQ(kdef_score_text(model_, &rows_of(table), &score, nullptr), KDEF_BAD_INPUT);
  EXPECT_THAT(kdef_last_error(), HasSubstr("column"));
  std::thread([] { EXPECT_STREQ(kdef_last_error(), "") << "the message of another thread"; }).join();

  table = Table::read(path("data/test.csv"), 1);
  kdef_text_rows rows = rows_of(table);
  std::vector<const char*> cells(rows.cells, rows.cells + table.cells.size());
  cells[2] = nullptr;
  rows.cells = cells.data();
  EXPECT_EQ(kdef_score_text(model_, &rows, &score, nullptr), KDEF_BAD_INPUT);
  EXPECT_STREQ(kdef_last_error(), "kdef_score_text: cell 2 of row 0 is null");
}

TEST_F(CInterface, NoRowsAreNoWork) {
  const kdef_text_rows none{};
  EXPECT_EQ(kdef_score_text(model_, &none, nullptr, nullptr), KDEF_OK);
  EXPECT_EQ(kdef_score_encoded(model_, nullptr, nullptr, 0, nullptr, nullptr), KDEF_OK);
}

TEST_F(CInterface, ATrainingHasTheBitsOfTheProgram) {
  ASSERT_EQ(train("num_student=2 --threads 2 --run " + path("program")).status, 0);
  const std::string config = path("data"), run = path("library"), cache = "data_root=" + path("cache");
  const std::vector<const char*> values = {cache.c_str(), "batch_size=512",          "hidden_units=[16, 8]",
                                           "epochs=3",    "early_stop_patience=100", "num_student=2"};
  struct Seen {
    int steps = 0, evaluations = 0, stop_after = 6;
  } seen;
  kdef_training training;
  kdef_training_defaults(&training);
  training.config = config.c_str();
  training.experiment = "KDEF";
  training.run = run.c_str();
  training.values = values.data();
  training.value_count = values.size();
  training.threads = 2;
  training.context = &seen;
  training.step = [](void* context, const kdef_step* step) {
    Seen& s = *static_cast<Seen*>(context);
    EXPECT_TRUE(std::isfinite(step->loss));
    return ++s.steps == s.stop_after ? 1 : 0;
  };
  training.evaluated = [](void* context, const char* json) {
    ++static_cast<Seen*>(context)->evaluations;
    EXPECT_THAT(json, HasSubstr("\"valid\""));
  };
  EXPECT_EQ(kdef_train(&training), KDEF_INTERRUPTED);
  EXPECT_THAT(kdef_last_error(), HasSubstr(run));
  EXPECT_EQ(seen.steps, 6);
  training.resume = 1;
  EXPECT_EQ(kdef_train(&training), KDEF_OK) << kdef_last_error();
  EXPECT_EQ(seen.steps, 15);
  EXPECT_EQ(seen.evaluations, 3);
  EXPECT_EQ(read_file(path("library/model.safetensors")), read_file(path("program/model.safetensors")));

  training.resume = 0;
  EXPECT_EQ(kdef_train(&training), KDEF_BAD_INPUT) << "an earlier run is not replaced unasked";
  training.size = 1;
  EXPECT_EQ(kdef_train(&training), KDEF_BAD_INPUT);
  EXPECT_THAT(kdef_last_error(), HasSubstr("kdef_training_defaults()"));
}

TEST_F(CInterface, TheExampleScoresTwoRows) {
  const Outcome outcome = shell(std::string(KDEF_EXAMPLE) + " " + path("run"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_EQ(lines(outcome.text).size(), 2u);
  EXPECT_EQ(shell(std::string(KDEF_EXAMPLE) + " " + path("none")).status, KDEF_BAD_INPUT);
}

TEST(SharedLibrary, ExportsTheFunctionsOfTheHeaderAlone) {
  const Outcome outcome = shell("nm -D --defined-only " KDEF_LIBRARY);
  if (outcome.status != 0) GTEST_SKIP() << "there is no nm: " << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr(" kdef_score_text"));
  for (const std::string& line : lines(outcome.text)) EXPECT_THAT(line, HasSubstr(" kdef_"));
}

// Two columns: a number and a word.
TEST_F(RunTest, ANumberThatIsNotFiniteSpoilsItsRowAlone) {
  std::filesystem::create_directories(path("numbers"));
  std::string rows = "x,word,click\n";
  for (int i = 0; i < 400; ++i)
    rows += std::to_string(i % 17) + ",w" + std::to_string(i % 5) + "," + (i % 3 ? "0\n" : "1\n");
  put(path("numbers/rows.csv"), rows);
  put(path("numbers/dataset_config.yaml"),
      "d: {data_root: " + path("cache") + ", train_data: " + path("numbers/rows.csv") +
          ", valid_size: 0.2, label_col: {name: click, dtype: float}, feature_cols: "
          "[{name: x, type: numeric, dtype: float, normalizer: StandardScaler}, {name: word, type: categorical, dtype: "
          "str}]}\n");
  put(path("numbers/model_config.yaml"),
      "e: {dataset_id: d, model: KDEF, num_student: 2, embedding_dim: 4, hidden_units: [8], batch_size: 64, epochs: "
      "1}\n");
  ASSERT_EQ(kdef("train --config " + path("numbers") + " --expid e --run " + path("numbers/run")).status, 0);
  kdef_model* model = nullptr;
  ASSERT_EQ(kdef_open(path("numbers/run").c_str(), &model), KDEF_OK) << kdef_last_error();
  ASSERT_EQ(kdef_number_columns(model), 1u);
  const int32_t ids[] = {1, 2, 1};
  const float numbers[] = {0.5f, std::nanf(""), 0.5f};
  float scores[3];
  EXPECT_EQ(kdef_score_encoded(model, ids, numbers, 3, scores, nullptr), KDEF_OK) << kdef_last_error();
  EXPECT_TRUE(std::isfinite(scores[0]));
  EXPECT_TRUE(std::isnan(scores[1]));
  EXPECT_EQ(scores[2], scores[0]);
  const char* const cells[] = {"3", "w1", "much", "w1"};
  const kdef_text_rows text{nullptr, 0, cells, nullptr, 2};
  EXPECT_EQ(kdef_score_text(model, &text, scores, nullptr), KDEF_BAD_INPUT);
  EXPECT_THAT(kdef_last_error(),
              testing::AllOf(HasSubstr("rows in memory:2"), HasSubstr("column x"), HasSubstr("much")));

  // Nothing is written where a row is wrong that is read long after the first.
  std::vector<const char*> many;
  for (int b = 0; b < 5000; ++b) many.insert(many.end(), {b < 4999 ? "3" : "much", "w1"});
  const kdef_text_rows long_text{nullptr, 0, many.data(), nullptr, 5000};
  std::vector<float> kept(5000, 7.0f), students(10000, 7.0f);
  std::vector<int32_t> kept_ids(5000, 7);
  EXPECT_EQ(kdef_score_text(model, &long_text, kept.data(), students.data()), KDEF_BAD_INPUT);
  EXPECT_EQ(kdef_encode_text(model, &long_text, kept_ids.data(), kept.data()), KDEF_BAD_INPUT);
  EXPECT_EQ(kept, std::vector<float>(5000, 7.0f));
  EXPECT_EQ(students, std::vector<float>(10000, 7.0f));
  EXPECT_EQ(kept_ids, std::vector<int32_t>(5000, 7));
  kdef_close(model);
}

// The Python package, which needs nothing beside the interpreter; and an interpreter has no sanitizer.
#if !defined(KDEF_SANITIZED)
TEST_F(CInterface, PythonGivesTheSameScores) {
  if (shell("python3 -c 'import ctypes, csv'").status != 0) GTEST_SKIP() << "there is no python3";
  const Outcome outcome = shell("PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" KDEF_PYTHON_PACKAGE
                                " KDEF_LIBRARY=" KDEF_LIBRARY " python3 " KDEF_PYTHON_PACKAGE "/examples/score.py " +
                                path("run") + " " + path("data/test.csv"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const std::vector<float> expected = predicted();
  const std::vector<std::string> printed = lines(outcome.text);
  ASSERT_EQ(printed.size() * 3, expected.size());
  for (size_t b = 0; b < printed.size(); ++b) EXPECT_EQ(std::strtof(printed[b].c_str(), nullptr), expected[3 * b]) << b;
}

TEST_F(CInterface, PythonSaysWhichLibraryItMisses) {
  if (shell("python3 -c 'import ctypes'").status != 0) GTEST_SKIP() << "there is no python3";
  const Outcome outcome = shell("PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" KDEF_PYTHON_PACKAGE
                                " KDEF_LIBRARY=/nowhere/libkdef.so.1 python3 -c 'import kdef' 2>&1");
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.text, testing::AllOf(HasSubstr("ImportError: /nowhere/libkdef.so.1"), HasSubstr("KDEF_LIBRARY")));
}

TEST_F(CInterface, PythonOpensAModelFileAndItsBytes) {
  if (shell("python3 -c 'import ctypes, csv'").status != 0) GTEST_SKIP() << "there is no python3";
  ASSERT_EQ(kdef("export --run " + path("run") + " --out " + path("model.kdef")).status, 0);
  put(path("same.py"),
      "import csv, os, sys, kdef\n"
      "rows = list(csv.DictReader(open(sys.argv[3])))\n"
      "table = {name: [row[name] for row in rows] for name in rows[0]}\n"
      "whole = open(sys.argv[2], 'rb').read()\n"
      "odd = os.fsencode(sys.argv[2]) + b'-\\xff'\n"
      "open(odd, 'wb').write(whole)\n"
      "kept = bytearray(whole)\n"
      "sources = [sys.argv[1], sys.argv[2], whole, kept, memoryview(whole)[:], odd.decode(errors='surrogateescape')]\n"
      "models = [kdef.load(source) for source in sources]\n"
      "kept[:] = bytes(len(kept))\n"  // a bytearray is copied
      "a, *others = [model.predict(table) for model in models]\n"
      "print(len(a), all(a == b for b in others))\n"
      "for call in (lambda: kdef.load(sys.argv[2] + '\\0x'), lambda: kdef.load(sys.argv[2], 'f32\\0'),\n"
      "             lambda: kdef.train('data\\0', 'e'), lambda: "
      "kdef.load(b'absent-\\xff'.decode(errors='surrogateescape'))):\n"
      "    try:\n"
      "        call()\n"
      "    except kdef.InputError as e:\n"
      "        print(e)\n");
  const Outcome outcome =
      shell("PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" KDEF_PYTHON_PACKAGE " KDEF_LIBRARY=" KDEF_LIBRARY " python3 " +
            path("same.py") + " " + path("run") + " " + path("model.kdef") + " " + path("data/test.csv"));
  EXPECT_EQ(outcome.status, 0);
  const std::vector<std::string> printed = lines(outcome.text);
  ASSERT_EQ(printed.size(), 5u) << outcome.text;
  EXPECT_EQ(printed[0], std::to_string(predicted().size() / 3) + " True");
  for (size_t i = 1; i < 4; ++i) EXPECT_THAT(printed[i], HasSubstr("has a zero byte in it"));
  EXPECT_THAT(printed[4], HasSubstr("absent-\\xff: cannot be opened"));
}
#endif

}  // namespace
}  // namespace kdef::test
