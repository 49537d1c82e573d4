// Files of the user, files of strangers, and hosts that fail: nothing of the user is replaced unasked, nothing is
// written outside the directory that was named, no control character reaches the terminal.
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Hostile : public RunTest {
 protected:
  void refused(const std::string& arguments, const std::vector<std::string>& words, int status = 2) {
    const Outcome outcome = kdef(arguments);
    EXPECT_EQ(outcome.status, status) << outcome.text;
    for (const std::string& word : words) EXPECT_THAT(outcome.text, HasSubstr(word));
  }
  std::string predict(const std::string& out) const {
    return "predict --run " + path("run") + " --data " + path("data/test.csv") + " --out " + out;
  }
};

TEST_F(Hostile, SynthReplacesFilesOnlyOnRequest) {
  const std::vector<std::string> names = {"train.csv", "valid.csv", "test.csv", "dataset_config.yaml",
                                          "model_config.yaml"};
  for (const std::string& name : names) {
    const std::string folder = path("mine-" + name);
    std::filesystem::create_directories(folder);
    put(folder + "/" + name, "precious");
    refused("synth --rows 100 --out " + folder, {folder + ": already has " + name, "--overwrite"});
    EXPECT_EQ(listing(folder), std::vector<std::string>{folder + "/" + name});
    EXPECT_EQ(read_file(folder + "/" + name), "precious");
    EXPECT_EQ(kdef("synth --rows 100 --overwrite --out " + folder).status, 0);
    EXPECT_NE(read_file(folder + "/" + name), "precious");
  }
  refused("synth --rows 100 --out " + path("data"),
          {"already has train.csv, valid.csv, test.csv, dataset_config.yaml, model_config.yaml"});
}

TEST_F(Hostile, OtherOutputsOfFixedNamesAskForAnEmptyPlace) {
  std::filesystem::create_directories(path("demo/data"));
  std::filesystem::create_directories(path("demo/mean"));
  put(path("demo/data/test.csv"), "precious");
  put(path("demo/mean/config.yaml"), "precious");
  refused("demo --rows 3000 --out " + path("demo"), {"already has data/test.csv, mean/config.yaml", "--overwrite"});
  put(path("config.yaml"), "precious");
  refused(train_command("--run " + folder_.string()), {"config.yaml", "--overwrite"});
  std::filesystem::create_directories(path("sweep"));
  put(path("sweep/sweep.csv"), "precious");
  refused("sweep --config " + path("data") + " --expid KDEF --out " + path("sweep"), {"already has sweep.csv"});
  std::filesystem::create_directories(path("cache/synthetic"));
  put(path("cache/synthetic/feature_map.json"), "precious");
  // Another program's: the cache is made beside it.
  EXPECT_EQ(train("--run " + path("run")).status, 0);
  EXPECT_TRUE(std::filesystem::exists(path("cache/synthetic/kdef/kdef_feature_map.json")));
  for (const char* file : {"demo/data/test.csv", "demo/mean/config.yaml", "config.yaml", "sweep/sweep.csv",
                           "cache/synthetic/feature_map.json"}) {
    EXPECT_EQ(read_file(path(file)), "precious") << file;
  }
}

TEST_F(Hostile, NoControlCharacterReachesTheTerminal) {
  const std::string name = "\\u001b]0;pwned\\u0007\\u001b[31m\\u009b\\u202e";
  put(path("m.json"), "{\"fields\":[{\"name\":\"" + name + "\",\"type\":\"categorical\",\"vocab_size\":0}]}");
  put(path("good.json"), "{\"fields\":[{\"name\":\"" + name + "\",\"type\":\"categorical\",\"vocab_size\":9}]}");
  put(path("rows.csv"), "label,a\x1b[2J\r\n1,2\n");
  const std::string commands[] = {
      "synth --shape " + path("m.json") + " --rows 100 --out " + path("s"),
      "synth --shape " + path("good.json") + " --rows 1000 --out " + path("good"),
      "prepare --config " + path("good") + " --expid KDEF",
      "info --config " + path("data") + " --expid KDEF --feature-map " + path("good.json"),
      train_command("train_data=" + path("rows.csv") + " --run " + path("x")),
      train_command("--run '" + path("\x1b[31mrun\x9b") + "'"),
      "report '" + path("\x1b[31m") + "' --out " + path("page"),
      "'\x1b[31m'",
      "train '--\x1b[31m'",
  };
  for (const std::string& command : commands) {
    const Outcome outcome = kdef(command);
    for (const char* bad : {"\x1b", "\a", "\r", "\xc2\x9b", "\xe2\x80\xae"}) {
      EXPECT_THAT(outcome.text, Not(HasSubstr(bad))) << command;
    }
  }
  EXPECT_THAT(kdef(commands[0]).text, HasSubstr("\\x1b]0;pwned\\x07\\x1b[31m\\u009b\\u202e"));
}

