#include "kdef/measure/metrics_cuda.h"

#include <cmath>
#include <limits>

#include "core/base/integers.h"
#include "core/cuda/launch.cuh"
#include "kdef/measure/metrics.h"
#include "ops/device/sort.h"

namespace kdef::cuda {
namespace {

constexpr int64_t kChunk = 2048;  // rows that a block takes

// Keys in the order of one column's numbers, and whether the row is positive.
struct SortKeys {
  const float *probabilities, *labels;
  int64_t columns, column;
  uint32_t* keys;
  int32_t* positive;
  KDEF_DEVICE void operator()(int64_t i) const {
    const float p = probabilities[i * columns + column] + 0.0f;  // -0 becomes 0
    uint32_t bits = 0;
    memcpy(&bits, &p, sizeof bits);
    keys[i] = bits >> 31 ? ~bits : bits | 0x80000000u;
    positive[i] = labels[i] > 0.5f;
  }
};

// Twice the number of (negative, positive) pairs in order, ties once: each group of equal keys is counted by its last
// row, with the positives until each row in `positives`. A count may need 62 bits; doubles add its upper and its lower
// bits exactly.
constexpr int kLowBits = 26;
// Keys of infinity: beyond them are the keys of what is not a number.
constexpr uint32_t kLargest = 0xff800000u, kSmallest = 0x007fffffu;
struct CountPairs {
  const uint32_t* keys;
  const int32_t* positives;
  int64_t n;
  double* partial;  // [blocks, 3]: upper bits, lower bits, rows that are not a number
  KDEF_DEVICE void operator()(const Block& block) const {
    const int64_t begin = block.index() * kChunk, end = begin + kChunk < n ? begin + kChunk : n;
    double high = 0, low = 0, not_numbers = 0;
    for (int64_t i = begin + block.thread(); i < end; i += block.threads()) {
      not_numbers += keys[i] > kLargest || keys[i] < kSmallest;
      if (i + 1 < n && keys[i + 1] == keys[i]) continue;
      const int64_t first = partition_point(0, i, [&](int64_t q) { return keys[q] < keys[i]; });
      const int64_t before = first > 0 ? positives[first - 1] : 0;
      const int64_t tied_positives = positives[i] - before, tied_negatives = i + 1 - first - tied_positives;
      const int64_t twice = tied_positives * (2 * (first - before) + tied_negatives);
      high += static_cast<double>(twice >> kLowBits);
      low += static_cast<double>(twice & ((int64_t{1} << kLowBits) - 1));
    }
    high = block.sum(high);
    low = block.sum(low);
    not_numbers = block.sum(not_numbers);
    if (block.thread() != 0) return;
    partial[3 * block.index()] = high;
    partial[3 * block.index() + 1] = low;
    partial[3 * block.index() + 2] = not_numbers;
  }
};

struct SumLogLoss {
  const float *probabilities, *labels;
  int64_t columns, column, n;
  double* partial;
  KDEF_DEVICE void operator()(const Block& block) const {
    const int64_t begin = block.index() * kChunk, end = begin + kChunk < n ? begin + kChunk : n;
    double sum = 0;
    for (int64_t i = begin + block.thread(); i < end; i += block.threads()) {
      sum += LogLoss::f(static_cast<double>(probabilities[i * columns + column]), static_cast<double>(labels[i]));
    }
    sum = block.sum(sum);
    if (block.thread() == 0) partial[block.index()] = sum;
  }
};

struct SumLabels {
  const float* labels;
  int64_t n;
  double* partial;
  KDEF_DEVICE void operator()(const Block& block) const {
    const int64_t begin = block.index() * kChunk, end = begin + kChunk < n ? begin + kChunk : n;
    double sum = 0;
    for (int64_t i = begin + block.thread(); i < end; i += block.threads()) sum += static_cast<double>(labels[i]);
    sum = block.sum(sum);
    if (block.thread() == 0) partial[block.index()] = sum;
  }
};

}  // namespace

std::vector<double> auc_of_columns(const Tensor& scores, const Tensor& labels) {
  const int64_t n = scores.shape()[0], columns = scores.shape()[1];
  std::vector<double> all(static_cast<size_t>(columns), std::numeric_limits<double>::quiet_NaN());
  if (n == 0) return all;
  const int64_t blocks = divide_up(n, kChunk);
  const Tensor counts = Tensor::empty({columns * blocks, 3}, DType::f64, scores.device());
  Tensor until;  // positives until each row, in the last column's order
  for (int64_t column = 0; column < columns; ++column) {
    Tensor keys = Tensor::empty({n}, DType::i32, scores.device()), positive = Tensor::empty_like(keys);
    const auto unsigned_keys = [&] { return reinterpret_cast<uint32_t*>(keys.data<int32_t>()); };
    for_each(n, SortKeys{scores.data<float>(), labels.data<float>(), columns, column, unsigned_keys(),
                         positive.data<int32_t>()});
    ops::cuda::sort_pairs(keys, positive, 32);
    until = Tensor::empty_like(positive);
    ops::cuda::prefix_sum(positive, until);
    for_blocks(blocks, 0,
               CountPairs{unsigned_keys(), until.data<int32_t>(), n, counts.data<double>() + 3 * column * blocks});
  }
  const int64_t positives = until.rows(n - 1, 1).to_vector<int32_t>()[0];
  const std::vector<double> count = counts.to_vector<double>();
  for (size_t column = 0; column < all.size(); ++column) {
    uint64_t high = 0, low = 0;
    double not_numbers = 0;
    for (size_t i = column * static_cast<size_t>(blocks); i < (column + 1) * static_cast<size_t>(blocks); ++i) {
      high += static_cast<uint64_t>(count[3 * i]);
      low += static_cast<uint64_t>(count[3 * i + 1]);
      not_numbers += count[3 * i + 2];
    }
    if (positives == 0 || positives == n || not_numbers > 0) continue;
    all[column] = static_cast<double>((high << kLowBits) + low) / 2.0 /
                  (static_cast<double>(n - positives) * static_cast<double>(positives));
  }
  return all;
}

std::vector<double> log_loss_of_columns(const Tensor& probabilities, const Tensor& labels) {
  const int64_t n = probabilities.shape()[0], columns = probabilities.shape()[1];
  std::vector<double> all(static_cast<size_t>(columns), std::numeric_limits<double>::quiet_NaN());
  if (n == 0) return all;
  const int64_t blocks = divide_up(n, kChunk);
  const Tensor losses = Tensor::empty({columns * blocks}, DType::f64, probabilities.device());
  for (int64_t column = 0; column < columns; ++column) {
    for_blocks(blocks, 0,
               SumLogLoss{probabilities.data<float>(), labels.data<float>(), columns, column, n,
                          losses.data<double>() + column * blocks});
  }
  const std::vector<double> loss = losses.to_vector<double>();
  for (size_t column = 0; column < all.size(); ++column) {
    double sum = 0;
    for (size_t i = column * static_cast<size_t>(blocks); i < (column + 1) * static_cast<size_t>(blocks); ++i) {
      sum += loss[i];
    }
    all[column] = sum / static_cast<double>(n);
  }
  return all;
}

std::vector<double> normalized_entropy_of_columns(const Tensor& probabilities, const Tensor& labels) {
  const int64_t n = labels.shape()[0], blocks = divide_up(n, kChunk);
  std::vector<double> all = log_loss_of_columns(probabilities, labels);
  if (n == 0) return all;
  const Tensor sums = Tensor::empty({blocks}, DType::f64, labels.device());
  for_blocks(blocks, 0, SumLabels{labels.data<float>(), n, sums.data<double>()});
  double sum = 0;
  for (const double part : sums.to_vector<double>()) sum += part;
  for (double& value : all) value /= label_entropy(sum / static_cast<double>(n));
  return all;
}

}  // namespace kdef::cuda
