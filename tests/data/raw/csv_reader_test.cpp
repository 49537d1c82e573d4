#include "data/raw/csv_reader.h"

#include "core/base/random.h"
#include "tests/data/compressed.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

using Table = std::vector<std::vector<std::string>>;

// All rows of a file, all columns, with the line of each in front.
Table read_all(const std::string& path, const std::string& separator = "",
               const std::vector<std::string>& columns = {}) {
  CsvReader reader(path, separator, columns);
  reader.select(reader.columns());
  Table rows;
  Chunk chunk;
  while (reader.read(chunk)) {
    reader.parse(chunk);
    for (int64_t r = 0; r < chunk.rows(); ++r) {
      rows.emplace_back(1, std::to_string(chunk.line(r)));
      for (size_t c = 0; c < reader.columns().size(); ++c) {
        rows.back().emplace_back(chunk.cell(r, static_cast<int64_t>(c)));
      }
    }
  }
  return rows;
}

// Rows enough for several chunks.
std::string many_rows(int n) {
  std::string text = "a,b,c\n";
  for (int i = 0; i < n; ++i)
    text += std::to_string(i) + ",value" + std::to_string(i * 7) + "," + std::string(i % 50, 'x') + "\n";
  return text;
}

// The same rows, plain and with every cell quoted, go through two parsers.
TEST(Reader, PlainAndQuotedRowsAreTheSame) {
  const TemporaryFolder dir;
  Random random(8);
  std::string plain = "a\tb\tc\n", quoted = plain;
  for (int row = 0; row < 20000; ++row) {
    for (int c = 0; c < 3; ++c) {
      std::string cell(random.below(4) == 0 ? random.below(200) : random.below(9), 'x');
      if (!cell.empty() && c == 1) cell[0] = '\r';
      plain += cell + (c < 2 ? "\t" : "");
      quoted += '"' + cell + '"' + (c < 2 ? "\t" : "");
    }
    const std::string end = row == 19999 ? "" : random.below(2) ? "\r\n" : random.below(9) ? "\n" : "\n\r\n\n";
    plain += end;
    quoted += end;
  }
  const Table expected = read_all(dir.file("quoted.tsv", quoted));
  EXPECT_EQ(expected.size(), 20000u);
  EXPECT_TRUE(read_all(dir.file("plain.tsv", plain)) == expected);
}

TEST(Reader, HeaderAndCells) {
  TemporaryFolder dir;
  EXPECT_EQ(read_all(dir.file("a.csv", "a,b\n1,2\n,x y\n")), (Table{{"2", "1", "2"}, {"3", "", "x y"}}));
  EXPECT_EQ(read_all(dir.file("b.tsv", "a\tb\n1\t2")), (Table{{"2", "1", "2"}}));
  EXPECT_EQ(read_all(dir.file("c.txt", "a|b\n1|2\n"), "|"), (Table{{"2", "1", "2"}}));
  EXPECT_EQ(read_all(dir.file("d.txt", "1\t2\n"), "\\t", {"x", "y"}), (Table{{"1", "1", "2"}}));
}

TEST(Reader, QuotesCrlfByteOrderMarkAndBlankLines) {
  TemporaryFolder dir;
  const std::string text =
      "\xEF\xBB\xBF"
      "a,b\r\n\"x,y\",\"say \"\"hi\"\"\"\r\n\r\n\"two\nlines\",5\" disk\r\n\"\",\"q\"tail\r\n";
  EXPECT_EQ(read_all(dir.file("a.csv", text)),
            (Table{{"2", "x,y", "say \"hi\""}, {"4", "two\nlines", "5\" disk"}, {"6", "", "qtail"}}));
}

TEST(Reader, BytesAreKept) {
  TemporaryFolder dir;
  const std::string odd("\xFF\xC0\0z", 4);
  EXPECT_EQ(read_all(dir.file("a.csv", "a,b\n" + odd + ",1\n")), (Table{{"2", odd, "1"}}));
}

