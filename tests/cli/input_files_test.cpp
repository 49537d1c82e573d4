// Files of rows as users have them: labels that are placeholders, quotes, pipes, folders, line ends, missing values.
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// A run of two columns, and rows to score.
class InputFiles : public testing::Test {
 protected:
  InputFiles() : folder_(std::filesystem::temp_directory_path() / ("kdef_input_test_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    put(path("train.csv"), rows(0, 300));
    put(path("valid.csv"), rows(1, 100));
    configure("");
    put(path("model_config.yaml"),
        "Base: {dataset_id: d, model: KDEF, num_student: 2, embedding_dim: 4, hidden_units: [8], batch_size: 64, "
        "epochs: 1, seed: 1}\ne: {}\n");
  }
  ~InputFiles() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // Rows of user, item, click.
  static std::string rows(int first, int count, const std::string& header = "user,item,click\n") {
    std::string text = header;
    for (int i = first; i < first + count; ++i) {
      text +=
          "u" + std::to_string(i * 7 % 13) + ",i" + std::to_string(i * 5 % 11) + "," + std::to_string(i % 3 % 2) + "\n";
    }
    return text;
  }
  // `more`: keys of the data set.
  void configure(const std::string& more) const {
    put(path("dataset_config.yaml"), "d:\n  data_root: " + path("cache") + "\n  train_data: " + path("train.csv") +
                                         "\n  valid_data: " + path("valid.csv") + "\n" + more +
                                         "  label_col: {name: click, dtype: float}\n  feature_cols:\n"
                                         "    - {name: [user, item], type: categorical, dtype: str}\n");
  }
  std::string config() const { return " --config " + path(".") + " --expid e --threads 1 "; }
  Outcome prepare(const std::string& more = "") const { return kdef("prepare" + config() + more); }
  void train() const {
    const Outcome outcome = kdef("train" + config() + "--run " + path("run"));
    ASSERT_EQ(outcome.status, 0) << outcome.text;
  }
  std::string predict(const std::string& data, const std::string& out) const {
    return "predict --threads 1 --run " + path("run") + " --data " + data + " --out " + path(out);
  }

  std::filesystem::path folder_;
};

TEST_F(InputFiles, PredictionNeedsNoLabels) {
  train();
  std::map<std::string, std::string> bytes;
  for (const char* label : {"0", "", "-1", "?"}) {
    std::string text = "user,item,click\n";
    for (int i = 0; i < 40; ++i) text += "u" + std::to_string(i % 13) + ",i2," + label + "\n";
    put(path("new.csv"), text);
    const Outcome outcome = kdef(predict(path("new.csv"), "p"));
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_THAT(outcome.text, Not(HasSubstr("warning")));
    bytes[label] = read_file(path("p"));
    EXPECT_EQ(bytes[label], bytes["0"]) << label;
  }
  EXPECT_EQ(lines(bytes["0"]).size(), 40u);
  put(path("bare.csv"), "item,user\ni2,u1\n");
  const Outcome outcome = kdef("evaluate --run " + path("run") + " --data " + path("bare.csv"));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("the label column click is missing"));
}

TEST_F(InputFiles, PredictionsAreCountedAgainstTheFile) {
  train();
  const auto told = [&](const std::string& text) {
    put(path("new.csv"), text);
    const Outcome outcome = kdef(predict(path("new.csv"), "p"));
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    return outcome.text;
  };
  EXPECT_THAT(told("user,item\nu1,i1\nu2,i2\n"), Not(HasSubstr("warning")));
  EXPECT_THAT(told("user,item\nu1,i1\n\nu2,i2\n"), HasSubstr("2 rows stand on 3 lines"));
  EXPECT_THAT(told("user,item\n\"u1\n\",i1\nu2,i2\n"), HasSubstr("2 rows stand on 3 lines"));
  EXPECT_THAT(told("user,item\n\"u1,i1\nu2,\"i2,i2\nu3,\"i3\"\n\"u4\",i4\n"), HasSubstr("quote: none"));
}

TEST_F(InputFiles, StandardInputAndPipes) {
  train();
  put(path("new.csv"), rows(3, 50));
  ASSERT_EQ(kdef(predict(path("new.csv"), "file")).status, 0);
  const std::string program = KDEF_PROGRAM;
  const Outcome piped = shell("gzip -c " + path("new.csv") + " | " + program + " " + predict("-", "pipe"));
  EXPECT_EQ(piped.status, 0) << piped.text;
  EXPECT_EQ(read_file(path("pipe")), read_file(path("file")));
  const Outcome measured =
      shell("cat " + path("new.csv") + " | " + program + " evaluate --data - --run " + path("run"));
  EXPECT_EQ(measured.status, 0) << measured.text;
  EXPECT_THAT(measured.text, HasSubstr("standard input: 50 rows"));
  const Outcome bad = shell("printf 'user\\nu1\\n' | " + program + " " + predict("-", "bad"));
  EXPECT_EQ(bad.status, 2);
  EXPECT_THAT(bad.text, HasSubstr("standard input: no column 'item'"));
  const Outcome fifo = shell("mkfifo " + path("fifo") + " && { cat " + path("train.csv") + " > " + path("fifo") +
                             " & } && " + program + " prepare" + config() + "train_data=" + path("fifo"));
  EXPECT_EQ(fifo.status, 0) << fifo.text;
  EXPECT_THAT(fifo.text, HasSubstr("train 300"));
}

