#include "core/base/text.h"

#include <gtest/gtest.h>
#include <locale.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <locale>
#include <string>
#include <vector>

#include "core/base/names.h"
#include "core/base/shape.h"
#include "tests/support/locales.h"

namespace kdef {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNumbers[] = {0.0,   -0.0,   1.0,      0.1, -1.5,  1e-5,      123456789.125, 1e21,
                           1e300, 2e-308, 4.9e-324, 0.5, 2.675, 9999999.5, -1e-7,         1.7976931348623157e308};

std::string printed(const char* pattern, int precision, double value) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, precision, value);
  return text;
}

TEST(Text, NumbersAreThoseOfPrintf) {
  for (const double x : kNumbers) {
    for (const int digits : {0, 1, 2, 4, 6, 17}) {
      EXPECT_EQ(fixed_point(x, digits), printed("%.*f", digits, x));
      EXPECT_EQ(significant_digits(x, digits), printed("%.*g", digits, x));
      EXPECT_EQ(scientific(x, digits), printed("%.*e", digits, x));
    }
    if (std::abs(x) >= 2.3e-308 || x == 0) {  // printf writes the denormal ones in another way
      char text[64];
      std::snprintf(text, sizeof text, "%a", x);
      EXPECT_EQ(hexadecimal(x), text);
    }
  }
  EXPECT_EQ(fixed_point(kInfinity, 2), "inf");
  EXPECT_EQ(fixed_point(-kInfinity, 2), "-inf");
}

TEST(Text, AnUndefinedNumberHasNoSign) {
  const double nan = std::copysign(std::nan(""), -1.0);
  EXPECT_EQ(cat("the loss is ", nan, static_cast<float>(nan)), "the loss is nannan");
  EXPECT_EQ(shortest(nan), "nan");
  EXPECT_EQ(shortest(static_cast<float>(nan)), "nan");
  EXPECT_EQ(fixed_point(nan, 3), "nan");
}

TEST(Text, ShortestAndHexadecimalComeBackExactly) {
  for (const double x : kNumbers) {
    double back = 7;
    EXPECT_TRUE(read_number(shortest(x), back));
    EXPECT_EQ(back, x);
    EXPECT_EQ(std::signbit(back), std::signbit(x));
    back = 7;
    EXPECT_TRUE(read_hexadecimal(hexadecimal(x), back)) << hexadecimal(x);
    EXPECT_EQ(back, x);
    EXPECT_EQ(std::signbit(back), std::signbit(x));
  }
  double back = 0;
  for (const double x : {kInfinity, -kInfinity}) {
    EXPECT_TRUE(read_hexadecimal(hexadecimal(x), back));
    EXPECT_EQ(back, x);
  }
  EXPECT_TRUE(read_hexadecimal(hexadecimal(std::nan("")), back));
  EXPECT_TRUE(std::isnan(back));
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(0.1f), "0.1");
  EXPECT_EQ(shortest(1e-5f), "1e-05");
}

TEST(Text, WhatIsNoNumberIsRefused) {
  double x = 0;
  int64_t n = 0;
  for (const char* text : {"", " 1", "1 ", "1,5", "x", "0x1p1", "1e", "+1"}) {
    EXPECT_FALSE(read_number(text, x)) << text;
    EXPECT_FALSE(read_number(text, n)) << text;
  }
  for (const char* text : {"", "1.5", "0x", "0x1.8p+1 ", "00x1", "x1", "-", "0xg"}) {
    EXPECT_FALSE(read_hexadecimal(text, x)) << text;
  }
  EXPECT_FALSE(read_number("9223372036854775808", n));
  EXPECT_TRUE(read_number("-9223372036854775808", n));
}

TEST(Text, GroupsOfThree) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(-999), "-999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-12345678), "-12,345,678");
}

TEST(Text, Words) {
  EXPECT_EQ(lower_case("AbZ[\xC4"), "abz[\xC4");
  EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(did_you_mean("Dropuot", {"dropout", "units"}), " (did you mean 'dropout'?)");
  EXPECT_EQ(did_you_mean("seed", {"dropout", "units"}), "");
}

