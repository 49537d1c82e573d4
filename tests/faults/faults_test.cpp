// Commands under system calls that fail, write short, or are the last of a killed process. After each: the exit status,
// the message, no half file under a final name, and the same bits once the command is run again.
//
// KDEF_FAULTS=all tries every call of every kind with every error (about twenty minutes); otherwise a few of each kind.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>

#include "core/base/text.h"
#include "tests/faults/bed.h"

namespace kdef::test {
namespace {

struct Command {
  const char* name;
  std::vector<std::string>
      before;  // commands that fill the folder work; "killed ..." is killed after half of its calls
  std::string arguments;
  const char* again = "";      // added to the arguments of the rerun
  bool by_checkpoint = false;  // ... where work/run has a checkpoint
  bool removes_old = false;    // files of before may be missing after a failure
};

const std::string kTiny = " --threads 1 data_root=cache batch_size=64 embedding_dim=2 hidden_units=[3]";
const std::string kTwoEpochs =
    " num_student=2 epochs=2 early_stop_patience=9 checkpoint_every=3 collapse_every=1 tensorboard=true";
const std::string kTrain = "train --config data --expid KDEF --run work/run" + kTiny + kTwoEpochs;
// The runs of a sweep are those of train: here they are as short as can be.
const std::string kSweep =
    "sweep --config data --expid KDEF --students 1,2 --ensembles kdef --seeds 1 epochs=1" + kTiny + " --out ";
const std::string kPrepare = "prepare --threads 1 --expid KDEF data_root=work/cache --config ";

// What all commands share, made once.
const std::vector<std::string> kShared = {
    "synth --shape shape.json --rows 300 --out data",
    "synth --shape shape.json --rows 200 --seed 7 --out other",
    "prepare --config data --expid KDEF data_root=cache",
    "train --config data --expid KDEF --run base" + kTiny + kTwoEpochs,
    kSweep + "swept",
};

const std::vector<Command> kCommands = {
    {"synth", {}, "synth --shape shape.json --rows 60 --out work/data", "--overwrite"},
    {"synth_overwrite",
     {"synth --shape shape.json --rows 60 --seed 7 --out work/data"},
     "synth --shape shape.json --rows 60 --out work/data --overwrite"},
    {"prepare", {}, kPrepare + "data"},
    {"prepare_anew", {kPrepare + "other"}, kPrepare + "data", "", false, true},
    {"train", {}, kTrain, "--resume", true},
    {"train_overwrite", {kTrain + " seed=7"}, kTrain + " --overwrite", "", false, true},
    {"train_resume", {"killed " + kTrain}, kTrain + " --resume", "", false, true},
    {"evaluate", {}, "evaluate --threads 1 --run base --data data/test.csv"},
    {"predict",
     {"predict --run base --data data/valid.csv --out work/p.txt"},
     "predict --threads 1 --run base --data data/test.csv --out work/p.txt"},
    {"collapse", {}, "collapse --threads 1 --run base --json work/c.json"},
    {"export", {}, "export --run base --student best --out work/served"},
    {"export_file", {}, "export --run base --out work/served.kdef", "--overwrite"},
    {"export_file_overwrite",
     {"export --run base --student 1 --out work/served.kdef"},
     "export --run base --out work/served.kdef --overwrite"},
    {"sweep", {}, kSweep + "work/sweep"},
    {"sweep_resume", {"killed " + kSweep + "work/sweep"}, kSweep + "work/sweep", "", false, true},
    {"report", {"report swept --out work/r.html"}, "report base --out work/r.html"},
    {"report_sweep", {"report base --out work/r.html"}, "report swept --out work/r.html"},
};

// What can go wrong with a call. Every call may be the last one of a killed process.
std::vector<const char*> errors_of(const std::string& call) {
  if (call == "any") return {"kill"};
  std::vector<const char*> errors = {"ENOSPC", "EIO", "EINTR"};
  if (call == "read" || call == "write") errors.push_back("short");
  if (call == "write") errors.push_back("full");
  return errors;
}

int number_of(const std::string& error) { return error == "EIO" ? EIO : error == "EINTR" ? EINTR : ENOSPC; }

// POSIX knows no EINTR of these calls: it may be taken for an error.
bool is_never_interrupted(const std::string& call) {
  const std::vector<std::string> calls = {"mmap", "mkdir", "unlink", "lseek"};
  return std::find(calls.begin(), calls.end(), call) != calls.end();
}

// Every call of every kind, or of each kind and error some, spread over the run of the command.
std::vector<Injection> injections(const std::map<std::string, long>& counts) {
  constexpr long kSome = 2, kSomeKills = 12;
  const char* wish = std::getenv("KDEF_FAULTS");
  const bool all = wish != nullptr && std::string(wish) == "all";
  std::vector<Injection> list;
  long kind = 0;
  for (const auto& [call, count] : counts) {
    for (const char* error : errors_of(call)) {
      const long some = all ? count : std::min(count, call == "any" ? kSomeKills : kSome);
      for (long i = 0; i < some; ++i) list.push_back({call, error, 1 + (i * count / some + kind) % count});
      if (!all) kind += 7;
    }
  }
  return list;
}

void PrintTo(const Command& command, std::ostream* out) { *out << command.arguments; }

class Faults : public testing::TestWithParam<Command> {
 protected:
  Faults() {
#if defined(__SANITIZE_ADDRESS__)
    skipped_ = true;  // its runtime must be the first library
#else
    for (const std::string& arguments : kShared) {
      succeed(arguments);
      // What is done about data that has just been written depends on the clock.
      if (arguments.starts_with("synth")) bed_.age(arguments.substr(arguments.rfind(' ') + 1));
    }
#endif
  }