TEST(Reader, CompressedFilesReadTheSame) {
  TemporaryFolder dir;
  const std::string text = many_rows(60000);
  ASSERT_GT(text.size(), 3 * CsvReader::kChunkBytes);
  const Table plain = read_all(dir.file("a.csv", text));
  EXPECT_EQ(plain.size(), 60000u);
  EXPECT_EQ(plain.back()[0], "60001");
  EXPECT_EQ(read_all(dir.file("a.csv.gz", gzip(text))), plain);
  EXPECT_EQ(read_all(dir.file("a.csv.zst", zstd(text))), plain);
}

TEST(Reader, QuotedRowsAcrossChunks) {
  TemporaryFolder dir;
  std::string text = "a,b\n";
  for (int i = 0; i < 40000; ++i)
    text += "\"row\n" + std::to_string(i) + "\"\"\",\"" + std::string(i % 40, ',') + "\"\n";
  const Table rows = read_all(dir.file("a.csv", text));
  ASSERT_EQ(rows.size(), 40000u);
  for (int i = 0; i < 40000; ++i) {
    ASSERT_EQ(rows[static_cast<size_t>(i)],
              (std::vector<std::string>{std::to_string(2 + 2 * i), "row\n" + std::to_string(i) + "\"",
                                        std::string(i % 40, ',')}));
  }
}

TEST(Reader, WrongFiles) {
  TemporaryFolder dir;
  const auto open = [](const std::string& path) { return [=] { CsvReader(path, "", {}); }; };
  expect_error<InputError>(open(dir / "none.csv"), {"none.csv", "check the path"});
  expect_error<InputError>(open(dir.path()), {"folder"});
  expect_error<InputError>(open(dir.file("e.csv", "")), {"e.csv", "empty"});
  expect_error<InputError>(open(dir.file("e.csv.gz", "")), {"e.csv.gz", "empty"});
  expect_error<InputError>(open(dir.file("n.csv", "\n\r\n\n")), {"n.csv", "empty"});
  expect_error<InputError>(open(dir.file("d.csv", "a,b,a\n1,2,3\n")), {"d.csv", "two columns", "'a'"});
  expect_error<InputError>([&] { CsvReader(dir.file("s.csv", "a\n"), "ab", {}); }, {"separator 'ab'", "one character"});
}

TEST(Reader, MissingColumn) {
  TemporaryFolder dir;
  CsvReader reader(dir.file("a.csv", "UserID,MovieID\n1,2\n"), "", {});
  expect_error<InputError>([&] { reader.select({"UserId"}); },
                           {"a.csv", "no column 'UserId'", "did you mean 'UserID'", "UserID, MovieID"});
}

TEST(Reader, WrongNumberOfCells) {
  TemporaryFolder dir;
  const auto read = [&](const std::string& text) { return [=, &dir] { read_all(dir.file("a.csv", text)); }; };
  expect_error<InputError>(read("a,b\n1,2\n3\n"), {"a.csv:3", "1 cell", "2 are expected"});
  expect_error<InputError>(read("a,b\n1,2\n\n3,4,5\n"), {"a.csv:4", "3 cells", "quote"});
  expect_error<InputError>(read("a,b\n\"1\n\",2\n3,4,5\n"), {"a.csv:4", "3 cells"});
  expect_error<InputError>(read("a,b\n1,2\n3,\"4\n"), {"a.csv:3", "not closed"});
}

TEST(Reader, NamedColumnsMayLackTheOptionalOne) {
  TemporaryFolder dir;
  CsvReader with(dir.file("a.tsv", "1\t2\n"), "", {"label", "x"}, "label");
  EXPECT_TRUE(with.has_column("label"));
  CsvReader without(dir.file("b.tsv", "2\n"), "", {"label", "x"}, "label");
  EXPECT_FALSE(without.has_column("label"));
}

// Any bytes give rows or an InputError: never a crash, never a hang.
TEST(Reader, RandomBytes) {
  TemporaryFolder dir;
  Random random(7);
  const std::string alphabet("a,\"\n\r\t1\0\xFF", 9);
  int read = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = round % 2 == 0 ? "a,b\n" : "";
    const uint64_t length = random.below(60);
    for (uint64_t i = 0; i < length; ++i)
      text += round % 3 == 0 ? static_cast<char>(random.below(256)) : alphabet[random.below(9)];
    try {
      read_all(dir.file("f.csv", text));
      ++read;
    } catch (const InputError&) {
      ++refused;
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace kdef::data
