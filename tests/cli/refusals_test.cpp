// Bad input: exit status 2 with a message that says where and what to do, nothing overwritten, nothing left behind.
// A full or read-only disk: exit status 3, what was there before intact.
#include <sys/mount.h>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::HasSubstr;

class Refusals : public RunTest {
 protected:
  // Expects `outcome` to be a refusal with all of the words.
  static void refused(const Outcome& outcome, const std::vector<std::string>& words, int status = 2) {
    EXPECT_EQ(outcome.status, status) << outcome.text;
    for (const std::string& word : words) EXPECT_THAT(outcome.text, HasSubstr(word));
  }
  // The training file with line `number` (from 1; the header is 1) replaced.
  void replace_line(size_t number, const std::string& line) {
    std::vector<std::string> all = lines(read_file(path("data/train.csv")));
    all.at(number - 1) = line;
    std::string text;
    for (const std::string& l : all) text += l + "\n";
    put(path("data/train.csv"), text);
  }
  std::string line(size_t number) { return lines(read_file(path("data/train.csv"))).at(number - 1); }
  // Trains into a fresh directory and expects that neither it nor a cache appears.
  void train_refused(const std::string& more, const std::vector<std::string>& words) {
    // The cache's folder may be there: a cache without prepared.json is no cache, and a whole one is no harm.
    const auto others = [&] {
      std::vector<std::string> names = listing(folder_.string());
      std::erase_if(names, [&](const std::string& name) { return name.rfind(path("cache"), 0) == 0; });
      return names;
    };
    const std::vector<std::string> before = others();
    refused(train("--run " + path("refused") + " " + more), words);
    const std::vector<std::string> after = others();
    EXPECT_EQ(after, before);
  }
};

TEST_F(Refusals, RowsAndCells) {
  const std::string good = line(7), cells = good.substr(1);
  replace_line(7, good + ",extra");
  train_refused("", {"train.csv:7", "11", "12"});
  replace_line(7, good.substr(0, good.rfind(',')));
  train_refused("", {"train.csv:7", "11", "10"});
  replace_line(7, "2" + cells);
  train_refused("", {"train.csv:7", "label", "2"});
  replace_line(7, "x" + cells);
  train_refused("", {"train.csv:7", "label"});
  replace_line(7, good.substr(0, good.rfind(',')) + ",many");
  train_refused("", {"train.csv:7", "age", "many"});
  // Bytes that are no text, among them NUL, are a category like any other.
  const size_t user = good.find(','), item = good.find(',', user + 1);
  replace_line(7, good.substr(0, user + 1) + std::string("\xff\xfe\0x", 4) + good.substr(item));
  const Outcome accepted = train("--run " + path("bytes"));
  EXPECT_EQ(accepted.status, 0) << accepted.text;
}

TEST_F(Refusals, Files) {
  train_refused("train_data=" + path("missing.csv"), {"missing.csv"});
  put(path("empty.csv"), "");
  train_refused("train_data=" + path("empty.csv"), {"empty.csv", "empty"});
  put(path("header.csv"), line(1) + "\n");
  train_refused("train_data=" + path("header.csv"), {"no rows"});
  put(path("columns.csv"), "label,user\n1,2\n");
  train_refused("train_data=" + path("columns.csv"), {"columns.csv", "item"});
  std::filesystem::create_directory(path("nothing"));
  train_refused("train_data=" + path("nothing"), {path("nothing"), "folder without data files"});
  train_refused("train_data=" + path("x.h5"), {".h5", "check the path"});
}

TEST_F(Refusals, Configuration) {
  train_refused("learning_rat=0.1", {"learning_rat", "learning_rate"});
  train_refused("learning_rate=fast", {"learning_rate", "fast"});
  train_refused("batch_size=-1", {"batch_size", "-1"});
  train_refused("net_dropout=1.5", {"net_dropout", "1.5"});
  train_refused("'hidden_units=[16, 0]'", {"hidden_units"});
  train_refused("optimizer=adamx", {"optimizer", "adam"});
  train_refused("model=KDEFF", {"model", "KDEF"});
  refused(train("--run " + path("r"), "KDEFF"), {"KDEFF", "KDEF"});
  refused(kdef("train --config " + path("nowhere") + " --expid KDEF"), {"nowhere"});
  std::ofstream(path("data/model_config.yaml"), std::ios::app) << "\nbroken: [1, 2\n";
  refused(train("--run " + path("r")), {"model_config.yaml:"});
  // Both ways of writing a small number are numbers.
  ASSERT_EQ(kdef("synth --rows 3000 --overwrite --out " + path("data")).status, 0);
  EXPECT_EQ(train("learning_rate=1e-5 epochs=1 --run " + path("a")).status, 0);
  EXPECT_EQ(train("learning_rate=1.e-5 epochs=1 --run " + path("b")).status, 0);
  EXPECT_EQ(read_file(path("a/model.safetensors")), read_file(path("b/model.safetensors")));
}

