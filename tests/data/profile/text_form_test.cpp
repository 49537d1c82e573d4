#include "data/profile/text_form.h"

#include "tests/data/support.h"

namespace kdef::data {
namespace {

class TextFormTest : public ::testing::Test {
 protected:
  TextForm form(const std::string& text, const std::string& label = "click") const {
    return find_text_form(dir_.file("rows.txt", text), label);
  }
  TemporaryFolder dir_;
};

TEST_F(TextFormTest, Separators) {
  EXPECT_EQ(form("click,a\n1,x\n0,y\n").separator, ",");
  EXPECT_EQ(form("click\ta\n1\tx, z\n0\ty\n").separator, "\t");
  EXPECT_EQ(form("click;a;b\n1;1,5;x\n0;2,5;y\n").separator, ";");
  EXPECT_EQ(form("click|a\n1|x\n").separator, "|");
  EXPECT_EQ(form("click a\n1 x\n0 y\n").separator, " ");
  // Blanks in every row, as in times, do not make them the separator.
  EXPECT_EQ(
      form("click,begin,end\n1,2014-10-21 00:00,2014-10-21 01:00\n0,2014-10-21 00:00,2014-10-21 01:00\n").separator,
      ",");
  expect_error<InputError>([&] { form("click\n1\n0\n"); }, {"rows.txt", "one cell"});
  expect_error<InputError>([&] { form("\n\n"); }, {"rows.txt", "empty"});
  std::string wide = "\nclick";
  for (int c = 0; c < 20000; ++c) wide += ",c" + std::to_string(c);
  expect_error<InputError>([&] { form(wide + "\n1,2\n"); }, {"rows.txt: line 2 has more than 64 KiB"});
}

TEST_F(TextFormTest, LineEndsAndByteOrderMark) {
  EXPECT_TRUE(form("\xEF\xBB\xBF"
                   "click,a\r\n1,x\r\n0,y\r\n")
                  .columns.empty());
  EXPECT_EQ(form("click,a\r1,x\r0,y\r").separator, ",");
  EXPECT_EQ(form("1,x\r\n0,y\r\n").columns, (std::vector<std::string>{"c1", "c2"}));
}

TEST_F(TextFormTest, Quotes) {
  // Separators and line ends within quotes.
  EXPECT_EQ(form("click,a\n1,\"x, y\"\n0,\"x\ny\"\n").quote, Quote::double_quote);
  EXPECT_EQ(form("click,a\n1,\"x \"\"y\"\"\"\n").quote, Quote::double_quote);
  // In every cell, with as many separators in each: the wider reading is not taken.
  EXPECT_EQ(form("click,a\n1,\"Doe, J\"\n0,\"Roe, R\"\n").quote, Quote::double_quote);
  // A quote that is never closed, or stands before more text, is one of the text's characters.
  EXPECT_EQ(form("click\ta\n1\t\"x\n0\ty\n1\tz\n").quote, Quote::none);
  EXPECT_EQ(form("click\ta\n1\t\"x\" y\n0\ty\n").quote, Quote::none);
}

TEST_F(TextFormTest, HeaderLine) {
  EXPECT_TRUE(form("click,a\n1,x\n").columns.empty());
  EXPECT_TRUE(form("label,a\n1,x\n0,y\n").columns.empty());               // another label, but text above numbers
  EXPECT_TRUE(form("a,b\nx,y\nz,w\n").columns.empty());                   // all are texts, and no cell is there twice
  EXPECT_TRUE(form("0,1,2,3\n1,5,x,7\n0,7,y,7\n", "0").columns.empty());  // numbers that count up: names by pandas
  EXPECT_TRUE(form("1,2,3,4\n1,5,x,7\n0,7,y,7\n", "1").columns.empty());
  // Few numbers count up by chance, and where other rows do so, too, they are values.
  EXPECT_EQ(form("0,1\n1,5\n0,7\n", "0").columns.size(), 2u);
  EXPECT_EQ(form("1,2,3\n1,5,7\n0,7,9\n", "1").columns.size(), 3u);
  EXPECT_EQ(form("1,2,3,4\n4,3,2,1\n1,2,3,4\n", "1").columns.size(), 4u);
  EXPECT_EQ(form("1,68fd1e64,7\n0,80e26c9b,4\n", "1").columns, (std::vector<std::string>{"c1", "c2", "c3"}));
  EXPECT_EQ(form("0\t\tx\n1\t3\ty\n", "1").columns.size(), 3u);       // an empty cell
  EXPECT_EQ(form("yes,no,no\nno,no,yes\n", "1").columns.size(), 3u);  // a cell twice
}

}  // namespace
}  // namespace kdef::data
