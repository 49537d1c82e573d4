#include "data/raw/npz_reader.h"

#include <cmath>
#include <limits>

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "tests/data/npz.h"
#include "tests/data/support.h"
#include "tests/data/typed_cells.h"

namespace kdef::data {
namespace {

TEST(NpzReader, EveryTypeOfElement) {
  const TemporaryFolder dir;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string text = bytes_of(std::vector<uint32_t>{'a', 0xE9, 0x20AC, 0x1F600, 'b', 0, 0, 0});
  const std::string path =
      write_npz(dir / "rows.npz", {{"bool", npy<char>("|b1", {1, 0})},
                                   {"i1", npy<int8_t>("|i1", {-1, 2})},
                                   {"i2", npy<int16_t>("<i2", {-300, 2})},
                                   {"i8", npy<int64_t>("<i8", {std::numeric_limits<int64_t>::min(), 2})},
                                   {"u1", npy<uint8_t>("|u1", {255, 2})},
                                   {"u4", npy<uint32_t>("<u4", {4294967295u, 2})},
                                   {"u8", npy<uint64_t>("<u8", {18446744073709551615u, 2})},
                                   {"f4", npy<float>("<f4", {0.1f, 2})},
                                   {"f8", npy<double>("<f8", {0.1, nan})},
                                   {"S", npy_bytes("|S3", "(2,)", std::string("abc\x64\0\0", 6))},
                                   {"U", npy_bytes("<U4", "(2,)", text)},
                                   {"list", npy<int32_t>("<i4", {1, 2, 3, 4, 5, 6}, 3)},
                                   {"one", npy<int32_t>("<i4", {7, 8}, 1)}});
  NpzReader reader(path);
  EXPECT_EQ(reader.columns().size(), 13u);
  EXPECT_EQ(cells_of(reader, {"bool", "i1", "i2", "i8", "u1", "u4", "u8", "f4", "f8", "S", "U", "list", "one"}),
            (Rows{{"1", "-1", "-300", "-9223372036854775808", "255", "4294967295", "18446744073709551615", "0.1", "0.1",
                   "abc", "a\u00E9\u20AC\U0001F600", "1 2 3", "7"},
                  {"0", "2", "2", "2", "2", "2", "2", "2.0", "?", "d", "b", "4 5 6", "8"}}));
  EXPECT_EQ(reader.lines(), 2);
  EXPECT_EQ(reader.fraction(), 1);
  EXPECT_EQ(reader.files().at(0).content, content_of(path));
}

TEST(NpzReader, NumbersOf16Bits) {
  const TemporaryFolder dir;
  const std::string path = write_npz(
      dir / "rows.npz", {{"f2", npy<uint16_t>("<f2", {0x3555, 0xC000, 0x0001, 0x03FF, 0x7BFF, 0x8000, 0x7E00})}});
  NpzReader reader(path);
  EXPECT_EQ(cells_of(reader, {"f2"}), (Rows{{"0.333251953125"},
                                            {"-2.0"},
                                            {"5.960464477539063e-08"},
                                            {"6.097555160522461e-05"},
                                            {"65504.0"},
                                            {"-0.0"},
                                            {"?"}}))
      << "the numbers that NumPy prints for these bits as float64";
}

TEST(NpzReader, AMissingColumnIsToldWithoutAdviceForText) {
  const TemporaryFolder dir;
  write_zip(dir / "rows.npz", {{"a.npy", npy<int32_t>("<i4", {1, 2})}});
  try {
    NpzReader(dir / "rows.npz").select({"columns"});
    ADD_FAILURE() << "accepted";
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()), (dir / "rows.npz") + ": no column 'columns'; the columns are a");
  }
}

