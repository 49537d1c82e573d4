// What else a user, a disk or another program may hand over: checkpoints that do not fit, numbers that no memory can
// hold, YAML that refers to itself, places that are no files. Each is refused with its place and a remedy, and leaves
// what was there as it was.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::HasSubstr;

class BadInput : public RunTest {
 protected:
  // Expects the command to be refused with all of the words, and to leave the folder as it was, the cache aside.
  void refused(const std::string& arguments, const std::vector<std::string>& words, int status = 2) {
    const std::vector<std::string> before = files();
    const Outcome outcome = kdef(arguments);
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.text;
    for (const std::string& word : words) EXPECT_THAT(outcome.text, HasSubstr(word)) << arguments;
    EXPECT_EQ(files(), before) << arguments;
  }
  void train_refused(const std::string& more, const std::vector<std::string>& words, int status = 2) {
    refused(train_command("--run " + path("refused") + " " + more), words, status);
  }
  std::string predict(const std::string& data, const std::string& out) const {
    return "predict --run " + path("run") + " --data " + data + " --out " + out;
  }

 private:
  std::vector<std::string> files() const {
    std::vector<std::string> names = listing(folder_.string());
    std::erase_if(names, [&](const std::string& name) { return name.rfind(path("cache"), 0) == 0; });
    return names;
  }
};

TEST_F(BadInput, CheckpointsThatDoNotFit) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  ASSERT_EQ(train("'hidden_units=[8, 4]' --run " + path("other")).status, 0);
  const std::string checkpoint = path("run/checkpoint/state.safetensors"), whole = read_file(checkpoint);
  const std::string model = read_file(path("run/model.safetensors")), result = read_file(path("run/result.json"));
  std::string flipped = whole;
  flipped[flipped.size() - 5] = static_cast<char>(flipped[flipped.size() - 5] ^ 1);
  const std::pair<std::string, std::string> bad[] = {
      {"", "0 bytes"},
      {whole.substr(0, 5), "5 bytes"},
      {whole.substr(0, whole.size() / 2), "truncated"},
      {flipped, "checksum"},
      {"PK\x03\x04 a file of another kind", "another format"},
      {model, "is not a checkpoint"},
      {read_file(path("other/checkpoint/state.safetensors")), "another configuration"},
  };
  for (const auto& [bytes, words] : bad) {
    put(checkpoint, bytes);
    refused("train --resume --run " + path("run"), {checkpoint, words});
    EXPECT_EQ(read_file(path("run/model.safetensors")), model);
    EXPECT_EQ(read_file(path("run/result.json")), result);
  }
  put(checkpoint, whole);
  EXPECT_EQ(kdef("train --resume --run " + path("run")).status, 0);
  refused("train --resume --run " + path("absent"), {path("absent")});
  refused("train --resume --overwrite --run " + path("run"), {"--resume or --overwrite"});
}

TEST_F(BadInput, DamagedCaches) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  for (const char* name : {"train.kdefbin", "valid.kdefbin", "test.kdefbin", "vocabulary.kdefvoc"}) {
    const std::string file = path("cache/synthetic/") + name, whole = read_file(file);
    std::string flipped = whole;
    flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 4);
    put(file, flipped);
    train_refused("", {file, "prepare the data again"});
    // What shows at first sight is made anew.
    put(file, whole);
  }
  for (const char* name : {"prepared.json", "kdef_feature_map.json", "train.kdefbin"}) {
    const std::string file = path("cache/synthetic/") + name, whole = read_file(file);
    for (const std::string& bytes : {std::string(), whole.substr(0, whole.size() / 2), std::string("PK\x03\x04")}) {
      put(file, bytes);
      EXPECT_EQ(train("--overwrite --run " + path("again")).status, 0) << name;
      EXPECT_EQ(read_file(path("again/model.safetensors")), read_file(path("run/model.safetensors")));
    }
  }
}

TEST_F(BadInput, SafetensorsWithImpossibleShapes) {
  for (const char* shape :
       {"[-1]", "[4611686018427387904,4]", "[1,1,1,1,1,1,1]", "[1.5]", "3", "[99999999999999999999]"}) {
    const std::string header =
        std::string(R"({"a.auc":{"dtype":"F64","shape":)") + shape + R"(,"data_offsets":[0,0]}})";
    const uint64_t size = header.size();
    put(path("shape.safetensors"), std::string(reinterpret_cast<const char*>(&size), 8) + header);
    refused("audit --fixture " + path("shape.safetensors"), {"shape.safetensors"});
  }
}

