// The table of metrics, and what iterates over it.
#include "kdef/measure/metric.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/base/error.h"
#include "kdef/measure/evaluation_json.h"

namespace kdef {
namespace {

TEST(MetricTable, EveryNameStandsOnce) {
  std::set<std::string> keys, names;
  for (const MetricRow& row : kMetrics) {
    const Metric m(row);
    EXPECT_TRUE(keys.insert(m.key()).second) << m.key();
    EXPECT_EQ(metric_of_key(m.key()), m);
    EXPECT_EQ(find_metric(m.name()), m);
    EXPECT_TRUE(names.insert(lower_case(row.name)).second) << row.name;
    if (row.other_name != nullptr) {
      EXPECT_TRUE(names.insert(lower_case(row.other_name)).second) << row.other_name;
    }
  }
  EXPECT_EQ(metric_names().size(), std::size(kMetrics));
  EXPECT_EQ(find_metric("binary_crossentropy"), metric_of_key("logloss"));
  EXPECT_EQ(find_metric("auc"), metric_of_key("auc"));
  EXPECT_EQ(find_metric("no such metric"), std::nullopt);
  EXPECT_THROW(metric_of_key("no such metric"), Error);
}

TEST(MetricTable, ReadsAndWritesTheKOfNdcg) {
  const Metric five = metric_of_key("ndcg_5");
  for (const char* text : {"NDCG(k=5)", "NDCG(5)", "NDCG@5", "ndcg@5", "NDCG( k = 5 )"}) {
    EXPECT_EQ(find_metric(text), five) << text;
  }
  EXPECT_EQ(five.key(), "ndcg_5");
  EXPECT_EQ(five.name(), "NDCG(k=5)");
  EXPECT_EQ(five.title(), "NDCG@5");
  for (const char* text : {"NDCG", "NDCG()", "NDCG(k=1)"})
    EXPECT_EQ(find_metric(text), metric_of_key("ndcg_1")) << text;
  EXPECT_LT(metric_of_key("ndcg_5"), metric_of_key("ndcg_10"));
  EXPECT_LT(metric_of_key("mrr"), metric_of_key("ndcg_1"));
  for (const char* text : {"NDCG(k=0)", "NDCG(-1)", "NDCG(1.5)", "NDCG(k=5", "NDCG(k=)", "NDCG@", "NDCG(k=1000001)",
                           "NDCG(99999999999999999999)", "NDCG5", "AUC@5", "AUC()"}) {
    EXPECT_EQ(find_metric(text), std::nullopt) << text;
  }
  for (const char* key : {"ndcg", "ndcg_", "ndcg_0", "ndcg_x", "auc_1", "_1", ""}) {
    EXPECT_EQ(find_metric_key(key), std::nullopt) << key;
  }
}

TEST(MetricTable, TellsWhichValueIsBetter) {
  const double nan = std::nan("");
  for (const MetricRow& row : kMetrics) {
    const Metric m(row);
    EXPECT_EQ(m.better(2, 1), m.higher_is_better()) << m.key();
    EXPECT_EQ(m.better(1, 2), !m.higher_is_better()) << m.key();
    EXPECT_FALSE(m.better(1, 1) || m.better(nan, 1) || m.better(1, nan)) << m.key();
  }
  const Metric ratio = metric_of_key("predicted_over_actual");
  EXPECT_TRUE(ratio.better(0.9, 1.5) && ratio.better(1.1, 0.8) && !ratio.better(0.5, 0.9));
  EXPECT_EQ(ratio.judged(0.75), 0.25);
  EXPECT_EQ(metric_of_key("auc").judged(0.75), 0.75);
}

// Rows with whole weights are measured as the same rows repeated, but for metrics of ranks, which count rows.
TEST(MetricTable, AWeightOfTwoCountsAsTheRowTwice) {
  const std::vector<double> scores = {0.1, 0.4, 0.35, 0.8, 0.4, 0.4, 0.9, 0.05};
  const std::vector<float> labels = {0, 0, 1, 1, 1, 0, 0, 1}, weights = {1, 2, 3, 1, 0, 5, 1, 2};
  std::vector<double> repeated_scores;
  std::vector<float> repeated_labels;
  for (size_t i = 0; i < scores.size(); ++i) {
    repeated_scores.insert(repeated_scores.end(), static_cast<size_t>(weights[i]), scores[i]);
    repeated_labels.insert(repeated_labels.end(), static_cast<size_t>(weights[i]), labels[i]);
  }
  const std::vector<float> ones(scores.size(), 1);
  for (const MetricRow& row : kMetrics) {
    const Metric m(row, 5);
    const bool of_ranks = m == metric_of_key("mrr") || m == metric_of_key("ndcg_5");
    if (!of_ranks) {
      EXPECT_NEAR(m.of(scores, labels, weights), m.of(repeated_scores, repeated_labels, {}), 1e-14) << m.key();
    }
    EXPECT_NE(m.of(scores, labels, weights), m.of(scores, labels, {})) << m.key();
    EXPECT_NEAR(m.of(scores, labels, ones), m.of(scores, labels, {}), 1e-15) << m.key();
    EXPECT_TRUE(std::isnan(m.of({}, {}, {}))) << m.key();
    EXPECT_TRUE(std::isnan(m.of(scores, labels, std::vector<float>(8, 0)))) << m.key();
    EXPECT_THROW(m.of(scores, std::vector<float>(7), {}), Error) << m.key();
    EXPECT_THROW(m.of(scores, labels, std::vector<float>(7)), Error) << m.key();
  }
}

TEST(MetricTable, ColumnsAreMeasuredOneByOne) {
  const Tensor scores = Tensor::from(std::vector<float>{0.25f, 0.75f, 0.5f, 0.5f, 0.75f, 0.25f}, {3, 2});
  const Tensor labels = Tensor::from(std::vector<float>{0, 1, 1}, {3, 1});
  const Tensor weights = Tensor::from(std::vector<float>{1, 1, 3}, {3, 1});
  MetricList all;
  for (const MetricRow& row : kMetrics) all.emplace_back(row);
  const std::vector<Quality> plain = measure_columns(scores, labels, Tensor(), Tensor(), {all}),
                             weighted = measure_columns(scores, labels, weights, Tensor(), {all, true});
  const std::vector<float> y = {0, 1, 1}, w = {1, 1, 3};
  for (const Metric& m : all) {
    EXPECT_EQ(plain[0][m], m.of(std::vector<double>{0.25, 0.5, 0.75}, y, {})) << m.key();
    EXPECT_EQ(plain[1][m], m.of(std::vector<double>{0.75, 0.5, 0.25}, y, {})) << m.key();
    EXPECT_EQ(weighted[1][m], m.of(std::vector<double>{0.75, 0.5, 0.25}, y, w)) << m.key();
  }
  EXPECT_TRUE(plain[1].calibration.empty());
  EXPECT_EQ(weighted[1].calibration, calibration_bins(std::vector<double>{0.75, 0.5, 0.25}, y, w));
}

TEST(Quality, KnowsWhatWasMeasured) {
  const Metric auc = metric_of_key("auc"), logloss = metric_of_key("logloss");
  Quality q{{"logloss", 0.5}};
  EXPECT_FALSE(q.has(auc));
  EXPECT_TRUE(std::isnan(q[auc]));
  EXPECT_EQ(q.measured(), MetricList{logloss});
  q.set("auc", std::nan(""));
  EXPECT_TRUE(q.has(auc));
  EXPECT_EQ(q.measured(), (MetricList{auc, logloss}));
}

TEST(Quality, IsReadAsItIsWritten) {
  Evaluation e;
  e.ensemble = {{"auc", 0.1 + 0.2}, {"logloss", 0.5}};
  e.ensemble.calibration = {{0.75, 0.125, 0.25}, {0.25, 0.5, 1}};
  e.students = {{{"auc", std::nan("")}, {"logloss", 1.0 / 3}}, {{"ndcg_10", 2.5}}};
  EXPECT_EQ(to_json(e),
            R"({"ensemble":{"auc":0.30000000000000004,"logloss":0.5,"calibration":[[0.75,0.125,0.25],[0.25,0.5,1.0]]},)"
            R"("students":[{"auc":null,"logloss":0.3333333333333333},{"ndcg_10":2.5}]})");
  const Evaluation read = Json::parse(to_json(e)).get<Evaluation>();
  EXPECT_EQ(to_json(read), to_json(e));
  EXPECT_EQ(result_json(e, &e), cat("{\"valid\":", to_json(e), ",\"test\":", to_json(e), "}\n"));
  EXPECT_EQ(result_json(e, nullptr), cat("{\"valid\":", to_json(e), "}\n"));
  EXPECT_THROW(Json::parse(R"({"ensemble":{"other":1},"students":[]})").get<Evaluation>(), InputError);
}

TEST(Quality, IsNotReadFromWhatNoRunCanWrite) {
  const auto read = [](const std::string& quality) {
    return Json::parse(cat(R"({"ensemble":)", quality, R"(,"students":[]})")).get<Evaluation>();
  };
  EXPECT_EQ(read(R"({"auc":0.5,"calibration":[[1,0.5,0.5]]})").ensemble.calibration.size(), 1u);
  std::string bins = "[1,0.5,0.5]", metrics = R"("auc":1)";
  for (size_t i = 0; i < kCalibrationBins; ++i) bins += ",[1,0.5,0.5]";
  for (int k = 1; k <= 100; ++k) metrics += cat(R"(,"ndcg_)", k, R"(":1)");
  for (const char* bad :
       {"1", "[1]", "[[1,2]]", "[[0.1,0.5,2]]", "[[0.1,-0.5,1]]", R"([[0.1,"x",1]])", "[[0.1,null,1]]"}) {
    EXPECT_THROW(read(cat(R"({"auc":0.5,"calibration":)", bad, "}")), InputError) << bad;
  }
  EXPECT_THROW(read(cat(R"({"auc":0.5,"calibration":[)", bins, "]}")), InputError);
  EXPECT_THROW(read(cat("{", metrics, "}")), InputError);
  EXPECT_THROW(read("[0.5]"), InputError);
}

TEST(StudentSpread, TakesTheWeakestByTheMetricsDirection) {
  Evaluation e;
  e.ensemble = {{"auc", 0.9}, {"logloss", 0.3}};
  e.students = {{{"auc", 0.7}, {"logloss", 0.4}}, {{"auc", 0.8}, {"logloss", 0.6}}};
  EXPECT_EQ(main_metric(e), metric_of_key("auc"));
  const StudentSpread auc = student_spread(e), logloss = student_spread(e, metric_of_key("logloss"));
  EXPECT_NEAR(auc.mean, 0.75, 1e-15);
  EXPECT_EQ(auc.weakest, 0.7);
  EXPECT_NEAR(auc.deviation, 0.05, 1e-15);
  EXPECT_EQ(logloss.weakest, 0.6);
  EXPECT_TRUE(std::isnan(student_spread(Evaluation{}).mean));
  e.students = {{{"predicted_over_actual", 0.5}}, {{"predicted_over_actual", 1.25}}, {{"predicted_over_actual", 0.9}}};
  EXPECT_EQ(student_spread(e, metric_of_key("predicted_over_actual")).weakest, 0.5);
}

}  // namespace
}  // namespace kdef
