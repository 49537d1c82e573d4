// The commands of the documentation, run as they stand there.
#include <algorithm>

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
  EXPECT_EQ(run("own-data.md"), 2);
  EXPECT_EQ(lines(read_file((folder_ / "clicks/predictions.txt").string())).size(), 2000u);
}

TEST_F(DocsTest, Scaling) {
  EXPECT_EQ(run("scaling.md"), 2);
  for (const char* file :
       {"sweeps/first/sweep.md", "sweeps/first/report.html", "served/model.safetensors", "predictions.txt"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / file)) << file;
  }
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