TEST_F(BadInput, RecordedRunsWhoseTensorsDoNotFitEachOther) {
  std::string bytes = read_file(KDEF_SOURCE_DIR "/tests/fixtures/kdef_mlp_M3_f64.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  bool changed = false;
  const auto tensors = nlohmann::json::parse(bytes.substr(8, header));
  for (const auto& item : tensors.items()) {
    if (item.key() == "__metadata__" || item.value()["dtype"].get<std::string>()[0] != 'I') continue;
    const size_t first = 8 + header + item.value()["data_offsets"][0].get<size_t>();
    bytes[first] = 0x7F;  // an id beyond every table
    changed = true;
  }
  ASSERT_TRUE(changed);
  put(path("ids.safetensors"), bytes);
  refused("audit --fixture " + path("ids.safetensors"), {"ids.safetensors", "do not fit", "127"});
}

TEST_F(BadInput, NumbersBeyondReason) {
  train_refused("embedding_dim=1000000000000", {"embedding_dim", "integer in [1, 1048576]"});
  train_refused("'hidden_units=[4611686018427387904, 4]'", {"hidden_units", "integer in [1, 1048576]"});
  train_refused("num_student=1000000", {"num_student", "integer in [1, 1000]"});
  train_refused("embedding_dim=99999999999999999999", {"embedding_dim", "integer"});
  train_refused("learning_rate=1e400", {"learning_rate", "1e400"});
  train_refused("learning_rate=nan", {"learning_rate", "nan"});
  train_refused("seed=18446744073709551615", {"seed"});
  refused("bench step --shape ml-1m --seconds 1 --batch 9223372036854775807", {"--batch"});
  refused("bench step --shape ml-1m --seconds 1 --batch 64 --dim 9223372036854775807", {"out of memory"}, 3);
  refused("demo --rows 1000 --out " + path("s"), {"--rows", "3000"});
  refused("synth --rows 99999999999999999999 --out " + path("s"), {"--rows", "99999999999999999999"});
}

TEST_F(BadInput, BatchesThatBatchNormCannotTake) {
  train_refused("batch_size=1 batch_norm=true", {"batch_size 1", "set it to 2"});
  // 2400 = 2399 + 1; no size from there on but all rows at once will do.
  train_refused("batch_size=2399 batch_norm=true", {"batch_size 2399", "set it to 2400"});
  EXPECT_EQ(train("batch_size=1200 epochs=1 batch_norm=true --run " + path("run")).status, 0);
}

TEST_F(BadInput, YamlThatIsNoConfiguration) {
  const std::string experiment = "KDEF: {model: EKTF, dataset_id: synthetic}\n";
  const auto with = [&](const std::string& text, const std::vector<std::string>& words) {
    put(path("data/model_config.yaml"), text);
    train_refused("", words);
  };
  with("", {"model_config.yaml", "none"});
  with("- a list\n", {"model_config.yaml:1:1", "map"});
  with("KDEF:\n\tmodel: EKTF\n", {"model_config.yaml:2:", "not valid YAML"});
  with("KDEF: 5\n", {"model_config.yaml:1:7", "map"});
  with("KDEF: {model: EKTF, model: EKTF}\n", {"model_config.yaml:1:", "twice"});
  with(std::string("KDEF:\n  mod\0el: EKTF\n", 21), {"model_config.yaml:2:3", "nearest known key is 'model'"});
  with(experiment + "---\nother: 1\n", {"model_config.yaml:2:1", "second YAML document"});
  with("KDEF: " + std::string(100000, '['), {"model_config.yaml", "not valid YAML"});
  // Merge keys that come back to themselves, and ones that would take 3^29 steps.
  with("KDEF: &a\n  <<: *a\n  model: EKTF\n", {"dataset_id"});
  std::string bomb = "a0: &a0 {epochs: 1}\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1), name = "a" + std::to_string(i);
    bomb += name + ": &" + name + " {<<: [" + before + ", " + before + ", " + before + "]}\n";
  }
  with(bomb + "KDEF: {<<: *a29, model: EKTF}\n", {"dataset_id"});

  std::filesystem::remove(path("data/model_config.yaml"));
  std::filesystem::create_directory(path("data/model_config.yaml"));
  train_refused("", {"model_config.yaml", "is a folder"});
}

TEST_F(BadInput, PlacesThatAreEmptyOrNoFiles) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::string data = path("data/test.csv"), rows = read_file(data);
  refused(train_command("--run ''"), {"--run", "empty"});
  refused("synth --rows 100 --out ''", {"--out", "empty"});
  refused("demo --rows 3000 --out ''", {"--out", "empty"});
  refused(predict(data, "''"), {"--out", "empty"});
  refused(predict("''", path("p")), {"--data", "empty"});
  std::filesystem::create_directory(path("nothing"));
  refused(predict(path("nothing"), path("p")), {path("nothing"), "folder without data files"});
  refused(predict(data, path("data")), {path("data"), "is a folder"});
  refused(predict(data, data), {"--out", "--data"});
  std::filesystem::create_symlink(data, path("link"));
  refused(predict(data, path("link")), {"--out", "--data"});
  EXPECT_EQ(read_file(data), rows);
  refused("audit --dot " + path("data"), {"is a folder"});
  // Keys whose place cannot be told.
  train_refused("hidden_units.5=3", {"hidden_units.5"});
  train_refused("valid_data=", {"valid_data"});
  train_refused("train_data=", {"train_data"});
}

