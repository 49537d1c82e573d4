// The settings that only some networks have.
#include "nn/networks/settings.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace kdef::nn {
namespace {

TEST(Settings, AreReadByTheirType) {
  Settings s{{"a", 1}, {"b", 0.5}, {"c", "text"}, {"d", std::vector<double>{1, 2}}, {"e", true}};
  EXPECT_EQ(s.integer("a"), 1);
  EXPECT_EQ(s.number("b"), 0.5);
  EXPECT_EQ(s.text("c"), "text");
  EXPECT_EQ(s.numbers("d"), (std::vector<double>{1, 2}));
  EXPECT_TRUE(s.flag("e"));
  s.set("a", 2);
  EXPECT_EQ(s.integer("a"), 2);
  EXPECT_EQ(s.entries().front().first, "a");
  EXPECT_THROW(s.integer("b"), Error);
  EXPECT_THROW(s.texts("f"), Error);
  EXPECT_EQ(s.find("f"), nullptr);
}

TEST(Settings, KeysSayTheirTypeAndCheckIt) {
  EXPECT_EQ(flag_setting("x", true, "m").type(), "boolean");
  EXPECT_EQ(number_setting("x", 1, 0.5, 2, "m").type(), "number in [0.5, 2]");
  EXPECT_EQ(rates_setting("x", {0}, "m").type(), "list of numbers in [0, 1)");
  const SettingKey choice = choice_setting("x", "a", {"a", "b"}, "m");
  EXPECT_EQ(choice.type(), "a, b");
  EXPECT_EQ(choice.problem("b"), "");
  EXPECT_EQ(choice.problem("c"), "expected a, b");
  EXPECT_EQ(rates_setting("x", {}, "m").problem(std::vector<double>{0, 0.5}), "");
  EXPECT_NE(rates_setting("x", {}, "m").problem(std::vector<double>{0, 1.0}), "");
  EXPECT_EQ(texts_setting("x", {}, {}, "m").problem(std::vector<std::string>{"any"}), "");
  EXPECT_NE(texts_setting("x", {}, {"a"}, "m").problem(std::vector<std::string>{"a", "b"}), "");
}

}  // namespace
}  // namespace kdef::nn