  void succeed(const std::string& arguments, const char* why = "") {
    const Outcome outcome = bed_.run(arguments);
    EXPECT_EQ(outcome.status, 0) << why << "kdef " << arguments << "\n" << outcome.text;
  }

  void set_up(const Command& command) {
    for (const std::string& text : command.before) {
      const std::string killed = "killed ";
      if (!text.starts_with(killed)) {
        succeed(text);
        continue;
      }
      const std::string arguments = text.substr(killed.size());
      const Outcome whole = bed_.run(arguments);
      std::filesystem::remove_all(bed_.path("work"));
      std::filesystem::create_directory(bed_.path("work"));
      const Outcome half = bed_.run(arguments, {"any", "kill", whole.counts.at("any") / 2});
      EXPECT_EQ(half.signal, SIGKILL) << half.text;
    }
    bed_.copy("work", "start");
    before_ = bed_.files("work");
  }

  // Whether a command may succeed though this call failed.
  bool is_harmless(const Outcome& o, const std::string& error) const {
    if (error == "EINTR" || error == "short") return true;
    const bool is_temporary = !is_final(o.hit_path);
    if (o.hit_call == "close") return !o.hit_writes || !is_temporary;
    if (o.hit_call == "unlink") return is_temporary;
    // A file without a name is made in a folder that is opened; where that fails, one with a name.
    const bool is_folder = std::filesystem::is_directory(bed_.path(o.hit_path));
    if (o.hit_call == "open") return !o.hit_writes || is_folder || o.hit_path.ends_with(".lock");
    return false;
  }

  void check_failed(const Outcome& o, const std::string& error) {
    EXPECT_EQ(o.status, 3);
    EXPECT_TRUE(error == "ENOSPC" || error == "EIO" || error == "full" || is_never_interrupted(o.hit_call));
    EXPECT_NE(o.text.find(std::strerror(number_of(error))), std::string::npos);
    EXPECT_NE(without_parts(o.text).find(without_parts(o.hit_path)), std::string::npos);
    if (o.hit_call == "unlink") return;  // a file that cannot be removed stays
    for (const auto& [name, content] : bed_.files("work")) {
      EXPECT_TRUE(is_final(name) || name.ends_with(".new") || before_.count(name)) << name << " is left";
    }
  }

