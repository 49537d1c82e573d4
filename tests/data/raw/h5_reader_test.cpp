#include "data/raw/h5_reader.h"

#include <cstring>
#include <filesystem>
#include <utility>

#include "data/encode/pretrained.h"
#include "tests/data/support.h"
#include "tests/data/typed_cells.h"

namespace kdef::data {
namespace {

std::string fixture(const std::string& name) { return std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/h5/" + name; }

TEST(H5Reader, EveryTypeOfElement) {
  H5Reader reader(fixture("types.h5"));
  EXPECT_EQ(reader.columns().size(), 20u);
  EXPECT_FALSE(reader.has_column("group"));
  const std::vector<std::string> names = {"i1", "i2", "i4", "i8",   "u1",   "u2",      "u4",
                                          "u8", "f4", "f8", "text", "list", "compact", "any_length"};
  EXPECT_EQ(cells_of(reader, names),
            (Rows{{"-1", "-1", "-1", "-1", "255", "65535", "4294967295", "18446744073709551615", "0.1", "0.1", "abc",
                   "1 2 3", "7", "abc"},
                  {"2", "2", "2", "2", "2", "2", "2", "2", "2.0", "?", "d", "4 5 6", "8", "d"}}));
  EXPECT_EQ(reader.lines(), 2);
  EXPECT_EQ(reader.files().at(0).content, content_of(fixture("types.h5")));
}

TEST(H5Reader, ItsFirstBytesTellTheFormat) {
  const TemporaryFolder dir;
  const std::string path = dir.file("vectors", read_file(fixture("table.h5")));
  EXPECT_EQ(cells_of(*open_rows(path, DatasetConfig()), {"key", "value"}),
            (Rows{{"7", "1.0 2.0"}, {"5", "3.0 4.0"}, {"9", "5.0 6.0"}}));
}

TEST(H5Reader, WhatIsRefused) {
  const auto refused = [](const char* name, const char* why) {
    H5Reader reader(fixture("types.h5"));
    expect_error<InputError>([&] { reader.select({name}); },
                             {"types.h5: array '", name, why, "; convert it to .npz in Python: with h5py.File"});
  };
  refused("half", "holds elements of a type that is not read");
  refused("other_order", "holds elements of a type that is not read");
  refused("one", "has another shape");
  refused("cube", "has another shape");
  refused("chunks", "is stored in chunks or compressed");
  H5Reader reader(fixture("types.h5"));
  expect_error<InputError>([&] { reader.select({"i1", "three"}); }, {"array 'three' has 3 rows, 'i1' has 2"});
  expect_error<InputError>([&] { reader.select({"none"}); }, {"no column 'none'"});
  expect_error<InputError>([] { H5Reader(fixture("newer.h5")); },
                           {"newer.h5: is of a form of HDF5 that is not read", "numpy.savez"});
}

// Groups and soft links are no columns, and harm none. Object headers are of both versions.
TEST(H5Reader, LinksAndGroupsAreLeftOut) {
  H5Reader reader(fixture("links.h5"));
  EXPECT_EQ(reader.columns(), (std::vector<std::string>{"hard", "key", "pairs", "second", "words"}));
  EXPECT_EQ(cells_of(reader, {"hard", "key", "second"}),
            (Rows{{"7", "7", "1.0"}, {"5", "5", "2.0"}, {"9", "9", "3.0"}}));
  H5Reader lists(fixture("links.h5"));
  EXPECT_EQ(cells_of(lists, {"pairs"}), (Rows{{"a bc"}, {"def"}}));
}

// Changes of a good file.
class PatchedH5 {
 public:
  explicit PatchedH5(std::string bytes) : bytes_(std::move(bytes)) {}
  size_t end() const { return bytes_.size(); }
  size_t find(const std::string& what) const { return bytes_.find(what); }
  void append(const std::string& bytes) { bytes_ += bytes; }
  template <class T>
  void put(size_t at, T number) {
    ASSERT_LE(at + sizeof(T), bytes_.size());
    std::memcpy(bytes_.data() + at, &number, sizeof(T));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

template <class... Numbers>
std::string numbers(Numbers... each) {
  return (std::string() + ... + std::string(reinterpret_cast<const char*>(&each), sizeof(each)));
}

// A dataset of 100 texts, of which `long_ones` are one text of 6 MiB.
Rows with_long_texts(const TemporaryFolder& dir, size_t long_ones) {
  constexpr uint32_t kLong = 6 << 20;
  PatchedH5 file(read_file(fixture("links.h5")));
  const uint64_t heap = file.end(), first = file.find(numbers(uint32_t{5}, uint64_t{file.find("GCOL")}));
  file.append("GCOL" + numbers(uint32_t{1}, uint64_t{kLong + 32}, uint64_t{1}, uint64_t{kLong}) +
              std::string(kLong, 'x'));
  for (size_t i = 0; i < long_ones; ++i) {
    file.put(first + 16 * i, kLong);
    file.put(first + 16 * i + 4, heap);
    file.put(first + 16 * i + 12, uint32_t{1});
  }
  H5Reader reader(dir.file("long.h5", file.bytes()));
  return cells_of(reader, {"words"});
}

TEST(H5Reader, OneLongTextAmongShortOnes) {
  const TemporaryFolder dir;
  const Rows rows = with_long_texts(dir, 1);
  ASSERT_EQ(rows.size(), 100u);
  EXPECT_EQ(rows[0][0].size(), size_t{6} << 20);
  for (size_t i = 1; i < rows.size(); ++i) EXPECT_EQ(rows[i][0], "w" + std::to_string((i - 1) % 7));
}

// A small file that says the same text or name many times does not fill the memory.
TEST(H5Reader, TextsAreBoundedByTheSizeOfTheFile) {
  const TemporaryFolder dir;
  expect_error<InputError>([&] { with_long_texts(dir, 80); }, {"long.h5: is damaged"});
}

TEST(H5Reader, NamesAreBounded) {
  const TemporaryFolder dir;
  const auto with_names = [&](size_t length, uint16_t entries) {
    PatchedH5 file(read_file(fixture("table.h5")));
    const size_t heap = file.find("HEAP"), symbols = file.find("SNOD"), end = file.end();
    file.put(heap + 8, uint64_t{length + 1});
    file.put(heap + 24, uint64_t{end});
    file.put(file.find("TREE") + 32, uint64_t{end + length + 1});
    file.append(std::string(length, 'n') + '\0' + "SNOD" + numbers(uint16_t{1}, entries));
    for (size_t i = 0; i < entries; ++i) {
      file.append(std::string(8, '\0') + file.bytes().substr(symbols + 16, 32));
    }
    return H5Reader(dir.file("names.h5", file.bytes())).columns();
  };
  EXPECT_EQ(with_names(4000, 1), std::vector<std::string>{std::string(4000, 'n')});
  expect_error<InputError>([&] { with_names(5000, 1); }, {"names.h5: is damaged"});
  expect_error<InputError>([&] { with_names(4000, 2000); }, {"names.h5: is damaged"});
}

// Bytes are changed, one after the other, all that are not 0 among them. Nothing in the format tells a changed value
// from a good one, so this looks for crashes alone: values come, or an InputError.
TEST(H5Reader, DamageIsFound) {
  const TemporaryFolder dir;
  const std::string good = read_file(fixture("table.h5"));
  int refused = 0;
  for (size_t at = 0; at < good.size(); at += good[at] == 0 ? 9 : 1) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    try {
      H5Reader reader(dir.file("table.h5", bytes));
      cells_of(reader, {"key", "value"});
    } catch (const InputError&) {
      ++refused;
    }
  }
  EXPECT_GE(refused, 50);
  for (const size_t size : {0u, 79u, 200u, 900u, 2050u}) {
    expect_error<InputError>(
        [&] {
          H5Reader reader(dir.file("table.h5", good.substr(0, size)));
          cells_of(reader, {"key", "value"});
        },
        {"table.h5"});
  }
}

}  // namespace
}  // namespace kdef::data