TEST(NpzReader, WhatIsRefused) {
  const TemporaryFolder dir;
  const auto refused = [&](const Members& members, std::initializer_list<std::string> parts, const char* column = "a") {
    write_zip(dir / "rows.npz", members);
    expect_error<InputError>(
        [&] {
          NpzReader reader(dir / "rows.npz");
          cells_of(reader, {column});
        },
        parts);
  };
  const std::string good = npy<int32_t>("<i4", {1, 2});
  refused({{"a.txt", good}}, {"rows.npz: holds no arrays", "numpy.savez"});
  refused({{"a.npy", "text of some kind"}}, {"array 'a': is no NumPy array"});
  refused({{"a.npy", npy_bytes("|O", "(2,)", "12345678")}}, {"array 'a': holds elements of a type that is not read"});
  refused({{"a.npy", npy_bytes(">i4", "(2,)", "12345678")}}, {"holds elements of a type that is not read"});
  refused({{"a.npy", npy_bytes("<i4", "()", "1234")}}, {"has another shape"});
  refused({{"a.npy", npy_bytes("<i4", "(1, 1, 1)", "1234")}}, {"has another shape"});
  refused({{"a.npy", npy_bytes("<i4", "(1, 2)", "12345678", "True")}}, {"fortran_order"});
  refused({{"a.npy", npy_bytes("<i4", "(3,)", "12345678")}}, {"has 136 bytes, which are not those of its shape"});
  refused({{"a.npy", npy_bytes("<i4", "(9000000000000000000, 0)", "")}}, {"array 'a': has rows of no elements"});
  refused({{"a.npy", npy_bytes("<i4", "(9000000000000000000, 9)", "1234")}}, {"has an impossible shape"});
  refused({{"a.npy", npy_bytes("<i4", "(0, 100000000)", "")}}, {"a row has more than 64 MiB"});
  refused({{"a.npy", good}}, {"no column 'b'", "did you mean 'a'"}, "b");
  write_npz(dir / "rows.npz", {{"a", good}, {"b", npy<int32_t>("<i4", {1, 2, 3})}});
  NpzReader reader(dir / "rows.npz");
  expect_error<InputError>([&] { reader.select({"a", "b"}); }, {"array 'b' has 3 rows, 'a' has 2"});
  dir.file("not.npz", "PK\x03\x04 and more");
  expect_error<InputError>([&] { NpzReader(dir / "not.npz"); }, {"not.npz: not a readable .npz file"});
}

// Rows in typed columns and the same rows as text.
class TypedRows : public ::testing::Test {
 protected:
  static constexpr int kRows = 20000;  // several chunks

  void write(const std::string& name, int first, bool compressed) {
    std::string csv = "label,id,hash,word,price,tags,w,g\n";
    std::vector<float> labels, weights;
    std::vector<int64_t> ids, groups;
    std::vector<uint64_t> hashes;
    std::vector<double> prices;
    std::vector<int32_t> tags;
    std::string words;
    for (int i = first; i < first + kRows; ++i) {
      const int label = i % 3 == 0, id = i * i % 997 - 5;
      const uint64_t hash = static_cast<uint64_t>(i % 50) * 0x9E3779B97F4A7C15ull;
      const std::string word = "w" + std::to_string(i % 31);
      const double price = i % 7 == 0 ? std::numeric_limits<double>::quiet_NaN() : i % 90 / 4.0;
      labels.push_back(static_cast<float>(label));
      ids.push_back(id);
      hashes.push_back(hash);
      words += word + std::string(4 - word.size(), '\0');
      prices.push_back(price);
      tags.insert(tags.end(), {i % 5, i % 11});
      weights.push_back(static_cast<float>(i % 3));
      groups.push_back(i / 10);
      const auto text = [](auto number) { return std::to_string(number); };
      csv += text(label) + "," + text(id) + "," + text(hash) + "," + word + "," +
             (std::isnan(price) ? "" : text(price)) + "," + text(i % 5) + "^" + text(i % 11) + "," + text(i % 3) + "," +
             text(i / 10) + "\n";
    }
    dir_.file(name + ".csv", csv);
    write_npz(dir_ / (name + ".npz"),
              {{"label", npy("<f4", labels)},
               {"id", npy("<i8", ids)},
               {"hash", npy("<u8", hashes)},
               {"word", npy_bytes("|S4", "(" + std::to_string(kRows) + ",)", words)},
               {"price", npy("<f8", prices)},
               {"tags", npy("<i4", tags, 2)},
               {"w", npy("<f4", weights)},
               {"g", npy("<i8", groups)}},
              compressed);
  }

  // A data set of files that end in `format`.
  DatasetConfig config(const std::string& format) const {
    DatasetConfig c;
    c.id = "set";
    c.train_data = dir_ / ("train" + format);
    c.valid_data = dir_ / ("valid" + format);
    c.weight = "w";
    c.group = "g";
    c.fields = {field("id", FieldType::categorical, CellType::integer),
                field("hash"),
                field("word"),
                field("price", FieldType::numeric, CellType::real),
                field("tags", FieldType::sequence),
                field("price2")};
    c.fields[0].min_categr_count = 20;
    c.fields[3].fill_na = "1.5";
    c.fields[3].normalizer = Normalizer::standard;
    c.fields[4].fill_na = "3";
    c.fields[5].column = "price";
    c.fields[5].cell = CellType::real;
    c.fields[5].fill_na = "-1";
    c.fields[5].preprocess = Preprocess::convert_to_bucket;
    return c;
  }

