// Sweeps and exported students, as a user runs them.
#include <nlohmann/json.hpp>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

class ScalingTest : public RunTest {
 protected:
  std::string sweep_command(const std::string& out, const std::string& more = "") const {
    return "sweep --config " + path("data") + " --expid KDEF --students 1,2 --ensembles kdef,mean --seeds 2 --out " +
           path(out) + " data_root=" + path("cache") +
           " batch_size=512 'hidden_units=[16, 8]' epochs=3 early_stop_patience=100 " + more;
  }
  // sweep.csv without its last columns, the times.
  std::vector<std::string> table(const std::string& sweep) const {
    std::vector<std::string> rows = lines(read_file(path(sweep + "/sweep.csv")));
    for (std::string& row : rows) row = row.substr(0, row.rfind(',', row.rfind(',') - 1));
    return rows;
  }
};

TEST_F(ScalingTest, ObjectivesAreAnotherNameOfTheListOfEnsembles) {
  const std::string sweep = "sweep --config " + path("data") + " --expid KDEF --students 2 --dry-run --out " +
                            path("objectives") + " data_root=" + path("cache") + " --objectives final,tri_bce,mean";
  const Outcome planned = kdef(sweep);
  ASSERT_EQ(planned.status, 0) << planned.text;
  for (const char* run : {"final-M2-seed2024", "tri_bce-M2-seed2024", "mean-M2-seed2024", "3 runs, 3 to train"}) {
    EXPECT_THAT(planned.text, HasSubstr(run));
  }
  const Outcome both = kdef(sweep + " --ensembles kdef");
  EXPECT_EQ(both.status, 2);
  EXPECT_THAT(both.text, HasSubstr("--objectives and --ensembles are the same list"));
  EXPECT_THAT(kdef(sweep + ",finale").text, HasSubstr("--objectives: expected kdef, final"));
}

TEST_F(ScalingTest, ASweepSurvivesBeingKilled) {
  const Outcome whole = kdef(sweep_command("whole"));
  ASSERT_EQ(whole.status, 0) << whole.text;
  EXPECT_THAT(whole.text, HasSubstr("Run 1 of 6: mean, 1 student, seed 2024"));
  EXPECT_THAT(whole.text, HasSubstr("Run 6 of 6: mean, 2 students, seed 2025; about "));
  ASSERT_EQ(table("whole").size(), 5u);  // two ensembles, two numbers of students, and the names
  EXPECT_THAT(read_file(path("whole/sweep.md")), HasSubstr("6 of 6 runs are finished"));

  // Killed once the second run has begun, then stopped by Ctrl-C, however far it has come by then.
  const std::string program = std::string(KDEF_PROGRAM) + " " + sweep_command("part");
  put(path("script.sh"), program + " >/dev/null 2>&1 & first=$!\nfor i in $(seq 6000); do [ -e " +
                             path("part/runs/mean-M1-seed2025/checkpoint/state.safetensors") +
                             " ] && break; sleep 0.01; done\nkill -9 $first; wait $first 2>/dev/null; true");
  ASSERT_EQ(shell("sh " + path("script.sh")).status, 0);
  const std::string first = read_file(path("part/runs/mean-M1-seed2024/metrics.jsonl"));
  EXPECT_FALSE(first.empty());
  const Outcome stopped = shell("timeout -s INT 0.2 " + program);
  if (stopped.text.find("Interrupted") != std::string::npos) {
    EXPECT_THAT(stopped.text, HasSubstr("run the same command again to continue"));
  }
  const Outcome rest = kdef(sweep_command("part"));
  EXPECT_EQ(rest.status, 0) << rest.text;
  EXPECT_EQ(table("part"), table("whole"));
  EXPECT_EQ(read_file(path("part/runs/mean-M1-seed2024/metrics.jsonl")), first) << "a finished run was repeated";
  EXPECT_EQ(read_file(path("part/runs/kdef-M2-seed2025/model.safetensors")),
            read_file(path("whole/runs/kdef-M2-seed2025/model.safetensors")));

  EXPECT_THAT(kdef(sweep_command("part", "--dry-run")).text, HasSubstr("6 runs, 0 to train"));
  const Outcome other = kdef(sweep_command("part", "learning_rate=0.5"));
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.text, HasSubstr("other settings: learning_rate"));
  EXPECT_EQ(kdef("report " + path("part") + " --out " + path("part.html")).status, 0);
  EXPECT_THAT(read_file(path("part.html")), HasSubstr("Against the number of students"));
}

