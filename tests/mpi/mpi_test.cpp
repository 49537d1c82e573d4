// Trainings of several processes, as mpirun starts them. Without MPI they are skipped.
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// Open MPI starts as many processes as are asked for, whatever the machine, and also for root in a container.
const char* const kLauncher =
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 "
    "OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1 "
    "ASAN_OPTIONS=detect_leaks=0 "  // those are Open MPI's
    "timeout 300 " KDEF_MPIRUN " -n ";

class Mpi : public RunTest {
 protected:
  void SetUp() override {
    if (std::string(KDEF_MPIRUN).empty()) GTEST_SKIP() << "this build has no MPI, or there is no mpirun";
  }
  std::string command(int processes, const std::string& more) const {
    return kLauncher + std::to_string(processes) + " " KDEF_PROGRAM " " +
           train_command("num_student=2 --threads 1 " + more);
  }
  Outcome run(int processes, const std::string& more) const { return shell(command(processes, more)); }
};

size_t count(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

TEST_F(Mpi, ProcessesTrainWhatOneTrains) {
  // Without batch norm: the true gradient of a bias before it is 0, and Adam makes whole steps of its rounding.
  const std::string more = "batch_norm=false --run ";
  ASSERT_EQ(train("num_student=2 --threads 1 " + more + path("alone")).status, 0);
  const std::vector<std::string> alone = lines(read_file(path("alone/metrics.jsonl")));
  ASSERT_EQ(alone.size(), 3u);
  for (int processes : {1, 2, 4}) {
    const std::string run_path = path("p" + std::to_string(processes));
    const Outcome outcome = run(processes, more + run_path);
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_EQ(count(outcome.text, "Done in"), 1u) << outcome.text;
    const std::vector<std::string> together = lines(read_file(run_path + "/metrics.jsonl"));
    ASSERT_EQ(together.size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      const Json a = Json::parse(alone[i]), b = Json::parse(together[i]);
      EXPECT_EQ(a["step"], b["step"]);
      // The precision is fp32; sums are made in another order.
      EXPECT_NEAR(a["train_loss"].get<double>(), b["train_loss"].get<double>(), 1e-5) << processes;
      EXPECT_NEAR(a["valid"]["ensemble"]["logloss"].get<double>(), b["valid"]["ensemble"]["logloss"].get<double>(),
                  1e-5)
          << processes;
    }
    if (processes == 1) {
      EXPECT_EQ(read_file(run_path + "/model.safetensors"), read_file(path("alone/model.safetensors")));
    }
    // The same processes again: the same bits.
    ASSERT_EQ(run(processes, more + run_path + "-again").status, 0);
    EXPECT_EQ(read_file(run_path + "/model.safetensors"), read_file(run_path + "-again/model.safetensors"));
  }
}

TEST_F(Mpi, AKilledProcessEndsAllAndResumeIsExact) {
  ASSERT_EQ(run(2, "checkpoint_every=1 epochs=30 --run " + path("whole")).status, 0);
  const std::string killed = path("killed");
  Outcome outcome;
  std::thread job([&] { outcome = run(2, "checkpoint_every=1 epochs=30 --run " + killed); });
  for (int i = 0; i < 2000 && !std::filesystem::exists(killed + "/checkpoint"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  // The last process that was started with this directory: a member of the group.
  const auto start = std::chrono::steady_clock::now();
  shell("pkill -9 -n -f '" KDEF_PROGRAM " train .*/[k]illed$'");  // the brackets: not the shell of this command
  job.join();
  const auto ended = std::chrono::steady_clock::now() - start;
  EXPECT_NE(outcome.status, 0) << "the training ended before the kill";
  EXPECT_LT(std::chrono::duration<double>(ended).count(), 30);
  const Outcome resumed = run(2, "checkpoint_every=1 epochs=30 --resume --run " + killed);
  ASSERT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_EQ(read_file(killed + "/model.safetensors"), read_file(path("whole/model.safetensors")));
}

TEST_F(Mpi, AFailureIsOneMessageAndOneStatus) {
  const Outcome outcome = run(3, "epochs=0 --run " + path("run"));
  EXPECT_EQ(outcome.status, 2) << outcome.text;
  EXPECT_EQ(count(outcome.text, "key 'epochs'"), 1u) << outcome.text;
}

TEST_F(RunTest, WithoutItsLibraryOneOfManyProcessesRefusesToTrain) {
  const std::string lonely = path("kdef");
  std::filesystem::copy_file(KDEF_PROGRAM, lonely);
  const Outcome outcome = shell("OMPI_COMM_WORLD_SIZE=2 " + lonely + " " + train_command("--run " + path("run")));
  EXPECT_EQ(outcome.status, 2) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("one of 2 processes"));
  EXPECT_THAT(outcome.text, HasSubstr("KDEF_MPI"));
  EXPECT_FALSE(std::filesystem::exists(path("run")));
}

}  // namespace
}  // namespace kdef::test
