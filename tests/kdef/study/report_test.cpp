#include "kdef/study/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/base/error.h"
#include "core/io/file.h"
#include "core/io/file_lock.h"
#include "kdef/study/groups.h"
#include "kdef/study/labels.h"
#include "kdef/study/plot.h"
#include "tests/kdef/support.h"

namespace kdef::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

Evaluation evaluation(double auc, const std::vector<double>& students) {
  Evaluation e;
  e.ensemble = {{"auc", auc}, {"logloss", 1 - auc}};
  for (const double s : students) e.students.push_back({{"auc", s}, {"logloss", 1 - s}});
  return e;
}

// Run directories as a training leaves them, with invented figures.
class ReportTest : public testing::Test {
 protected:
  ExperimentConfig config(int64_t students, const std::string& ensemble, int64_t seed,
                          std::vector<std::string> more = {}) const {
    more.insert(more.end(), {cat("num_student=", students), cat("ensemble=", ensemble), cat("seed=", seed)});
    return experiment_.load(more);
  }
  std::string start(const std::string& name, const ExperimentConfig& config) const {
    const std::string run = experiment_.directory / name;
    std::filesystem::create_directories(run);
    write_file(run + "/config.yaml", to_yaml(config));
    return run;
  }
  std::string finish(const std::string& name, const ExperimentConfig& config, const Evaluation& test) const {
    const std::string run = start(name, config);
    write_file(run + "/result.json", cat("{\"valid\":", to_json(test), ",\"test\":", to_json(test), "}\n"));
    std::string metrics;
    for (int64_t i = 1; i <= 3; ++i) {
      TrainingListener::Evaluated e{};
      e.step = 10 * i;
      e.epoch = i;
      e.seconds = static_cast<double>(i);
      e.learning_rate = 1e-3;
      e.train_loss = 0.5;
      e.valid = test;
      metrics += metrics_line(e) + "\n";
    }
    write_file(run + "/metrics.jsonl", metrics);
    return run;
  }
  static void add_collapse(const std::string& run, double abundance) {
    CollapseReport report;
    report.rows = 100;
    for (const char* name : {"student 1 hidden 1", "student 1 hidden 2", "student 2 hidden 1", "student 2 hidden 2"}) {
      CollapseReport::Entry e;
      e.name = name;
      e.spectrum.rows = 100;
      e.spectrum.columns = 3;
      e.spectrum.log_spectrum = {0, std::log(0.25), -std::numeric_limits<double>::infinity()};
      e.spectrum.information_abundance = std::string(name).ends_with("2") ? abundance : 99;
      report.layers.push_back(e);
    }
    report.embeddings.push_back(report.layers[0]);
    report.embeddings[0].name = "embedding <user>";
    report.distance_to_ensemble = {0.01, 0.02};
    report.disagreement = {{0, 3e-4}, {3e-4, 0}};
    report.mean_disagreement = 3e-4;
    report.mean_distance_to_ensemble = 0.015;
    write_file(run + "/collapse.json", to_json(report) + "\n");
  }
  const SmallExperiment experiment_{2000};
};

