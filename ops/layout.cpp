#include "ops/layout.h"

#include <algorithm>
#include <cstring>

#include "core/base/parallel.h"
#include "core/tensor/launch.h"
#include "ops/device/launch_cpu.h"

namespace kdef::ops {

const OpInfo kReshapeInfo{"reshape", "y = x under another shape", "dx = dy under x's shape"};
const OpInfo kTransposeInfo{"transpose", "y = x with two axes exchanged", "dx = dy with the axes exchanged back"};
const OpInfo kConcatInfo{"concat", "y = [x_1, .., x_n] along an axis", "dx_i = slice i of dy"};
const OpInfo kSliceInfo{"slice", "y = x[first, first + count) along an axis", "dx = dy there, 0 elsewhere"};

namespace cpu {

void copy_slab(const Tensor& x, const Tensor& y, int64_t outer, int64_t inner, int64_t nx, int64_t first_x, int64_t ny,
               int64_t first_y, int64_t count) {
  const size_t unit = static_cast<size_t>(inner) * size_of(x.dtype());
  const std::byte* from = x.raw() + static_cast<size_t>(first_x) * unit;
  std::byte* to = y.raw() + static_cast<size_t>(first_y) * unit;
  if (count == 0 || unit == 0) return;
  parallel_for(outer, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, count * inner)), [=](int64_t a, int64_t b) {
    for (int64_t o = a; o < b; ++o) {
      std::memcpy(to + static_cast<size_t>(o * ny) * unit, from + static_cast<size_t>(o * nx) * unit,
                  static_cast<size_t>(count) * unit);
    }
  });
}

void join(const std::vector<Tensor>& xs, const Tensor& y) {
  std::byte* to = y.raw();
  for (const Tensor& x : xs) to = std::copy_n(x.raw(), x.bytes(), to);
}

void transpose_copy(const Tensor& x, const Tensor& y, int64_t p, int64_t m, int64_t q, int64_t n, int64_t r) {
  for_float(x.dtype(), "transpose", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    for_each(p * n * q * m, [=](int64_t row) {
      const int64_t im = row % m, iq = row / m % q, in_ = row / m / q % n, ip = row / m / q / n;
      const T* from = in + (((ip * m + im) * q + iq) * n + in_) * r;
      for (int64_t k = 0; k < r; ++k) out[row * r + k] = from[k];
    });
  });
}

}  // namespace cpu

