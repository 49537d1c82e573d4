#include "data/encode/prepare.h"

#include <omp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "core/io/file_lock.h"
#include "data/encode/cache.h"
#include "data/encode/encoder.h"
#include "data/raw/csv_reader.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class Prepare : public ::testing::Test {
 protected:
  DatasetConfig config(const std::string& train, std::vector<FieldConfig> fields) {
    DatasetConfig c;
    c.id = "set";
    c.train_data = dir_.file("train.csv", train);
    c.fields = std::move(fields);
    return c;
  }
  std::string cache() const { return dir_ / "cache"; }
  // The ids and numbers of a row of an encoded file.
  static std::vector<int32_t> ids(const std::string& path, int64_t row) {
    const EncodedFile file(path);
    return {file.ids(row), file.ids(row) + file.id_columns()};
  }

  TemporaryFolder dir_;
};

TEST_F(Prepare, CategoriesByCountWithFillNa) {
  FieldConfig b = field("b");
  b.fill_na = "none";
  DatasetConfig c = config("label,a,b\n1,x,p\n0,y,p\n1,y,\n0,,none\n1,z,q\n", {field("a"), b});
  c.valid_data = dir_.file("valid.csv", "b,extra,a,label\nq,?,y,1\nnew,?,new,0.0\n");
  const Prepared p = prepare(c, cache());
  EXPECT_EQ(p.train_rows, 5);
  EXPECT_EQ(p.train_positives, 3);
  EXPECT_EQ(p.valid_rows, 2);
  EXPECT_EQ(p.valid_positives, 1);
  EXPECT_EQ(p.test_rows, 0);
  // a: y twice, then x and z; b: p twice, then q. '' and fill_na have no id of their own.
  EXPECT_EQ(p.map.fields[0].vocab_size, 5);
  EXPECT_EQ(p.map.fields[1].vocab_size, 4);
  const std::vector<std::vector<int32_t>> expected = {{2, 1}, {1, 1}, {1, 3}, {4, 3}, {3, 2}};
  for (int64_t r = 0; r < 5; ++r) EXPECT_EQ(ids(train_file(cache()), r), expected[static_cast<size_t>(r)]) << r;
  EXPECT_EQ(ids(valid_file(cache()), 0), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(ids(valid_file(cache()), 1), (std::vector<int32_t>{4, 3}));
  EXPECT_FALSE(std::filesystem::exists(test_file(cache())));
  const EncodedFile train(train_file(cache()));
  train.verify(p.map);
  EXPECT_EQ(train.label(0), 1);
  EXPECT_EQ(train.label(1), 0);
}

TEST_F(Prepare, MinimumCountsOfDataSetAndField) {
  FieldConfig b = field("b");
  b.min_categr_count = 1;
  DatasetConfig c = config("label,a,b\n1,x,x\n0,x,x\n1,y,y\n", {field("a"), b});
  c.min_categr_count = 2;
  const Prepared p = prepare(c, cache());
  EXPECT_EQ(p.map.fields[0].vocab_size, 3);
  EXPECT_EQ(p.map.fields[1].vocab_size, 4);
  EXPECT_EQ(ids(train_file(cache()), 2), (std::vector<int32_t>{2, 2}));
}

TEST_F(Prepare, SequencesArePaddedAndCut) {
  FieldConfig post = field("s", FieldType::sequence), pre = field("t", FieldType::sequence),
              free = field("u", FieldType::sequence);
  post.max_len = pre.max_len = 2;
  pre.padding = Padding::pre;
  DatasetConfig c = config("label,s,t,u\n1,a^b^c,a^b^c,a\n0,a,a,a^b^a^a\n1,,,\n0,^a,^a,b\n", {post, pre, free});
  const Prepared p = prepare(c, cache());
  // Ids: a 1, b 2, c 3 (tokens that are cut off are counted too).
  EXPECT_EQ(p.map.fields[0].vocab_size, 5);
  EXPECT_EQ(p.map.fields[2].max_len, 4);
  const std::vector<std::vector<int32_t>> expected = {
      {1, 2, 2, 3, 1, 0, 0, 0}, {1, 0, 0, 1, 1, 2, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 0, 1, 2, 0, 0, 0}};
  for (int64_t r = 0; r < 4; ++r) EXPECT_EQ(ids(train_file(cache()), r), expected[static_cast<size_t>(r)]) << r;
}

TEST_F(Prepare, NumericFieldsAndNormalizers) {
  FieldConfig raw = field("x", FieldType::numeric, CellType::real),
              standard = field("y", FieldType::numeric, CellType::real),
              range = field("z", FieldType::numeric, CellType::integer);
  raw.fill_na = "-1";
  standard.normalizer = Normalizer::standard;
  range.normalizer = Normalizer::min_max;
  DatasetConfig c = config("label,x,y,z\n1,0.5,1,10\n0,,2,20\n1,1e-3,3,30\n", {raw, standard, range});
  c.test_data = dir_.file("test.csv", "label,x,y,z\n0,4,2,50\n");
  prepare(c, cache());
  const EncodedFile train(train_file(cache())), test(test_file(cache()));
  EXPECT_EQ(train.numerics(0)[0], 0.5f);
  EXPECT_EQ(train.numerics(1)[0], -1.0f);
  EXPECT_NEAR(train.numerics(0)[1], -1.2247449f, 1e-6);  // population deviation sqrt(2/3), as scikit-learn's
  EXPECT_EQ(train.numerics(1)[1], 0.0f);
  EXPECT_EQ(train.numerics(1)[2], 0.5f);
  EXPECT_EQ(test.numerics(0)[2], 2.0f);
}

TEST_F(Prepare, SharedVocabulary) {
  FieldConfig history = field("history", FieldType::sequence);
  history.max_len = 3;
  history.share_embedding = "item";
  const DatasetConfig c = config("label,item,history\n1,a,b^b\n0,a,c^b\n1,b,a^d\n", {field("item"), history});
  const Prepared p = prepare(c, cache());
  // item: a 1, b 2; history adds c 3, d 4.
  EXPECT_EQ(p.map.fields[0].vocab_size, 6);
  EXPECT_EQ(p.map.fields[1].vocab_size, 6);
  EXPECT_EQ(p.map.fields[1].share_embedding, "item");
  EXPECT_EQ(ids(train_file(cache()), 1), (std::vector<int32_t>{1, 3, 2, 0}));
  EXPECT_EQ(ids(train_file(cache()), 2), (std::vector<int32_t>{2, 1, 4, 0}));
}

TEST_F(Prepare, OddBytesAreCategories) {
  const std::string odd("\xFF\0\xC0", 3);
  const DatasetConfig c = config("label,a\n1," + odd + "\n0," + odd + "\n1,x\n", {field("a")});
  EXPECT_EQ(prepare(c, cache()).map.fields[0].vocab_size, 4);
  EXPECT_EQ(ids(train_file(cache()), 1), (std::vector<int32_t>{1}));
}

TEST_F(Prepare, InactiveFieldsNeedNoColumn) {
  FieldConfig off = field("absent");
  off.active = false;
  EXPECT_EQ(prepare(config("label,a\n1,x\n", {field("a"), off}), cache()).map.fields.size(), 1u);
}

TEST_F(Prepare, BadInputIsNamedAndNothingIsLeft) {
  const FieldConfig number = field("n", FieldType::numeric, CellType::real);
  const auto run = [&](const std::string& text, std::vector<FieldConfig> fields) {
    return [this, c = config(text, std::move(fields))] { prepare(c, cache()); };
  };
  expect_error<InputError>(run("label,n\n1,1\n2,1\n", {number}), {"train.csv:3", "label", "'2'", "not 0 or 1"});
  expect_error<InputError>(run("label,n\n1,1\n0,abc\n", {number}),
                           {"train.csv:3", "column n", "'abc'", "not a number"});
  expect_error<InputError>(run("label,n\n1,1\n0,\n", {number}), {"train.csv:3", "column n", "fill_na"});
  expect_error<InputError>(run("label,n\n1,1\n0\n", {number}), {"train.csv:3", "1 cell", "2 are expected"});
  expect_error<InputError>(run("label,m\n1,1\n", {number}), {"train.csv", "no column 'n'", "label, m"});
  expect_error<InputError>(run("click,n\n1,1\n", {number}), {"no column 'label'", "click"});
  expect_error<InputError>(run("label,n\n", {number}), {"train.csv", "no rows"});
  expect_error<InputError>(run("", {number}), {"train.csv", "empty"});
  expect_error<InputError>(run("label,n\n1,1\n", {}), {"no active field"});
  expect_error<InputError>(run("label,n\n1,1\n", {number, number}), {"field n", "twice"});
  expect_error<InputError>(run("label,n\n1,1\n", {field("label")}), {"label is not a feature"});
  FieldConfig shared = field("n");
  shared.share_embedding = "later";
  expect_error<InputError>(run("label,n\n1,1\n", {shared}), {"share_embedding", "'later'", "earlier"});
  DatasetConfig missing = config("label,n\n1,1\n", {number});
  missing.test_data = dir_ / "none.csv";
  expect_error<InputError>([&] { prepare(missing, cache()); }, {"none.csv", "check the path"});
  DatasetConfig valid = config("label,n\n1,1\n", {number});
  valid.valid_data = dir_.file("valid.csv", "label,n\n1,1\n1,1,1\n");
  expect_error<InputError>([&] { prepare(valid, cache()); }, {"valid.csv:3", "3 cells"});

  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(cache())) left.insert(entry.path().filename());
  EXPECT_EQ(left, std::set<std::string>{".lock"});
  expect_error<InputError>([&] { open_prepared(cache()); }, {"no complete cache", "prepare"});
}

