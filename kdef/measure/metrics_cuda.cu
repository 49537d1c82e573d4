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
struct CountPairs {
  const uint32_t* keys;
  const int32_t* positives;
  int64_t n;
  double* partial;  // [blocks, 2]
  KDEF_DEVICE void operator()(const Block& block) const {
    const int64_t begin = block.index() * kChunk, end = begin + kChunk < n ? begin + kChunk : n;
    double high = 0, low = 0;
    for (int64_t i = begin + block.thread(); i < end; i += block.threads()) {
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
    if (block.thread() != 0) return;
    partial[2 * block.index()] = high;
    partial[2 * block.index() + 1] = low;
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

}  // namespace

// All is queued for every column before the host waits for any of it.
std::vector<Quality> measure_columns(const Tensor& probabilities, const Tensor& labels) {
  const int64_t n = probabilities.shape()[0], columns = probabilities.shape()[1];
  KDEF_CHECK(labels.numel() == n, "metrics: ", describe(probabilities), " with ", describe(labels));
  constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
  std::vector<Quality> all(static_cast<size_t>(columns), Quality{kUndefined, kUndefined});
  if (n == 0) return all;
  const int64_t blocks = divide_up(n, kChunk);
  const float *p = probabilities.data<float>(), *y = labels.data<float>();
  const Tensor losses = Tensor::empty({columns * blocks}, DType::f64, probabilities.device());
  const Tensor counts = Tensor::empty({columns * blocks, 2}, DType::f64, probabilities.device());
  Tensor until;  // positives until each row, in the last column's order
  for (int64_t column = 0; column < columns; ++column) {
    for_blocks(blocks, 0, SumLogLoss{p, y, columns, column, n, losses.data<double>() + column * blocks});
    Tensor keys = Tensor::empty({n}, DType::i32, probabilities.device()), positive = Tensor::empty_like(keys);
    const auto unsigned_keys = [&] { return reinterpret_cast<uint32_t*>(keys.data<int32_t>()); };
    for_each(n, SortKeys{p, y, columns, column, unsigned_keys(), positive.data<int32_t>()});
    ops::cuda::sort_pairs(keys, positive, 32);
    until = Tensor::empty_like(positive);
    ops::cuda::prefix_sum(positive, until);
    for_blocks(blocks, 0,
               CountPairs{unsigned_keys(), until.data<int32_t>(), n, counts.data<double>() + 2 * column * blocks});
  }
  const int64_t positives = until.rows(n - 1, 1).to_vector<int32_t>()[0];
  const std::vector<double> loss = losses.to_vector<double>(), count = counts.to_vector<double>();
  for (size_t column = 0; column < all.size(); ++column) {
    double sum = 0;
    uint64_t high = 0, low = 0;
    for (size_t i = column * static_cast<size_t>(blocks); i < (column + 1) * static_cast<size_t>(blocks); ++i) {
      sum += loss[i];
      high += static_cast<uint64_t>(count[2 * i]);
      low += static_cast<uint64_t>(count[2 * i + 1]);
    }
    all[column].logloss = sum / static_cast<double>(n);
    if (positives == 0 || positives == n || std::isnan(sum)) continue;
    all[column].auc = static_cast<double>((high << kLowBits) + low) / 2.0 /
                      (static_cast<double>(n - positives) * static_cast<double>(positives));
  }
  return all;
}

}  // namespace kdef::cuda
