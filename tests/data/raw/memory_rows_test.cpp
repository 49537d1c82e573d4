#include "data/raw/memory_rows.h"

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class MemoryRowsTest : public ::testing::Test {
 protected:
  MemoryRowsTest() {
    FieldConfig tags = field("tags", FieldType::sequence), price = field("price", FieldType::numeric, CellType::real);
    tags.max_len = 2;
    price.normalizer = Normalizer::min_max;
    DatasetConfig config;
    config.id = "set";
    config.weight = "w";
    config.fields = {field("item"), tags, price};
    std::string text = "label,item,note,tags,price,w\n";
    for (int i = 0; i < kRows; ++i) {
      const std::vector<std::string> row = {std::to_string(i % 2),
                                            "item" + std::to_string(i % 77),
                                            "?",
                                            "t" + std::to_string(i % 5) + "^t" + std::to_string(i % 3),
                                            std::to_string(i % 9) + ".5",
                                            "2"};
      for (const std::string& cell : row) {
        text += (&cell == &row[0] ? "" : ",") + cell;
        texts_.push_back(cell);
      }
      text += "\n";
    }
    cells_.assign(texts_.begin(), texts_.end());
    config.train_data = dir_.file("train.csv", text);
    prepare(config, dir_ / "cache");
  }
  static std::vector<std::string> columns() { return {"label", "item", "note", "tags", "price", "w"}; }

  static constexpr int kRows = 10000;  // several chunks
  TemporaryFolder dir_;
  std::vector<std::string> texts_;
  std::vector<std::string_view> cells_;
};

TEST_F(MemoryRowsTest, TheSameIdsAndNumbersAsFromAFile) {
  const Encoder encoder = Encoder::load(dir_ / "cache");
  RawFile file(encoder, dir_ / "train.csv", true),
      memory(encoder, std::make_unique<MemoryRows>(columns(), cells_), true);
  Batch a, b;
  int64_t rows = 0;
  while (file.next(a, 1000)) {
    ASSERT_TRUE(memory.next(b, a.rows));
    while (b.rows < a.rows) {  // chunks end at other rows
      Batch more;
      ASSERT_TRUE(memory.next(more, a.rows - b.rows));
      b.rows += more.rows;
      b.ids.insert(b.ids.end(), more.ids.begin(), more.ids.end());
      b.numerics.insert(b.numerics.end(), more.numerics.begin(), more.numerics.end());
      b.labels.insert(b.labels.end(), more.labels.begin(), more.labels.end());
      b.weights.insert(b.weights.end(), more.weights.begin(), more.weights.end());
    }
    rows += a.rows;
    ASSERT_EQ(b.ids, a.ids);
    ASSERT_EQ(b.numerics, a.numerics);
    ASSERT_EQ(b.labels, a.labels);
    ASSERT_EQ(b.weights, a.weights);
  }
  EXPECT_EQ(rows, kRows);
  EXPECT_FALSE(memory.next(b));
}

TEST_F(MemoryRowsTest, OneRowInAnotherOrderWithoutALabel) {
  const Encoder encoder = Encoder::load(dir_ / "cache");
  const std::vector<std::string_view> cells = {"8.5", "t0^t1^t2", "item0"};
  RawFile row(encoder, std::make_unique<MemoryRows>(std::vector<std::string>{"price", "tags", "item"}, cells), false);
  Batch batch;
  ASSERT_TRUE(row.next(batch));
  EXPECT_EQ(batch.rows, 1);
  EXPECT_EQ(batch.numerics, (std::vector<float>{1}));
  EXPECT_GT(batch.ids[0], 0);
  EXPECT_TRUE(batch.labels.empty());
  EXPECT_FALSE(row.next(batch));
}

TEST_F(MemoryRowsTest, MistakesAreNamed) {
  const Encoder encoder = Encoder::load(dir_ / "cache");
  const auto score = [&](std::vector<std::string> names, std::vector<std::string_view> cells) {
    return [&encoder, names, cells] {
      Batch batch;
      RawFile(encoder, std::make_unique<MemoryRows>(names, cells, "request 7"), false).next(batch);
    };
  };
  expect_error<InputError>(score({"item", "tags"}, {"a", "b"}), {"request 7", "no column 'price'"});
  expect_error<InputError>(score({"item", "tags", "price"}, {"a", "b", "1", "a", "b", "much"}),
                           {"request 7:2", "column price", "'much'"});
  expect_error<InputError>(score({"item", "tags", "price"}, {"a", "b"}), {"request 7", "2 cells", "3 columns"});
  expect_error<InputError>(score({"item", "item"}, {}), {"request 7", "two columns", "'item'"});
  expect_error<InputError>(score({}, {}), {"request 7", "0 columns"});
}

}  // namespace
}  // namespace kdef::data
