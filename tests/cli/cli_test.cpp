// The program as a user meets it: what it prints, and with which status it ends.
#include "tests/cli/support.h"

namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using kdef::test::kdef;
using kdef::test::Outcome;
using kdef::test::read_file;
using kdef::test::shell;

class CliTest : public testing::Test {
 protected:
  CliTest() : folder_(fs::temp_directory_path() / ("kdef_cli_test_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~CliTest() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
};

TEST_F(CliTest, HelpListsTheSubcommands) {
  const Outcome help = kdef("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.text, AllOf(HasSubstr("synth"), HasSubstr("prepare"), HasSubstr("Exit status")));
  EXPECT_EQ(kdef("").status, 2);
  EXPECT_THAT(kdef("").text, HasSubstr("usage: kdef SUBCOMMAND"));
}

TEST_F(CliTest, Version) {
  const Outcome version = kdef("--version");
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.text, testing::MatchesRegex(
                                "kdef [0-9]+\\.[0-9]+\\.[0-9]+\n[^\n]+, (without )?CUDA, (without )?Parquet; "
                                "predictions by (plain|x86-64-v[234](-bf16)?)\ncompiled with(out)? -march[^\n]*\n"));
  EXPECT_THAT(shell(std::string("KDEF_ISA=plain ") + KDEF_PROGRAM + " --version").text,
              HasSubstr("; predictions by plain\n"));
  const Outcome unknown = shell(std::string("KDEF_ISA=v9 ") + KDEF_PROGRAM + " --version");
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.text, HasSubstr("KDEF_ISA is 'v9'"));
}

TEST_F(CliTest, UnknownSubcommandNamesTheNearest) {
  const Outcome outcome = kdef("prepair");
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, AllOf(HasSubstr("unknown subcommand 'prepair'"), HasSubstr("did you mean 'prepare'")));
}

TEST_F(CliTest, EverySubcommandHasHelp) {
  std::istringstream lines(kdef("--help").text);
  int subcommands = 0;
  for (std::string line, command; std::getline(lines, line);) {
    if (line.rfind("  ", 0) != 0) continue;
    std::istringstream(line) >> command;
    ++subcommands;
    const Outcome outcome = kdef(command + " --help");
    EXPECT_EQ(outcome.status, 0) << command;
    EXPECT_THAT(outcome.text, AllOf(HasSubstr("usage: kdef " + command), HasSubstr("--help"))) << command;
    EXPECT_EQ(kdef(command + " --no-such-option").status, 2) << command;
    for (const std::string& text : kdef::test::lines(outcome.text))
      EXPECT_LE(text.size(), 80u) << command << ": " << text;
  }
  EXPECT_GE(subcommands, 2);
  for (const char* what : {"", "bench step", "bench predict", "bench prepare", "bench load"}) {
    for (const std::string& text : kdef::test::lines(kdef(std::string(what) + " --help").text)) {
      EXPECT_LE(text.size(), 80u) << what << ": " << text;
    }
  }
}

