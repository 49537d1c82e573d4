// kdef init: from a file of rows to a training, as a newcomer does it.
#include <algorithm>
#include <cstdlib>

#include "core/base/text.h"
#include "tests/cli/support.h"

namespace kdef::test {
namespace {

class InitTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ / name; }
  // Rows with a signal, a quirk per column.
  std::string rows(const std::string& name, const std::string& separator, int count = 1200) const {
    std::string text = cat("user", separator, "price", separator, "day", separator, "click", separator, "note\n");
    for (int row = 0; row < count; ++row) {
      const int user = row * 7919 % 30;
      text += cat("u", user, separator, row % 13 == 0 ? "NULL" : cat(row * 31 % 400 / 8.0 + 0.5), separator, "2014-10-",
                  row < count / 2 ? 21 : 22, " 0", row * 10 / count, separator, (2 * user + row) % 3 == 0, separator,
                  "\"a", separator, " b\"\n");
    }
    return put(path(name), text);
  }
  Outcome run(const std::string& command) const {
    return shell("cd " + path("") + " && " + std::string(KDEF_PROGRAM) + " " + command);
  }
  TemporaryDirectory folder_;
};

TEST_F(InitTest, TrainsAtOnceWithoutAWarning) {
  rows("rows.csv", ",");
  const Outcome init = run("init rows.csv --label click --out own");
  ASSERT_EQ(init.status, 0) << init.text;
  for (const std::string& line : lines(init.text)) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_THAT(init.text, testing::HasSubstr("960 training, 120 validation, 120 test rows"));
  EXPECT_THAT(init.text, testing::HasSubstr("constant"));
  EXPECT_THAT(init.text, testing::HasSubstr("train --config own --expid KDEF"));
  for (const char* experiment : {"KDEF", "single"}) {
    const Outcome train = run(cat("train --config own --expid ", experiment, " epochs=2"));
    EXPECT_EQ(train.status, 0) << train.text;
    EXPECT_THAT(train.text, testing::Not(testing::HasSubstr("warning"))) << experiment;
    EXPECT_THAT(train.text, testing::Not(testing::HasSubstr("kdef: "))) << experiment;
  }
  const Outcome predict = run("predict --run own/runs/own/KDEF --data rows.csv --out predictions.txt");
  EXPECT_EQ(predict.status, 0) << predict.text;
  EXPECT_EQ(lines(read_file(path("predictions.txt"))).size(), 1200u);
}

TEST_F(InitTest, ImportanceMeasuresTheFirstRows) {
  rows("rows.csv", ",");
  ASSERT_EQ(run("init rows.csv --label click --out own").status, 0);
  ASSERT_EQ(run("train --config own --expid single epochs=1").status, 0);
  std::string first;
  for (const std::string& line : lines(read_file(path("rows.csv")))) {
    if (std::count(first.begin(), first.end(), '\n') <= 100) first += line + "\n";
  }
  put(path("first.csv"), first);
  const std::string importance = "importance --run own/runs/own/single --data ";
  const Outcome asked = run(importance + "rows.csv --rows 100"), cut = run(importance + "first.csv");
  EXPECT_EQ(asked.status, 0) << asked.text;
  EXPECT_THAT(asked.text, testing::HasSubstr("100 rows, "));
  EXPECT_EQ(asked.text, cut.text);
  EXPECT_THAT(run("importance --help").text, testing::HasSubstr("the first N rows"));
}

TEST_F(InitTest, ReplacesNothing) {
  rows("rows.csv", ",");
  ASSERT_EQ(run("init rows.csv --label click").status, 0);
  const std::string before = read_file(path("rows/model_config.yaml"));
  put(path("rows/dataset_config.yaml"), "mine");
  const Outcome again = run("init rows.csv --label click");
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.text, testing::HasSubstr("dataset_config.yaml, model_config.yaml"));
  EXPECT_EQ(read_file(path("rows/dataset_config.yaml")), "mine");
  EXPECT_EQ(read_file(path("rows/model_config.yaml")), before);
}

TEST_F(InitTest, ATimeSplitTakesTheLastRows) {
  rows("rows.tsv.txt", "\t");
  const Outcome init = run("init rows.tsv.txt --label click --split time:day --out own");
  ASSERT_EQ(init.status, 0) << init.text;
  EXPECT_THAT(init.text, testing::HasSubstr("separator tab, a header line"));
  EXPECT_THAT(init.text, testing::HasSubstr("the last ones by day"));
  const std::string yaml = read_file(path("own/dataset_config.yaml"));
  EXPECT_THAT(yaml, testing::HasSubstr("split_by: day"));
  EXPECT_THAT(yaml, testing::HasSubstr("separator: \"\\x09\""));
  const Outcome train = run("train --config own --expid single epochs=1");
  EXPECT_EQ(train.status, 0) << train.text;
}

TEST_F(InitTest, GivenFilesAreFoundBesideTheFile) {
  rows("train.csv", ",");
  rows("valid.csv", ",", 300);
  const Outcome init = run("init train.csv --label click --split given --out own");
  ASSERT_EQ(init.status, 0) << init.text;
  EXPECT_THAT(init.text, testing::HasSubstr("1,200 training, 300 validation, 0 test rows"));
  EXPECT_THAT(read_file(path("own/dataset_config.yaml")), testing::HasSubstr("valid_data: \"valid.csv\""));
  const Outcome none = run("init valid.csv --label click --split given --out other");
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.text, testing::HasSubstr("--valid FILE"));
}

TEST_F(InitTest, CompressedRowsAndNoHeaderLine) {
  std::string text;
  for (int row = 0; row < 600; ++row) text += cat(row % 2, ";", row % 40 * 3, ";v", row % 7, "\n");
  put(path("rows.csv"), text);
  ASSERT_EQ(shell("gzip " + path("rows.csv")).status, 0);
  const Outcome init = run("init rows.csv.gz --label 1 --out own");
  ASSERT_EQ(init.status, 0) << init.text;
  EXPECT_THAT(init.text, testing::HasSubstr("separator semicolon, no header line"));
  EXPECT_EQ(run("train --config own --expid single epochs=1").status, 0);
}

TEST_F(InitTest, Refusals) {
  rows("rows.csv", ",");
  put(path("a.svm"), "1 3:1 7:0.5\n0 2:1\n");
  const struct {
    const char *arguments, *message;
  } cases[] = {{"rows.csv", "--label"},
               {"--label click", "one FILE"},
               {"none.csv --label click", "none.csv"},
               {"rows.csv --label clicks", "did you mean 'click'?"},
               {"rows.csv --label click --split time:when", "no column 'when'"},
               {"rows.csv --label click --split half", "expected random, time:COLUMN or given"},
               {"rows.csv --label click --split random --valid rows.csv", "--split given"},
               {"rows.csv --label note", "in every row"},
               {"a.svm --label label", "libsvm"},
               {"- --label click", "standard input"}};
  for (const auto& c : cases) {
    const Outcome outcome = run(cat("init ", c.arguments));
    EXPECT_EQ(outcome.status, 2) << c.arguments << outcome.text;
    EXPECT_THAT(outcome.text, testing::HasSubstr(c.message)) << c.arguments;
  }
  EXPECT_FALSE(std::filesystem::exists(path("rows")));
}

}  // namespace
}  // namespace kdef::test