TEST_F(InputFiles, PredictKeepsColumns) {
  train();
  put(path("new.csv"), "id,user,note,item\n7,u1,plain,i1\n8,u2,\"a, \"\"b\"\"\",i2\n9,u1,\"two\nlines\",i1\n");
  ASSERT_EQ(kdef(predict(path("new.csv"), "alone")).status, 0);
  const std::vector<std::string> alone = lines(read_file(path("alone")));
  ASSERT_EQ(alone.size(), 3u);
  // A column that the model reads, and two that it does not.
  const std::string keep = " --header --keep note --keep id --keep user";
  const Outcome kept = kdef(predict(path("new.csv"), "kept") + keep);
  EXPECT_EQ(kept.status, 0) << kept.text;
  EXPECT_EQ(read_file(path("kept")), "note,id,user,probability\nplain,7,u1," + alone[0] + "\n\"a, \"\"b\"\"\",8,u2," +
                                         alone[1] + "\n\"two\nlines\",9,u1," + alone[2] + "\n");
  // Standard input, and a folder whose files have another order of columns.
  const Outcome piped =
      shell("cat " + path("new.csv") + " | " + std::string(KDEF_PROGRAM) + " " + predict("-", "pipe") + keep);
  EXPECT_EQ(piped.status, 0) << piped.text;
  EXPECT_EQ(read_file(path("pipe")), read_file(path("kept")));
  std::filesystem::create_directory(path("new"));
  put(path("new/a.csv"), "id,user,item\n1,u1,i1\n");
  put(path("new/b.csv"), "item,id,user\ni2,2,u2\n");
  ASSERT_EQ(kdef(predict(path("new"), "folder") + " --keep id").status, 0);
  EXPECT_EQ(read_file(path("folder")), "1," + alone[0] + "\n2," + alone[1] + "\n");
  put(path("new/c.csv"), "item,user\ni2,u2\n");
  for (const auto& [more, reason] :
       {std::pair<std::string, std::string>{path("new.csv") + " --keep nosuch", "no column 'nosuch'"},
        {path("new.csv") + " --keep id --keep id", "column 'id' is named twice"},
        {path("new") + " --keep id", "c.csv: no column 'id'"}}) {
    const Outcome bad = kdef(predict(more, "bad"));
    EXPECT_EQ(bad.status, 2) << more;
    EXPECT_THAT(bad.text, HasSubstr(reason));
    EXPECT_FALSE(std::filesystem::exists(path("bad")));
  }
}

TEST_F(InputFiles, FoldersCompressionAndLineEnds) {
  std::filesystem::create_directory(path("parts"));
  put(path("parts/part-0.csv"), rows(0, 200));
  put(path("parts/part-1.csv"), rows(200, 100));
  put(path("parts/_SUCCESS"), "");
  Outcome outcome = prepare("train_data=" + path("parts"));
  EXPECT_THAT(outcome.text, HasSubstr("train 300")) << outcome.text;
  const std::string cache = read_file(path("cache/d/train.kdefbin"));
  outcome = prepare();  // the same rows in one file are other bytes
  EXPECT_THAT(outcome.text, HasSubstr("Prepared")) << outcome.text;
  EXPECT_EQ(read_file(path("cache/d/train.kdefbin")), cache);
  EXPECT_THAT(prepare().text, HasSubstr("Up to date"));
  ASSERT_EQ(shell("gzip -c " + path("train.csv") + " > " + path("packed")).status, 0);
  EXPECT_EQ(prepare("train_data=" + path("packed")).status, 0);
  EXPECT_EQ(read_file(path("cache/d/train.kdefbin")), cache);
  std::string text = rows(0, 300);
  std::replace(text.begin(), text.end(), '\n', '\r');
  put(path("cr.csv"), text);
  EXPECT_EQ(prepare("train_data=" + path("cr.csv")).status, 0);
  EXPECT_EQ(read_file(path("cache/d/train.kdefbin")), cache);
  put(path("utf16.csv"), "\xFF\xFEu");
  outcome = prepare("train_data=" + path("utf16.csv"));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("iconv -f UTF-16"));
}

TEST_F(InputFiles, StrayQuotesAreToldOrCharacters) {
  std::string text = rows(0, 300);
  for (const char* cell : {"\nu7,i5,1\n", "\nu0,i0,0\n"}) text.insert(text.rfind(cell) + 1, "\"");
  put(path("train.csv"), text);
  Outcome outcome = prepare();
  EXPECT_THAT(outcome.text, HasSubstr("quote: none")) << outcome.text;
  EXPECT_THAT(outcome.text, Not(HasSubstr("train 300")));
  outcome = kdef("train" + config() + "--run " + path("run"));
  EXPECT_THAT(outcome.text, HasSubstr("quote: none")) << outcome.text;
  outcome = prepare("quote=none");
  EXPECT_THAT(outcome.text, HasSubstr("train 300")) << outcome.text;
  EXPECT_THAT(outcome.text, Not(HasSubstr("warning")));
}