TEST_F(ReportTest, OneRunShowsItsFiguresCurvesStudentsAndCollapse) {
  const std::string run = finish("run", config(2, "kdef", 7), evaluation(0.8125, {0.79, 0.81}));
  add_collapse(run, 1.25);
  const std::string html = to_html(read_report({run + "/"}));
  EXPECT_THAT(html, HasSubstr("<h1>KDEF, 2 \u00d7 mlp 16-8</h1>"));
  EXPECT_THAT(html, HasSubstr("<dt>Test AUC</dt><dd>0.8125"));
  EXPECT_THAT(html, HasSubstr("0.0125 better in AUC than its students\u2019 mean"));  // 0.80
  EXPECT_THAT(html, HasSubstr("weakest 0.7900, standard deviation 0.0100"));
  EXPECT_THAT(html, HasSubstr("epoch 2\nstudent 1: 0.7900\nstudent 2: 0.8100\nensemble: 0.8125</title>"));
  EXPECT_THAT(html,
              HasSubstr("<td>\u22120.0225</td><td>0.0100</td>"));  // student 1 minus the ensemble, its distance
  // What follows the students' loss of quality stands before the numbers of dimensions, which do not.
  const size_t apart = html.find("Whether the students fell apart"),
               matrix = html.find("Disagreement between students"),
               dimensions = html.find("How many dimensions are used");
  EXPECT_THAT(html, HasSubstr("|p \u2212 q|: <b>0.0150</b>"));
  EXPECT_LT(apart, matrix);
  EXPECT_LT(matrix, dimensions);
  EXPECT_LT(dimensions, html.find("Spectra of the students"));
  EXPECT_THAT(html, HasSubstr("<td>0.25</td>"));  // s_2 / s_1
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">student 2 hidden 2</th><td>100 \u00d7 3</td><td>1.25</td>"));
  EXPECT_THAT(html, HasSubstr("kdef train --config " + run + "/config.yaml --run " + run + "-again"));
  EXPECT_THAT(html, HasSubstr("kdef predict --run " + run));
  EXPECT_THAT(html, HasSubstr("experiment_id: KDEF"));
  EXPECT_EQ(count(html, "<figure>"), 6u);  // AUC, log loss, students, two spectra, disagreement
}

TEST_F(ReportTest, CalibrationIsDrawnForTheEnsembleAndFoldedForStudents) {
  Evaluation e = evaluation(0.8, {0.79, 0.81});
  e.ensemble.calibration = {{0.5, 0.125, 0.25}, {0.5, 0.75, 0.625}};
  e.students[0].calibration = {{1, 0.25, 0.5}};
  e.students[1].calibration = {{1, 0.375, 0.5}};
  const std::string html = to_html(read_report({finish("run", config(2, "kdef", 7), e)}));
  EXPECT_THAT(html, HasSubstr("<h3>Calibration</h3>"));
  EXPECT_THAT(html, HasSubstr("<td>0.7500</td><td>0.6250</td>"));  // the diagonal and the ensemble at 0.75
  EXPECT_THAT(html, HasSubstr("<details class=\"values\"><summary>Calibration of every student</summary>"));
  EXPECT_THAT(html, HasSubstr("Calibration of student 2, test data"));
  EXPECT_EQ(count(html, "<figure>"), 6u);  // AUC, log loss, students, ensemble's calibration, two students'
  // Without bins, as of runs before kdef kept them; and where the students' own output layers are not trained.
  EXPECT_THAT(to_html(read_report({finish("old", config(2, "kdef", 7), evaluation(0.8, {0.79, 0.81}))})),
              Not(HasSubstr("Calibration")));
  const std::string concat = to_html(read_report({finish("concat", config(2, "concat", 7), e)}));
  EXPECT_THAT(concat, HasSubstr("<h3>Calibration</h3>"));
  EXPECT_THAT(concat, Not(HasSubstr("Calibration of every student")));
}

TEST_F(ReportTest, AModelWorseThanTheConstantIsNoted) {
  Evaluation e = evaluation(0.8, {0.79, 0.81});
  e.ensemble.set("normalized_entropy", 0.99);
  EXPECT_THAT(to_html(read_report({finish("good", config(2, "kdef", 7), e)})), Not(HasSubstr("above 1")));
  e.ensemble.set("normalized_entropy", 1.01);
  EXPECT_THAT(to_html(read_report({finish("bad", config(2, "kdef", 7), e)})),
              HasSubstr("<li>The normalized entropy is above 1"));
}

