#include "data/raw/csv_reader.h"

#include <gmock/gmock.h>

#include "core/base/random.h"
#include "data/raw/part_files.h"
#include "tests/data/compressed.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

using Table = std::vector<std::vector<std::string>>;

// All rows of a file, all columns, with the line of each in front.
Table read_all(const std::string& path, const std::string& separator = "", const std::vector<std::string>& columns = {},
               Quote quote = Quote::double_quote) {
  CsvReader reader(path, separator, columns, "", quote);
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
  expect_error<InputError>([&] { CsvReader(dir.file("s.csv", "a\n"), "ab", {}); }, {"separator 'ab'", "one character"});
}

TEST(Reader, UnusedColumnsMayHaveAnyNames) {
  TemporaryFolder dir;
  CsvReader reader(dir.file("d.csv", "a,b,a,,\n1,2,3,4,5\n"), "", {});
  expect_error<InputError>([&] { reader.select({"a"}); }, {"d.csv", "two columns", "'a'"});
  reader.select({"b"});
  Chunk chunk;
  ASSERT_TRUE(reader.read(chunk));
  reader.parse(chunk);
  EXPECT_EQ(chunk.cell(0, 0), "2");
}

TEST(Reader, QuotesAsCharacters) {
  TemporaryFolder dir;
  const std::string path = dir.file("q.tsv", "a\tb\n\"x\t1\ny\t\"2\"\nz\t3\n");
  EXPECT_EQ(read_all(path, "", {}, Quote::none), (Table{{"2", "\"x", "1"}, {"3", "y", "\"2\""}, {"4", "z", "3"}}));
}

// Two stray quotes swallow the rows between them.
TEST(Reader, CellsThatSwallowRowsAreTold) {
  TemporaryFolder dir;
  const auto warnings = [&](const std::string& text) {
    CsvReader reader(dir.file("w.tsv", text), "", {});
    reader.select({"a"});
    Chunk chunk;
    while (reader.read(chunk)) reader.parse(chunk);
    return reader.warnings();
  };
  EXPECT_TRUE(warnings("a\tb\n\"two\nlines\"\t1\n\"x\"y\t2\n").empty());
  const auto told = warnings("a\tb\n1\t1\n\"u12\ti3\nu4\ti5\n\"u0\ti8\nx\ty\n");
  ASSERT_EQ(told.size(), 1u);
  for (const char* part : {"w.tsv:3", "swallowed", "quote: none"}) EXPECT_NE(told[0].find(part), std::string::npos);
}

TEST(Reader, LinesThatEndInCr) {
  TemporaryFolder dir;
  EXPECT_EQ(read_all(dir.file("cr.csv", "a,b\r1,2\r\r3,4")), (Table{{"2", "1", "2"}, {"4", "3", "4"}}));
  std::string text = many_rows(60000);
  const Table expected = read_all(dir.file("lf.csv", text));
  std::replace(text.begin(), text.end(), '\n', '\r');
  EXPECT_EQ(read_all(dir.file("cr.csv", text)), expected);
}

TEST(Reader, ChunksOfFewRows) {
  TemporaryFolder dir;
  std::string text = many_rows(1000);
  text += "\"two\nlines\",1,\"2\"\n3,4,5";
  const std::string path = dir.file("a.csv", text);
  const Table expected = read_all(path);
  CsvReader reader(path, "", {});
  reader.select({"a"});
  reader.limit_rows(7);
  Chunk chunk;
  size_t row = 0;
  while (reader.read(chunk)) {
    reader.parse(chunk);
    ASSERT_LE(chunk.rows(), 7);
    for (int64_t r = 0; r < chunk.rows(); ++r, ++row) {
      ASSERT_EQ(chunk.cell(r, 0), expected[row][1]);
      ASSERT_EQ(std::to_string(chunk.line(r)), expected[row][0]);
    }
  }
  EXPECT_EQ(row, 1002u);
  EXPECT_EQ(reader.lines(), 1003);
}