  void check_no_half_file(const Command& command, const Files& now) {
    for (const auto& [name, content] : now) {
      EXPECT_TRUE(!is_final(name) || is_whole(name, content, before_, after_)) << name << " is half a file";
    }
    for (const auto& [name, content] : before_) {
      EXPECT_TRUE(now.count(name) || command.removes_old || !is_final(name)) << name << " is lost";
    }
  }

  void check_after(const Files& now, const char* when) {
    for (const auto& [name, content] : now) {
      if (after_.count(name) == 0) ADD_FAILURE() << name << " is left " << when;
    }
    for (const auto& [name, content] : after_) {
      if (now.count(name) == 0) {
        ADD_FAILURE() << name << " is missing " << when;
      } else {
        EXPECT_TRUE(now.at(name) == content) << name << " has other bytes " << when;
      }
    }
  }

  void run_again(const Command& command) {
    std::string arguments = command.arguments;
    const bool more =
        !command.by_checkpoint || std::filesystem::exists(bed_.path("work/run/checkpoint/state.safetensors"));
    if (more && *command.again != '\0') arguments += cat(" ", command.again);
    const Outcome again = bed_.run(arguments);
    // What is complete is not exported a second time.
    const bool refused = again.status == 2 && again.text.find("already holds a run") != std::string::npos;
    if (std::string(command.name) == "export" && refused) return;
    EXPECT_EQ(again.status, 0) << "again: " << again.text;
  }

  void try_one(const Command& command, const Injection& injection) {
    bed_.copy("start", "work");
    const Outcome o = bed_.run(command.arguments, injection);
    SCOPED_TRACE(cat("kdef ", command.arguments, "\n", injection.error, " at ", injection.call, " ", injection.at, ": ",
                     o.hit_path, "\nstatus ", o.status, ", signal ", o.signal, ": ",
                     o.text.substr(o.text.size() - std::min<size_t>(o.text.size(), 400))));
    const Files now = bed_.files("work");
    check_no_half_file(command, now);
    if (injection.error == "kill") {
      EXPECT_EQ(o.signal, SIGKILL);
    } else {
      EXPECT_FALSE(o.hit_call.empty()) << "the call was not made";
      EXPECT_EQ(o.signal, 0);
      if (o.status != 0) {
        check_failed(o, injection.error);
      } else {
        EXPECT_TRUE(is_harmless(o, injection.error));
        if (o.hit_call != "unlink" && o.hit_call != "open") return check_after(now, "though the status is 0");
      }
    }
    if (o.status == 0) return;
    run_again(command);
    check_after(bed_.files("work"), "after the rerun");
  }

  Bed bed_;
  Files before_, after_;
  bool skipped_ = false;
};

TEST_P(Faults, LeaveNoHalfFileAndTheSameBits) {
  if (skipped_) GTEST_SKIP() << "not under the address sanitizer";
  const Command& command = GetParam();
  set_up(command);
  const Outcome whole = bed_.run(command.arguments);
  ASSERT_EQ(whole.status, 0) << whole.text;
  after_ = bed_.files("work");
  ASSERT_GT(whole.counts.at("open"), 0) << "no call was counted";

  std::map<std::string, int> tried;
  const testing::TestResult& failures = *testing::UnitTest::GetInstance()->current_test_info()->result();
  for (const Injection& injection : injections(whole.counts)) {
    try_one(command, injection);
    ++tried[cat(injection.call, " ", injection.error)];
    constexpr int kShown = 40;
    if (failures.total_part_count() > kShown) break;
  }
  std::cout << command.name << ":";
  for (const auto& [what, count] : tried) std::cout << " " << what << " " << count << ";";
  std::cout << "\n";
}

INSTANTIATE_TEST_SUITE_P(Commands, Faults, testing::ValuesIn(kCommands),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace kdef::test