TEST_F(BadInput, RowsToPredictNameTheirPlaceAndKeepOldPredictions) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  put(path("p"), "earlier predictions");
  const std::vector<std::string> good = lines(read_file(path("data/test.csv")));
  const auto with = [&](size_t line, const std::string& text, const std::vector<std::string>& words) {
    std::string all;
    for (size_t i = 0; i < good.size(); ++i) all += (i + 1 == line ? text : good[i]) + "\n";
    put(path("rows.csv"), all);
    refused(predict(path("rows.csv"), path("p")), words);
    EXPECT_EQ(read_file(path("p")), "earlier predictions");
  };
  with(201, good[200] + ",more", {"rows.csv:201", "12", "11"});
  with(201, good[200].substr(0, good[200].rfind(',')) + ",old", {"rows.csv:201", "age", "old"});
  with(201, "\"" + good[200], {"rows.csv:201", "not closed"});
  with(1, "label,user,item", {"rows.csv", "category"});
  with(1, good[0].substr(0, good[0].rfind(',')) + ",price", {"rows.csv", "two columns are named 'price'"});
  put(path("rows.csv"), "");
  refused(predict(path("rows.csv"), path("p")), {"rows.csv", "empty"});
  put(path("rows.csv"), std::string(70 << 20, '\0'));
  refused(predict(path("rows.csv"), path("p")), {"rows.csv:1", "longer than 64 MiB"});
  put(path("rows.csv"), "label,\x1b[2J\x07,\x7f\n0,1,2\n");
  refused(predict(path("rows.csv"), path("p")), {"the columns are label, ?[2J?, ?"});
  put(path("rows.csv"), good[0] + "\n");
  EXPECT_EQ(kdef("evaluate --run " + path("run") + " --data " + path("rows.csv")).status, 2);
  // Compressed rows that end too early, or are noise.
  for (const char* name : {"test.csv.gz", "test.csv.zst"}) {
    put(path(name), "\x01\x02 noise");
    refused(predict(path(name), path("p")), {name, "neither gzip nor zstd"});
  }
  ASSERT_EQ(shell("gzip -c " + path("data/test.csv") + " | head -c 900 > " + path("cut.csv.gz")).status, 0);
  refused(predict(path("cut.csv.gz"), path("p")), {"cut.csv.gz", "truncated"});
  EXPECT_EQ(read_file(path("p")), "earlier predictions");
}

TEST_F(BadInput, FeatureMaps) {
  const std::string info = "info --config " + path("data") + " --expid KDEF --feature-map ";
  const auto with = [&](const std::string& text, const std::vector<std::string>& words, int status = 2) {
    put(path("map.json"), text);
    refused(info + path("map.json"), words, status);
  };
  refused(info + path("absent.json"), {"absent.json"});
  with("", {"map.json", "JSON"});
  with("{\"fields\":[", {"map.json", "JSON"});
  with("[1, 2]", {"map.json", "fields"});
  with(std::string(100000, '['), {"map.json", "JSON"});
  with(R"({"fields":[{"name":"a","type":"word","vocab_size":5}]})", {"map.json", "a", "categorical"});
  with(R"({"fields":[{"name":"a","type":"categorical","vocab_size":-5}]})", {"map.json", "vocab_size", "-5"});
  with(R"({"fields":[{"name":"a","type":"categorical","vocab_size":1e3}]})", {"map.json", "vocab_size"});
  with(R"({"fields":[{"name":"a","type":"numeric"},{"name":"a","type":"numeric"}]})", {"map.json", "two fields"});
  // Sizes that no memory holds.
  with(R"({"fields":[{"name":"a","type":"categorical","vocab_size":2147483647}]})", {"[2147483647, ", "too large"});
  refused("synth --shape " + path("map.json") + " --rows 100 --out " + path("s"), {"map.json", "2147483647 values"});
  put(path("map.json"), R"({"fields":[{"name":"a","type":"sequence","vocab_size":5,"max_len":2147483647}]})");
  refused("synth --shape " + path("map.json") + " --rows 100 --out " + path("s"), {"map.json", "2147483647 in a row"});
}