TEST_F(Prepare, FreshUntilSomethingThatMattersChanges) {
  DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  EXPECT_FALSE(is_fresh(c, cache()));
  prepare(c, cache());
  EXPECT_TRUE(is_fresh(c, cache()));
  EXPECT_EQ(open_prepared(cache()).train_rows, 2);

  DatasetConfig other = c;
  other.fields[0].where = "elsewhere:1:1";
  EXPECT_TRUE(is_fresh(other, cache()));
  other.min_categr_count = 2;
  EXPECT_FALSE(is_fresh(other, cache()));
  other = c;
  other.fields[0].fill_na = "x";
  EXPECT_FALSE(is_fresh(other, cache()));
  other = c;
  other.valid_data = c.train_data;
  EXPECT_FALSE(is_fresh(other, cache()));

  std::filesystem::resize_file(train_file(cache()), 90);
  EXPECT_FALSE(is_fresh(c, cache()));
  expect_error<InputError>([&] { open_prepared(cache()); }, {"train.kdefbin", "truncated"});
}

// A number that is none of a count's type is not converted, which would be undefined.
TEST_F(Prepare, ImpossibleNumbersOfAMarker) {
  const DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  const std::string marker = cache() + "/prepared.json";
  prepare(c, cache());
  const std::string whole = read_file(marker);
  for (const char* key : {"rows", "positives"}) {
    for (const char* bad : {"1e300", "-1e300", "0.5", "\"2\"", "null"}) {
      std::string text = whole;
      const std::string quoted = cat('"', key, "\": ");
      const size_t at = text.find(quoted) + quoted.size();
      text.replace(at, 1, bad);
      std::ofstream(marker) << text;
      expect_error<InputError>([&] { open_prepared(cache()); }, {"prepared.json", key, "no whole number"});
    }
  }
  for (const char* key : {"size", "modified", "changed", "inode"}) {
    const std::string quoted = cat('"', key, "\": ");
    const size_t at = whole.find(quoted) + quoted.size();
    std::string text = whole;
    text.replace(at, text.find_first_of(",\n", at) - at, "1e300");
    std::ofstream(marker) << text;
    EXPECT_FALSE(is_fresh(c, cache())) << key;
  }
}

