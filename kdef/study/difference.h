// Whether two means differ by more than the noise of seeds.
#pragma once

#include <vector>

namespace kdef {

/// The difference of two means, a - b, with its confidence interval by Welch's t test: the samples are independent and
/// may have different variances. Without two values in each sample the interval is NaN.
struct Difference {
  double value = 0, low = 0, high = 0;
  bool has_interval() const { return low <= high; }
  /// The interval leaves out 0.
  bool is_more_than_noise() const { return low > 0 || high < 0; }
};
/// `confidence` in (0, 1), as 0.95. Neither sample may be empty.
Difference difference_of_means(const std::vector<double>& a, const std::vector<double>& b, double confidence);

/// The value below which a variable of Student's t distribution with `freedom` > 0 degrees lies with probability p in
/// [0.5, 1).
double student_t_quantile(double p, double freedom);

}  // namespace kdef
