// The worked examples of docs/course; tests/cli/docs_test.cpp compares their pages with the lessons.
#include "kdef/audit/examples.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "core/base/error.h"

namespace kdef {
namespace {

TEST(Examples, AgreeWithDifferencesWithin80Columns) {
  for (const Example& e : examples()) {
    const WorkedExample page = worked(e);
    EXPECT_TRUE(page.agrees) << page.text;
    std::istringstream text(page.text);
    for (std::string line; std::getline(text, line);) EXPECT_LE(line.size(), 80u) << e.name << ": " << line;
  }
}

TEST(Examples, AWrongSignIsFound) {
  for (const char* op : {"linear", "sigmoid", "binary_cross_entropy"}) {
    EXPECT_FALSE(worked(find_example("logistic"), ops::BrokenOp{op}).agrees) << op;
  }
  EXPECT_FALSE(worked(find_example("number"), ops::BrokenOp{"mul", 0}).agrees);
  EXPECT_TRUE(worked(find_example("number"), ops::BrokenOp{"mul", 1}).agrees);         // x is a constant
  EXPECT_FALSE(worked(find_example("embedding"), ops::BrokenOp{"embedding"}).agrees);  // a gradient by rows
  EXPECT_FALSE(worked(find_example("objective"), ops::BrokenOp{"softmin"}).agrees);
  EXPECT_FALSE(worked(find_example("fused"), ops::BrokenOp{"kdef_objective"}).agrees);
}

TEST(Examples, RefuseWhatTheyDoNotHave) {
  EXPECT_THROW(find_example("nosuch"), InputError);
  EXPECT_THROW(worked(find_example("number"), ops::BrokenOp{"softmin"}), InputError);
  EXPECT_THROW(worked(find_example("number"), ops::BrokenOp{"mul", 2}), InputError);
  EXPECT_THROW(worked(find_example("spectra"), ops::BrokenOp{"mul"}), InputError);
}

TEST(Examples, TheDrawingHasAFrameForEveryStudent) {
  const std::string dot = tape_dot(find_example("ensemble"));
  EXPECT_NE(dot.find("label=\"student 1\""), std::string::npos);
  EXPECT_NE(dot.find("label=\"student 2\""), std::string::npos);
  EXPECT_NE(dot.find("s = shift"), std::string::npos);
}

}  // namespace
}  // namespace kdef