// Size, times and inode say that a file is the same; otherwise its content decides.
TEST_F(Prepare, FreshIfTheContentIsThatOfBefore) {
  using namespace std::chrono_literals;
  DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  const std::string marker = cache() + "/prepared.json";
  std::this_thread::sleep_for(2100ms);  // from now on the times of train.csv tell its changes
  EXPECT_TRUE(prepare(c, cache()).made);
  const std::string first = read_file(marker);
  EXPECT_FALSE(prepare(c, cache()).made);
  EXPECT_EQ(read_file(marker), first);
  const auto time = std::filesystem::last_write_time(c.train_data);
  std::filesystem::last_write_time(c.train_data, time + 1ms);
  EXPECT_FALSE(prepare(c, cache()).made);
  EXPECT_NE(read_file(marker), first);  // the next call need not compare the content
  DatasetConfig copy = c;
  copy.train_data = dir_.file("copy.csv", read_file(c.train_data));
  EXPECT_FALSE(prepare(copy, cache()).made);
  // Other bytes of the same size under the old time: the time of change tells.
  EXPECT_FALSE(prepare(c, cache()).made);
  dir_.file("train.csv", "label,a\n1,x\n0,z\n");
  std::filesystem::last_write_time(c.train_data, time + 1ms);
  EXPECT_FALSE(is_fresh(c, cache()));
  EXPECT_TRUE(prepare(c, cache()).made);
}

