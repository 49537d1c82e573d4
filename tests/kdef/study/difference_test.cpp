// Differences of means against figures of tables and of other programs.
#include "kdef/study/difference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"

namespace kdef {
namespace {

// Two-sided quantiles as tables print them; those of 1 and 2 degrees of freedom have a formula.
TEST(Difference, QuantilesOfStudentsT) {
  EXPECT_NEAR(student_t_quantile(0.975, 1), 12.7062, 1e-4);
  EXPECT_NEAR(student_t_quantile(0.975, 2), 4.30265, 1e-5);
  EXPECT_NEAR(student_t_quantile(0.975, 5), 2.57058, 1e-5);
  EXPECT_NEAR(student_t_quantile(0.995, 10), 3.16927, 1e-5);
  EXPECT_NEAR(student_t_quantile(0.975, 1e6), 1.95997, 1e-4);
  EXPECT_NEAR(student_t_quantile(0.5, 3), 0, 1e-12);
  for (const double p : {0.6, 0.9, 0.999, 0.99999}) {
    EXPECT_NEAR(student_t_quantile(p, 1) / std::tan(M_PI * (p - 0.5)), 1, 1e-9) << p;
    const double x = 2 * p - 1;
    EXPECT_NEAR(student_t_quantile(p, 2) / (x * std::sqrt(2 / (1 - x * x))), 1, 1e-9) << p;
  }
  EXPECT_THROW(student_t_quantile(0.4, 1), Error);
}

// By hand: means 3 and 6, variances of the means 1/2 and 2/3, freedom (7/6)^2 / ((1/2)^2 / 4 + (2/3)^2 / 3).
TEST(Difference, WelchsInterval) {
  const Difference d = difference_of_means({1, 2, 3, 4, 5}, {4, 6, 6, 8}, 0.95);
  EXPECT_DOUBLE_EQ(d.value, -3);
  const double freedom = 49.0 / 36 / (1.0 / 16 + 4.0 / 27);
  const double width = student_t_quantile(0.975, freedom) * std::sqrt(7.0 / 6);
  EXPECT_NEAR(d.low, -3 - width, 1e-9);
  EXPECT_NEAR(d.high, -3 + width, 1e-9);
  EXPECT_TRUE(d.is_more_than_noise());
  EXPECT_FALSE(difference_of_means({1, 2, 3, 4, 5}, {4, 6, 6, 8}, 0.9999).is_more_than_noise());
  EXPECT_FALSE(difference_of_means({1, 2, 3}, {2, 1, 3.5}, 0.95).is_more_than_noise());
}

TEST(Difference, OneValueHasNoInterval) {
  const Difference one = difference_of_means({1}, {2, 3}, 0.95);
  EXPECT_DOUBLE_EQ(one.value, -1.5);
  EXPECT_FALSE(one.has_interval());
  EXPECT_FALSE(one.is_more_than_noise());
  const Difference same = difference_of_means({2, 2}, {2, 2}, 0.95);
  EXPECT_TRUE(same.has_interval());
  EXPECT_FALSE(same.is_more_than_noise());
  EXPECT_TRUE(difference_of_means({3, 3}, {2, 2}, 0.95).is_more_than_noise());
}

}  // namespace
}  // namespace kdef
