#include "kdef/measure/collapse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kdef/measure/collapse_json.h"
#include "ops/check/gradcheck.h"
#include "tests/kdef/serve/model.h"

namespace kdef {
namespace {

// A [N, 3] with the given singular values: scaled orthonormal columns of sines and cosines over a full period.
Tensor with_singular_values(const std::vector<double>& s, int64_t rows, double shift = 0) {
  Tensor a = Tensor::empty({rows, 3}, DType::f64);
  const double pi = std::acos(-1.0), norm = std::sqrt(2.0 / static_cast<double>(rows));
  for (int64_t i = 0; i < rows; ++i) {
    const double t = 2 * pi * static_cast<double>(i) / static_cast<double>(rows);
    const double columns[3] = {std::sin(t), std::cos(t), std::sin(2 * t)};
    for (int64_t j = 0; j < 3; ++j) {
      a.data<double>()[i * 3 + j] = s[static_cast<size_t>(j)] * norm * columns[j] + shift;
    }
  }
  return a;
}

// The same matrix turned by a rotation of its columns, which changes no singular value.
Tensor rotated(const Tensor& a) {
  const double c = std::cos(0.7), s = std::sin(0.7);
  Tensor r = a.clone();
  for (int64_t i = 0; i < a.shape()[0]; ++i) {
    const double x = a.data<double>()[i * 3], y = a.data<double>()[i * 3 + 1];
    r.data<double>()[i * 3] = c * x - s * y;
    r.data<double>()[i * 3 + 1] = s * x + c * y;
  }
  return r;
}

TEST(Collapse, MeasuresOfKnownSingularValues) {
  for (const Tensor& a : {with_singular_values({4, 2, 1}, 64), rotated(with_singular_values({2, 4, 1}, 64))}) {
    const Spectrum m = spectrum(a);
    EXPECT_EQ(m.rows, 64);
    EXPECT_EQ(m.columns, 3);
    const std::vector<double> s = singular_values(a);
    EXPECT_NEAR(s[0], 4, 1e-12);
    EXPECT_NEAR(s[1], 2, 1e-12);
    EXPECT_NEAR(s[2], 1, 1e-12);
    EXPECT_NEAR(m.information_abundance, 7.0 / 4, 1e-12);
    EXPECT_NEAR(m.stable_rank, 21.0 / 16, 1e-12);
    double entropy = 0;
    for (const double value : {4.0, 2.0, 1.0}) {
      const double p = value / 7 + 1e-7;
      entropy -= p * std::log(p);
    }
    EXPECT_NEAR(m.effective_rank, std::exp(entropy), 1e-12);
    // The columns have mean zero: the covariance's eigenvalues are the squares.
    EXPECT_NEAR(m.participation_ratio, 21.0 * 21.0 / (256 + 16 + 1), 1e-10);
    EXPECT_NEAR(m.log_spectrum[2], std::log(0.25), 1e-12);
  }
}

TEST(Collapse, OnlyTheParticipationRatioIsCentred) {
  const Spectrum plain = spectrum(with_singular_values({4, 2, 1}, 64)),
                 moved = spectrum(with_singular_values({4, 2, 1}, 64, 3.0));
  EXPECT_NEAR(moved.participation_ratio, plain.participation_ratio, 1e-9);
  EXPECT_LT(moved.information_abundance, plain.information_abundance);
}

TEST(Collapse, EqualSingularValuesUseAllDimensions) {
  const Spectrum m = spectrum(with_singular_values({2, 2, 2}, 32));
  EXPECT_NEAR(m.information_abundance, 3, 1e-12);
  EXPECT_NEAR(m.effective_rank, 3, 1e-5);
  EXPECT_NEAR(m.stable_rank, 3, 1e-12);
  EXPECT_NEAR(m.participation_ratio, 3, 1e-10);
}

TEST(Collapse, RankOneUsesOne) {
  const Spectrum m = spectrum(with_singular_values({5, 0, 0}, 32));
  EXPECT_NEAR(m.information_abundance, 1, 1e-7);
  EXPECT_NEAR(m.stable_rank, 1, 1e-12);
}

TEST(Collapse, ZerosMeasureZero) {
  const Spectrum m = spectrum(Tensor::zeros({5, 4}));
  EXPECT_EQ(m.information_abundance, 0);
  EXPECT_EQ(m.effective_rank, 0);
  EXPECT_EQ(m.stable_rank, 0);
  EXPECT_EQ(m.participation_ratio, 0);
}

TEST(Collapse, AgreesWithFewerRowsThanColumns) {
  const Spectrum m = spectrum(ops::random_uniform({2, 5}, -1, 1, 3));
  EXPECT_LE(m.information_abundance, 2 + 1e-6);
  EXPECT_NEAR(singular_values(ops::random_uniform({2, 5}, -1, 1, 3))[2], 0, 1e-7);
}

TEST(Collapse, AMatrixAndItsTransposeHaveTheSameSingularValues) {
  const std::vector<double> wide = ops::random_uniform({3, 7}, -1, 1, 5).to_vector<double>();
  std::vector<double> high;
  for (size_t column = 0; column < 7; ++column) {
    for (size_t row = 0; row < 3; ++row) high.push_back(wide[row * 7 + column]);
  }
  const std::vector<double> a = singular_values(Tensor::from(wide, {3, 7}));
  const std::vector<double> b = singular_values(Tensor::from(high, {7, 3}));
  ASSERT_EQ(a.size(), 7u);
  ASSERT_EQ(b.size(), 3u);
  for (size_t i = 0; i < 7; ++i) EXPECT_NEAR(a[i], i < 3 ? b[i] : 0, 1e-12);
}

TEST(Collapse, IsReadBackFromJson) {
  CollapseReport report;
  report.rows = 7;
  report.metric = metric_of_key("rmse");
  report.ensemble_value = 0.25;
  report.students = {0.5, 0.75, 0.125};
  report.embeddings = {{"embedding user", spectrum(with_singular_values({4, 2, 1}, 64))}};
  report.layers = {{"student 1 hidden 1", spectrum(with_singular_values({3, 2, 1}, 64))},
                   {"student 1 hidden 2", spectrum(Tensor::zeros({5, 4}))},
                   {"student 2 hidden 1", spectrum(with_singular_values({5, 0, 0}, 32))}};
  report.distance_to_ensemble = {0.1, std::numeric_limits<double>::quiet_NaN()};
  report.disagreement = {{0, 0.5}, {0.5, 0}};
  report.mean_distance_to_ensemble = 0.3;
  report.mean_disagreement = 0.7;
  const Json json(report);
  const CollapseReport again = json.get<CollapseReport>();
  EXPECT_EQ(Json(again).dump(), json.dump());
  EXPECT_EQ(again.metric, report.metric);
  EXPECT_EQ(again.students.weakest, 0.75);
  EXPECT_EQ(again.layers[1].spectrum.log_spectrum, report.layers[1].spectrum.log_spectrum);
  ASSERT_EQ(again.last_layers().size(), 2u);
  EXPECT_EQ(again.last_layers()[0].name, "student 1 hidden 2");
  Json torn = json;
  torn["disagreement"] = {{0.5}};
  EXPECT_THROW(torn.get<CollapseReport>(), InputError);
}

class EveryNetworksLayers : public testing::TestWithParam<std::string> {};

// A gate of a constant has hidden layers of one row: they are none of the model's.
TEST_P(EveryNetworksLayers, HaveTheRowsOfTheBatch) {
  const test::RandomModel model(test::ensemble_of({GetParam()}));
  const std::vector<std::vector<Tensor>> layers = model->hidden_layers(test::six_rows());
  ASSERT_EQ(layers.size(), 1u);
  ASSERT_FALSE(layers[0].empty());
  for (const Tensor& layer : layers[0]) {
    EXPECT_EQ(layer.rank(), 2);
    EXPECT_EQ(layer.size(0), 6);
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworksLayers, testing::ValuesIn(nn::network_names()),
                         [](const auto& of) { return of.param; });

TEST(Collapse, NamesWhatIsNotFinite) {
  EXPECT_THAT(
      [] {
        spectrum(Tensor::from(std::vector<double>{1, std::nan(""), 2, 3}, {2, 2}));
      },
      testing::ThrowsMessage<CheckError>(testing::HasSubstr("not finite")));
}

TEST(Collapse, RefusesWhatIsNoMatrix) { EXPECT_THROW(spectrum(Tensor::zeros({4})), Error); }

}  // namespace
}  // namespace kdef