TEST_F(ReportTest, ThePageStandsAlone) {
  const std::string run = finish("run", config(2, "kdef", 7), evaluation(0.8, {0.79, 0.81}));
  add_collapse(run, 1.25);
  const std::string html = to_html(read_report({run}));
  for (const char* outside : {"<script", "http:", "https:", "src=", "@import", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  }
}

TEST_F(ReportTest, TextFromFilesIsEscaped) {
  ExperimentConfig evil = config(2, "kdef", 7);
  const std::string attack = "<script>alert('x')</script>\"&";
  evil.id = attack;
  evil.dataset_id = attack;
  evil.dataset.test_data = attack;
  const std::string run = finish("<img src=x>'run", evil, evaluation(0.8, {0.79, 0.81}));
  const std::string other = finish("other", evil, evaluation(0.8, {0.79, 0.81}));
  add_collapse(run, 1.25);
  for (const std::string& html : {to_html(read_report({run})), to_html(read_report({run, other}))}) {
    EXPECT_THAT(html, Not(HasSubstr("<script")));
    EXPECT_THAT(html, Not(HasSubstr("<img")));
    EXPECT_THAT(html, Not(HasSubstr("<user>")));
    EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
    EXPECT_THAT(html, HasSubstr("embedding &lt;user&gt;"));
  }
}

TEST_F(ReportTest, WhatIsMissingIsSaidWithItsRemedy) {
  const std::string run = start("run", config(2, "kdef", 7));
  const std::string html = to_html(read_report({run}));
  EXPECT_THAT(html, HasSubstr("There is no metrics.jsonl"));
  EXPECT_THAT(html, HasSubstr("There is no result.json: this training has not finished. If it was interrupted, "
                              "resume it with: kdef train --run " +
                              run + " --resume"));
  EXPECT_THAT(html, HasSubstr("kdef collapse --run " + run + " --json " + run + "/collapse.json"));
  EXPECT_THAT(html, Not(HasSubstr("<figure>")));
}

TEST_F(ReportTest, WhatIsDamagedIsSaidWithItsPlace) {
  const std::string run = finish("run", config(2, "kdef", 7), evaluation(0.8, {0.79, 0.81}));
  write_file(run + "/collapse.json", "{\"rows\":1");
  write_file(run + "/metrics.jsonl", read_file(run + "/metrics.jsonl") + "{\"step\":\"four\"}\n");
  write_file(run + "/model.safetensors", "no model");
  const std::string html = to_html(read_report({run}));
  EXPECT_THAT(html, HasSubstr(run + "/collapse.json: is not a file that kdef wrote"));
  EXPECT_THAT(html, HasSubstr(run + "/metrics.jsonl:4: is not a file that kdef wrote"));
  EXPECT_THAT(html, HasSubstr(run + "/model.safetensors"));
  EXPECT_THAT(html, HasSubstr("<dd>0.8000"));  // the rest is shown
  // Collapse of other students than it says.
  write_file(run + "/collapse.json",
             R"({"rows":1,"embeddings":[],"layers":[],"distance_to_ensemble":[1,2],"disagreement":[[0,1]],)"
             R"("mean_distance_to_ensemble":1,"mean_disagreement":1})");
  EXPECT_THAT(to_html(read_report({run})), HasSubstr("expected a square matrix"));
}

TEST_F(ReportTest, UndefinedMetricsAreDashes) {
  const std::string run = finish("run", config(1, "mean", 7), evaluation(std::nan(""), {std::nan("")}));
  const std::string html = to_html(read_report({run}));
  EXPECT_THAT(html, HasSubstr("<dt>Test AUC</dt><dd>\u2013"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST_F(ReportTest, SeedsBecomeMeanAndDeviation) {
  add_collapse(finish("sweep/runs/a", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80})), 2);
  add_collapse(finish("sweep/runs/b", config(2, "kdef", 2), evaluation(0.84, {0.80, 0.82})), 3);
  finish("sweep/runs/c", config(3, "kdef", 1), evaluation(0.85, {0.8, 0.8, 0.8}));
  finish("sweep/runs/d", config(2, "concat", 1), evaluation(0.7, {0.5, 0.5}));
  start("sweep/runs/e", config(3, "kdef", 2));
  std::filesystem::create_directories(experiment_.directory / "sweep/runs/empty");
  const Report report = read_report({experiment_.directory / "sweep"});
  ASSERT_EQ(report.runs.size(), 5u);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("runs/empty")));
  const std::vector<RunGroup> groups = group_runs(report.runs);
  ASSERT_EQ(groups.size(), 3u);
  const RunGroup& two = groups[0];
  EXPECT_EQ(two.students, 2u);
  EXPECT_EQ(two.summary.runs, 2u);
  EXPECT_NEAR(two.summary.metrics["auc"].mean, 0.82, 1e-12);
  EXPECT_NEAR(two.summary.metrics["auc"].deviation, 0.04 / std::sqrt(2.0), 1e-12);
  EXPECT_NEAR(two.summary.metrics["logloss"].mean, 0.18, 1e-12);
  EXPECT_NEAR(two.summary.student_mean.mean, 0.80, 1e-12);
  EXPECT_NEAR(two.summary.student_weakest.mean, 0.79, 1e-12);
  EXPECT_NEAR(two.summary.gain.mean, 0.02, 1e-12);
  EXPECT_NEAR(two.summary.distance.mean, 0.015, 1e-15);
  EXPECT_TRUE(std::isnan(groups[2].summary.distance.mean));  // concat
  EXPECT_NEAR(two.summary.abundance.mean, 2.5, 1e-12);       // of the last layers alone
  EXPECT_TRUE(two.differing.empty());
  EXPECT_EQ(groups[1].students, 3u);
  EXPECT_EQ(groups[1].summary.runs, 1u);
  EXPECT_EQ(groups[1].runs.size(), 2u);
  EXPECT_TRUE(std::isnan(groups[1].summary.metrics["auc"].deviation));
  EXPECT_TRUE(std::isnan(groups[2].summary.student_mean.mean));  // concat

  const std::string html = to_html(report);
  EXPECT_THAT(html, HasSubstr("0.8200<small>\u00b1 0.0283</small>"));
  EXPECT_THAT(html, HasSubstr("<td>1 of 2</td>"));
  EXPECT_THAT(html, HasSubstr("AUC of the ensemble, test data"));
  EXPECT_THAT(html, HasSubstr("number of students 2\nKDEF: 0.8200 \u00b1 0.0283\nconcat: 0.7000</title>"));
  EXPECT_THAT(html, HasSubstr("number of students 2\nKDEF: 0.0150 \u00b1 0.0000</title>"));
  EXPECT_LT(html.find("students\u2019 distance to the ensemble"), html.find("information abundance"));
  // Heads of a concat ensemble's students are not trained: only KDEF's students are drawn.
  EXPECT_THAT(html, HasSubstr("number of students 2\nKDEF: 0.8000 \u00b1 0.0141</title>"));
  for (size_t i = 1; i <= 5; ++i) {
    EXPECT_EQ(count(html, cat("href=\"#run-", i, "\"")), 1u);
    EXPECT_EQ(count(html, cat("id=\"run-", i, "\"")), 1u);
  }
}

