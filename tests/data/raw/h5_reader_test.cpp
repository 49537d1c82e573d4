#include "data/raw/h5_reader.h"

#include <filesystem>

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

// Bytes are changed, one after the other, all that are not 0 among them: the values come, or an InputError.
TEST(H5Reader, DamageIsFound) {
  const TemporaryFolder dir;
  const std::string good = read_file(fixture("table.h5"));
  const Rows rows = {{"7", "1.0 2.0"}, {"5", "3.0 4.0"}, {"9", "5.0 6.0"}};
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