Tensor reshape(const Tensor& x, const Shape& shape) {
  KDEF_CHECK(shape.numel() == x.numel(), "reshape: ", x.shape(), " does not have the elements of ", shape);
  const Shape before = x.shape();
  return record(
      kReshapeInfo, x.alias(shape), {x}, {},
      [before](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> { return {dy.alias(before)}; },
      {{"shape", sizes_of(shape)}});
}

namespace {
Tensor transposed(const Tensor& x, int a, int b) {
  Shape s = x.shape();
  std::swap(s[a], s[b]);
  Tensor y = Tensor::empty(s, x.dtype(), x.device());
  const Shape& in = x.shape();
  KDEF_LAUNCH(x.device(), transpose_copy, x, y, in.product(0, a), in[a], in.product(a + 1, b), in[b],
              in.product(b + 1, in.rank()));
  return y;
}

struct Slab {
  int64_t outer, n, inner;
};
Slab slab(const Shape& s, int axis) { return {s.product(0, axis), s[axis], s.product(axis + 1, s.rank())}; }

Tensor sliced(const Tensor& x, int axis, int64_t first, int64_t count) {
  Shape s = x.shape();
  s[axis] = count;
  Tensor y = Tensor::empty(s, x.dtype(), x.device());
  const Slab from = slab(x.shape(), axis);
  KDEF_LAUNCH(x.device(), copy_slab, x, y, from.outer, from.inner, from.n, first, count, 0, count);
  return y;
}
}  // namespace

Tensor transpose(const Tensor& x, int a, int b) {
  a = x.shape().axis(a, "transpose");
  b = x.shape().axis(b, "transpose");
  if (a > b) std::swap(a, b);
  if (a == b) return x;
  return record(
      kTransposeInfo, transposed(x, a, b), {x}, {},
      [a, b](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> { return {transposed(dy, a, b)}; },
      {{"a", a}, {"b", b}});
}

Tensor concat(const std::vector<Tensor>& xs, int axis) {
  KDEF_CHECK(!xs.empty(), "concat: no tensors");
  axis = xs[0].shape().axis(axis, "concat");
  Shape s = xs[0].shape();
  s[axis] = 0;
  for (const Tensor& x : xs) {
    Shape same = x.shape();
    KDEF_CHECK(same.rank() == s.rank(), "concat: shapes ", xs[0].shape(), " and ", x.shape(), " differ in rank");
    s[axis] += same[axis];
    same[axis] = xs[0].shape()[axis];
    KDEF_CHECK(same == xs[0].shape() && x.dtype() == xs[0].dtype() && x.device() == xs[0].device(),
               "concat: ", describe(xs[0]), " and ", describe(x), " differ outside axis ", axis);
  }
  Tensor y = Tensor::empty(s, xs[0].dtype(), xs[0].device());
  const Slab to = slab(s, axis);
  std::vector<int64_t> sizes;
  for (const Tensor& x : xs) sizes.push_back(x.shape()[axis]);
  if (axis == 0) {
    KDEF_LAUNCH(y.device(), join, xs, y);
  } else {
    int64_t at = 0;
    for (size_t i = 0; i < xs.size(); at += sizes[i++]) {
      KDEF_LAUNCH(y.device(), copy_slab, xs[i], y, to.outer, to.inner, sizes[i], 0, to.n, at, sizes[i]);
    }
  }
  return record(kConcatInfo, y, xs, {},
                [=](const BackwardContext& c, const Tensor& dy) {
                  std::vector<Gradient> grads(sizes.size());
                  int64_t first = 0;
                  for (size_t i = 0; i < sizes.size(); ++i) {
                    if (c.needs[i]) grads[i] = axis == 0 ? dy.rows(first, sizes[i]) : sliced(dy, axis, first, sizes[i]);
                    first += sizes[i];
                  }
                  return grads;
                },
                {{"axis", axis}});
}

Tensor stack(const std::vector<Tensor>& xs, int axis) {
  KDEF_CHECK(!xs.empty(), "stack: no tensors");
  const int rank = xs[0].rank() + 1;
  const int a = axis < 0 ? axis + rank : axis;
  KDEF_CHECK(a >= 0 && a < rank, "stack: axis ", axis, " is out of range for ", rank, " dimensions");
  std::vector<Tensor> parts;
  for (const Tensor& x : xs) {
    Shape s;
    for (int i = 0; i < rank; ++i) s.push_back(i < a ? x.shape()[i] : i == a ? 1 : x.shape()[i - 1]);
    parts.push_back(reshape(x, s));
  }
  return concat(parts, a);
}

Tensor slice(const Tensor& x, int axis, int64_t first, int64_t count) {
  axis = x.shape().axis(axis, "slice");
  KDEF_CHECK(first >= 0 && count >= 0 && first + count <= x.shape()[axis], "slice: [", first, ", ", first + count,
             ") is out of range on axis ", axis, " of ", x.shape());
  const Shape before = x.shape();
  return record(kSliceInfo, sliced(x, axis, first, count), {x}, {},
                [=](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> {
                  Tensor dx = Tensor::zeros(before, dy.dtype(), dy.device());
                  const Slab to = slab(before, axis);
                  KDEF_LAUNCH(dy.device(), copy_slab, dy, dx, to.outer, to.inner, count, 0, to.n, first, count);
                  return {dx};
                },
                {{"axis", axis}, {"first", first}, {"count", count}});
}

std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<int64_t>& sizes) {
  axis = x.shape().axis(axis, "split");
  std::vector<Tensor> parts;
  int64_t first = 0;
  for (int64_t n : sizes) {
    parts.push_back(slice(x, axis, first, n));
    first += n;
  }
  KDEF_CHECK(first == x.shape()[axis], "split: sizes add up to ", first, ", axis ", axis, " of ", x.shape(), " has ",
             x.shape()[axis]);
  return parts;
}

}  // namespace kdef::ops