TEST_F(ReportTest, RunsOfOtherSettingsAreLinesOfTheirOwnTheBestFirst) {
  std::vector<std::string> runs;
  const double results[3][2] = {{0.70, 0.72}, {0.80, 0.84}, {0.60, 0.60}};
  const char* rates[] = {"1e-4", "1e-2", "1e-1"};
  for (int i = 0; i < 3; ++i) {
    for (int64_t seed = 0; seed < 2; ++seed) {
      runs.push_back(finish(cat("run", i, seed),
                            config(2, "kdef", seed, {cat("learning_rate=", rates[i]), "net_dropout=0.5"}),
                            evaluation(results[i][seed], {0.5, 0.5})));
    }
  }
  runs.push_back(
      finish("wide", config(2, "kdef", 0, {"learning_rate=1e-4", "net_dropout=0.1"}), evaluation(0.65, {0.5, 0.5})));
  const Report report = read_report(runs);
  const std::vector<RunGroup> groups = group_runs(report.runs);
  ASSERT_EQ(groups.size(), 4u);
  for (const RunGroup& g : groups) {
    ASSERT_EQ(g.settings.size(), 2u);
    EXPECT_EQ(g.settings.count("learning_rate"), 1u);
    EXPECT_THAT(g.differing, testing::IsEmpty());
    EXPECT_EQ(g.runs.size(), g.settings.at("net_dropout") == "0.1" ? 1u : 2u);
  }
  const std::string html = to_html(report);
  const std::string table = html.substr(html.find("<table>"));
  const size_t best = table.find("0.8200"), middle = table.find("0.7100"), worst = table.find("0.6000");
  EXPECT_LT(best, middle);
  EXPECT_LT(middle, worst);
  const std::string effects = html.substr(html.find("What each key does"));
  // 1e-4 has two lines, of mean 0.71 and 0.65; the best is drawn beside the mean.
  EXPECT_THAT(effects, HasSubstr("<th scope=\"row\">1e-04</th><td>2</td><td>0.7100</td><td>0.6800</td>"));
  EXPECT_THAT(effects, HasSubstr("AUC against learning_rate, test data"));
  EXPECT_THAT(effects, HasSubstr("<th scope=\"row\">0.1</th><td>1</td><td>0.6500</td><td>0.6500</td>"));
  EXPECT_THAT(html, HasSubstr("seed 1, learning_rate 0.01, net_dropout 0.5"));
  EXPECT_THAT(html, Not(HasSubstr("Against the number of students")));
}

