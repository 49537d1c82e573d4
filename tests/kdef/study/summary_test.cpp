// Means and deviations over seeds, and the rule of one student.
#include "kdef/study/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace kdef {
namespace {

RunRecord run(EnsembleKind kind, double auc, std::vector<double> students) {
  RunRecord r;
  r.config.model.kind = kind;
  Evaluation e;
  e.ensemble = {{"auc", auc}, {"logloss", 1 - auc}};
  for (const double s : students) e.students.push_back({{"auc", s}, {"logloss", 0.5}});
  r.valid = r.test = e;
  r.valid->ensemble.set("auc", 0.25);
  return r;
}

TEST(Summary, HasMeansAndDeviationsOfTheSample) {
  const RunRecord a = run(EnsembleKind::kdef, 0.75, {0.625, 0.75}), b = run(EnsembleKind::kdef, 0.875, {0.5, 0.75});
  const Summary s = summarize({&a, &b}, true);
  EXPECT_EQ(s.runs, 2u);
  EXPECT_EQ(s.metrics["auc"].mean, 0.8125);
  EXPECT_NEAR(s.metrics["auc"].deviation, 0.125 / std::sqrt(2.0), 1e-15);
  EXPECT_EQ(s.metrics["logloss"].mean, 0.1875);
  EXPECT_EQ(s.student_mean.mean, (0.6875 + 0.625) / 2);
  EXPECT_EQ(s.student_weakest.mean, (0.625 + 0.5) / 2);
  EXPECT_EQ(s.gain.mean, (0.75 - 0.6875 + 0.875 - 0.625) / 2);
  EXPECT_EQ(summarize({&a, &b}, false).metrics["auc"].mean, 0.25);
  EXPECT_TRUE(std::isnan(summarize({&a}, true).metrics["auc"].deviation));
  EXPECT_TRUE(std::isnan(summarize({}, true).metrics["auc"].mean));
}

TEST(Summary, LeavesOutStudentsWhoseOutputLayersAreNotTrained) {
  const RunRecord a = run(EnsembleKind::concat, 0.75, {0.5, 0.5});
  const Summary s = summarize({&a}, true);
  EXPECT_EQ(s.metrics["auc"].mean, 0.75);
  for (const Statistic& of : {s.student_mean, s.student_weakest, s.student_deviation, s.gain}) {
    EXPECT_TRUE(std::isnan(of.mean));
  }
}

TEST(Summary, UndefinedValuesDoNotCount) {
  const RunRecord a = run(EnsembleKind::mean, std::nan(""), {0.5}), b = run(EnsembleKind::mean, 0.75, {0.5});
  EXPECT_EQ(summarize({&a, &b}, true).metrics["auc"].mean, 0.75);
  EXPECT_FALSE(summarize({&a, &b}, true).parameters);
}

TEST(Summary, TestDataCountsOnlyIfAllRunsHaveIt) {
  RunRecord a = run(EnsembleKind::mean, 0.5, {0.5}), b = a;
  EXPECT_TRUE(all_have_test({&a, &b}));
  b.test.reset();
  EXPECT_FALSE(all_have_test({&a, &b}));
}

TEST(Summary, OneStudentIsTrainedAsMeanExceptForConcat) {
  for (const EnsembleKind kind :
       {EnsembleKind::kdef, EnsembleKind::final, EnsembleKind::tri_bce, EnsembleKind::mean, EnsembleKind::sum}) {
    EXPECT_EQ(trained_as(kind, 1), EnsembleKind::mean);
    EXPECT_EQ(trained_as(kind, 2), kind);
  }
  EXPECT_EQ(trained_as(EnsembleKind::concat, 1), EnsembleKind::concat);
  EXPECT_EQ(trained_as(EnsembleKind::self_ensemble, 1), EnsembleKind::self_ensemble) << "two dropout masks";
}

}  // namespace
}  // namespace kdef