  void expect_equal_caches(const std::string& a, const std::string& b) const {
    EXPECT_EQ(read_file(train_file(a)), read_file(train_file(b)));
    EXPECT_EQ(read_file(valid_file(a)), read_file(valid_file(b)));
    EXPECT_EQ(read_file(a + "/" + Encoder::kFileName), read_file(b + "/" + Encoder::kFileName));
  }

  TemporaryFolder dir_;
};

TEST_F(TypedRows, MakeTheCacheOfTheSameText) {
  write("train", 0, false);
  write("valid", 7, true);
  prepare(config(".csv"), dir_ / "csv");
  const Prepared p = prepare(config(".npz"), dir_ / "npz");
  EXPECT_EQ(p.train_rows, kRows);
  EXPECT_EQ(p.map.fields[4].max_len, 2);
  expect_equal_caches(dir_ / "csv", dir_ / "npz");
  EXPECT_FALSE(prepare(config(".npz"), dir_ / "npz").made) << "the content of an .npz file is known";
}

TEST_F(TypedRows, AreSplitAsTextIs) {
  write("train", 0, false);
  for (const char* by : {"", "price2"}) {
    DatasetConfig csv = config(".csv"), npz = config(".npz");
    for (DatasetConfig* c : {&csv, &npz}) {
      c->valid_data.clear();
      c->valid_size = 0.3;
      c->split_by = by == std::string() ? "" : "g";
      c->split_type = by == std::string() ? SplitType::random : SplitType::sequential;
    }
    prepare(csv, dir_ / "csv");
    prepare(npz, dir_ / "npz");
    expect_equal_caches(dir_ / "csv", dir_ / "npz");
  }
}

TEST_F(TypedRows, AreReadFromPartFilesWithTextBesideThem) {
  write("train", 0, false);
  write("valid", 7, false);
  std::filesystem::create_directory(dir_ / "parts");
  std::filesystem::copy(dir_ / "train.npz", dir_ / "parts/a.npz");
  std::filesystem::copy(dir_ / "valid.csv", dir_ / "parts/b.csv");
  std::filesystem::copy(dir_ / "valid.npz", dir_ / "parts/c.npz");
  std::filesystem::create_directory(dir_ / "texts");
  std::filesystem::copy(dir_ / "train.csv", dir_ / "texts/a.csv");
  std::filesystem::copy(dir_ / "valid.csv", dir_ / "texts/b.csv");
  std::filesystem::copy(dir_ / "valid.csv", dir_ / "texts/c.csv");
  DatasetConfig mixed = config(".csv"), text = config(".csv");
  mixed.train_data = dir_ / "parts/*";
  text.train_data = dir_ / "texts";
  EXPECT_EQ(prepare(mixed, dir_ / "mixed").train_rows, 3 * kRows);
  prepare(text, dir_ / "text");
  expect_equal_caches(dir_ / "mixed", dir_ / "text");
}

TEST_F(TypedRows, ErrorsNameTheRow) {
  const auto refused = [&](const Members& arrays, FieldConfig f, std::initializer_list<std::string> parts) {
    DatasetConfig c;
    c.id = "set";
    c.train_data = write_npz(dir_ / "rows.npz", arrays);
    c.fields = {std::move(f)};
    expect_error<InputError>([&] { prepare(c, dir_ / "cache"); }, parts);
  };
  const std::string labels = npy<float>("<f4", {1, 0}), numbers = npy<double>("<f8", {1, 2.5});
  const FieldConfig number = field("a", FieldType::numeric, CellType::real);
  refused({{"label", npy<float>("<f4", {1, 2})}, {"a", numbers}}, number,
          {"rows.npz:2: label column label: '2.0' is not 0 or 1"});
  refused({{"label", labels}, {"a", npy<double>("<f8", {1, INFINITY})}}, number,
          {"rows.npz:2: column a: 'inf' is not a number"});
  refused({{"label", labels}, {"a", npy<double>("<f8", {1, NAN})}}, number,
          {"rows.npz:2: column a: the cell is empty"});
  refused({{"label", labels}, {"a", numbers}}, field("a", FieldType::numeric, CellType::integer),
          {"rows.npz:2: column a: '2.5' is not an integer"});
  refused({{"label", labels}, {"a", npy<int32_t>("<i4", {1, 2, 3, 4}, 2)}}, field("a"),
          {"rows.npz: column a holds lists; set its type to sequence"});
}

}  // namespace
}  // namespace kdef::data