TEST_F(ReportTest, RunsOfOnePlaceAndAnotherAreNamed) {
  const std::string a = finish("a", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80}));
  const std::string b =
      finish("b", config(2, "kdef", 2, {"data_root=elsewhere", "tensorboard=true", "collapse_every=1"}),
             evaluation(0.9, {0.8, 0.8}));
  const Report report = read_report({a, b, a + "/", a + "/../" + std::filesystem::path(a).filename().string()});
  EXPECT_EQ(report.runs.size(), 2u);  // the one that is named twice stands once
  EXPECT_THAT(group_runs(report.runs).at(0).differing, ElementsAre("data_root"));
  EXPECT_THAT(to_html(report), HasSubstr("differ in more than their seed: data_root"));
}

TEST_F(ReportTest, ATrainingThatWasMadeTwiceIsNamed) {
  const std::string a = finish("a", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80}));
  const std::string again = finish("again", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80}));
  const std::string other = finish("other", config(2, "kdef", 2), evaluation(0.81, {0.78, 0.80}));
  EXPECT_EQ(group_runs(read_report({a, again, other}).runs).at(0).repeated, 1u);
  EXPECT_THAT(to_html(read_report({a, again, other})),
              HasSubstr(": 1 run repeats the settings and the seed of another run"));
  EXPECT_EQ(group_runs(read_report({a, other}).runs).at(0).repeated, 0u);
}

TEST_F(ReportTest, TheOneStudentTrainedAsMeanStandsForEveryKindOfEnsemble) {
  const std::string one = finish("one", config(1, "mean", 1), evaluation(0.7123, {0.7123}));
  const std::string two = finish("two", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80}));
  const std::string html = to_html(read_report({one, two}));
  const size_t from = html.find("AUC of the ensemble"), to = html.find("Log loss of the ensemble");
  ASSERT_LT(from, to);
  const std::string figure = html.substr(from, to - from);
  int points = 0;
  for (size_t at = 0; (at = figure.find("0.7123", at)) != std::string::npos; ++at) ++points;
  EXPECT_GE(points, 2) << "in KDEF's line and in that of mean";
  EXPECT_THAT(html, HasSubstr("One student is the same network"));
  EXPECT_THAT(to_html(read_report({one, finish("c", config(2, "concat", 1), evaluation(0.8, {0.5, 0.5}))})),
              Not(HasSubstr("One student is the same network")));
}

TEST_F(ReportTest, AblationsAreGroupsOfTheirOwn) {
  const std::string a = finish("a", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80}));
  const std::string b = finish("b", config(2, "kdef", 1, {"peer=false"}), evaluation(0.80, {0.78, 0.80}));
  const std::string c =
      finish("c", config(2, "kdef", 1, {"teach=false", "examination=equal"}), evaluation(0.80, {0.78, 0.80}));
  std::vector<std::string> names;
  for (const RunGroup& g : group_runs(read_report({a, b, c}).runs)) names.push_back(g.ensemble);
  EXPECT_THAT(names, testing::UnorderedElementsAre("KDEF", "KDEF, KD only", "KDEF, DML only, equal weights"));
}