// Two changes within one step of the file system's clock leave the same size, times and inode.
TEST_F(Prepare, AChangeInTheSameInstantIsSeen) {
  using namespace std::chrono_literals;
  const DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  const std::string marker = cache() + "/prepared.json";
  prepare(c, cache());
  for (int i = 0; i < 50; ++i) {
    dir_.file("train.csv", i % 2 ? "label,a\n1,x\n0,y\n" : "label,a\n1,x\n0,z\n");
    ASSERT_TRUE(prepare(c, cache()).made) << i;
  }
  const std::string unsettled = read_file(marker);
  std::this_thread::sleep_for(2100ms);
  EXPECT_FALSE(prepare(c, cache()).made);
  const std::string settled = read_file(marker);
  EXPECT_NE(settled, unsettled) << "the content need not be compared again";
  EXPECT_FALSE(prepare(c, cache()).made);
  EXPECT_EQ(read_file(marker), settled);
}

TEST_F(Prepare, AFreshCacheIsNotTouched) {
  DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  prepare(c, cache());
  std::map<std::string, std::filesystem::file_time_type> before, after;
  for (auto* times : {&before, &after}) {
    if (times == &after) prepare(c, cache());
    (*times)["."] = std::filesystem::last_write_time(cache());
    for (const auto& entry : std::filesystem::directory_iterator(cache()))
      (*times)[entry.path()] = entry.last_write_time();
  }
  EXPECT_EQ(before, after);
}

TEST_F(Prepare, FoldersAndPipes) {
  DatasetConfig c = config("label,a\n1,x\n0,y\n1,x\n", {field("a")});
  prepare(c, cache());
  const std::string rows = read_file(train_file(cache()));
  std::filesystem::create_directory(dir_ / "parts");
  dir_.file("parts/b.csv", "a,label\nx,1\n");
  dir_.file("parts/a.csv", "label,a\n1,x\n0,y\n");
  DatasetConfig folder = c;
  folder.train_data = dir_ / "parts";
  EXPECT_TRUE(prepare(folder, cache()).made);
  EXPECT_EQ(read_file(train_file(cache())), rows);
  EXPECT_FALSE(prepare(folder, cache()).made);
  DatasetConfig pattern = folder;
  pattern.train_data = dir_ / "parts/?.csv";
  EXPECT_FALSE(prepare(pattern, cache()).made) << "the same files";
  pattern.train_data = dir_ / "parts/b*";
  EXPECT_EQ(prepare(pattern, cache()).train_rows, 1);
  pattern.train_data = dir_ / "parts/c*";
  expect_error<InputError>([&] { prepare(pattern, cache()); }, {"no file matches this pattern"});
  EXPECT_TRUE(prepare(folder, cache()).made);
  dir_.file("parts/b.csv", "a,label\nz,1\n");
  EXPECT_TRUE(prepare(folder, cache()).made);
  DatasetConfig pipe = c;
  pipe.train_data = dir_ / "fifo";
  ASSERT_EQ(::mkfifo(pipe.train_data.c_str(), 0600), 0);
  for (int round = 0; round < 2; ++round) {  // its content is not known before it is read
    std::thread writer([&] { std::ofstream(pipe.train_data) << read_file(c.train_data); });
    EXPECT_TRUE(prepare(pipe, cache()).made);
    writer.join();
    EXPECT_EQ(read_file(train_file(cache())), rows);
  }
  pipe.fields = {field("a", FieldType::sequence)};
  std::thread writer([&] { std::ofstream(pipe.train_data) << read_file(c.train_data); });
  expect_error<InputError>([&] { prepare(pipe, cache()); }, {"fifo", "pipe", "column a", "max_len"});
  writer.join();
}

