// The commands of a page of the documentation, run one after the other in an empty folder.
#include <algorithm>
#include <set>

#include "tests/cli/support.h"

namespace kdef {
namespace {

namespace fs = std::filesystem;

// A page in the order of its lines: files to write ("`NAME`" before a block of yaml), and lines of commands (blocks
// without a language).
struct Step {
  std::string file;  // empty: a command
  std::string text;
};

std::vector<Step> steps_of(const std::string& page) {
  std::vector<Step> steps;
  std::string name, language, block;
  bool inside = false;
  for (const std::string& line : test::lines(page)) {
    if (line.starts_with("```")) {
      if (!inside) {
        language = line.substr(3);
        block.clear();
      } else if (language == "yaml") {
        steps.push_back({name, block});
      } else if (language.empty()) {
        for (const std::string& command : test::lines(block)) steps.push_back({"", command});
      }
      inside = !inside;
    } else if (inside) {
      block += line + "\n";
    } else if (line.starts_with("`")) {
      name = line.substr(1, line.find('`', 1) - 1);
    }
  }
  return steps;
}

class FuxiCtrPage : public testing::Test {
 protected:
  FuxiCtrPage() : folder_(fs::temp_directory_path() / ("kdef_fuxictr_page_test_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~FuxiCtrPage() override { fs::remove_all(folder_); }
  static std::string page(const std::string& name) {
    return test::read_file(std::string(KDEF_SOURCE_DIR) + "/docs/" + name);
  }
  // `kdef` at the start of a command is the program.
  std::string run(const std::string& command) {
    const test::Outcome outcome =
        test::shell("cd " + folder_.string() + " && " + std::string(KDEF_PROGRAM) + command.substr(4));
    EXPECT_EQ(outcome.status, 0) << command << "\n" << outcome.text;
    return outcome.text;
  }
  int run_page(const std::string& text, const std::set<std::string>& shown_only) {
    int commands = 0;
    for (const Step& step : steps_of(text)) {
      if (!step.file.empty()) {
        const fs::path path = folder_ / step.file;
        fs::create_directories(path.parent_path());
        test::put(path, step.text);
      } else if (step.text.starts_with("kdef ") && shown_only.count(step.text) == 0) {
        outputs_.push_back(run(step.text));
        ++commands;
      } else {
        EXPECT_TRUE(step.text.starts_with("python ") || shown_only.count(step.text) != 0) << step.text;
      }
    }
    return commands;
  }

  fs::path folder_;
  std::vector<std::string> outputs_;
};

TEST_F(FuxiCtrPage, ItsCommandsWork) {
  const std::string text = page("coming-from-fuxictr.md");
  // The first command is that of the example below, before its files are there.
  const std::string first = "kdef train --config ./config --expid DeepFM_clicks --run runs/deepfm";
  EXPECT_EQ(run_page(text.substr(text.find("## An example")), {}), 8);
  EXPECT_THAT(text, testing::HasSubstr("```\n" + first + "\n```"));
  EXPECT_TRUE(fs::exists(folder_ / "runs/deepfm/result.json"));
  EXPECT_THAT(outputs_.at(1), testing::HasSubstr("parameters "));
  EXPECT_THAT(outputs_.at(2), testing::HasSubstr("keys without effect here: num_workers"));
}

}  // namespace
}  // namespace kdef
