// The examples in other languages, compiled and run where their compilers are, against `kdef predict`.
#include "tests/cli/support.h"

namespace kdef::test {
namespace {

#if !defined(KDEF_SANITIZED)  // the programs have no sanitizer, and the library needs its functions
class Examples : public RunTest {
 protected:
  // Builds by `build`, which leaves the program `score`, and compares what it prints with the program kdef.
  void compare(const std::string& build) {
    std::filesystem::create_directories(path("build"));
    // The linker looks for libkdef.so.
    std::filesystem::create_symlink(KDEF_LIBRARY, path("build/libkdef.so"));
    std::filesystem::create_symlink(KDEF_LIBRARY, path("build/libkdef.so.1"));
    const Outcome built = shell("cd " + path("build") + " && " + build);
    ASSERT_EQ(built.status, 0) << built.text;
    ASSERT_EQ(train("epochs=1 --run " + path("run")).status, 0);
    const std::string program = "LD_LIBRARY_PATH=" + path("build") + " " + path("build/score") + " ";
    const Outcome scored = shell(program + path("run") + " " + path("data/test.csv"));
    ASSERT_EQ(scored.status, 0) << scored.text;
    const Outcome predicted = kdef("predict --run " + path("run") + " --data " + path("data/test.csv") + " --out -");
    const std::vector<std::string> scores = lines(scored.text), expected = lines(predicted.text);
    ASSERT_EQ(scores.size(), expected.size());
    ASSERT_GT(scores.size(), 100u);
    for (size_t i = 0; i < scores.size(); ++i) EXPECT_EQ(std::stof(scores[i]), std::stof(expected[i])) << i;
    const Outcome refused = shell(program + path("none") + " " + path("data/test.csv"));
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.text, testing::HasSubstr("none"));
  }
};

TEST_F(Examples, Go) {
  if (shell("go version").status != 0) GTEST_SKIP() << "there is no go";
  compare("GOCACHE=" + path("cache-go") +
          " GOFLAGS=-mod=mod GO111MODULE=off CGO_CFLAGS=-I" KDEF_BINDINGS
          "/c CGO_LDFLAGS='-L. -lkdef' go build -o score " KDEF_BINDINGS "/examples/score.go");
}

TEST_F(Examples, Rust) {
  if (shell("rustc --version").status != 0) GTEST_SKIP() << "there is no rustc";
  compare("rustc -O -D warnings -L . -o score " KDEF_BINDINGS "/examples/score.rs");
}
#endif

}  // namespace
}  // namespace kdef::test