TEST(Text, WhatATerminalObeysIsEscaped) {
  EXPECT_EQ(escape_controls("plain, \xc3\xa4 \xe4\xb8\xad \xf0\x9f\x98\x80\n\t\\"),
            "plain, \xc3\xa4 \xe4\xb8\xad \xf0\x9f\x98\x80\n\t\\");
  EXPECT_EQ(escape_controls(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(escape_controls("\x1b]0;title\a\x1b[31m\r\x7f"), "\\x1b]0;title\\x07\\x1b[31m\\x0d\\x7f");
  EXPECT_EQ(escape_controls("\xc2\x9b"
                            "31m"),
            "\\u009b31m")
      << "CSI in UTF-8";
  EXPECT_EQ(escape_controls("\x9b"
                            "31m\xff"),
            "\\x9b31m\\xff")
      << "CSI in one byte";
  EXPECT_EQ(escape_controls("\xe2\x80\xae"
                            "x\xe2\x81\xa6\xe2\x80\xa8"),
            "\\u202ex\\u2066\\u2028");
  // No UTF-8: overlong, surrogate, beyond the last code point, cut.
  EXPECT_EQ(escape_controls("\xc0\x9b"), "\\xc0\\x9b");
  EXPECT_EQ(escape_controls("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");
  EXPECT_EQ(escape_controls("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(escape_controls("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(escape_controls("\xe4\xb8"), "\\xe4\\xb8");
  EXPECT_EQ(escape_controls(""), "");
}

TEST(Text, CharactersThatAreNotSeenAreSpeltOut) {
  EXPECT_EQ(spelt_out("click 1"), "");
  EXPECT_EQ(spelt_out("\u0441lick"), " (spelt U+0441 'lick')");
  EXPECT_EQ(spelt_out("cl\u00ADick\t"), " (spelt 'cl' U+00AD 'ick' U+0009)");
  EXPECT_EQ(spelt_out("\U0001F600\xFF\xE2\x82"), " (spelt U+01F600 byte 0xFF byte 0xE2 byte 0x82)");
}

TEST(Names, NearestByMeaning) {
  const std::vector<std::string> keys = {"early_stop_patience", "hidden_units",         "net_dropout", "epochs", "seed",
                                         "embedding_dim",       "embedding_regularizer"};
  EXPECT_EQ(nearest_name("patience", keys), "early_stop_patience");
  EXPECT_EQ(nearest_name("dnn_hidden_units", keys), "hidden_units");
  EXPECT_EQ(nearest_name("sed", keys), "seed");
  EXPECT_EQ(nearest_name("Embedding_size", keys), "embedding_dim");
  EXPECT_EQ(did_you_mean("dnn_hidden_units", keys), " (did you mean 'hidden_units'?)");
  EXPECT_EQ(edit_distance("trian", "train"), 1u);  // neighbours exchanged
  EXPECT_EQ(edit_distance("abcd", "badc"), 2u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
}

TEST(Names, RowsOfATable) {
  struct Row {
    const char* name;
    std::string key;
  };
  const std::vector<Row> table = {{"first", "a"}, {"second", "b"}};
  EXPECT_EQ(joined(row_names(table)), "first, second");
  EXPECT_EQ(joined({}), "");
  EXPECT_EQ(find_row(table, "second"), &table[1]);
  EXPECT_EQ(find_row(table, "a", &Row::key), &table[0]);
  EXPECT_EQ(find_row(table, "third"), nullptr);
  try {
    fail_unknown_name("row", "secnd", row_names(table));
    FAIL();
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(), "row 'secnd' is unknown (did you mean 'second'?); known: first, second");
  }
}

// ---- Other locales

std::vector<std::string> samples() {
  TextStream stream;
  stream << 1234567 << " " << 1234.5;
  double half = 0, hexadecimal_half = 0;
  EXPECT_TRUE(read_number("1234.5", half));
  EXPECT_TRUE(read_hexadecimal("0x1.8p+1", hexadecimal_half));
  return {cat(1234567, " ", 1234.5, " ", Shape{10000, 2}),
          stream.str(),
          shortest(1234.5),
          shortest(0.5f),
          fixed_point(12345.678, 2),
          significant_digits(1234.5, 6),
          scientific(0.5, 1),
          hexadecimal(1.5),
          grouped(1234567),
          cat(half, hexadecimal_half)};
}

const std::vector<std::string> kExpected = {"1234567 1234.5 [10000, 2]",
                                            "1234567 1234.5",
                                            "1234.5",
                                            "0.5",
                                            "12345.68",
                                            "1234.5",
                                            "5.0e-01",
                                            "0x1.8p+0",
                                            "1,234,567",
                                            "1234.53"};

TEST(TextInOtherLocales, TheGlobalLocaleOfCppChangesNothing) {
  const test::CppLocale comma;
  std::ostringstream changed;
  changed << 1234567 << " " << 1234.5;
  ASSERT_EQ(changed.str(), "1.234.567 1.234,5");
  EXPECT_EQ(samples(), kExpected);
}

TEST(TextInOtherLocales, TheLocaleOfTheProcessChangesNothing) {
  const test::CLocale comma;
  if (!comma.has_comma()) GTEST_SKIP() << "no locale with a decimal comma is installed, and localedef makes none";
  ASSERT_EQ(printed("%.*f", 1, 0.5), "0,5");
  EXPECT_EQ(samples(), kExpected);
}

}  // namespace
}  // namespace kdef