// A file system of the test's own; needs root.
class Mounted {
 public:
  Mounted(const std::string& path, const std::string& size) : path_(path) {
    std::filesystem::create_directories(path);
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~Mounted() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  explicit operator bool() const { return mounted_; }
  bool make_read_only() const { return ::mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_F(BadInput, FullDisksUnderEveryOutput) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const Mounted disk(path("disk"), "16k");
  if (!disk) GTEST_SKIP() << "no right to mount a small file system";
  put(path("disk/p"), "old");
  std::string many;
  for (int i = 0; i < 10; ++i)
    many += read_file(path("data/test.csv")).substr(i == 0 ? 0 : read_file(path("data/test.csv")).find('\n') + 1);
  put(path("many.csv"), many);
  refused(predict(path("many.csv"), path("disk/p")), {path("disk/p"), "free space"}, 3);
  EXPECT_EQ(read_file(path("disk/p")), "old");
  const auto data_only = [&](const std::string& name) { return name.find("disk/data") != std::string::npos; };
  EXPECT_EQ(kdef("synth --rows 3000 --out " + path("disk/data")).status, 3);
  for (const std::string& name : listing(path("disk"))) {
    EXPECT_TRUE(!data_only(name) || name == path("disk/data")) << name;  // no part of a file
  }
  const Outcome prepared = kdef("prepare --config " + path("data") + " --expid KDEF data_root=" + path("disk/cache"));
  EXPECT_EQ(prepared.status, 3) << prepared.text;
  EXPECT_THAT(prepared.text, HasSubstr(path("disk/cache")));
  EXPECT_FALSE(std::filesystem::exists(path("disk/cache/synthetic/prepared.json")));
}

TEST_F(BadInput, ReadOnlyPlaces) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const Mounted disk(path("disk"), "4m");
  if (!disk) GTEST_SKIP() << "no right to mount a small file system";
  ASSERT_EQ(train("--run " + path("disk/run")).status, 0);
  ASSERT_TRUE(disk.make_read_only());
  refused(predict(path("data/test.csv"), path("disk/p")), {path("disk/p")}, 3);
  refused(train_command("--overwrite --run " + path("disk/run")), {path("disk/run")}, 3);
  refused(train_command("--run " + path("disk/new")), {path("disk/new")}, 3);
  refused("train --resume --run " + path("disk/run"), {path("disk/run")}, 3);
  // Reading is enough to predict and evaluate.
  EXPECT_EQ(kdef("evaluate --run " + path("disk/run")).status, 0);
}

TEST_F(BadInput, DevicesAreWrittenNotReplaced) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::string full = path("full"), null = path("null");
  if (::mknod(full.c_str(), S_IFCHR | 0666, makedev(1, 7)) != 0 ||
      ::mknod(null.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) {
    GTEST_SKIP() << "no right to make a device";
  }
  if (shell("echo x > " + null).status != 0) GTEST_SKIP() << "devices do not work in this folder";
  refused(predict(path("data/test.csv"), full), {full, "No space left"}, 3);
  EXPECT_TRUE(std::filesystem::is_character_file(full));
  EXPECT_EQ(kdef(predict(path("data/test.csv"), null)).status, 0);
  EXPECT_TRUE(std::filesystem::is_character_file(null));
}

TEST_F(BadInput, FilesThatMayNotBeRead) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  ASSERT_EQ(shell("chmod -R a+rX " + folder_.string() + " && chmod 600 " + path("data/test.csv") + " " +
                  path("data/model_config.yaml"))
                .status,
            0);
  const std::string nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups ";
  const bool root = ::getuid() == 0 && shell(nobody + KDEF_PROGRAM + " --version").status == 0;
  if (!root) GTEST_SKIP() << "needs root, to become a user without rights";
  const Outcome unread = shell(nobody + KDEF_PROGRAM + " evaluate --run " + path("run"));
  EXPECT_EQ(unread.status, 3);
  EXPECT_THAT(unread.text, testing::AllOf(HasSubstr("test.csv"), HasSubstr("Permission denied")));
  const Outcome config = shell(nobody + KDEF_PROGRAM + " " + train_command("--run " + path("x")));
  EXPECT_EQ(config.status, 3);
  EXPECT_THAT(config.text, testing::AllOf(HasSubstr("model_config.yaml"), HasSubstr("Permission denied")));
  const Outcome unwritten = shell(nobody + KDEF_PROGRAM + " predict --run " + path("run") + " --data " +
                                  path("data/valid.csv") + " --out " + path("run/p"));
  EXPECT_EQ(unwritten.status, 3);
  EXPECT_THAT(unwritten.text, testing::AllOf(HasSubstr("run/p"), HasSubstr("Permission denied")));
}

}  // namespace
}  // namespace kdef::test