TEST_F(ScalingTest, ADryRunListsAndWritesNothing) {
  const std::vector<std::string> before = listing(folder_.string());
  const Outcome outcome = kdef(sweep_command("sweep", "--dry-run --seed-list 5,1"));
  EXPECT_EQ(outcome.status, 0);
  const std::vector<std::string> text = lines(outcome.text);
  EXPECT_THAT(text, testing::Contains("open  " + path("sweep/runs/kdef-M2-seed5")));
  EXPECT_EQ(text.back(), "6 runs, 6 to train");
  EXPECT_EQ(listing(folder_.string()), before);
}

TEST_F(ScalingTest, BadListsAreRefused) {
  for (const auto& [more, words] : std::vector<std::pair<std::string, std::string>>{
           {"--students 1,x", "--students: expected integers of at least 1, separated by commas, found 'x'"},
           {"--students 0", "found '0'"},
           {"--students 1,,2", "found ''"},
           {"--ensembles kdef,meen", "found 'meen'"},
           {"--seeds 0", "--seeds"},
           {"--seed-list -1", "found '-1'"},
           {"--students 1 seed=3", "the sweep sets seed; give --seeds or --seed-list"}}) {
    const Outcome outcome =
        kdef("sweep --config " + path("data") + " --expid KDEF --out " + path("sweep") + " " + more);
    EXPECT_EQ(outcome.status, 2) << more << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr(words)) << more;
  }
  EXPECT_FALSE(std::filesystem::exists(path("sweep")));
}

TEST_F(ScalingTest, AnExportedStudentIsServedAlone) {
  ASSERT_EQ(train("num_student=3 --run " + path("run")).status, 0);
  const Outcome exported = kdef("export --run " + path("run") + " --student 2 --out " + path("student"));
  ASSERT_EQ(exported.status, 0) << exported.text;
  EXPECT_THAT(exported.text, HasSubstr("Student 2 of 3: "));
  const std::string rows = " --data " + path("data/test.csv");
  const Outcome all = kdef("predict --students --out - --run " + path("run") + rows);
  const Outcome alone = kdef("predict --out - --run " + path("student") + rows);
  ASSERT_EQ(alone.status, 0) << alone.text;
  std::string column;
  for (const std::string& line : lines(all.text)) {
    std::istringstream cells(line);
    std::string cell;
    for (int i = 0; i < 3; ++i) std::getline(cells, cell, ',');  // the ensemble, student 1, student 2
    column += cell + "\n";
  }
  EXPECT_EQ(alone.text, column);
  const Outcome evaluated = kdef("evaluate --run " + path("student") + rows);
  ASSERT_EQ(evaluated.status, 0) << evaluated.text;
  const Json result = Json::parse(read_file(path("run/result.json")));
  Json student = result["test"]["students"][1];
  EXPECT_EQ(student.erase("calibration"), 1u);  // evaluate prints metrics alone
  EXPECT_EQ(Json::parse(lines(evaluated.text).back())["ensemble"], student);
  EXPECT_EQ(Json::parse(read_file(path("student/result.json")))["valid"]["ensemble"], result["valid"]["students"][1]);

  EXPECT_EQ(kdef("export --run " + path("run") + " --student best --out " + path("student")).status, 2);
  EXPECT_EQ(kdef("export --run " + path("run") + " --student best --out " + path("best")).status, 0);
  EXPECT_EQ(kdef("report " + path("run") + " " + path("best") + " --out " + path("page.html")).status, 0);
}

TEST_F(ScalingTest, TablesPerStudentAreCounted) {
  const auto parameters = [&](const std::string& more) {
    const Outcome outcome =
        kdef("info --config " + path("data") + " --expid KDEF data_root=" + path("cache") + " " + more);
    return std::stoll(lines(outcome.text).back().substr(std::string("parameters ").size()));
  };
  const int64_t one = parameters("num_student=1"), three = parameters("num_student=3");
  // Students beside the first add themselves alone, or with a set of tables each.
  const int64_t network = (three - one) / 2, tables = one - network;
  EXPECT_EQ(parameters("num_student=3 shared_embedding=false"), 3 * (network + tables));
}

}  // namespace
}  // namespace kdef::test
