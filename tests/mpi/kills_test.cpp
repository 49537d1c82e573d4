// Each process is killed at times spread over a training: before calls of MPI, which all processes make together
// (kill_at.cpp), and before calls that write files (tests/faults/inject.cpp). After each: the job ends with a status
// that is not 0, and once the command is run again the files have the bytes of a job that nobody killed.
//
// KDEF_FAULTS=all tries every call; otherwise some, spread over the calls of the job.
#include <cstdlib>
#include <iostream>
#include <numeric>

#include "core/base/text.h"
#include "tests/mpi/support.h"

namespace kdef::test {
namespace {

constexpr double kSeconds = 30;  // within which a job ends after the death of a process

class Kills : public Mpi {
 protected:
  // How a process is started: the program under a library that does as the environment says.
  static std::string under(const std::string& library, const std::string& environment) {
    return "env LD_PRELOAD=" + library + " " + environment + " " KDEF_PROGRAM " ";
  }

  static long number_in(const std::string& file) {
    long number = 0;
    read_number(lines(read_file(file)).at(0), number);
    return number;
  }

  // Of the calls 1 to `count`, all, or `some` that one of `ranks` processes is killed before. Those of all ranks
  // together are spread from the first call to the last.
  static std::vector<long> calls(long count, long some, int rank = 0, int ranks = 1) {
    const char* wish = std::getenv("KDEF_FAULTS");
    if (wish != nullptr && std::string(wish) == "all") {
      std::vector<long> every(static_cast<size_t>(count));
      std::iota(every.begin(), every.end(), 1);
      return every;
    }
    std::vector<long> chosen;
    for (long i = 0; i < some; ++i)
      chosen.push_back(1 + (i * ranks + rank) * (count - 1) / std::max(some * ranks - 1, 1L));
    return chosen;
  }

  void TearDown() override {
    if (deaths_ > 0)
      std::cout << deaths_ << " deaths; the longest job took " << longest_ << " s, an undisturbed one " << undisturbed_
                << " s\n";
  }

  // A job that ends by the death of a process.
  void expect_death(const std::string& job) {
    const auto start = std::chrono::steady_clock::now();
    const Outcome outcome = shell(job);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_NE(outcome.status, 0) << outcome.text;
    EXPECT_EQ(count(outcome.text, "exited on signal 9"), 1u) << outcome.text;  // what mpirun says of it
    EXPECT_LT(seconds, undisturbed_ + kSeconds);  // the death comes before the end of an undisturbed job
    longest_ = std::max(longest_, seconds);
    ++deaths_;
  }

  // A job that nobody disturbs.
  void expect_whole(const std::string& job) {
    const auto start = std::chrono::steady_clock::now();
    const Outcome outcome = shell(job);
    undisturbed_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ASSERT_EQ(outcome.status, 0) << outcome.text;
  }

  // Trains on, and compares.
  void expect_resumes(int processes, const std::string& more) {
    const bool begun = std::filesystem::exists(path("killed/checkpoint/state.safetensors"));
    const Outcome resumed = run(processes, more + (begun ? " --resume" : "") + " --run " + path("killed"));
    ASSERT_EQ(resumed.status, 0) << resumed.text;
    for (const char* file : {"model.safetensors", "result.json", "collapse.json"})
      EXPECT_TRUE(read_file(path(std::string("killed/") + file)) == read_file(path(std::string("whole/") + file)))
          << file;
    EXPECT_EQ(names_in_run("killed"), names_in_run("whole"));
  }

  std::vector<std::string> names_in_run(const std::string& run) const {
    std::vector<std::string> names;
    for (const std::string& name : listing(path(run))) names.push_back(name.substr(path(run).size()));
    return names;
  }