TEST_F(InputFiles, UnusedColumnsAndTestRowsWithoutLabels) {
  put(path("train.csv"), "user,item,click,,,x,x\nu1,i1,1,,,1,2\nu2,i1,0,,,1,2\n");
  EXPECT_EQ(prepare().status, 0);
  put(path("test.csv"), "user,item\nu1,i1\n");
  const Outcome outcome = prepare("test_data=" + path("test.csv"));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("the label column click is missing: leave test_data out and use kdef predict"));
}

// Rows of two numbers.
std::string numbers(int count) {
  std::string text = "x,y\n";
  for (int i = 0; i < count; ++i) text += "0.0" + std::to_string(i % 7) + ",0." + std::to_string(i % 3) + "\n";
  return text;
}

// Fills the elements of a tensor of a safetensors file, which has no checksum then.
void fill_tensor(const std::string& path, const std::string& name, float value) {
  std::string bytes = read_file(path);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto json = nlohmann::json::parse(bytes.substr(sizeof header, header));
  ASSERT_TRUE(json.contains(name)) << json.dump(1);
  const auto offsets = json[name]["data_offsets"].get<std::array<size_t, 2>>();
  for (size_t at = offsets[0]; at < offsets[1]; at += sizeof value)
    std::memcpy(bytes.data() + sizeof header + header + at, &value, sizeof value);
  bytes.replace(bytes.find("\"crc32\""), 7, "\"other\"");
  put(path, bytes);
}

TEST_F(InputFiles, PredictionsThatAreNotFiniteAreTold) {
  put(path("train.csv"), numbers(300));
  put(path("valid.csv"), numbers(100));
  put(path("dataset_config.yaml"), "d:\n  data_root: " + path("cache") + "\n  train_data: " + path("train.csv") +
                                       "\n  valid_data: " + path("valid.csv") +
                                       "\n  label_col: {name: y, dtype: float}\n  feature_cols:\n"
                                       "    - {name: x, type: numeric, dtype: float, normalizer: StandardScaler}\n");
  const std::string settings = " task=regression objective=none ensemble=mean";
  ASSERT_EQ(kdef("train" + config() + "--run " + path("run") + settings + " network=FM").status, 0);
  // A product of embeddings of these numbers is infinity, and FM subtracts two.
  put(path("new.csv"), "x\n0.01\n1e36\n0.02\n-1e36\n");
  const Outcome outcome = kdef(predict(path("new.csv"), "p") + " --students");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("rows with a prediction that is not finite: 2, the first of them row 2"));
  const std::vector<std::string> written = lines(read_file(path("p")));
  ASSERT_EQ(written.size(), 4u);
  for (size_t row = 0; row < written.size(); ++row) {
    if (row % 2 == 1) {
      EXPECT_EQ(written[row], "nan,nan,nan");
    } else {
      EXPECT_THAT(written[row], Not(testing::AnyOf(HasSubstr("nan"), HasSubstr("inf"))));
    }
  }

  // Weights that are not finite are the model's fault; infinity in a prediction of a number shows them, too.
  ASSERT_EQ(kdef("train" + config() + "--overwrite --run " + path("run") + settings).status, 0);
  std::filesystem::remove(path("p"));
  const std::string model = path("run/model.safetensors"), whole = read_file(model), bias = "networks.1.mlp.3.bias";
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    put(model, whole);
    fill_tensor(model, bias, bad);
    const Outcome refused = kdef(predict(path("new.csv"), "p"));
    EXPECT_EQ(refused.status, 1) << refused.text;
    EXPECT_THAT(refused.text, HasSubstr("row 1: a prediction is not finite; the run's parameter " + bias));
    EXPECT_FALSE(std::filesystem::exists(path("p")));
  }
}

TEST_F(InputFiles, MissingValuesAreDeclared) {
  std::string text = "x,click\n";
  for (const char* cell : {"1.5", "NaN", "", "NULL", "\\N", "2"}) text += std::string(cell) + ",1\n" + cell + ",0\n";
  put(path("train.csv"), text);
  put(path("valid.csv"), text);
  const std::string column = "'feature_cols=[{name: x, type: numeric, fill_na: 0";
  EXPECT_EQ(prepare(column + "}]'").status, 0);
  EXPECT_EQ(prepare(column + ", na_values: [NaN, NULL, \\N]}]'").status, 0);
  EXPECT_EQ(prepare(column + "}]' 'na_values=[NaN, NULL, \\N]'").status, 0);
  const Outcome outcome = prepare(column + ", na_values: [NULL, \\N]}]'");
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("'NaN' is not a number"));
  EXPECT_THAT(outcome.text, HasSubstr("na_values"));
}

}  // namespace
}  // namespace kdef::test
