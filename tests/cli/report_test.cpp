// kdef report: the page of real runs, and how a real browser takes it.
#include <regex>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class ReportCommandTest : public RunTest {
 protected:
  // A sweep of two students and of three, one of them without the measures of its collapse.
  void make_sweep() const {
    ASSERT_EQ(train("num_student=2 --run " + path("sweep/runs/two")).status, 0);
    ASSERT_EQ(train("num_student=3 --run " + path("sweep/runs/three")).status, 0);
    ASSERT_TRUE(std::filesystem::remove(path("sweep/runs/three/collapse.json")));
  }
};

TEST_F(ReportCommandTest, ARunAndASweepBecomePages) {
  make_sweep();
  const Outcome sweep = kdef("report " + path("sweep") + " --out " + path("sweep.html"));
  EXPECT_EQ(sweep.status, 0) << sweep.text;
  EXPECT_THAT(sweep.text, HasSubstr("sweep.html: 2 runs"));
  const std::string page = read_file(path("sweep.html"));
  EXPECT_THAT(page, HasSubstr("AUC of the ensemble, test data"));
  EXPECT_THAT(page, HasSubstr("Disagreement between students"));
  // The run without measures says how to make them.
  EXPECT_THAT(page, HasSubstr("make it with: kdef collapse --run " + path("sweep/runs/three") + " --json "));
  // What result.json says is what stands there.
  const std::string result = read_file(path("sweep/runs/two/result.json"));
  std::smatch auc;
  ASSERT_TRUE(std::regex_search(result, auc, std::regex(R"("test":\{"ensemble":\{"auc":([0-9.]+))")));
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", std::stod(auc[1]));
  EXPECT_THAT(page, HasSubstr(std::string("<dt>Test AUC</dt><dd>") + text));
  // The parameters are those that training counts.
  const Outcome info = kdef("info --config " + path("data") +
                            " --expid KDEF num_student=2 'hidden_units=[16, 8]' data_root=" + path("cache"));
  std::string plain = page;
  plain.erase(std::remove(plain.begin(), plain.end(), ','), plain.end());
  EXPECT_THAT(plain, HasSubstr("<dt>Parameters</dt><dd>" +
                               lines(info.text).back().substr(std::string("parameters ").size()) + "<"));
  // On paper stands what is open on the screen: a few runs, or none of many.
  EXPECT_THAT(page, HasSubstr("<details class=\"run\" open>"));
  EXPECT_THAT(page, testing::Not(HasSubstr("::details-content")));
  for (const char* copy : {"four", "five"})
    std::filesystem::copy(path("sweep/runs/two"), path(std::string("sweep/runs/") + copy),
                          std::filesystem::copy_options::recursive);
  ASSERT_EQ(kdef("report " + path("sweep") + " --out " + path("many.html")).status, 0);
  const std::string many = read_file(path("many.html"));
  EXPECT_THAT(many, testing::Not(HasSubstr("<details class=\"run\" open>")));
  EXPECT_THAT(many, HasSubstr("<p class=\"paper unit\">"));
}

TEST_F(ReportCommandTest, ARunIsRepeatedByTheCommandOfItsPage) {
  ASSERT_EQ(train("num_student=2 --run " + path("run")).status, 0);
  ASSERT_EQ(kdef("report " + path("run") + " --out " + path("run.html")).status, 0);
  const std::string page = read_file(path("run.html"));
  std::smatch command;
  ASSERT_TRUE(std::regex_search(page, command, std::regex("kdef (train --config .*)\n")));
  const Outcome again = kdef(command[1]);
  ASSERT_EQ(again.status, 0) << again.text;
  EXPECT_EQ(read_file(path("run-again/result.json")), read_file(path("run/result.json")));
}

TEST_F(ReportCommandTest, WhatIsNoRunIsRefusedAndNothingWritten) {
  std::filesystem::create_directories(path("empty"));
  for (const std::string& where : {path("missing"), path("empty"), path("data/train.csv"), std::string()}) {
    const Outcome outcome = kdef("report " + where + " --out " + path("page.html"));
    EXPECT_EQ(outcome.status, 2) << outcome.text;
    EXPECT_FALSE(std::filesystem::exists(path("page.html")));
  }
  EXPECT_EQ(kdef("report " + path("empty")).status, 2);
}