TEST_F(ReportTest, WithoutTestDataInSomeRunAllAreOfValidationData) {
  const std::string a = finish("a", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80}));
  const std::string b = finish("b", config(2, "kdef", 2), evaluation(0.80, {0.78, 0.80}));
  write_file(a + "/result.json", cat("{\"valid\":", to_json(evaluation(0.6, {0.6, 0.6})),
                                     ",\"test\":", to_json(evaluation(0.9, {0.9, 0.9})), "}"));
  write_file(b + "/result.json", cat("{\"valid\":", to_json(evaluation(0.7, {0.7, 0.7})), "}"));
  const Report report = read_report({a, b});
  EXPECT_NEAR(group_runs(report.runs).at(0).summary.metrics["auc"].mean, 0.65, 1e-12);
  EXPECT_THAT(to_html(report), HasSubstr("validation AUC"));
}

TEST_F(ReportTest, TheFindingSaysWhetherSeedsCouldMakeTheDifference) {
  const auto page = [&](const std::string& name, const std::vector<double>& kdef, const std::vector<double>& mean) {
    std::vector<std::string> runs;
    const auto add = [&](const std::string& ensemble, const std::vector<double>& values) {
      for (size_t i = 0; i < values.size(); ++i) {
        runs.push_back(finish(cat(name, "-", ensemble, i), config(2, ensemble, static_cast<int64_t>(i)),
                              evaluation(values[i], {0.5, 0.5})));
      }
    };
    add("kdef", kdef);
    add("mean", mean);
    return to_html(read_report(runs));
  };
  const std::string clear = page("clear", {0.800, 0.801, 0.802}, {0.780, 0.781, 0.782});
  EXPECT_THAT(clear,
              HasSubstr("<strong>KDEF, 2 \u00d7 mlp 16-8 has the best test AUC: 0.8010</strong> (mean of 3 seeds)"));
  EXPECT_THAT(clear,
              HasSubstr("0.0200 better than the next best, mean, 2 \u00d7 mlp 16-8 (0.7810): more than the noise"));
  EXPECT_THAT(clear, HasSubstr("(interval 0.0177 to +0.0223)"));  // 0.02 +- 2.776 * 0.001 * sqrt(2/3)
  EXPECT_THAT(clear, HasSubstr("It has the best log loss, too."));
  // The contrary: another order, and noise.
  const std::string noise = page("noise", {0.77, 0.80, 0.79}, {0.80, 0.78, 0.79});
  EXPECT_THAT(noise, HasSubstr("<strong>mean, 2 \u00d7 mlp 16-8 has the best test AUC"));
  EXPECT_THAT(noise, HasSubstr(": not more than the noise of seeds (interval \u2212"));
  EXPECT_THAT(page("one", {0.8}, {0.7, 0.71}), HasSubstr(" The best line has one seed only: whether"));
  EXPECT_THAT(page("other", {0.8, 0.81}, {0.7}), HasSubstr("cannot be said, since that has one seed only"));
  // The best value is marked, each seed is a dot, and the figures are also a file.
  EXPECT_THAT(clear, HasSubstr("<strong class=\"best\">0.8010<small>"));
  EXPECT_THAT(clear.substr(0, clear.find("Every run")), Not(HasSubstr("<strong class=\"best\">0.7810")));
}

// Experiments of one number of students each, as those of the demo: no line has two points.
TEST_F(ReportTest, EnsemblesStandBesideTheirStudents) {
  const auto of = [&](const std::string& name, int64_t students, const std::string& kind, const Evaluation& e) {
    ExperimentConfig c = config(students, kind, 1);
    c.id = name;
    return finish(name, c, e);
  };
  const std::string page = to_html(read_report({of("single", 1, "mean", evaluation(0.76, {0.76})),
                                                of("mean", 3, "mean", evaluation(0.77, {0.74, 0.75, 0.73})),
                                                of("KDEF", 3, "kdef", evaluation(0.78, {0.77, 0.765, 0.775}))}));
  EXPECT_THAT(page, HasSubstr("AUC of the ensembles and of their students, test data"));
  EXPECT_THAT(page, HasSubstr("%0Amean%20of%203%20(part),0.74,%0A"));
  EXPECT_THAT(page, HasSubstr("%0Aone%20network,0.76,%0A"));
  EXPECT_THAT(page, HasSubstr(">one network, mlp 16-8</th>"));
  EXPECT_THAT(page, Not(HasSubstr("Against the number of students")));
  EXPECT_EQ(count(page, "whether a difference is more than the noise"), 1u);
}