// Numbers of large size and small spread: right values are those of fp64.
TEST_F(Prepare, NumbersAreScaledInFp64) {
  FieldConfig ts = field("ts", FieldType::numeric, CellType::real),
              day = field("day", FieldType::numeric, CellType::real);
  ts.normalizer = Normalizer::standard;
  day.normalizer = Normalizer::min_max;
  std::string text = "label,ts,day\n";
  for (int i = 0; i < 5; ++i) text += "1," + std::to_string(1700000000 + i) + "," + std::to_string(20240101 + i) + "\n";
  DatasetConfig c = config(text, {ts, day});
  c.test_data = c.train_data;
  prepare(c, cache());
  for (const std::string& path : {train_file(cache()), test_file(cache())}) {
    const EncodedFile file(path);
    for (int i = 0; i < 5; ++i) {
      EXPECT_FLOAT_EQ(file.numerics(i)[0], static_cast<float>((i - 2) / std::sqrt(2.0)));
      EXPECT_FLOAT_EQ(file.numerics(i)[1], static_cast<float>(i / 4.0));
    }
  }
  c = config("label,ts,day\n1,1e200,1\n0,-1e200,2\n", {ts, day});
  expect_error<InputError>([&] { prepare(c, cache()); }, {"column ts", "-1e+200", "1e+200", "normalizer"});
  ts.normalizer = Normalizer::none;
  c = config("label,ts,day\n1,1,1\n0,1e39,2\n", {ts, day});
  expect_error<InputError>([&] { prepare(c, cache()); }, {"train.csv:3", "column ts", "1e+39", "fp32"});
}

TEST_F(Prepare, MissingValuesThatAreDeclared) {
  FieldConfig n = field("n", FieldType::numeric, CellType::real), s = field("s");
  n.fill_na = "0.5";
  DatasetConfig c = config("label,n,s\n1,-999,?\n0,,NULL\n1,2,?\n1,2,u\n", {n, s});
  c.na_values = {"-999", "?", "NULL"};
  EXPECT_EQ(prepare(c, cache()).map.fields[1].vocab_size, 3);
  const EncodedFile train(train_file(cache()));
  EXPECT_EQ(train.numerics(0)[0], 0.5f);
  EXPECT_EQ(train.numerics(1)[0], 0.5f);
  EXPECT_EQ(train.numerics(2)[0], 2);
  EXPECT_EQ(ids(train_file(cache()), 0), ids(train_file(cache()), 1));
  c.fields[1].na_values = {"?"};  // the column's list counts
  EXPECT_EQ(prepare(c, cache()).map.fields[1].vocab_size, 4);
  const Encoder encoder = Encoder::load(cache());
  EXPECT_EQ(encoder.config().fields[0].na_values, c.na_values);
}

TEST_F(Prepare, TestRowsWithoutLabels) {
  DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  c.test_data = dir_.file("test.csv", "a\nx\n");
  expect_error<InputError>([&] { prepare(c, cache()); },
                           {"test.csv", "the label column label is missing: leave test_data out and use kdef predict"});
  c = config("1,x\n0,y\n", {field("a")});
  c.columns = {"label", "a"};
  c.test_data = dir_.file("test.csv", "x\n");
  expect_error<InputError>([&] { prepare(c, cache()); }, {"the label column label is missing"});
}

TEST_F(Prepare, StrayQuotesAreTold) {
  DatasetConfig c = config("label,a\n1,\"x\n0,y\n1,\"z\n0,w\n", {field("a")});
  Prepared p = prepare(c, cache());
  EXPECT_EQ(p.train_rows, 2);
  ASSERT_EQ(p.warnings.size(), 1u);
  EXPECT_NE(p.warnings[0].find("train.csv:2"), std::string::npos);
  EXPECT_EQ(prepare(c, cache()).warnings, p.warnings);  // of a fresh cache, too
  c.quote = Quote::none;
  p = prepare(c, cache());
  EXPECT_EQ(p.train_rows, 4);
  EXPECT_TRUE(p.warnings.empty());
  Batch batch;
  const Encoder encoder = Encoder::load(cache());
  RawFile file(encoder, c.train_data, true);
  ASSERT_TRUE(file.next(batch));
  EXPECT_EQ(batch.rows, 4);
}

TEST_F(Prepare, AFailureKeepsTheOldCache) {
  DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  prepare(c, cache());
  const std::string before = read_file(train_file(cache()));
  DatasetConfig bad = config("label,a\n1,x\nmaybe,y\n", {field("a")});
  EXPECT_THROW(prepare(bad, cache()), InputError);
  EXPECT_EQ(read_file(train_file(cache())), before);
  EXPECT_EQ(open_prepared(cache()).train_rows, 2);
}

