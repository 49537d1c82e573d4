// A preparation by the members of a group: the bytes of the cache are those of one process.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>

#include "core/base/first_member.h"
#include "data/encode/prepare.h"
#include "data/raw/part_files.h"
#include "tests/data/support.h"
#include "tests/support/thread_group.h"

namespace kdef::data {
namespace {

class Members : public ::testing::Test {
 protected:
  // Training rows in `parts` files of about `rows` rows each, and validation rows in two. Counts of words are equal
  // often, the words of the parts overlap, and the columns of the files have different orders.
  void write_files(int parts, int rows) {
    std::filesystem::remove_all(dir_ / "train");
    std::filesystem::create_directories(dir_ / "train");
    std::filesystem::create_directories(dir_ / "valid");
    uint32_t state = 1;
    const auto draw = [&](uint32_t below) { return (state = state * 1664525 + 1013904223) / 65536 % below; };
    const auto text = [&](int count, bool swapped) {
      std::string all = swapped ? "age,label,user,words,place,weight\n" : "label,user,words,place,weight,age\n";
      for (int i = 0; i < count; ++i) {
        const std::string label = std::to_string(draw(2)), user = "u" + std::to_string(draw(900)),
                          place = std::to_string(draw(40)), weight = std::to_string(1 + draw(3));
        std::string words = "w" + std::to_string(draw(50));
        for (uint32_t n = draw(4); n > 0; --n) words += "^w" + std::to_string(draw(50));
        const std::string age = draw(9) == 0 ? "" : std::to_string(draw(1000000) * 1e-5);
        const std::string middle = user + "," + words + "," + place + "," + weight;
        all += swapped ? age + "," + label + "," + middle + "\n" : label + "," + middle + "," + age + "\n";
      }
      return all;
    };
    for (int p = 0; p < parts; ++p) {
      std::string name = "train/part-";
      name += static_cast<char>('a' + p);
      dir_.file(name + ".csv", text(rows + 7 * p, p % 2 == 1));
    }
    dir_.file("train/part-b0.csv", "");
    // Parts without a row that have bytes: they would be the only files of a member, if these counted.
    dir_.file("train/part-z0.csv", std::string(2000, '\n'));
    dir_.file("train/part-z1.csv.gz", std::string("\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", 20));
    dir_.file("valid/a.csv", text(61, false));
    dir_.file("valid/b.csv", text(40, true));
  }

  DatasetConfig config() const {
    DatasetConfig c;
    c.id = "set";
    c.train_data = dir_ / "train";
    c.valid_data = dir_ / "valid/*.csv";
    c.weight = "weight";
    FieldConfig words = field("words", FieldType::sequence), place = field("place");
    place.remap = false;
    FieldConfig age = field("age", FieldType::numeric, CellType::real), scaled = age, plain = age;
    age.normalizer = Normalizer::standard;
    age.fill_na = "0";
    scaled.name = "scaled";
    scaled.column = "age";
    scaled.normalizer = Normalizer::min_max;
    scaled.fill_na = "7";
    plain.name = "plain";
    plain.column = "age";
    plain.fill_na = "1";
    FieldConfig twin = field("twin");
    twin.column = "user";
    twin.share_embedding = "user";
    twin.min_categr_count = 3;
    c.fields = {field("user"), words, place, age, scaled, plain, twin};
    c.min_categr_count = 2;
    return c;
  }

  std::string cache(const std::string& name) const { return dir_ / name; }
  static std::map<std::string, std::string> files(const std::string& folder) {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      all[entry.path().filename().string()] = read_file(entry.path().string());
    all.erase(".lock");
    return all;
  }

  // Waits until a later change of the files must be seen by their times, which a cache keeps.
  void settle() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
      if (entry.is_regular_file())
        std::filesystem::last_write_time(entry.path(),
                                         std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    }
  }