TEST_F(Refusals, DamagedAndForeignFiles) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::string predict =
      "predict --run " + path("run") + " --data " + path("data/test.csv") + " --out " + path("p");
  for (const char* name : {"model.safetensors", "vocabulary.kdefvoc", "config.yaml"}) {
    const std::string file = path("run/") + name, whole = read_file(file);
    for (const std::string& bad :
         {std::string(), whole.substr(0, whole.size() / 2), std::string("PK\x03\x04 foreign")}) {
      put(file, bad);
      if (std::string(name) == "config.yaml" && bad.size() > 100) continue;  // half of it may be a configuration still
      refused(kdef(predict), {path("run")});
      EXPECT_FALSE(std::filesystem::exists(path("p")));
    }
    put(file, whole);
  }
  EXPECT_EQ(kdef(predict).status, 0);

  // A model of another configuration.
  ASSERT_EQ(train("'hidden_units=[8, 4]' --run " + path("other")).status, 0);
  const std::string whole = read_file(path("run/model.safetensors"));
  std::filesystem::copy_file(path("other/model.safetensors"), path("run/model.safetensors"),
                             std::filesystem::copy_options::overwrite_existing);
  refused(kdef(predict), {"model.safetensors", "networks.0.mlp.0.weight"});
  put(path("run/model.safetensors"), whole);

  // A damaged cache is noticed before training.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path("cache"))) {
    if (entry.path().filename() != "train.kdefbin") continue;
    std::string bytes = read_file(entry.path().string());
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    put(entry.path().string(), bytes);
  }
  refused(train("--run " + path("again")), {"train.kdefbin"});
  refused(kdef("evaluate --run " + path("data")), {"config.yaml"});
}

TEST_F(Refusals, OneClassIsTrainedWithAWarning) {
  for (const char* name : {"data/train.csv", "data/valid.csv"}) {
    std::vector<std::string> all = lines(read_file(path(name)));
    std::string text = all[0] + "\n";
    for (size_t i = 1; i < all.size(); ++i) text += "0" + all[i].substr(1) + "\n";
    put(path(name), text);
  }
  refused(train("epochs=1 --run " + path("run")), {"valid_data", "AUC is undefined", "monitor: logloss"});
  const Outcome outcome = train("epochs=1 monitor=logloss --run " + path("run"));
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("warning"));
  EXPECT_THAT(outcome.text, HasSubstr("undefined"));
  EXPECT_THAT(read_file(path("run/metrics.jsonl")), HasSubstr("\"auc\":null"));
}

TEST_F(Refusals, DivergedTrainingNamesStepAndTensor) {
  refused(train("learning_rate=1e30 batch_norm=false --run " + path("run")), {"step ", "first bad tensor: "}, 1);
}

// A small file system that is removed with the test; needs root.
class SmallDisk {
 public:
  SmallDisk(const std::string& path, const std::string& size) : path_(path) {
    std::filesystem::create_directories(path);
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_F(Refusals, FullDiskWhileTrainingKeepsThePreviousCheckpoint) {
  const SmallDisk disk(path("disk"), "3m");
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small file system";
  const std::string run = path("disk/run");
  const std::string more = "checkpoint_every=1 --run " + run;
  ASSERT_EQ(train("epochs=20 " + more).status, 0) << "the run must fit";
  std::filesystem::remove_all(run);
  ASSERT_EQ(train(more).status, 0);
  const std::string whole = read_file(run + "/model.safetensors");
  std::filesystem::remove_all(run);

  // The disk fills up after the first checkpoints.
  const Outcome probe = train("epochs=1 " + more);
  ASSERT_EQ(probe.status, 0) << probe.text;
  const std::string checkpoint = read_file(run + "/checkpoint/state.safetensors");
  {
    std::ofstream filler(path("disk/filler"), std::ios::binary);
    const std::string block(65536, 'x');
    while (filler << block << std::flush) {
    }
  }
  const Outcome full = train("epochs=5 --overwrite " + more);
  refused(full, {"cannot be written"}, 3);
  EXPECT_TRUE(read_file(run + "/checkpoint/state.safetensors") == checkpoint) << "the earlier run was touched";
  std::filesystem::remove(path("disk/filler"));
  const Outcome after = train("--overwrite " + more);
  EXPECT_EQ(after.status, 0) << after.text;
  EXPECT_EQ(read_file(run + "/model.safetensors"), whole);
}

TEST_F(Refusals, DiskThatFillsDuringARunLeavesACheckpointToResumeFrom) {
  const SmallDisk disk(path("disk"), "1500k");
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small file system";
  const std::string run = path("disk/run"), more = "checkpoint_every=1 epochs=4 --run ";
  ASSERT_EQ(train(more + path("whole")).status, 0);
  const size_t needed = read_file(path("whole/checkpoint/state.safetensors")).size();
  // Room for the checkpoint, but not for its successor beside it.
  const std::string filler(1500 * 1024 - std::min<size_t>(1400 * 1024, 2 * needed - needed / 4), 'x');
  put(path("disk/filler"), filler);
  const Outcome full = train(more + run);
  refused(full, {path("disk/run")}, 3);
  if (!std::filesystem::exists(run + "/checkpoint/state.safetensors")) GTEST_SKIP() << "not even one checkpoint fitted";
  std::filesystem::remove(path("disk/filler"));
  const Outcome resumed = kdef("train --run " + run + " --resume");
  EXPECT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_EQ(read_file(run + "/model.safetensors"), read_file(path("whole/model.safetensors")));
}

TEST_F(Refusals, FullAndReadOnlyPlacesAreSystemFailures) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::string data = " --data " + path("data/test.csv");
  refused(kdef("predict --run " + path("run") + data + " --out /proc/nothing"), {"/proc/nothing"}, 3);
  refused(shell(std::string(KDEF_PROGRAM) + " predict --run " + path("run") + data + " --out - >/dev/full"), {}, 3);
  refused(train("--run /proc/nowhere"), {"/proc/nowhere"}, 3);
}

}  // namespace
}  // namespace kdef::test