TEST_F(Prepare, CancelledByTheListener) {
  struct Cancelled {};
  const DatasetConfig c = config("label,a\n1,x\n", {field("a")});
  EXPECT_THROW(prepare(c, cache(), [](const Progress&) { throw Cancelled(); }), Cancelled);
  EXPECT_FALSE(is_fresh(c, cache()));
  double last = 0;
  prepare(c, cache(), [&](const Progress& p) { last = p.fraction; });
  EXPECT_EQ(last, 1.0);
}

std::string large_file(int64_t rows) {
  std::ostringstream out;
  out << "label,user,item,tags,price\n";
  for (int64_t i = 0; i < rows; ++i) {
    out << i % 3 % 2 << ",user" << i * 7919 % 5003 << "," << i * i % 997 << ",t" << i % 5 << "^t" << i % 11 << ","
        << (i % 100) / 8.0 << "\n";
  }
  return out.str();
}

std::vector<FieldConfig> large_fields() {
  FieldConfig tags = field("tags", FieldType::sequence), price = field("price", FieldType::numeric, CellType::real);
  price.normalizer = Normalizer::standard;
  return {field("user"), field("item", FieldType::categorical, CellType::integer), tags, price};
}

TEST_F(Prepare, TheSameBytesForAnyNumberOfThreads) {
  DatasetConfig c = config(large_file(60000), large_fields());
  c.test_data = c.train_data;
  ASSERT_GT(std::filesystem::file_size(c.train_data), 2 * CsvReader::kChunkBytes);
  // What a cache keeps of a file that has just been written depends on the clock.
  std::filesystem::last_write_time(c.train_data, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const int threads = omp_get_max_threads();
  for (int n : {1, 2, 3, 5}) {
    omp_set_num_threads(n);
    prepare(c, dir_ / ("cache" + std::to_string(n)));
  }
  omp_set_num_threads(threads);
  for (const char* name :
       {"train.kdefbin", "test.kdefbin", "vocabulary.kdefvoc", "kdef_feature_map.json", "prepared.json"}) {
    const std::string one = read_file(dir_ / ("cache1/" + std::string(name)));
    EXPECT_FALSE(one.empty());
    for (const char* other : {"cache2/", "cache3/", "cache5/"})
      EXPECT_EQ(read_file(dir_ / (other + std::string(name))), one) << other << name;
  }
  // Recorded from the first version, which counted cell by cell: ids must stay those of the runs that were trained.
  const std::string train = read_file(dir_ / "cache1/train.kdefbin");
  constexpr size_t kHeaderBytes = 128;
  EXPECT_EQ(crc32(train.data() + kHeaderBytes, train.size() - kHeaderBytes), 0xB9316062u);
  // The rows counted and those encoded by the finished vocabularies agree.
  EXPECT_EQ(read_file(dir_ / "cache1/train.kdefbin"), read_file(dir_ / "cache1/test.kdefbin"));
}

// Runs `fn` in a process of its own; its exit status. Threads of OpenMP do not survive a fork, so it uses one.
template <class Fn>
int in_child(Fn&& fn) {
  const pid_t child = ::fork();
  if (child == 0) {
    omp_set_num_threads(1);
    int status = 99;
    try {
      status = fn();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(Prepare, AFullDiskLeavesNoTemporaryFiles) {
  const DatasetConfig c = config(large_file(20000), large_fields());
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};  // writes beyond fail, as on a full disk
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      prepare(c, cache());
    } catch (const SystemError& e) {
      return std::string(e.what()).find(cache()) != std::string::npos ? 3 : 4;
    }
    return 0;
  });
  EXPECT_EQ(status, 3);
  for (const auto& entry : std::filesystem::directory_iterator(cache())) EXPECT_EQ(entry.path().filename(), ".lock");
  EXPECT_FALSE(is_fresh(c, cache()));
}