TEST_F(ReportTest, NoEnsembleIsBetterThanOneNetworkIsSaid) {
  const std::string one = finish("one", config(1, "mean", 1), evaluation(0.82, {0.82}));
  const std::string two = finish("two", config(2, "kdef", 1), evaluation(0.80, {0.78, 0.80}));
  EXPECT_THAT(to_html(read_report({one, two})), HasSubstr("No ensemble is better than one network."));
  const std::string better = finish("better", config(2, "kdef", 1), evaluation(0.83, {0.78, 0.80}));
  EXPECT_THAT(to_html(read_report({one, better})), Not(HasSubstr("No ensemble is better than one network.")));
}

TEST_F(ReportTest, FewSeedsAreDotsAndManyAreBars) {
  std::vector<std::string> runs;
  for (int64_t students = 2; students <= 3; ++students) {
    for (int64_t seed = 0; seed < 4; ++seed) {
      runs.push_back(finish(cat("run", students, seed), config(students, "kdef", seed),
                            evaluation(0.8 + 0.01 * static_cast<double>(seed), std::vector<double>(3, 0.5))));
    }
  }
  const auto auc_figure = [](const std::string& html) {
    const size_t from = html.find("AUC of the ensemble");
    return html.substr(from, html.find("</figure>", from) - from);
  };
  const std::string few = auc_figure(to_html(read_report(runs)));
  EXPECT_EQ(count(few, "class=\"single\""), 8u);
  EXPECT_EQ(count(few, "class=\"bar\""), 0u);
  EXPECT_THAT(few, HasSubstr("download=\"auc-of-the-ensemble-test-data.csv\" href=\"data:text/csv;charset=utf-8,"));
  EXPECT_THAT(few, HasSubstr("%0AKDEF%20(single),2,0.8,,%0A"));
  for (int64_t students = 2; students <= 3; ++students) {
    runs.push_back(
        finish(cat("run", students, 4), config(students, "kdef", 4), evaluation(0.8, std::vector<double>(3, 0.5))));
  }
  const std::string many = auc_figure(to_html(read_report(runs)));
  EXPECT_EQ(count(many, "class=\"single\""), 0u);
  EXPECT_EQ(count(many, "class=\"bar\""), 2u);
}