  void kill_in_calls_of_mpi(int processes, const std::string& more, long some) {
    const std::string counts = path("calls.");
    const std::string training = train_command("num_student=2 --threads 1 " + more + " --run ");
    const std::string launcher = kLauncher + std::to_string(processes) + " ";
    const auto job = [&](const std::string& environment, const std::string& run) {
      return launcher + under(KDEF_KILL_AT, environment) + training + path(run);
    };
    expect_whole(job("KDEF_KILL_COUNT=" + counts, "whole"));
    for (int rank = 0; rank < processes; ++rank) {
      const long all = number_in(counts + std::to_string(rank));
      ASSERT_GT(all, 50) << "no call was counted";
      for (const long at : calls(all, some, rank, processes)) {
        SCOPED_TRACE(cat("process ", rank, " of ", processes, ", call ", at, " of ", all));
        std::filesystem::remove_all(path("killed"));
        std::filesystem::remove_all(path("cache"));  // the data is prepared, too
        expect_death(job(cat("KDEF_KILL_RANK=", rank, " KDEF_KILL_AT=", at), "killed"));
        expect_resumes(processes, more);
        if (HasFailure()) return;
      }
    }
  }

  double longest_ = 0, undisturbed_ = 0;  // seconds
  int deaths_ = 0;
};

// Two epochs with two evaluations and four checkpoints each.
const std::string kShort = "epochs=2 eval_steps=3 checkpoint_every=2";

TEST_F(Kills, AllOverATraining) {
  cut_training_rows(3);
  kill_in_calls_of_mpi(2, kShort, 3);
}

TEST_F(Kills, AllOverATrainingWithDividedTables) {
  cut_training_rows(3);
  kill_in_calls_of_mpi(4, kShort + " divide_tables=true shards=4", 2);
}

// The first process writes; it is killed between its writes.
TEST_F(Kills, WhileFilesAreWritten) {
  int number = 0;  // of the six deaths
  for (const char* more : {"", " divide_tables=true"}) {
    const std::string settings = kShort + more, counts = path("calls");
    const std::string training = train_command("num_student=2 --threads 1 " + settings + " --run ");
    const auto job = [&](const std::string& environment, const std::string& run) {
      return kLauncher + ("1 " + under(KDEF_INJECT, "KDEF_FAULT_FOLDER=" + path(run) + " " + environment)) + training +
             path(run) + " : -n 1 " KDEF_PROGRAM " " + training + path(run);
    };
    std::filesystem::remove_all(path("whole"));
    expect_whole(job("KDEF_FAULT_COUNT_FILE=" + counts, "whole"));
    for (const char* call : {"write", "fsync", "rename"}) {
      long all = 0;
      for (const std::string& line : lines(read_file(counts))) {
        if (line.starts_with(std::string(call) + " ")) read_number(line.substr(line.find(' ') + 1), all);
      }
      ASSERT_GT(all, 2) << read_file(counts);
      for (const long at : calls(all, 1, number++, 6)) {
        SCOPED_TRACE(cat(call, " ", at, " of ", all, more));
        std::filesystem::remove_all(path("killed"));
        expect_death(job(cat("KDEF_FAULT_ERROR=kill KDEF_FAULT_CALL=", call, " KDEF_FAULT_AT=", at), "killed"));
        expect_resumes(2, settings);
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(Kills, WhileDataIsPrepared) {
  cut_training_rows(5);
  const std::string counts = path("calls."), launcher = kLauncher + std::string("3 ");
  expect_whole(launcher + under(KDEF_KILL_AT, "KDEF_KILL_COUNT=" + counts) + prepare_command("whole"));
  const auto wanted = cache_files("whole");
  for (int rank = 0; rank < 3; ++rank) {
    for (const long at : calls(number_in(counts + std::to_string(rank)), 2, rank, 3)) {
      SCOPED_TRACE(cat("process ", rank, ", call ", at));
      std::filesystem::remove_all(path("killed"));
      expect_death(launcher + under(KDEF_KILL_AT, cat("KDEF_KILL_RANK=", rank, " KDEF_KILL_AT=", at)) +
                   prepare_command("killed"));
      ASSERT_EQ(shell(launched(3, prepare_command("killed"))).status, 0);
      EXPECT_EQ(cache_files("killed"), wanted);
    }
  }
}

}  // namespace
}  // namespace kdef::test