TEST_F(Prepare, AKilledPreparationIsNotFreshAndIsTidiedUp) {
  const DatasetConfig c = config(large_file(20000), large_fields());
  EXPECT_EQ(in_child([&] {
              prepare(c, cache(), [](const Progress& p) {
                if (p.stage == "writing train") ::_exit(7);  // no destructor runs
              });
              return 0;
            }),
            7);
  EXPECT_FALSE(is_fresh(c, cache()));
  prepare(c, cache());
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(cache())) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{".lock", "kdef_feature_map.json", "prepared.json", "train.kdefbin",
                                          "vocabulary.kdefvoc"}));
}

TEST_F(Prepare, AFeatureMapOfTheFormerNameIsReadAndReplaced) {
  const DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  const std::string map = cache() + "/kdef_feature_map.json", former = cache() + "/feature_map.json";
  const auto count = [&] { return std::filesystem::exists(map) + 2 * std::filesystem::exists(former); };
  prepare(c, cache());
  std::filesystem::rename(map, former);
  EXPECT_FALSE(prepare(c, cache()).made);
  EXPECT_EQ(count(), 2);
  DatasetConfig other = c;
  other.min_categr_count = 2;
  EXPECT_TRUE(prepare(other, cache()).made);
  EXPECT_EQ(count(), 1) << "the former one would be taken for FuxiCTR's";
  // FuxiCTR prepares its data in the same folder afterwards.
  dir_.file("cache/feature_map.json", R"({"dataset_id": "x", "features": [], "labels": ["label"]})");
  EXPECT_FALSE(prepare(other, cache()).made);
  EXPECT_TRUE(prepare(c, cache()).made);
  EXPECT_EQ(count(), 3);
}

TEST_F(Prepare, TwoAtOnce) {
  const DatasetConfig c = config(large_file(20000), large_fields());
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(::fork());
    if (children.back() == 0) {
      omp_set_num_threads(1);
      int status = 1;
      try {
        status = prepare(c, cache()).train_rows == 20000 ? 0 : 2;
      } catch (...) {
      }
      ::_exit(status);
    }
  }
  for (pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(is_fresh(c, cache()));
  EncodedFile(train_file(cache())).verify(open_prepared(cache()).map);
}

TEST_F(Prepare, WaitingForAnotherProcessIsToldAndCanBeStopped) {
  struct Stopped {};
  const DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  prepare(c, cache());
  std::optional<FileLock> other(cache() + "/.lock");
  int told = 0;
  const auto stop_at_the_second = [&](const Progress& p) {
    EXPECT_NE(p.stage.find("waiting for process " + std::to_string(::getpid())), std::string::npos) << p.stage;
    if (++told == 2) throw Stopped();
  };
  EXPECT_THROW(prepare(c, cache(), stop_at_the_second), Stopped);
  EXPECT_EQ(told, 2);
  // Goes on as soon as the other one is done.
  told = 0;
  EXPECT_EQ(prepare(c, cache(),
                    [&](const Progress&) {
                      ++told;
                      other.reset();
                    })
                .train_rows,
            2);
  EXPECT_EQ(told, 1);
}

TEST_F(Prepare, AnOpenCacheStaysAsItIsWhenItIsReplaced) {
  DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  c.valid_data = c.train_data;
  const PreparedData before = prepare_and_open(c, cache());
  EXPECT_EQ(before.summary.train_rows, 2);
  EXPECT_FALSE(before.test);
  const std::string vocabulary = read_file(cache() + "/vocabulary.kdefvoc");
  c = config("label,a\n1,z\n0,y\n1,y\n", {field("a")});
  c.valid_data = c.train_data;
  const PreparedData after = prepare_and_open(c, cache());
  EXPECT_EQ(after.train->rows(), 3);
  EXPECT_EQ(before.train->rows(), 2);
  EXPECT_EQ(before.valid->rows(), 2);
  EXPECT_EQ(before.vocabulary, vocabulary);
  EXPECT_NE(after.vocabulary, vocabulary);
  before.verify();
  after.verify();
}

TEST_F(Prepare, ADamagedVocabularyIsRefused) {
  const DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  prepare(c, cache());
  const std::string path = cache() + "/vocabulary.kdefvoc";
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] ^= 1;
  dir_.file("cache/vocabulary.kdefvoc", bytes);
  expect_error<InputError>([&] { prepare_and_open(c, cache()); }, {"vocabulary.kdefvoc", "damaged", "prepare"});
}