  TemporaryFolder dir_;
};

TEST_F(Members, FilesAreDividedByTheirBytes) {
  using Range = std::pair<size_t, size_t>;
  const std::vector<int64_t> sizes = {0, 30, 10, 10, 0, 10, 20, 20, 0};
  EXPECT_EQ(files_of_member(sizes, 0, 1), Range(0, 9));
  EXPECT_EQ(files_of_member(sizes, 0, 2), Range(0, 5));
  EXPECT_EQ(files_of_member(sizes, 1, 2), Range(5, 9));
  for (const int members : {1, 2, 3, 4, 9, 20}) {
    size_t end = 0;
    for (int r = 0; r < members; ++r) {
      const Range files = files_of_member(sizes, r, members);
      EXPECT_TRUE(r > 0 || files.second > 0u);
      EXPECT_EQ(files.first, end);
      end = files.second;
      int64_t bytes = 0;
      for (size_t i = files.first; i < files.second; ++i) bytes += sizes[i];
      EXPECT_TRUE(files.first == files.second || bytes > 0) << "a member that has only files without a byte";
    }
    EXPECT_EQ(end, sizes.size());
  }
  EXPECT_EQ(files_of_member({5}, 0, 3), Range(0, 1));
  EXPECT_EQ(files_of_member({5}, 2, 3), Range(1, 1));
  EXPECT_EQ(files_of_member({0, 0}, 0, 3), Range(0, 2));
}

TEST_F(Members, MakeTheBytesThatOneMakes) {
  for (const auto& [parts, rows] : {std::pair(5, 900), std::pair(1, 50)}) {
    write_files(parts, rows);
    settle();
    const Prepared alone = prepare(config(), cache("alone"));
    EXPECT_TRUE(alone.made);
    const auto wanted = files(cache("alone"));
    EXPECT_EQ(wanted.size(), 5u);
    for (const int members : {1, 2, 3, 4, 7}) {
      std::filesystem::remove_all(cache("together"));
      test::ThreadGroup(members).run([&](Group&) {
        const Prepared prepared = prepare(config(), cache("together"));
        EXPECT_TRUE(prepared.made);
        EXPECT_EQ(prepared.train_rows, alone.train_rows);
        EXPECT_EQ(prepared.train_positives, alone.train_positives);
        EXPECT_EQ(prepared.seen, alone.seen);
        EXPECT_FALSE(prepare(config(), cache("together")).made) << "it is up to date";
      });
      for (const auto& [name, bytes] : files(cache("together")))
        EXPECT_TRUE(wanted.at(name) == bytes) << name << ", " << members << " members, " << parts << " parts";
      EXPECT_EQ(files(cache("together")).size(), wanted.size());
    }
    std::filesystem::remove_all(cache("alone"));
  }
}

// What is not divided is left to the first member.
TEST_F(Members, SplitsAndGroupsAreLeftToTheFirst) {
  write_files(3, 200);
  settle();
  DatasetConfig split = config(), groups = config();
  split.valid_data = "";
  split.valid_size = 0.2;
  split.split_type = SplitType::random;
  groups.group = "user";
  for (const DatasetConfig& c : {split, groups}) {
    prepare(c, cache("alone"));
    test::ThreadGroup(3).run([&](Group&) { EXPECT_TRUE(prepare(c, cache("together")).made); });
    EXPECT_EQ(files(cache("together")), files(cache("alone")));
    std::filesystem::remove_all(cache("alone"));
    std::filesystem::remove_all(cache("together"));
  }
}

TEST_F(Members, ABadRowOfOneIsItsErrorAndEndsAll) {
  write_files(4, 300);
  for (const char* name : {"train/part-b.csv", "train/part-d.csv"})
    dir_.file(name, read_file(dir_ / name) + "x1,1,u,w,1,1\n");
  std::atomic<int> told = 0, others = 0;
  test::ThreadGroup(4).run([&](Group&) {
    try {
      prepare(config(), cache("cache"));
    } catch (const InputError& e) {
      ++told;
      EXPECT_NE(std::string(e.what()).find("part-b.csv:309: column age: 'x1'"), std::string::npos) << e.what();
    } catch (const OtherMemberFailed&) {
      ++others;
    }
  });
  EXPECT_EQ(told, 1);
  EXPECT_EQ(others, 3);
  EXPECT_TRUE(files(cache("cache")).empty()) << "nothing is half written";
}

TEST_F(Members, NoRowsAtAllIsAnErrorOfAll) {
  write_files(2, 20);
  for (const char* name : {"train/part-a.csv", "train/part-b.csv"})
    dir_.file(name, "label,user,words,place,weight,age\n");
  test::ThreadGroup(3).run([&](Group& group) {
    const auto work = [&] { prepare(config(), cache("cache")); };
    if (group.is_first())
      expect_error<InputError>(work, {"train", "no rows"});
    else
      EXPECT_THROW(work(), OtherMemberFailed);
  });
}

TEST_F(Members, OtherSettingsAndOtherFilesAreRefused) {
  write_files(2, 20);
  test::ThreadGroup(3).run([&](Group& group) {
    DatasetConfig mine = config();
    if (group.rank() == 2) mine.min_categr_count = 5;
    const auto work = [&] { prepare(mine, cache("cache")); };
    if (group.is_first())
      expect_error<InputError>(work, {"processes 0 and 2", "different settings of data set set"});
    else
      EXPECT_THROW(work(), OtherMemberFailed);
  });
  std::filesystem::create_directories(dir_ / "other");
  dir_.file("other/part-a.csv", "label,user,words,place,weight,age\n1,u,w,1,1,1\n");
  test::ThreadGroup(2).run([&](Group& group) {
    DatasetConfig mine = config();
    if (group.rank() == 1) mine.train_data = dir_ / "other";
    const auto work = [&] { prepare(mine, cache("cache")); };
    if (group.is_first())
      expect_error<InputError>(work, {"processes 0 and 1", "find different files of rows", "part-a.csv"});
    else
      EXPECT_THROW(work(), OtherMemberFailed);
  });
  EXPECT_TRUE(files(cache("cache")).empty());
}

}  // namespace
}  // namespace kdef::data