TEST_F(Hostile, NamesThatArePathsStayInside) {
  std::string config = read_file(path("data/model_config.yaml"));
  const std::string id = "../../../escaped/exp";
  config.replace(config.find("KDEF:"), 4, "\"" + id + "\"");
  put(path("data/model_config.yaml"), config);
  refused("train --config " + path("data") + " --expid " + id + " model_root=" + path("a/b/c"),
          {id, "out of its folder"});
  EXPECT_FALSE(std::filesystem::exists(path("a")));
  EXPECT_FALSE(std::filesystem::exists(path("escaped")));
  EXPECT_EQ(train("--run " + path("run"), id).status, 0) << "a run directory that is named needs no name";
}

TEST_F(Hostile, ClosedStandardStreamsTakeNoFile) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::string model = read_file(path("run/model.safetensors"));
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"}) {
    std::filesystem::remove_all(path("cache"));
    const Outcome outcome =
        shell(std::string(KDEF_PROGRAM) + " " + train_command("--overwrite --run " + path("run")) + " " + closed);
    // What cannot be told to the user is a failure; the files are whole.
    EXPECT_EQ(outcome.status,
              std::string(closed).find(">&-") == 0 || std::string(closed).find(" >&-") != std::string::npos ? 3 : 0)
        << closed << outcome.text;
    EXPECT_EQ(read_file(path("run/model.safetensors")), model) << closed;
  }
  EXPECT_EQ(kdef(predict("-") + " >&-").status, 3);
}

TEST_F(Hostile, OutputThatCannotBeWrittenIsASystemFailure) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  refused(predict("-") + " >/dev/full", {"standard output cannot be written: No space left on device"}, 3);
  refused("evaluate --run " + path("run") + " >/dev/full", {"standard output cannot be written"}, 3);
  refused("--help >/dev/full", {"standard output cannot be written"}, 3);
#if defined(__SANITIZE_ADDRESS__)
  return;  // libomp writes a file of its own at its start, and ends the program where it may not
#endif
  const std::string limited = "ulimit -f 1; " + std::string(KDEF_PROGRAM) + " ";
  const Outcome outcome = shell(limited + predict(path("p")));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.text, HasSubstr(path("p") + ": cannot be written: File too large"));
  EXPECT_EQ(shell(limited + predict("-") + " >" + path("q")).status, 3);
  EXPECT_FALSE(std::filesystem::exists(path("p")));
}

TEST_F(Hostile, TheNextRunRemovesWhatAKilledOneLeft) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  std::filesystem::create_directories(path("out"));
  put(path("out/p.part-abcdef"), "half");
  put(path("out/page.html.part-abcdef"), "half");
  std::filesystem::create_directories(path("out/export.part-abcdef"));
  put(path("out/export.part-abcdef/model.safetensors"), "half");
  put(path("out/mine.part-abcdef"), "of another file");
  ASSERT_EQ(kdef(predict(path("out/p"))).status, 0);
  ASSERT_EQ(kdef("report " + path("run") + " --out " + path("out/page.html")).status, 0);
  ASSERT_EQ(kdef("export --run " + path("run") + " --student 1 --out " + path("out/export")).status, 0);
  for (const std::string& name : listing(path("out"))) {
    EXPECT_TRUE(name == path("out/mine.part-abcdef") || name.find(".part-") == std::string::npos) << name;
  }
}

TEST_F(Hostile, AFixtureWhoseResultIsAScalarIsRefused) {
  std::string bytes = read_file(KDEF_SOURCE_DIR "/tests/fixtures/backbones.safetensors");
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  auto header = nlohmann::ordered_json::parse(bytes.substr(8, size));
  header["__metadata__"].erase("crc32");
  const auto networks = nlohmann::ordered_json::parse(header["__metadata__"]["networks"].get<std::string>());
  header["__metadata__"]["networks"] = nlohmann::ordered_json{{"mlp", networks["mlp"]}}.dump();
  const std::string data = bytes.substr(8 + size);
  // Only this network, so that the tensors cover the data.
  nlohmann::ordered_json few = {{"__metadata__", header["__metadata__"]}};
  std::string kept;
  for (const auto& [name, entry] : header.items()) {
    if (name.rfind("mlp.", 0) != 0) continue;
    const size_t first = entry["data_offsets"][0],
                 last = name == "mlp.out" ? first + 8 : entry["data_offsets"][1].get<size_t>();
    few[name] = entry;
    if (name == "mlp.out") few[name]["shape"] = nlohmann::ordered_json::array();
    few[name]["data_offsets"] = {kept.size(), kept.size() + last - first};
    kept += data.substr(first, last - first);
  }
  std::string text = few.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t changed = text.size();
  put(path("x.safetensors"), std::string(reinterpret_cast<const char*>(&changed), 8) + text + kept);
  refused("audit --fixture " + path("x.safetensors"),
          {"x.safetensors: its tensors do not fit", "tensor 'mlp.out' is []"});
}

}  // namespace
}  // namespace kdef::test
