#include "ops/fused/outer_linear.h"

#include <algorithm>

#include "core/base/parallel.h"
#include "core/tensor/dispatch.h"
#include "ops/device/vectors.h"
#include "ops/elementwise.h"
#include "ops/gemm/pieces.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"

// Block by block of rows, with p = (a_h b_m) of a row, which has H M numbers:
//   forward:   y = p W^T + c;
//   backward:  dW += dy^T p,  q = dy W,  da_h = sum over m of q_hm b_m,  db_m = sum over h of q_hm a_h.

namespace kdef::ops {

const OpInfo kOuterLinearInfo{
    "outer_linear", "y_o = sum over h, m of W_o,hm a_h b_m + c_o",
    "q = dy W, da_h = sum over m of q_hm b_m, db_m = sum over h of q_hm a_h, dW_o,hm = sum over "
    "rows of dy_o a_h b_m, dc = sum over rows of dy"};

namespace cpu {
namespace {

struct Outer {
  Tensor a, b, weight;
  int64_t rows() const { return a.shape()[0]; }
  int64_t left() const { return a.shape()[1]; }
  int64_t right() const { return b.shape()[1]; }
  int64_t pairs() const { return left() * right(); }
  int64_t out() const { return weight.shape()[0]; }

  // A block of rows holds about 512 KiB of products in fp32.
  int64_t block() const { return std::clamp<int64_t>((int64_t{1} << 17) / pairs(), 16, 512); }
  // Rows that add to one sum of dW. The sizes alone decide, so that the number of threads does not change the sums.
  int64_t group() const { return std::max<int64_t>(block(), divide_up(divide_up(rows(), 16), block()) * block()); }
  Gemm product(int64_t count) const {
    Gemm g;
    g.m = count;
    g.n = g.ldc = out();
    g.k = g.lda = g.ldb = pairs();
    g.transpose_b = true;
    return g;
  }
  Gemm product_back(int64_t count) const {
    Gemm g;
    g.m = count;
    g.n = g.ldb = g.ldc = pairs();
    g.k = g.lda = out();
    return g;
  }
  Gemm weight_gradient(int64_t count, bool accumulate) const {
    Gemm g;
    g.m = g.lda = out();
    g.n = g.ldb = g.ldc = pairs();
    g.k = count;
    g.transpose_a = true;
    g.accumulate = accumulate;
    return g;
  }
};

template <class T>
void outer_row(const T* __restrict a, const T* __restrict b, int64_t left, int64_t right, T* __restrict p) {
  for (int64_t h = 0; h < left; ++h) {
    for (int64_t m = 0; m < right; ++m) p[h * right + m] = a[h] * b[m];
  }
}

// From q of a row: da and db.
template <class T>
void outer_row_backward(const T* __restrict q, const T* __restrict a, const T* __restrict b, int64_t left,
                        int64_t right, T* __restrict da, T* __restrict db) {
  std::fill_n(db, right, T(0));
  for (int64_t h = 0; h < left; ++h) {
    da[h] = dot(q + h * right, b, right);
    add_row(q + h * right, a[h], right, db);
  }
}

template <class T>
void forward(const Outer& o, const Tensor& bias, const Tensor& y) {
  const int64_t left = o.left(), right = o.right(), pairs = o.pairs(), out = o.out(), block = o.block();
  const SharedOperand<T, T> weight(o.product(block), o.weight.data<T>());
  const T *a = o.a.data<T>(), *b = o.b.data<T>(), *c = bias.defined() ? bias.data<T>() : nullptr;
  T* to = y.data<T>();
  note_product(o.product(o.rows()));
  parallel_for(o.rows(), block, [&](int64_t first, int64_t last) {
    thread_local std::vector<T> p;
    p.resize(static_cast<size_t>(block * pairs));
    for (int64_t r = first; r < last; ++r) {
      outer_row(a + r * left, b + r * right, left, right, p.data() + (r - first) * pairs);
    }
    weight.multiply(last - first, p.data(), to + first * out, c);
  });
}

struct OuterGradients {
  Tensor da, db, dweight;
};

template <class T>
void backward(const Outer& o, const Tensor& dy, const OuterGradients& to) {
  const int64_t rows = o.rows(), left = o.left(), right = o.right(), pairs = o.pairs(), out = o.out();
  const int64_t block = o.block(), group = o.group(), groups = divide_up(rows, group), weights = out * pairs;
  const Tensor parts = Tensor::empty({groups, out, pairs}, o.weight.dtype());
  const SharedOperand<T, T> weight(o.product_back(block), o.weight.data<T>());
  const T *a = o.a.data<T>(), *b = o.b.data<T>(), *g = dy.data<T>();
  T *da = to.da.data<T>(), *db = to.db.data<T>();
  note_product(o.product_back(rows));
  note_product(o.weight_gradient(rows, false));
  parallel_for(groups, 1, [&](int64_t first_group, int64_t last_group) {
    thread_local std::vector<T> p, q;
    p.resize(static_cast<size_t>(block * pairs));
    q.resize(static_cast<size_t>(block * pairs));
    for (int64_t part = first_group; part < last_group; ++part) {
      T* dw = parts.data<T>() + part * weights;
      const int64_t end = std::min(rows, (part + 1) * group);
      for (int64_t begin = part * group; begin < end; begin += block) {
        const int64_t count = std::min(block, end - begin);
        for (int64_t r = begin; r < begin + count; ++r) {
          outer_row(a + r * left, b + r * right, left, right, p.data() + (r - begin) * pairs);
        }
        gemm_piece(o.weight_gradient(count, begin > part * group), g + begin * out, p.data(), dw);
        weight.multiply(count, g + begin * out, q.data());
        for (int64_t r = begin; r < begin + count; ++r) {
          outer_row_backward(q.data() + (r - begin) * pairs, a + r * left, b + r * right, left, right, da + r * left,
                             db + r * right);
        }
      }
    }
  });
  parallel_for(weights, kPiece / 4, [&](int64_t first, int64_t last) {
    const T* from = parts.data<T>();
    T* dw = to.dweight.data<T>();
    for (int64_t i = first; i < last; ++i) {
      T sum = from[i];
      for (int64_t part = 1; part < groups; ++part) sum += from[part * weights + i];
      dw[i] = sum;
    }
  });
}

}  // namespace
}  // namespace cpu

Tensor outer_linear_composed(const Tensor& a, const Tensor& b, const Tensor& weight, const Tensor& bias) {
  const int64_t rows = a.shape()[0], left = a.shape()[1], right = b.shape()[1];
  const Tensor pairs = mul(reshape(a, {rows, left, 1}), reshape(b, {rows, 1, right}));
  return linear(reshape(pairs, {rows, left * right}), weight, bias);
}

Tensor outer_linear(const Tensor& a, const Tensor& b, const Tensor& weight, const Tensor& bias) {
  KDEF_CHECK(a.rank() == 2 && b.rank() == 2 && weight.rank() == 2 && a.numel() > 0 && b.numel() > 0 &&
                 a.shape()[0] == b.shape()[0] && weight.shape()[1] == a.shape()[1] * b.shape()[1] &&
                 a.dtype() == b.dtype() && a.dtype() == weight.dtype(),
             "outer_linear: ", describe(a), " and ", describe(b), " do not fit weight ", describe(weight),
             " (needs [R, H], [R, M] and [O, H M], none of them empty)");
  KDEF_CHECK(!bias.defined() || bias.shape() == Shape{weight.shape()[0]}, "outer_linear: bias ", describe(bias),
             " does not fit weight ", weight.shape());
  if (!a.device().is_cpu()) return outer_linear_composed(a, b, weight, bias);
  const cpu::Outer outer{a, b, weight};
  const Tensor y = Tensor::empty({outer.rows(), outer.out()}, a.dtype());
  for_float(a.dtype(), "outer_linear", [&]<class T>() { cpu::forward<T>(outer, bias, y); });
  return record(kOuterLinearInfo, y, {a, b, weight, bias}, {a, b, weight},
                [](const BackwardContext& c, const Tensor& given) -> std::vector<Gradient> {
                  const cpu::Outer saved{c.saved[0], c.saved[1], c.saved[2]};
                  const Tensor dy = given.to(saved.a.dtype());
                  const cpu::OuterGradients to{Tensor::empty_like(saved.a), Tensor::empty_like(saved.b),
                                               Tensor::empty_like(saved.weight)};
                  for_float(dy.dtype(), "outer_linear", [&]<class T>() { cpu::backward<T>(saved, dy, to); });
                  return {to.da, to.db, to.dweight, c.needs[3] ? column_sums(dy, dy.dtype()) : Tensor()};
                });
}

}  // namespace kdef::ops
