#include "ops/reduce.h"

#include <span>

#include "core/base/parallel.h"
#include "core/tensor/collectives.h"
#include "core/tensor/launch.h"
#include "ops/device/launch_cpu.h"
#include "ops/reduce_functors.h"

namespace kdef::ops {

const OpInfo kSumInfo{"sum", "y = sum_i x_i", "dx_i = dy"};
const OpInfo kMeanInfo{"mean", "y = (1/n) sum_i x_i", "dx_i = dy / n"};
const OpInfo kMaxInfo{"max", "y = max_i x_i", "dx_i = dy [i = first argmax]"};
const OpInfo kKMaxInfo{"k_max", "y_s = x_(i_s), i_1 < .. < i_k the places of the k largest", "dx_(i_s) = dy_s, else 0"};

namespace cpu {

namespace {
// The number of rows of the reduced axis that make one part. Parts are added in their order, so that the result does
// not depend on the number of threads.
constexpr int64_t kPart = 512;
}  // namespace

void reduce_sum(const Tensor& x, const Tensor& y, int64_t outer, int64_t n, int64_t inner, double factor) {
  for_float(x.dtype(), "sum", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    const int64_t parts = std::max<int64_t>(1, divide_up(n, kPart));
    // fp32 sums are carried in fp64: a loss averaged over a large batch keeps its last digits.
    Tensor partial = Tensor::empty({outer, parts, inner}, DType::f64);
    double* p = partial.data<double>();
    const int64_t grain = std::max<int64_t>(1, kPiece / std::max<int64_t>(1, std::min(n, kPart) * inner));
    parallel_for(outer * parts, grain, [=](int64_t first, int64_t last) {
      for (int64_t q = first; q < last; ++q) {
        const int64_t o = q / parts, begin = q % parts * kPart, end = std::min(n, begin + kPart);
        double* acc = p + q * inner;
        std::fill_n(acc, inner, 0.0);
        for (int64_t i = begin; i < end; ++i) {
          const T* row = in + (o * n + i) * inner;
          for (int64_t j = 0; j < inner; ++j) acc[j] += static_cast<double>(row[j]);
        }
      }
    });
    for_each(outer * inner, [=](int64_t q) {
      const int64_t o = q / inner, j = q % inner;
      double total = 0;
      for (int64_t part = 0; part < parts; ++part) total += p[(o * parts + part) * inner + j];
      out[q] = static_cast<T>(total * factor);
    });
  });
}

void reduce_max(const Tensor& x, const Tensor& y, const Tensor& index, int64_t outer, int64_t n, int64_t inner) {
  for_float(x.dtype(), "max", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    int64_t* arg = index.data<int64_t>();
    for_each(outer * inner, [=](int64_t q) {
      const T* column = in + q / inner * n * inner + q % inner;
      int64_t best = 0;
      for (int64_t i = 1; i < n; ++i) {
        if (column[i * inner] > column[best * inner]) best = i;
      }
      arg[q] = best;
      out[q] = column[best * inner];
    });
  });
}

void k_max_forward(const Tensor& x, const Tensor& y, const Tensor& index, int64_t outer, int64_t n, int64_t inner,
                   int64_t k) {
  for_float(x.dtype(), "k_max", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    int64_t* arg = index.data<int64_t>();
    for_each(outer * inner, [=](int64_t q) {
      const int64_t o = q / inner, j = q % inner;
      KMaxColumn<T>{in + o * n * inner + j, out + o * k * inner + j, arg + o * k * inner + j, n, k, inner}.forward();
    });
  });
}

void k_max_backward(const Tensor& dy, const Tensor& index, const Tensor& dx, int64_t outer, int64_t n, int64_t inner,
                    int64_t k) {
  for_float(dy.dtype(), "k_max", [&]<class T>() {
    const T* g = dy.data<T>();
    T* d = dx.data<T>();
    const int64_t* arg = index.data<int64_t>();
    for_each(outer * inner, [=](int64_t q) {
      const int64_t o = q / inner, j = q % inner, kept = o * k * inner + j;
      k_max_column_backward(g + kept, arg + kept, d + o * n * inner + j, n, k, inner);
    });
  });
}

void spread(const Tensor& dy, const Tensor& dx, int64_t outer, int64_t n, int64_t inner, double factor) {
  for_float(dy.dtype(), "sum", [&]<class T>() {
    const T* g = dy.data<T>();
    T* d = dx.data<T>();
    const T c = static_cast<T>(factor);
    for_each(outer * n, [=](int64_t row) {
      const T* from = g + row / n * inner;
      for (int64_t j = 0; j < inner; ++j) d[row * inner + j] = c * from[j];
    });
  });
}

void scatter_max(const Tensor& dy, const Tensor& index, const Tensor& dx, int64_t outer, int64_t n, int64_t inner) {
  for_float(dy.dtype(), "max", [&]<class T>() {
    const T* g = dy.data<T>();
    T* d = dx.data<T>();
    const int64_t* arg = index.data<int64_t>();
    for_each(outer * inner, [=](int64_t q) {
      T* column = d + q / inner * n * inner + q % inner;
      for (int64_t i = 0; i < n; ++i) column[i * inner] = i == arg[q] ? g[q] : T(0);
    });
  });
}

}  // namespace cpu

