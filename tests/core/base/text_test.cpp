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
#include "tests/support/files.h"

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
  EXPECT_EQ(did_you_mean("Dropuot", {"dropout", "units"}), "; did you mean 'dropout'?");
  EXPECT_EQ(did_you_mean("seed", {"dropout", "units"}), "");
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
    EXPECT_STREQ(e.what(), "row 'secnd' is unknown; did you mean 'second'?; known: first, second");
  }
}

// ---- Other locales

// A decimal comma, and points between groups of three digits, as in German.
class Comma : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

class CppLocale {
 public:
  CppLocale() : before_(std::locale::global(std::locale(std::locale::classic(), new Comma))) {}
  ~CppLocale() { std::locale::global(before_); }

 private:
  std::locale before_;
};

// The process's locale, of those with a decimal comma that are installed, or compiled into a folder of its own.
class CLocale {
 public:
  CLocale() {
    for (const char* known : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "ru_RU.UTF-8"}) {
      if (try_set(known)) return;
    }
    const std::string make = "localedef -i de_DE -f UTF-8 " + (folder_ / "de_DE.UTF-8") + " >/dev/null 2>&1";
    if (std::system(make.c_str()) != 0) return;
    ::setenv("LOCPATH", folder_.path().c_str(), 1);
    try_set("de_DE.UTF-8");
  }
  ~CLocale() {
    ::setlocale(LC_ALL, "C");
    ::unsetenv("LOCPATH");
  }
  bool has_comma() const { return has_comma_; }

 private:
  bool try_set(const char* name) {
    return has_comma_ = ::setlocale(LC_ALL, name) != nullptr && ::localeconv()->decimal_point == std::string(",");
  }
  test::TemporaryDirectory folder_;
  bool has_comma_ = false;
};

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
  const CppLocale comma;
  std::ostringstream changed;
  changed << 1234567 << " " << 1234.5;
  ASSERT_EQ(changed.str(), "1.234.567 1.234,5");
  EXPECT_EQ(samples(), kExpected);
}

TEST(TextInOtherLocales, TheLocaleOfTheProcessChangesNothing) {
  const CLocale comma;
  if (!comma.has_comma()) GTEST_SKIP() << "no locale with a decimal comma is installed, and localedef makes none";
  ASSERT_EQ(printed("%.*f", 1, 0.5), "0,5");
  EXPECT_EQ(samples(), kExpected);
}

}  // namespace
}  // namespace kdef
