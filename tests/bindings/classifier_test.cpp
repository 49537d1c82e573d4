// KDEFClassifier of the Python package, and the example that uses it.
#include "tests/cli/support.h"

namespace kdef::test {
namespace {

#if !defined(KDEF_SANITIZED)  // an interpreter has no sanitizer
Outcome python(const std::string& interpreter, const std::string& arguments) {
  return shell("PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" KDEF_PYTHON_PACKAGE " KDEF_LIBRARY=" KDEF_LIBRARY " " +
               interpreter + " " + arguments);
}

TEST(Classifier, LearnsAndPassesTheChecksOfScikitLearn) {
  const std::string interpreter = KDEF_TEST_PYTHON;
  if (shell(interpreter + " -c 'import ctypes'").status != 0) GTEST_SKIP() << "there is no " << interpreter;
  const Outcome outcome = python(interpreter, KDEF_BINDING_TESTS "/classifier.py");
  if (outcome.status == 77) GTEST_SKIP() << "the checks of scikit-learn: " << outcome.text;
  EXPECT_EQ(outcome.status, 0) << outcome.text;
}

TEST_F(RunTest, TheExampleOfTheClassifierRuns) {
  if (shell("python3 -c 'import ctypes, csv'").status != 0) GTEST_SKIP() << "there is no python3";
  const Outcome outcome = python("python3", KDEF_PYTHON_PACKAGE "/examples/clicks.py " + path("data"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const std::string before = "test AUC ";
  const size_t at = outcome.text.find(before);
  ASSERT_NE(at, std::string::npos) << outcome.text;
  EXPECT_GT(std::stod(outcome.text.substr(at + before.size())), 0.6) << outcome.text;
}
#endif

}  // namespace
}  // namespace kdef::test