TEST_F(ReportTest, BaselineImportanceAndDataOfARunAreShown) {
  const std::string run = finish("run", config(2, "kdef", 7), evaluation(0.8, {0.79, 0.81}));
  Baseline b;
  b.constant.test = {{"auc", 0.5}, {"logloss", 0.6}};
  b.logistic_regression.test = {{"auc", 0.75}, {"logloss", 0.15}};
  b.constant.valid = b.logistic_regression.valid = b.constant.test;
  write_file(run + "/baseline.json", to_json(b));
  Importance i;
  i.rows = 1234;
  i.shuffles = 3;
  i.data = "validation rows";
  i.quality = {{"auc", 0.8}, {"logloss", 0.2}};
  for (const auto& [name, change] : {std::pair("weak", 0.001), {"<strong>", 0.05}}) {
    FieldImportance& f = i.fields.emplace_back();
    f.name = name;
    f.change["auc"] = -change;
    f.change["logloss"] = 2 * change;
    f.deviation["auc"] = f.deviation["logloss"] = 0.0005;
  }
  write_file(run + "/importance.json", to_json(i));
  write_file(run + "/data.json",
             R"({"train":{"rows":16000,"clicks":4000},"valid":{"rows":2000,"clicks":500},"test":{"rows":0,"clicks":0},)"
             R"("columns":[{"name":"a","seen":12,"kept":9,"valid_unknown":0.25,"test_unknown":null}]})");
  const std::string html = to_html(read_report({run}));
  EXPECT_THAT(html, HasSubstr("logistic regression it is better in AUC, worse in log loss (AUC 0.7500)"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">logistic regression</th><td>0.7500</td>"
                              "<td><strong class=\"best\">0.1500</strong></td>"));
  EXPECT_THAT(html, HasSubstr("Measured on 1,234 rows (validation rows)"));
  // The more important column first, with its figures in the table.
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">&lt;strong&gt;</th><td>0.05000 \u00b1 0.00050</td></tr>"
                              "<tr><th scope=\"row\">weak</th><td>0.00100 \u00b1 0.00050</td>"));
  EXPECT_THAT(html, HasSubstr("<td>16,000</td><td>4,000</td><td>25.00 %</td>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">a</th><td>12</td><td>9</td><td>25.00 %</td><td>\u2013</td>"));
  // Damaged files are told, and the rest is shown.
  write_file(run + "/baseline.json", "{}");
  write_file(run + "/importance.json", "[]");
  write_file(run + "/data.json", "{}");
  const std::string damaged = to_html(read_report({run}));
  for (const char* file : {"/baseline.json", "/importance.json", "/data.json"})
    EXPECT_THAT(damaged, HasSubstr(run + file + ": is not a file that kdef wrote"));
}

TEST_F(ReportTest, TrainingLossIsDrawnBesideValidationLoss) {
  const std::string run = finish("run", config(2, "kdef", 7), evaluation(0.8, {0.79, 0.81}));
  EXPECT_THAT(to_html(read_report({run})), Not(HasSubstr("training rows")));
  TrainingListener::Evaluated e{};
  e.step = 10;
  e.epoch = 1;
  e.valid = evaluation(0.8, {0.79, 0.81});
  e.train = {{"logloss", 0.125}};
  write_file(run + "/metrics.jsonl", metrics_line(e) + "\n");
  EXPECT_THAT(to_html(read_report({run})), HasSubstr("epoch 1\ntraining rows: 0.1250\nstudent 1: 0.2100"));
}

TEST_F(ReportTest, ATrainingThatRunsIsSaidToRun) {
  const std::string run = finish("run", config(2, "kdef", 7), evaluation(0.8, {0.79, 0.81}));
  remove_file(run + "/result.json");
  const std::string text = "after epoch 3 of at most 3 (step 30); the best validation AUC so far is 0.8000.";
  {
    const FileLock training(run);
    const std::string html = to_html(read_report({run}));
    EXPECT_THAT(html, HasSubstr("<strong>This training is running.</strong>"));
    EXPECT_THAT(html, HasSubstr(text));
    EXPECT_THAT(html, Not(HasSubstr("--resume")));
  }
  const std::string html = to_html(read_report({run}));
  EXPECT_THAT(html, HasSubstr("<strong>This training has not finished.</strong>"));
  EXPECT_THAT(html, HasSubstr(text));
  EXPECT_THAT(html, HasSubstr("--resume"));
}

// docs/movielens.svg and the pages: one colour of KDEF, which no other line of a page has.
TEST(ReportColours, KdefHasOne) {
  const std::string svg = read_file(std::string(KDEF_SOURCE_DIR) + "/docs/movielens.svg"), css = plot::style_sheet();
  const int kdef = ensemble_style(EnsembleKind::kdef);
  EXPECT_THAT(svg, testing::ContainsRegex(cat("class=\"name c", kdef, "\"[^>]*>KDEF<")));
  const auto colour = [&](const std::string& text) {
    const size_t key = text.find(cat("--c", kdef, ":"));
    return text.substr(text.find('#', key), 7);
  };
  EXPECT_EQ(colour(svg), colour(css));
  std::set<int> styles;
  for (const EnsembleType& type : ensemble_types()) styles.insert(ensemble_style(type.kind));
  EXPECT_EQ(styles.size(), ensemble_types().size());
  for (size_t k = 0; k < 30; ++k) EXPECT_NE(student_style(k) % plot::kColours, kdef) << k;
}

TEST_F(ReportTest, WhatIsNoRunIsRefused) {
  EXPECT_THROW(read_report({experiment_.directory / "missing"}), InputError);
  EXPECT_THROW(read_report({experiment_.directory / "data"}), InputError);
  std::filesystem::create_directories(experiment_.directory / "sweep/runs");
  EXPECT_THROW(read_report({experiment_.directory / "sweep"}), InputError);
}

}  // namespace
}  // namespace kdef::test
