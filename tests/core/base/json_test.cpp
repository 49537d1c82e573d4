#include "core/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kdef {
namespace {

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Json, DepthIsBounded) {
  check_json_depth(repeated("[", kMaxJsonDepth) + repeated("]", kMaxJsonDepth), "x");
  check_json_depth(repeated("{\"a\":[", kMaxJsonDepth / 2), "x");
  check_json_depth(repeated("[],", 1000), "x");
  for (const std::string& deep : {repeated("[", kMaxJsonDepth + 1), repeated("{\"a\":", kMaxJsonDepth + 1),
                                  "\"\\\"\"" + repeated("[", 1000000)}) {
    try {
      check_json_depth(deep, "file.json");
      ADD_FAILURE() << "accepted";
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(), testing::StartsWith("file.json: its JSON has more than 64 levels"));
    }
  }
}

TEST(Json, BracketsInTextAreNoLevels) {
  check_json_depth("[\"" + repeated("[", 1000) + "\\\"" + repeated("{", 1000) + "\\\\\", 1]", "x");
}

}  // namespace
}  // namespace kdef