namespace {

struct Axis {
  int64_t outer, n, inner;
  Shape result;
};

// The attributes of a reduction over an axis, or over all elements.
Attributes over(const Tensor& x, int axis, bool keep, const char* op) {
  return {{"axis", x.shape().axis(axis, op)}, {"keep", keep}};
}
Attributes over_all() { return {{"all", true}}; }

Axis split(const Tensor& x, int axis, bool keep, const char* op) {
  const int a = x.shape().axis(axis, op);
  Axis s{x.shape().product(0, a), x.shape()[a], x.shape().product(a + 1, x.rank()), {}};
  for (int i = 0; i < x.rank(); ++i) {
    if (i != a)
      s.result.push_back(x.shape()[i]);
    else if (keep)
      s.result.push_back(1);
  }
  return s;
}

// factor times the sum over the axis, added up over the members of `group`.
Tensor reduce(const OpInfo& info, const Tensor& x, const Axis& s, double factor, Attributes attributes,
              Group& group = Group::alone()) {
  Tensor y = Tensor::empty(s.result, x.dtype(), x.device());
  KDEF_LAUNCH(x.device(), reduce_sum, x, y, s.outer, s.n, s.inner, factor);
  all_reduce(group, y);
  const Shape shape = x.shape();
  return record(
      info, y, {x}, {},
      [=](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> {
        const Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
        KDEF_LAUNCH(dy.device(), spread, dy, dx, s.outer, s.n, s.inner, factor);
        return {dx};
      },
      std::move(attributes));
}

}  // namespace

Tensor sum(const Tensor& x, int axis, bool keep) {
  return reduce(kSumInfo, x, split(x, axis, keep, "sum"), 1.0, over(x, axis, keep, "sum"));
}

Tensor column_sums(const Tensor& x, DType type) {
  const Tensor y = Tensor::empty({x.shape()[1]}, type, x.device());
  KDEF_LAUNCH(x.device(), reduce_sum, x, y, 1, x.shape()[0], x.shape()[1], 1.0);
  return y;
}

Tensor mean(const Tensor& x, int axis, bool keep) {
  const Axis s = split(x, axis, keep, "mean");
  KDEF_CHECK(s.n > 0, "mean: axis ", axis, " of ", x.shape(), " is empty");
  return reduce(kMeanInfo, x, s, 1.0 / static_cast<double>(s.n), over(x, axis, keep, "mean"));
}

Tensor batch_mean(const Tensor& x) {
  const Axis s = split(x, 0, false, "batch_mean");
  double rows = static_cast<double>(s.n);
  Group::current().all_reduce(std::span(&rows, 1));
  KDEF_CHECK(rows > 0, "batch_mean: the batch has no rows");
  return reduce(kMeanInfo, x, s, 1.0 / rows, over(x, 0, false, "batch_mean"), Group::current());
}

Tensor sum(const Tensor& x) { return reduce(kSumInfo, x, {1, x.numel(), 1, {}}, 1.0, over_all()); }

Tensor mean(const Tensor& x) {
  KDEF_CHECK(x.numel() > 0, "mean of an empty tensor ", x.shape());
  return reduce(kMeanInfo, x, {1, x.numel(), 1, {}}, 1.0 / static_cast<double>(x.numel()), over_all());
}

Tensor max(const Tensor& x, int axis, bool keep) {
  const Axis s = split(x, axis, keep, "max");
  KDEF_CHECK(s.n > 0, "max: axis ", axis, " of ", x.shape(), " is empty");
  Tensor y = Tensor::empty(s.result, x.dtype(), x.device());
  Tensor index = Tensor::empty(s.result, DType::i64, x.device());
  KDEF_LAUNCH(x.device(), reduce_max, x, y, index, s.outer, s.n, s.inner);
  const Shape shape = x.shape();
  return record(
      kMaxInfo, y, {x}, {index},
      [=](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
        const Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
        KDEF_LAUNCH(dy.device(), scatter_max, dy, c.saved[0], dx, s.outer, s.n, s.inner);
        return {dx};
      },
      over(x, axis, keep, "max"));
}

Tensor k_max(const Tensor& x, int axis, int64_t k) {
  const Axis s = split(x, axis, true, "k_max");
  KDEF_CHECK(k > 0 && k <= s.n, "k_max: ", k, " of the ", s.n, " elements along axis ", axis, " of ", x.shape());
  const int a = x.shape().axis(axis, "k_max");
  Shape kept = x.shape();
  kept[a] = k;
  const Tensor y = Tensor::empty(kept, x.dtype(), x.device()), index = Tensor::empty(kept, DType::i64, x.device());
  KDEF_LAUNCH(x.device(), k_max_forward, x, y, index, s.outer, s.n, s.inner, k);
  const Shape shape = x.shape();
  return record(kKMaxInfo, y, {x}, {index},
                [=](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  const Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
                  KDEF_LAUNCH(dy.device(), k_max_backward, dy, c.saved[0], dx, s.outer, s.n, s.inner, k);
                  return {dx};
                },
                {{"axis", a}, {"k", k}});
}

}  // namespace kdef::ops