TEST_F(CliTest, WrongOptionsAreNamed) {
  const auto refused = [](const std::string& arguments) {
    const Outcome outcome = kdef(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments << "\n" << outcome.text;
    return outcome.text;
  };
  EXPECT_THAT(refused("synth --row 10 --out x"), AllOf(HasSubstr("'--row'"), HasSubstr("did you mean '--rows'")));
  EXPECT_THAT(refused("train --config x --expid KDEF learning_rate 1e-3"),
              HasSubstr("unexpected argument 'learning_rate': write learning_rate=VALUE; "));
  EXPECT_THAT(refused("synth --rows ten --out x"), AllOf(HasSubstr("ten"), HasSubstr("--rows")));
  EXPECT_THAT(refused("bench step --seconds 0.1"),
              AllOf(HasSubstr("'0.1'"), HasSubstr("--seconds"), HasSubstr("expected an integer")));
  EXPECT_THAT(refused("synth --signal much --out x"), HasSubstr("expected a number"));
  EXPECT_THAT(refused("synth --rows=-5 --out x"), HasSubstr("--rows: expected an integer of at least 10, found -5"));
  EXPECT_THAT(refused("synth --out"), HasSubstr("--out"));
  EXPECT_THAT(refused("synth"), AllOf(HasSubstr("--out"), HasSubstr("required")));
  EXPECT_THAT(refused("synth --out x seed=1"), HasSubstr("unexpected argument 'seed=1'"));
  EXPECT_THAT(refused("synth --out x --positive-rate 1.5"), HasSubstr("between 0 and 1"));
  EXPECT_THAT(refused("prepare --config x --expid y ten"), HasSubstr("expected an option or KEY=VALUE"));
  EXPECT_THAT(refused("prepare --config x --expid y --threads 0"), HasSubstr("--threads"));
  EXPECT_THAT(refused("prepare --config " + path("absent") + " --expid y"), HasSubstr("no such configuration"));
  EXPECT_THAT(refused("train --config x"), HasSubstr("--expid ID is missing"));
  EXPECT_THAT(refused("train --expid x"), HasSubstr("--config DIR is missing"));
  EXPECT_THAT(refused("train --config x --expid y --epochs 1"), HasSubstr("write epochs=VALUE"));
  EXPECT_THAT(refused("train --config x --expid y --net-dropout 0"), HasSubstr("write net_dropout=VALUE"));
  EXPECT_THAT(refused("synth --out x --epochs 1"), Not(HasSubstr("write epochs=VALUE")));
  EXPECT_FALSE(fs::exists("x"));
}

TEST_F(CliTest, AFileIsNamedWhoseEndingIsMissing) {
  const std::string out = path("data");
  ASSERT_EQ(kdef("synth --rows 200 --out " + out).status, 0);
  const Outcome outcome = kdef("prepare --config " + out + " --expid KDEF train_data=" + out + "/train");
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("name " + out + "/train.csv, which is there"));
}

TEST_F(CliTest, DataThatAreRefusedLeaveNoCache) {
  const std::string out = path("data");
  ASSERT_EQ(kdef("synth --rows 200 --out " + out).status, 0);
  const std::string command = "prepare --config " + out + " --expid KDEF data_root=" + path("cache");
  EXPECT_EQ(kdef(command + " train_data=" + out + "/model_config.yaml").status, 2);
  EXPECT_FALSE(fs::exists(path("cache")));
  EXPECT_EQ(kdef(command).status, 0);
  EXPECT_TRUE(fs::exists(path("cache")));
}

TEST_F(CliTest, SynthMakesDataThatPrepareTakes) {
  const std::string out = path("data");
  const Outcome synth = kdef("synth --rows 2000 --seed 5 --out " + out);
  ASSERT_EQ(synth.status, 0) << synth.text;
  EXPECT_THAT(synth.text, HasSubstr("1600 training, 200 validation, 200 test rows"));
  ASSERT_EQ(kdef("synth --rows 2000 --seed 5 --out " + path("again")).status, 0);
  ASSERT_EQ(kdef("synth --rows 2000 --seed 6 --out " + path("other")).status, 0);
  EXPECT_EQ(read_file(out + "/train.csv"), read_file(path("again/train.csv")));
  EXPECT_NE(read_file(out + "/train.csv"), read_file(path("other/train.csv")));

  const std::string command = "prepare --config " + out + " --expid KDEF data_root=" + path("cache");
  const Outcome first = kdef(command);
  ASSERT_EQ(first.status, 0) << first.text;
  EXPECT_THAT(first.text, AllOf(HasSubstr("Prepared "), HasSubstr("train 1600 ("), HasSubstr("test 200 (")));
  EXPECT_THAT(kdef(command).text, AllOf(HasSubstr("Up to date"), HasSubstr("train 1600 (")));
  EXPECT_THAT(kdef(command + " --threads 1 min_categr_count=3").text, Not(HasSubstr("Up to date")));

  const Outcome unknown = kdef(command + " batchsize=3");
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.text, HasSubstr("nearest known key is 'batch_size'"));
  const Outcome missing = kdef("prepare --config " + out + " --expid KDFE");
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.text, HasSubstr("there are: KDEF"));
}

TEST_F(CliTest, SystemFailuresEndWithThree) {
  const Outcome full = kdef("--version >/dev/full");
  EXPECT_EQ(full.status, 3);
  std::ofstream(path("file")) << "in the way";
  const Outcome outcome = kdef("synth --rows 100 --out " + path("file"));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.text, HasSubstr(path("file")));
  EXPECT_EQ(read_file(path("file")), "in the way");
}

}  // namespace
