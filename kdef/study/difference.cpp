#include "kdef/study/difference.h"

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "kdef/run/record.h"

namespace kdef {
namespace {

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300, kPrecision = 1e-15;
  constexpr int kMost = 10000;
  const auto kept = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1, d = 1 / kept(1 - (a + b) * x / (a + 1)), value = d;
  for (int m = 1; m < kMost; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double factor = 1;
    for (const double term : {even, odd}) {
      d = 1 / kept(1 + term * d);
      c = kept(1 + term / c);
      factor = c * d;
      value *= factor;
    }
    if (std::abs(factor - 1) < kPrecision) break;
  }
  return value;
}

// The regularized incomplete beta function I_x(a, b).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(a * std::log(x) + b * std::log1p(-x) + std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b));
  // The fraction converges fast on this side of its mean.
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// P(T > t) for t >= 0.
double upper_tail(double t, double freedom) {
  return 0.5 * incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

}  // namespace

double student_t_quantile(double p, double freedom) {
  KDEF_CHECK(p >= 0.5 && p < 1 && freedom > 0, "student_t_quantile: p is ", p, ", freedom ", freedom);
  double low = 0, high = 1;
  while (upper_tail(high, freedom) > 1 - p && high < 1e300) high *= 2;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = (low + high) / 2;
    (upper_tail(middle, freedom) > 1 - p ? low : high) = middle;
  }
  return (low + high) / 2;
}

Difference difference_of_means(const std::vector<double>& a, const std::vector<double>& b, double confidence) {
  const Statistic of_a = statistic(a), of_b = statistic(b);
  Difference d;
  d.value = of_a.mean - of_b.mean;
  const auto n = static_cast<double>(of_a.values.size()), m = static_cast<double>(of_b.values.size());
  if (n < 2 || m < 2) {
    d.low = d.high = std::numeric_limits<double>::quiet_NaN();
    return d;
  }
  // Squares of the standard errors, and the degrees of freedom of Welch and Satterthwaite.
  const double u = of_a.deviation * of_a.deviation / n, v = of_b.deviation * of_b.deviation / m;
  double width = 0;
  if (u + v > 0) {
    const double freedom = (u + v) * (u + v) / (u * u / (n - 1) + v * v / (m - 1));
    width = student_t_quantile((1 + confidence) / 2, freedom) * std::sqrt(u + v);
  }
  d.low = d.value - width;
  d.high = d.value + width;
  return d;
}

}  // namespace kdef
