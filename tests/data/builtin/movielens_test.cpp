#include "data/builtin/movielens.h"

#include <zip.h>

#include <algorithm>
#include <sstream>

#include "data/encode/prepare.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

// A data set of the same form: 40 ratings of two users and four films, one in five of them a 3.
struct Files {
  std::string users = "1::F::1::10::48067\n2::M::56::16::70072\r\n";
  std::string movies =
      "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Am\xE9lie, 2 (Le) (2000)::Drama\n"
      "3::Metropolis (1926)::Sci-Fi\n4::X (1939)::A|B|C|D|E|F\n";
  std::string ratings = [] {
    std::ostringstream out;
    for (int i = 0; i < 40; ++i) out << 1 + i % 2 << "::" << 1 + i % 4 << "::" << 1 + i % 5 << "::97830" << i << "\n";
    return out.str();
  }();

  void write(const std::string& dir) const {
    std::filesystem::create_directories(dir);
    std::ofstream(dir + "/users.dat", std::ios::binary) << users;
    std::ofstream(dir + "/movies.dat", std::ios::binary) << movies;
    std::ofstream(dir + "/ratings.dat", std::ios::binary) << ratings;
  }
  void write_zip(const std::string& path) const {
    zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
    const std::pair<const char*, const std::string*> entries[] = {
        {"ml-1m/users.dat", &users}, {"ml-1m/movies.dat", &movies}, {"ml-1m/ratings.dat", &ratings}};
    for (const auto& [name, text] : entries) {
      ASSERT_GE(zip_file_add(archive, name, zip_source_buffer(archive, text->data(), text->size(), 0), 0), 0);
    }
    ASSERT_EQ(zip_close(archive), 0);
  }
};

std::vector<std::string> lines(const std::string& path) {
  std::istringstream in(read_file(path));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(MovieLens, FolderAndZipGiveTheSame) {
  TemporaryFolder dir;
  const Files files;
  files.write(dir / "folder");
  files.write(dir / "outer/ml-1m");
  files.write_zip(dir / "ml-1m.zip");
  for (const char* source : {"folder", "outer", "ml-1m.zip"}) EXPECT_TRUE(is_movielens(dir / source)) << source;
  EXPECT_FALSE(is_movielens(dir.path()));
  const MovieLensResult result = convert_movielens(dir / "folder", dir / "a", 5);
  convert_movielens(dir / "outer", dir / "b", 5);
  convert_movielens(dir / "ml-1m.zip", dir / "c", 5);
  // 32 of 40 ratings are not 3; floor(25.6), floor(3.2), rest.
  EXPECT_EQ(result.train_rows, 25);
  EXPECT_EQ(result.valid_rows, 3);
  EXPECT_EQ(result.test_rows, 4);
  std::vector<std::string> rows;
  for (const char* name : {"train.csv", "valid.csv", "test.csv"}) {
    EXPECT_EQ(read_file(dir / ("a/" + std::string(name))), read_file(dir / ("b/" + std::string(name))));
    EXPECT_EQ(read_file(dir / ("a/" + std::string(name))), read_file(dir / ("c/" + std::string(name))));
    const std::vector<std::string> some = lines(dir / ("a/" + std::string(name)));
    EXPECT_EQ(some[0], "Label,UserID,Gender,Age,Occupation,MovieID,Release,Genres");
    rows.insert(rows.end(), some.begin() + 1, some.end());
  }
  EXPECT_EQ(rows.size(), 32u);
  for (const char* row : {"0,1,F,1,10,1,1990,Animation^Children's^Comedy", "0,2,M,56,16,2,1990,Drama",
                          "1,2,M,56,16,4,1930,A^B^C^D^E^F", "1,1,F,1,10,3,1920,Sci-Fi"}) {
    EXPECT_NE(std::find(rows.begin(), rows.end(), row), rows.end()) << row;
  }
  const Prepared p = prepare(result.dataset, dir / "cache");
  EXPECT_EQ(p.map.fields[6].type, FieldType::sequence);
  EXPECT_EQ(p.map.fields[6].max_len, 5);
}

TEST(MovieLens, FilesOfAnotherForm) {
  TemporaryFolder dir;
  const auto convert = [&](const Files& files) {
    files.write(dir / "x");
    return [&dir] { convert_movielens(dir / "x", dir / "out"); };
  };
  Files files;
  files.ratings += "1::2::5\n";
  expect_error<InputError>(convert(files), {"ratings.dat:41", "3 cells", "4 are expected"});
  files = {};
  files.ratings += "1::2::good::3\n";
  expect_error<InputError>(convert(files), {"ratings.dat:41", "'good'"});
  files = {};
  files.ratings += "1::2::9::3\n";
  expect_error<InputError>(convert(files), {"ratings.dat:41", "between 1 and 5"});
  files = {};
  files.ratings += "3::2::5::3\n";
  expect_error<InputError>(convert(files), {"ratings.dat:41", "user '3'", "users.dat"});
  files = {};
  files.movies += "5::No year::Drama\n";
  expect_error<InputError>(convert(files), {"movies.dat:5", "year"});
  files = {};
  files.ratings = "";
  expect_error<InputError>(convert(files), {"ratings.dat", "only 0 ratings"});
  std::filesystem::remove(dir / "x/users.dat");
  expect_error<InputError>([&] { convert_movielens(dir / "x", dir / "out"); }, {"users.dat", "no such file"});
  expect_error<InputError>([&] { convert_movielens(dir.file("bad.zip", "PK no"), dir / "out"); }, {"bad.zip", "zip"});
  expect_error<InputError>([&] { convert_movielens(dir / "none", dir / "out"); }, {"none", "no such file or folder"});
}

// The central directory claims a size that the file has not; nothing of that size is reserved.
TEST(MovieLens, AnArchiveThatClaimsAnotherSize) {
  TemporaryFolder dir;
  Files().write_zip(dir / "ml-1m.zip");
  const std::string whole = read_file(dir / "ml-1m.zip");
  const size_t size = whole.find("PK\x01\x02") + 24;
  for (const char* claimed : {"\x10\0\0", "\xFF\xFF\x0F", "\xFF\xFF\x7F"}) {
    std::string bytes = whole;
    bytes.replace(size + 1, 3, claimed, 3);
    dir.file("ml-1m.zip", bytes);
    expect_error<InputError>([&] { convert_movielens(dir / "ml-1m.zip", dir / "out"); },
                             {"ml-1m.zip", "users.dat cannot be unpacked, or has more than 256 MiB"});
  }
}

}  // namespace
}  // namespace kdef::data
