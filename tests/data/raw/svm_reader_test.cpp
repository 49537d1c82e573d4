#include "data/raw/svm_reader.h"

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "tests/data/compressed.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows cells_of(RowSource& source, const std::vector<std::string>& names, int64_t limit = 1 << 20) {
  source.select(names);
  source.limit_rows(limit);
  Rows rows;
  for (Chunk chunk; source.read(chunk);) {
    source.parse(chunk);
    for (int64_t r = 0; r < chunk.rows(); ++r) {
      rows.emplace_back();
      for (size_t c = 0; c < names.size(); ++c) rows.back().emplace_back(chunk.cell(r, static_cast<int64_t>(c)));
    }
  }
  return rows;
}

class SvmReaderTest : public ::testing::Test {
 protected:
  TemporaryFolder dir_;
};

TEST_F(SvmReaderTest, Libsvm) {
  const std::string text =
      "+1 qid:7 1:0.5 3:2 010:-1e3 # a comment: 5:6\r\n\n# only a comment\n-1 3:4\n0 qid:8\n1 2:1 2:9";
  for (const int64_t limit : {1, 2, 100}) {
    SvmReader reader(dir_.file("rows.svm", text), "label");
    EXPECT_EQ(cells_of(reader, {"label", "qid", "1", "2", "3", "10", "features", "99"}, limit),
              (Rows{{"+1", "7", "0.5", "", "2", "-1e3", "1^3^010", ""},
                    {"-1", "", "", "", "4", "", "3", ""},
                    {"0", "8", "", "", "", "", "", ""},
                    {"1", "", "", "9", "", "", "2^2", ""}}));
    EXPECT_EQ(reader.lines(), 6);
    EXPECT_EQ(reader.fraction(), 1);
  }
}

TEST_F(SvmReaderTest, Libffm) {
  SvmReader reader(dir_.file("rows.ffm", "1 0:5:1 1:12:1 1:15:0.5 2:7:3.25 1:18:1\n0 1:12:0.1 0:6:1\n"), "label");
  EXPECT_EQ(cells_of(reader, {"label", "0", "1", "2", "2:value", "1:value"}),
            (Rows{{"1", "5", "12^15^18", "7", "3.25", "1"}, {"0", "6", "12", "", "", "0.1"}}));
}

TEST_F(SvmReaderTest, IsKnownByItsFirstLine) {
  for (const char* text : {"1 1:2\n", "-1 0:1:1 1:2:1\n", "0 qid:3 1:2\n", "\n# c\n+1 5:1e-3", "1 1:0.5 2:3 1"}) {
    EXPECT_TRUE(is_svm_text(text)) << text;
  }
  for (const char* text : {"", "1\n", "label,a\n1,2\n", "1 a:2\n", "x 1:2\n", "1 1:2 b\n", "1 1:2:3:4\n", "1,1:2\n"}) {
    EXPECT_FALSE(is_svm_text(text)) << text;
  }
}

TEST_F(SvmReaderTest, PreparesAndNamesTheLineOfAnError) {
  FieldConfig tags = field("1", FieldType::sequence), number = field("2:value", FieldType::numeric, CellType::real);
  number.fill_na = "0";
  DatasetConfig c;
  c.id = "set";
  c.label = "click";
  c.label_threshold = 0;
  c.fields = {field("0"), tags, number};
  c.train_data = dir_.file("train", gzip("1 0:3:1 1:5:1 1:6:1 2:0:0.5\n-1 0:3:1 1:6:1\n-1 0:4:1 1:6:1 2:0:2\n"));
  const Prepared p = prepare(c, dir_ / "cache");
  EXPECT_EQ(p.train_rows, 3);
  EXPECT_EQ(p.train_positives, 1);
  const EncodedFile file(train_file(dir_ / "cache"));
  EXPECT_EQ((std::vector<int32_t>{file.ids(0), file.ids(0) + 3}), (std::vector<int32_t>{1, 2, 1}));
  EXPECT_EQ(file.numerics(0)[0], 0.5f);
  EXPECT_EQ(file.numerics(1)[0], 0.0f);
  const auto refused = [&](const std::string& text, std::initializer_list<std::string> parts) {
    c.train_data = dir_.file("bad.ffm", text);
    expect_error<InputError>([&] { prepare(c, dir_ / "bad"); }, parts);
  };
  refused("1 0:3:1\n1 0:3:1 1:x\n",
          {"bad.ffm:2: '1:x' is neither INDEX:VALUE (libsvm) nor FIELD:INDEX:VALUE (libffm)"});
  c.fields = {field("user")};
  refused("1 0:3:1\n", {"no column 'user'", "named by numbers"});
}

}  // namespace
}  // namespace kdef::data