// A cache that the user may not write is used without a lock.
TEST_F(Prepare, ACacheInAFolderThatCannotBeWritten) {
  const DatasetConfig c = config("label,a\n1,x\n0,y\n", {field("a")});
  prepare(c, cache());
  std::filesystem::remove(cache() + "/.lock");
  std::filesystem::create_symlink(cache() + "/none/none", cache() + "/.lock");  // cannot be made, even by root
  EXPECT_EQ(prepare_and_open(c, cache()).train->rows(), 2);
  DatasetConfig other = c;
  other.min_categr_count = 2;
  expect_error<SystemError>([&] { prepare_and_open(other, cache()); }, {".lock", "cannot be locked"});
}

TEST_F(Prepare, AFolderThatCannotBeMade) {
  const DatasetConfig c = config("label,a\n1,x\n", {field("a")});
  expect_error<InputError>([&] { prepare(c, dir_ / "train.csv/cache"); },
                           {"train.csv: is a file", "train.csv/cache", "data_root"});
}

// The authors' configuration of Criteo, counted a second time in the plainest way.
TEST_F(Prepare, CriteoSample) {
  const std::string path = shared_data("criteo/criteo_10k.tsv");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  DatasetConfig c;
  c.id = "criteo";
  c.train_data = path;
  c.label = "Label";
  c.min_categr_count = 10;
  c.columns = {"Label"};
  for (int i = 1; i <= 39; ++i) {
    const bool number = i <= 13;
    FieldConfig f = field((number ? "I" : "C") + std::to_string(number ? i : i - 13));
    f.cell = number ? CellType::real : CellType::str;
    f.fill_na = number ? "0" : "";
    if (number) f.preprocess = Preprocess::convert_to_bucket;
    c.columns.push_back(f.name);
    c.fields.push_back(f);
  }
  const Prepared p = prepare(c, cache());

  std::vector<std::map<std::string, int>> counts(39);
  std::ifstream in(path);
  int64_t rows = 0, positives = 0;
  for (std::string line; std::getline(in, line); ++rows) {
    std::vector<std::string> cells(1);
    for (char ch : line) {
      if (ch == '\t') {
        cells.emplace_back();
      } else if (ch != '\r') {
        cells.back() += ch;
      }
    }
    ASSERT_EQ(cells.size(), 40u);
    positives += cells[0] == "1";
    for (size_t f = 0; f < 39; ++f) {
      std::string word = cells[f + 1];
      if (f < 13) {
        const double v = word.empty() ? 0 : std::stod(word);
        word = std::to_string(v > 2 ? static_cast<int>(std::floor(std::pow(std::log(v), 2))) : static_cast<int>(v));
        if (word == "0") continue;
      } else if (word.empty()) {
        continue;
      }
      ++counts[f][word];
    }
  }
  EXPECT_EQ(p.train_rows, rows);
  EXPECT_EQ(p.train_positives, positives);
  for (size_t f = 0; f < 39; ++f) {
    const auto kept =
        std::count_if(counts[f].begin(), counts[f].end(), [](const auto& word) { return word.second >= 10; });
    EXPECT_EQ(p.map.fields[f].vocab_size, kept + 2) << p.map.fields[f].name;
  }
}

TEST_F(Prepare, MovieLensHasThePublishedVocabularies) {
  const std::string folder = shared_data("ml-1m/");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  DatasetConfig c;
  c.id = "ml";
  c.label = "Label";
  c.train_data = folder + "train.csv";
  c.valid_data = folder + "valid.csv";
  c.test_data = folder + "test.csv";
  for (const char* name : {"UserID", "Gender", "Age", "Occupation", "MovieID", "Release", "Genres"})
    c.fields.push_back(field(name));
  c.fields.back().type = FieldType::sequence;
  c.fields.back().max_len = 5;
  const Prepared p = prepare(c, cache());
  EXPECT_EQ(p.train_rows, 591209);
  EXPECT_EQ(p.valid_rows, 73901);
  EXPECT_EQ(p.test_rows, 73902);
  // Of another split: a rare film may be missing from these training rows.
  const int64_t sizes[] = {6042, 4, 9, 23, 3643, 10, 20};
  for (size_t f = 0; f < 7; ++f) EXPECT_NEAR(p.map.fields[f].vocab_size, sizes[f], 40) << p.map.fields[f].name;
  EncodedFile(train_file(cache())).verify(p.map);
}

}  // namespace
}  // namespace kdef::data
