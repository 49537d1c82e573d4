#include "data/raw/parquet.h"

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "data/raw/content_hash.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

std::string fixture(const std::string& name) {
  return std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/parquet/" + name;
}

class Parquet : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!reads_parquet()) GTEST_SKIP() << "this kdef is built without Arrow C++ (KDEF_PARQUET)";
  }

  // Of the columns of rows.parquet and rows.csv.
  static DatasetConfig config(const std::string& file) {
    DatasetConfig c;
    c.id = "set";
    c.train_data = c.valid_data = fixture(file);
    c.weight = "weight";
    c.group = "group";
    for (const char* name : {"flag", "small", "hash", "code", "word", "text"}) c.fields.push_back(field(name));
    c.fields.push_back(field("id", FieldType::categorical, CellType::integer));
    c.fields.back().fill_na = "0";
    for (const char* name : {"price", "ratio"}) c.fields.push_back(field(name, FieldType::numeric, CellType::real));
    c.fields[7].fill_na = "2.5";
    c.fields[8].normalizer = Normalizer::standard;
    for (const char* name : {"tags", "words", "joined"}) c.fields.push_back(field(name, FieldType::sequence));
    c.fields[9].padding = Padding::pre;
    c.fields[9].fill_na = "3";
    c.min_categr_count = 2;
    return c;
  }

  TemporaryFolder dir_;
};

TEST_F(Parquet, MakesTheCacheOfTheSameText) {
  prepare(config("rows.csv"), dir_ / "csv");
  const Prepared p = prepare(config("rows.parquet"), dir_ / "parquet");
  EXPECT_EQ(p.train_rows, 300);
  EXPECT_EQ(read_file(train_file(dir_ / "csv")), read_file(train_file(dir_ / "parquet")));
  EXPECT_EQ(read_file(valid_file(dir_ / "csv")), read_file(valid_file(dir_ / "parquet")));
  EXPECT_EQ(read_file(dir_ / "csv/vocabulary.kdefvoc"), read_file(dir_ / "parquet/vocabulary.kdefvoc"));
  EXPECT_FALSE(prepare(config("rows.parquet"), dir_ / "parquet").made) << "the content of the file is known";
}

// Chunks end in the middle of row groups, pages and lists.
TEST_F(Parquet, ChunksOfAnySizeGiveTheSameRows) {
  prepare(config("rows.csv"), dir_ / "cache");
  const EncodedFile expected(train_file(dir_ / "cache"));
  const Encoder encoder = Encoder::load(dir_ / "cache");
  for (const int64_t size : {1, 2, 7, 109, 110, 111}) {
    const auto source = open_parquet(fixture("rows.parquet"));
    const RowSlots slots = encoder.select(*source, Targets::all);
    source->limit_rows(size);
    int64_t row = 0;
    Batch batch;
    for (Chunk chunk; source->read(chunk);) {
      source->parse(chunk);
      encoder.encode(chunk, slots, batch);
      for (int64_t i = 0; i < batch.rows; ++i, ++row) {
        ASSERT_EQ(chunk.line(i), row + 1);
        const int32_t* ids = batch.ids.data() + i * encoder.id_columns();
        ASSERT_TRUE(std::equal(ids, ids + encoder.id_columns(), expected.ids(row))) << size << " " << row;
        ASSERT_EQ(batch.labels[static_cast<size_t>(i)], expected.label(row));
      }
    }
    EXPECT_EQ(row, 300) << size;
    EXPECT_EQ(source->files().at(0).content, content_of(fixture("rows.parquet")));
  }
}

TEST_F(Parquet, ListsThatAreMissingOrEmpty) {
  const auto source = open_parquet(fixture("lists.parquet"));
  source->select({"list", "texts", "nothing"});
  source->limit_rows(2);
  std::vector<std::string> rows;
  for (Chunk chunk; source->read(chunk);) {
    source->parse(chunk);
    for (int64_t r = 0; r < chunk.rows(); ++r) {
      std::string text;
      for (const int64_t slot : {0, 1, 2}) {
        const TypedColumn& column = *chunk.typed_column(slot);
        for (int64_t i = column.begin(r); i < column.end(r); ++i) {
          Values::Scratch scratch;
          text += column.is_missing(i) ? "? " : std::string(column.cell(i, scratch)) + " ";
        }
        text += "| ";
      }
      rows.push_back(text);
    }
  }
  EXPECT_EQ(rows,
            (std::vector<std::string>{"1 2 | a | ? | ", "| b a | ? | ", "| | ? | ", "? 3 | | ? | ", "4 | ? | ? | "}));
}

TEST_F(Parquet, ColumnsThatAreNotRead) {
  const auto refused = [](const char* column, std::initializer_list<std::string> parts) {
    const auto source = open_parquet(fixture("lists.parquet"));
    expect_error<InputError>([&] { source->select({column}); }, parts);
  };
  refused("date", {"lists.parquet: column 'date' has the type Date; cast it to numbers or text, or leave it out"});
  refused("pair", {"column 'pair' has parts; write each of them as a column of its own"});
  refused("nested", {"column 'nested' has parts"});
  refused("map", {"column 'map' has parts"});
  refused("tag", {"no column 'tag'", "label, list, texts"});
}

TEST_F(Parquet, FilesWithoutRowsAndDamagedFiles) {
  const auto refused = [&](const std::string& path, std::initializer_list<std::string> parts) {
    DatasetConfig c;
    c.id = "set";
    c.train_data = path;
    c.fields = {field("a")};
    expect_error<InputError>([&] { prepare(c, dir_ / "cache"); }, parts);
  };
  refused(fixture("empty.parquet"), {"empty.parquet: no rows"});
  const std::string whole = read_file(fixture("rows.parquet"));
  refused(dir_.file("cut.parquet", whole.substr(0, whole.size() / 2)), {"cut.parquet: not a readable Parquet file"});
  std::string bytes = whole;
  for (size_t i = 40; i < bytes.size() / 2; ++i) bytes[i] = '\x55';
  DatasetConfig c = config("rows.parquet");
  c.train_data = dir_.file("damaged.parquet", bytes);
  expect_error<InputError>([&] { prepare(c, dir_ / "cache"); }, {"damaged.parquet: not a readable Parquet file"});
}

// 3.7 KB, a page of which says that it has gibibytes.
TEST_F(Parquet, PagesAreBounded) {
  const std::string path = KDEF_SOURCE_DIR "/fuzz/corpus/parquet/page_of_gibibytes";
  std::string refusals;
  for (const std::string& name : open_parquet(path)->columns()) {
    try {
      const auto source = open_parquet(path);
      source->select({name});
      for (Chunk chunk; source->read(chunk);) source->parse(chunk);
    } catch (const InputError& e) {
      refusals += e.what();
    }
  }
  EXPECT_NE(refusals.find("bytes; those of more than 256 MiB are not read; write it again"), std::string::npos)
      << refusals;
}

TEST(ParquetMissing, SaysTheWayOut) {
  if (reads_parquet()) GTEST_SKIP() << "this kdef is built with Arrow C++";
  expect_error<InputError>([] { open_rows(fixture("rows.parquet"), DatasetConfig()); },
                           {"rows.parquet: this is a Parquet file", "-DKDEF_PARQUET=ON", "to_csv"});
}

}  // namespace
}  // namespace kdef::data