TEST(Reader, LinesAndRows) {
  TemporaryFolder dir;
  const auto lines = [&](const std::string& text, const std::vector<std::string>& columns = {}) {
    CsvReader reader(dir.file("l.csv", text), "", columns);
    Chunk chunk;
    while (reader.read(chunk)) continue;
    return reader.lines();
  };
  EXPECT_EQ(lines("a,b\n1,2\n3,4"), 2);
  EXPECT_EQ(lines("\n\na,b\r\n1,2\r\n3,4\r\n"), 2);
  EXPECT_EQ(lines("a,b\n1,2\n\n3,\"4\n5\"\n"), 4);
  EXPECT_EQ(lines("1,2\n3,4\n", {"a", "b"}), 2);
}

TEST(Reader, HeaderLinesWhereNoneOrOneIsExpected) {
  TemporaryFolder dir;
  const auto read = [&](const std::string& text, const std::vector<std::string>& columns) {
    return [=, &dir] { read_all(dir.file("h.csv", text), "", columns); };
  };
  expect_error<InputError>(read("a,b\n1,2\na,b\n3,4\n", {}), {"h.csv:3", "header line again"});
  expect_error<InputError>(read("a,b\n1,\"2\"\n\xEF\xBB\xBF"
                                "a,b\r\n3,4\n",
                                {}),
                           {"h.csv:3", "header line again"});
  expect_error<InputError>(read("label,x,y\n1,2,3\n", {"label", "x", "z"}), {"h.csv:1", "is a header", "columns"});
  expect_error<InputError>(read("b,a\n1,2\n", {"a", "b"}), {"h.csv:1", "is a header"});
  read("a,1\n", {"a", "b"})();
  CsvReader data(dir.file("d.csv", "1,3.5,u7\n0,2.5,u8\n"), "", {});
  expect_error<InputError>([&] { data.select({"user"}); },
                           {"d.csv", "no column 'user'", "line 1 looks like data", "`columns`"});
}

TEST(Reader, FoldersOfParts) {
  TemporaryFolder dir;
  std::filesystem::create_directory(dir / "parts");
  dir.file("parts/part-1.csv", "b,a\n2,x\n");
  dir.file("parts/part-0.csv.gz", gzip("a,b\nu,1\nv,\n"));
  dir.file("parts/part-2.csv", "");
  dir.file("parts/_SUCCESS", "");
  dir.file("parts/.part-0.csv.crc", "x");
  dir.file("parts/notes.md", "of no use");
  const auto read = [&] {
    const auto source = open_rows(dir / "parts", DatasetConfig());
    source->select({"a", "b"});
    std::string all;
    Chunk chunk;
    while (source->read(chunk)) {
      source->parse(chunk);
      for (int64_t r = 0; r < chunk.rows(); ++r) {
        all += chunk.file().substr(chunk.file().rfind('/') + 1) + ":" + std::to_string(chunk.line(r)) + "=";
        all += std::string(chunk.cell(r, 0)) + std::string(chunk.cell(r, 1)) + " ";
      }
    }
    EXPECT_EQ(source->lines(), 3);
    EXPECT_EQ(source->files().size(), 3u);
    EXPECT_EQ(source->fraction(), 1);
    return all;
  };
  EXPECT_EQ(read(), "part-0.csv.gz:2=u1 part-0.csv.gz:3=v part-1.csv:2=x2 ");
  dir.file("parts/_rows.csv", "a,b\nw,3\n");
  EXPECT_THAT(part_files(dir / "parts"), testing::Contains(dir / "parts/_rows.csv"));
  std::filesystem::remove(dir / "parts/_rows.csv");
  for (const char* other : {"parts/part-1.csv.gz", "parts/part-3.tsv", "parts/part-1.parquet"}) {
    dir.file(other, "a,b\nw,3\n");
    expect_error<InputError>([&] { part_files(dir / "parts"); }, {"parts: ", "the same rows in two forms", "parts/*."});
    EXPECT_EQ(part_files(dir / "parts/part-?.csv").size(), 2u);
    std::filesystem::remove(dir / other);
  }
  dir.file("parts/part-1.csv", "b,c\n2,x\n");
  expect_error<InputError>(read, {"part-1.csv", "no column 'a'"});
  std::filesystem::create_directory(dir / "parts/year=1");
  expect_error<InputError>(read, {"parts", "year=1"});
  std::filesystem::create_directory(dir / "none");
  expect_error<InputError>([&] { open_rows(dir / "none", DatasetConfig()); }, {"none", "folder without data files"});
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