// What the browser's console says of a page, and what a probe in it measures.
class Browser {
 public:
  static std::string program() {
    for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
      const Outcome found = shell(std::string("command -v ") + name);
      if (found.status == 0) return lines(found.text).at(0);
    }
    return "";
  }
  Browser(std::string program, std::string profile) : program_(std::move(program)), profile_(std::move(profile)) {}

  /// Lines of the console for `page` in a frame of `width` pixels; the last is the probe's, which says how many
  /// elements stick out sideways, how many figures there are, how many of them are flat, and the page's colour.
  std::vector<std::string> open(std::string page, int width, bool dark) const {
    // The probe is a script, which the page's policy forbids.
    const std::string policy = "default-src 'none';";
    const size_t at = page.find(policy);
    EXPECT_NE(at, std::string::npos);
    page.insert(at + policy.size(), " script-src 'unsafe-inline';");
    page += R"(<script>addEventListener('load', () => {
      const box = e => e.getBoundingClientRect(), all = s => [...document.querySelectorAll(s)];
      const out = all('body *').filter(e => !e.closest('.scroll') && box(e).right > innerWidth + 1).length;
      const figures = all('figure > svg').filter(e => e.checkVisibility());
      console.log('width', innerWidth, 'outside', out + (document.documentElement.scrollWidth > innerWidth),
                  'figures', figures.length, 'flat', figures.filter(e => box(e).height < 60).length,
                  'page', getComputedStyle(document.body).backgroundColor); });</script>)";
    put(profile_ + ".page.html", page);
    put(profile_ + ".frame.html", "<!DOCTYPE html><iframe style='border:0;height:900px;width:" + std::to_string(width) +
                                      "px' src='" + std::filesystem::path(profile_ + ".page.html").filename().string() +
                                      "'></iframe>");
    const Outcome outcome =
        shell("timeout 120 " + program_ +
              " --headless=new --no-sandbox --disable-gpu --disable-background-networking "
              "--enable-logging=stderr --window-size=1400,1000 --blink-settings=preferredColorScheme=" +
              (dark ? "0" : "1") + " --user-data-dir=" + profile_ + " --dump-dom file://" + profile_ + ".frame.html");
    std::vector<std::string> console;
    for (const std::string& line : lines(outcome.text)) {
      if (line.find(":CONSOLE") != std::string::npos) console.push_back(line);
    }
    return console;
  }

 private:
  std::string program_, profile_;
};

TEST_F(ReportCommandTest, ABrowserShowsItWithoutComplaintOrRequest) {
  const std::string program = Browser::program();
  if (program.empty()) GTEST_SKIP() << "no chromium here";
  const Browser browser(program, path("browser"));
  const std::string policy =
      "<!DOCTYPE html><meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src "
      "'unsafe-inline'\"><body>";
  // That the check can fail: an image from elsewhere, and something too wide.
  const auto bad =
      browser.open(policy + "<img src='http://nowhere.invalid/x.png'><div style='width:2000px'>x</div>", 360, false);
  ASSERT_EQ(bad.size(), 2u);
  EXPECT_THAT(bad[0], HasSubstr("nowhere.invalid"));
  EXPECT_THAT(bad[1], Not(HasSubstr("outside 0")));

  make_sweep();
  ASSERT_EQ(kdef("report " + path("sweep") + " --out " + path("sweep.html")).status, 0);
  const std::string page = read_file(path("sweep.html"));
  for (const auto& [width, dark] : {std::pair(360, false), {360, true}, {1280, false}}) {
    const auto console = browser.open(page, width, dark);
    ASSERT_EQ(console.size(), 1u) << testing::PrintToString(console);
    EXPECT_THAT(console[0], HasSubstr("width " + std::to_string(width) + " outside 0 "));
    // Of the sweep: AUC, log loss, students' mean and weakest, distance, abundance, time; of each run: the same
    // two metrics, students, calibration; of the one that is measured: two spectra, disagreement.
    EXPECT_THAT(console[0], HasSubstr("figures 18 flat 0"));
    EXPECT_THAT(console[0], HasSubstr(dark ? "rgb(22, 24, 26)" : "rgb(255, 255, 255)"));
  }
}

}  // namespace
}  // namespace kdef::test
