// Running the program as several processes, as mpirun starts them. Without MPI the tests are skipped.
#pragma once

#include <chrono>
#include <map>
#include <thread>

#include "tests/cli/support.h"

namespace kdef::test {

// Open MPI starts as many processes as are asked for, whatever the machine, and also for root in a container.
inline const char* const kLauncher =
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 "
    "OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1 "
    "ASAN_OPTIONS=detect_leaks=0 "  // those are Open MPI's
    "timeout 300 " KDEF_MPIRUN " -n ";

class Mpi : public RunTest {
 protected:
  void SetUp() override {
    if (std::string(KDEF_MPIRUN).empty()) GTEST_SKIP() << "this build has no MPI, or there is no mpirun";
  }
  std::string launched(int processes, const std::string& arguments, const char* program = KDEF_PROGRAM) const {
    return kLauncher + std::to_string(processes) + " " + program + " " + arguments;
  }
  std::string command(int processes, const std::string& more) const {
    return launched(processes, train_command("num_student=2 --threads 1 " + more));
  }
  Outcome run(int processes, const std::string& more) const { return shell(command(processes, more)); }
  Outcome start_and_kill(int processes, const std::string& more, int signal = 9) const;
  // Cuts the training rows into the files of a folder, which the configuration then names.
  void cut_training_rows(size_t parts) const;
  std::string prepare_command(const std::string& cache) const {
    return "prepare --config " + path("data") + " --expid KDEF --threads 1 data_root=" + path(cache);
  }
  // The files of a cache and their bytes.
  std::map<std::string, std::string> cache_files(const std::string& cache) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path(cache))) {
      if (entry.is_regular_file() && entry.path().filename() != ".lock")
        files[entry.path().filename()] = read_file(entry.path());
    }
    return files;
  }
};

inline void Mpi::cut_training_rows(size_t parts) const {
  const std::vector<std::string> rows = lines(read_file(path("data/train.csv")));
  std::filesystem::create_directories(path("data/train"));
  for (size_t p = 0, row = 1; p < parts; ++p) {
    std::string text = rows[0] + "\n";
    for (; row < 1 + (rows.size() - 1) * (p + 1) / parts; ++row) text += rows[row] + "\n";
    put(path("data/train/part-" + std::to_string(p) + ".csv"), text);
  }
  std::string config = read_file(path("data/dataset_config.yaml"));
  const std::string file = path("data/train.csv");
  config.replace(config.find(file), file.size(), path("data/train"));
  put(path("data/dataset_config.yaml"), config);
  // What is done about files that have just been written depends on the clock.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path("data")))
    std::filesystem::last_write_time(entry.path(),
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
}

inline size_t count(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

// Starts a training of `processes`, and sends a signal to one of them after the first checkpoint.
inline Outcome Mpi::start_and_kill(int processes, const std::string& more, int signal) const {
  const std::string killed = path("killed");
  Outcome outcome;
  std::thread job([&] { outcome = run(processes, more + " --run " + killed); });
  for (int i = 0; i < 20000 && !std::filesystem::exists(killed + "/checkpoint/state.safetensors"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  // The last process that was started with this directory: a member of the group.
  const auto start = std::chrono::steady_clock::now();
  shell("pkill -" + std::to_string(signal) + " -n -f '" KDEF_PROGRAM " train .*" + path("[k]illed") +
        "$'");  // the brackets: not the shell of this command
  job.join();
  const auto ended = std::chrono::steady_clock::now() - start;
  EXPECT_NE(outcome.status, 0) << "the training ended before the kill";
  EXPECT_LT(std::chrono::duration<double>(ended).count(), 30);
  return outcome;
}

}  // namespace kdef::test
