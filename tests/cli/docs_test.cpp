// The commands of the documentation, run as they stand there.
#include <algorithm>
#include <map>
#include <set>

#include "core/base/text.h"
#include "tests/cli/support.h"
#include "tests/support/onnx.h"

namespace kdef::test {
namespace {

// The fenced blocks of a page of docs/ that are called `language`; "" has those without a name.
std::vector<std::string> blocks(const std::string& page, const std::string& language) {
  std::vector<std::string> all;
  bool inside = false, wanted = false;
  for (const std::string& line : lines(read_file(std::string(KDEF_SOURCE_DIR) + "/docs/" + page))) {
    if (line.starts_with("```")) {
      inside = !inside;
      wanted = inside && line == "```" + language;
      if (wanted) all.emplace_back();
    } else if (wanted) {
      all.back() += line + "\n";
    }
  }
  return all;
}

class DocsTest : public testing::Test {
 protected:
  DocsTest() : folder_(std::filesystem::temp_directory_path() / ("kdef_docs_test_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~DocsTest() override { std::filesystem::remove_all(folder_); }

  // Runs every block whose first line is a command of kdef, and counts them.
  int run(const std::string& page) const {
    int count = 0;
    const std::string begin = "cd " + folder_.string() + "\nkdef() { " + KDEF_PROGRAM + " \"$@\"; }\nset -e\n";
    for (const std::string& block : blocks(page, "")) {
      if (!block.starts_with("kdef ")) continue;
      ++count;
      put((folder_ / "block.sh").string(), begin + block);
      const Outcome outcome = shell("bash " + (folder_ / "block.sh").string());
      EXPECT_EQ(outcome.status, 0) << block << outcome.text;
    }
    return count;
  }
  std::filesystem::path folder_;
};

// The README's own paths, with fewer rows and shorter measurements, and the files of the reader that it speaks of.
TEST_F(DocsTest, Readme) {
  std::filesystem::create_directories(folder_ / "build/bin");
  std::filesystem::create_symlink(KDEF_PROGRAM, folder_ / "build/bin/kdef");
  std::filesystem::create_symlink(KDEF_SOURCE_DIR "/tests", folder_ / "tests");
  put((folder_ / "tuner_config.yaml").string(),
      "base_config: synthetic\nbase_expid: KDEF\ndataset_id: synthetic\n"
      "tuner_space:\n  learning_rate: [0.001, 0.01]\n  epochs: 1\n");
  std::string script =
      "set -e\ncd " + folder_.string() +
      "\nbuild/bin/kdef synth --rows 3000 --out made\nsed 1s/label/click/ made/train.csv > clicks.csv\n";
  int commands = 0;
  for (std::string block : blocks("../README.md", "")) {
    if (!block.starts_with("build/bin/kdef ")) continue;
    for (const auto& [from, to] : {std::pair{"--rows 100000", "--rows 3000"}, std::pair{"--seconds 5", "--seconds 1"},
                                   std::pair{"\nbuild/bin/kdef audit --break", "\n! build/bin/kdef audit --break"}}) {
      for (size_t at = block.find(from); at != std::string::npos; at = block.find(from))
        block.replace(at, std::string(from).size(), to);
    }
    script += block;
    ++commands;
  }
  EXPECT_EQ(commands, 8);
  put((folder_ / "readme.sh").string(), script);
  const Outcome outcome = shell("bash -x " + (folder_ / "readme.sh").string());
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  for (const char* file : {"predictions.txt", "report.html", "sweep.html", "model.onnx", "tape.dot"})
    EXPECT_TRUE(std::filesystem::exists(folder_ / file)) << file;
}

// The command lines of kdef in a page: subcommand, then arguments. Lines that a backslash joins are one.
std::vector<std::string> commands_of(const std::string& page) {
  std::vector<std::string> all;
  for (const std::string& block : blocks(page, "")) {
    std::string joined = block;
    for (size_t at = joined.find("\\\n"); at != std::string::npos; at = joined.find("\\\n")) joined.replace(at, 2, " ");
    for (std::string line : lines(joined)) {
      if (const size_t comment = line.find(" #"); comment != std::string::npos) line.resize(comment);
      const size_t at = line.find("kdef ");
      const std::string before = at == std::string::npos ? "x" : line.substr(0, at);
      if (before.empty() || before == "$ " || before == "build/bin/" || before.starts_with("mpirun "))
        all.push_back(line.substr(at + 5));
    }
  }
  return all;
}

TEST_F(DocsTest, CommandsHaveKnownOptions) {
  std::vector<std::string> pages = {"../README.md", "../CONTRIBUTING.md"};
  for (const auto& file : std::filesystem::recursive_directory_iterator(KDEF_SOURCE_DIR "/docs")) {
    if (file.path().extension() == ".md")
      pages.push_back(std::filesystem::relative(file.path(), KDEF_SOURCE_DIR "/docs").string());
  }
  std::map<std::string, std::string> help;
  int commands = 0;
  for (const std::string& page : pages) {
    for (const std::string& command : commands_of(page)) {
      std::vector<std::string> words;
      for (const std::string& word : split(command, ' ')) {
        if (!word.empty()) words.push_back(word);
      }
      if (words.empty() || words[0].starts_with("-")) continue;  // --help, --version
      const std::string name = words[0] == "bench" && words.size() > 1 ? words[0] + " " + words[1] : words[0];
      if (help.count(name) == 0) {
        const Outcome asked = kdef(name + " --help");
        EXPECT_EQ(asked.status, 0) << page << ": " << command;
        help[name] = asked.text;
      }
      for (const std::string& word : words) {
        if (!word.starts_with("--")) continue;
        const std::string option = word.substr(0, word.find('='));
        EXPECT_TRUE(help[name].find(option + " ") != std::string::npos ||
                    help[name].find(option + "\n") != std::string::npos)
            << page << ": " << command << ": " << option;
      }
      ++commands;
    }
  }
  EXPECT_GT(commands, 100);
}

TEST_F(DocsTest, Search) {
  const std::vector<std::string> space = blocks("search.md", "yaml");
  ASSERT_EQ(space.size(), 1u);
  put((folder_ / "space.yaml").string(), space[0]);
  EXPECT_EQ(run("search.md"), 2);
  for (const char* file :
       {"grids/first/sweep.csv", "grids/first/report.html", "space/fuxictr.csv", "space/report.html"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / file)) << file;
  }
}

TEST_F(DocsTest, OwnData) {
  EXPECT_EQ(run("own-data.md"), 3);
  EXPECT_EQ(lines(read_file((folder_ / "clicks/predictions.txt").string())).size(), 2000u);
}

TEST_F(DocsTest, Scaling) {
  EXPECT_EQ(run("scaling.md"), 2);
  for (const char* file :
       {"sweeps/first/sweep.md", "sweeps/first/report.html", "served/model.safetensors", "predictions.txt"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / file)) << file;
  }
}

TEST_F(DocsTest, ModelFile) {
  EXPECT_EQ(run("model-file.md"), 1);
  EXPECT_GT(lines(read_file((folder_ / "predictions.txt").string())).size(), 100u);
}

// Whether `text` is `expected`, in which a line "..." stands for any number of lines.
bool matches(const std::vector<std::string>& text, size_t t, const std::vector<std::string>& expected, size_t e) {
  if (e == expected.size()) return t == text.size();
  if (expected[e] == "...") {
    for (size_t next = t; next <= text.size(); ++next) {
      if (matches(text, next, expected, e + 1)) return true;
    }
    return false;
  }
  return t < text.size() && text[t] == expected[e] && matches(text, t + 1, expected, e + 1);
}

// Every block of a lesson that starts with "$ kdef" shows what the command prints; its last line may be the exit
// status. Every other block of commands runs.
TEST_F(DocsTest, Course) {
  EXPECT_FALSE(matches({"a", "c"}, 0, {"a", "...", "b"}, 0));
  EXPECT_TRUE(matches({"a", "x", "b"}, 0, {"a", "...", "b"}, 0));
  std::set<std::string> shown;
  for (const auto& file : std::filesystem::directory_iterator(KDEF_SOURCE_DIR "/docs/course")) {
    const std::string page = "course/" + file.path().filename().string();
    for (const std::string& block : blocks(page, "")) {
      if (!block.starts_with("$ kdef ")) continue;
      std::vector<std::string> expected = lines(block);
      const std::string arguments = expected[0].substr(7);
      expected.erase(expected.begin());
      int status = 0;
      if (!expected.empty() && expected.back().starts_with("exit status ")) {
        status = std::stoi(expected.back().substr(12));
        expected.pop_back();
      }
      const Outcome outcome = kdef(arguments);
      EXPECT_EQ(outcome.status, status) << page << ": " << arguments;
      EXPECT_TRUE(matches(lines(outcome.text), 0, expected, 0))
          << page << " shows other lines than this, which is printed:\n"
          << outcome.text;
      shown.insert(arguments);
    }
  }
  for (const char* example :
       {"number", "twice", "logistic", "logits", "embedding", "batch_norm", "mean", "objective", "spectra", "fused"}) {
    EXPECT_EQ(shown.count(std::string("audit --example ") + example), 1u) << "no lesson shows example " << example;
  }
}

// A sweep's table (sweep.md): a column by the name of the ensemble and its number of students.
std::map<std::string, double> column_of(const std::string& file, const std::string& column) {
  std::map<std::string, double> values;
  size_t at = 0;
  for (const std::string& line : lines(read_file(file))) {
    if (!line.starts_with("| ")) continue;
    const std::vector<std::string> cells = split(line, '|');
    if (at == 0) {
      at = static_cast<size_t>(std::find(cells.begin(), cells.end(), " " + column + " ") - cells.begin());
    } else if (line.find("---") == std::string::npos && cells.at(at).find_first_not_of(' ') != std::string::npos) {
      values[cells.at(1) + cells.at(2)] = std::stod(cells.at(at));
    }
  }
  return values;
}

// What the lessons say of their trainings: students of a sum or mean are worse than one network, those of KDEF are not;
// where few rows make layers collapse, KDEF's do less.
TEST_F(DocsTest, CourseTrainings) {
  EXPECT_EQ(run("course/5-ensembles.md"), 1);
  const std::string sweeps = (folder_ / "sweeps/").string(), students = "students' mean AUC";
  auto auc = column_of(sweeps + "lesson5/sweep.md", students);
  EXPECT_LT(auc[" sum  3 "], auc[" mean  3 "] - 0.02);
  EXPECT_LT(auc[" mean  3 "], auc[" mean  1 "] - 0.005);
  EXPECT_LT(auc[" mean  1 "], auc[" kdef  3 "]);
  EXPECT_LT(auc[" mean  3 "], column_of(sweeps + "alone/sweep.md", students)[" kdef  3 "] - 0.005);
  EXPECT_EQ(run("course/7-collapse.md"), 2);
  const std::string abundance = "information abundance";
  auto used = column_of(sweeps + "lesson7/sweep.md", abundance);
  EXPECT_GT(used[" kdef  3 "], 2 * used[" mean  3 "]);
  EXPECT_GT(used[" kdef  3 "], 2 * column_of(sweeps + "lesson7-alone/sweep.md", abundance)[" kdef  3 "]);
}

// What the page says of its small sweep: the order of the students' distances to the ensemble is that of their losses.
// The script reads the same runs; under a mean or a sum every student receives the same gradient.
TEST_F(DocsTest, Collapse) {
  EXPECT_EQ(run("collapse.md"), 1);
  const std::string table = (folder_ / "sweeps/clicks/sweep.md").string();
  auto auc = column_of(table, "students' mean AUC"), distance = column_of(table, "distance to the ensemble");
  EXPECT_EQ(distance.count(" mean  1 "), 0u);
  EXPECT_GT(auc[" kdef  3 "], auc[" mean  3 "] + 0.01);
  EXPECT_GT(auc[" mean  3 "], auc[" sum  3 "] + 0.01);
  EXPECT_LT(2 * distance[" kdef  3 "], distance[" mean  3 "]);
  EXPECT_LT(1.2 * distance[" mean  3 "], distance[" sum  3 "]);
  if (shell("python3 --version").status != 0) GTEST_SKIP() << "there is no python3";
  const Outcome script = shell("python3 " KDEF_SOURCE_DIR "/bench/collapse.py --kdef " KDEF_PROGRAM " " +
                               (folder_ / "sweeps/clicks").string());
  ASSERT_EQ(script.status, 0) << script.text;
  std::map<std::string, std::string> rank;
  for (const std::string& line : lines(script.text)) {
    const std::vector<std::string> cells = split(line, '|');
    if (line.find("| 3 | 1 |") != std::string::npos) rank[cells.at(1)] = cells.at(cells.size() - 2);
  }
  EXPECT_EQ(rank[" mean "], " 1 ") << script.text;
  EXPECT_EQ(rank[" sum "], " 1 ") << script.text;
  EXPECT_GT(std::stod(rank[" kdef "]), 1.0) << script.text;
}

TEST_F(DocsTest, CourseDrawings) {
  EXPECT_EQ(run("course/8-from-readable-to-fast.md"), 2);
  EXPECT_NE(read_file((folder_ / "ensemble.dot").string()).find("cluster student 2"), std::string::npos);
}

TEST_F(DocsTest, WarmStart) {
  EXPECT_EQ(run("warm-start.md"), 1);
  for (const char* file : {"runs/2/model.safetensors", "runs/3/model.safetensors"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / file)) << file;
  }
  EXPECT_NE(read_file((folder_ / "runs/3/config.yaml").string()).find("init: \"runs/2\""), std::string::npos);
}

// The page's program, where there is ONNX Runtime, scores text as kdef predict does.
TEST_F(DocsTest, Onnx) {
  EXPECT_EQ(run("onnx.md"), 1);
  for (const char* file : {"model.onnx", "student.onnx", "words.onnx"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / file)) << file;
  }
  if (const std::string reason = no_onnxruntime(); !reason.empty()) GTEST_SKIP() << reason;
  const std::vector<std::string> program = blocks("onnx.md", "python");
  ASSERT_EQ(program.size(), 1u);
  put((folder_ / "score.py").string(), program[0]);
  const Outcome scored = shell("cd " + folder_.string() + " && " KDEF_ONNX_PYTHON " score.py");
  ASSERT_EQ(scored.status, 0) << scored.text;
  const std::string before = "largest difference ";
  ASSERT_EQ(scored.text.find(before), 0u) << scored.text;
  EXPECT_LT(std::stod(scored.text.substr(before.size())), 1e-6);
}

}  // namespace
}  // namespace kdef::test
