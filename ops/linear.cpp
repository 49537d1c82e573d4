#include "ops/linear.h"

#include <algorithm>

#include "ops/gemm/route.h"
#include "ops/reduce.h"

namespace kdef::ops {

const OpInfo kMatmulInfo{"matmul", "C = A B", "dA = dC B^T, dB = A^T dC"};
const OpInfo kLinearInfo{"linear", "y = x W^T + b", "dx = dy W, dW = dy^T x, db = sum over rows of dy", true};

namespace {

// A tensor seen as `batch` matrices of `rows` x `columns`.
struct Matrices {
  int64_t batch, rows, columns;
};
Matrices matrices(const Tensor& t) {
  return t.rank() == 3 ? Matrices{t.shape()[0], t.shape()[1], t.shape()[2]} : Matrices{1, t.shape()[0], t.shape()[1]};
}

// C = op(A) op(B) of tensors.
Gemm gemm_of(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  const Matrices ma = matrices(a), mb = matrices(b);
  Gemm g;
  g.m = ta ? ma.columns : ma.rows;
  g.k = ta ? ma.rows : ma.columns;
  g.n = tb ? mb.rows : mb.columns;
  g.transpose_a = ta;
  g.transpose_b = tb;
  g.lda = ma.columns;
  g.ldb = mb.columns;
  g.ldc = g.n;
  g.batch = ma.batch;
  g.stride_a = ma.rows * ma.columns;
  g.stride_b = mb.rows * mb.columns;
  g.stride_c = g.m * g.n;
  return g;
}

// C = op(A) op(B). If one operand is in bf16, the other is rounded to bf16.
Tensor product(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  if (a.dtype() != b.dtype()) return product(round_operand(a), round_operand(b), ta, tb);
  const Gemm g = gemm_of(a, b, ta, tb);
  const DType type = a.dtype() == DType::bf16 ? DType::f32 : a.dtype();
  Tensor c = Tensor::empty(a.rank() == 3 ? Shape{g.batch, g.m, g.n} : Shape{g.m, g.n}, type, a.device());
  gemm(g, a, b, c);
  return c;
}

// Whether the operands of a linear layer are rounded once, for its forward and backward products together. The backward
// products read rows of n numbers.
bool rounds_once(const Gemm& g, const Tensor& x) { return route(g, x).takes_rounded && g.n % kRoundedUnit == 0; }

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  KDEF_CHECK(
      a.rank() == b.rank() && (a.rank() == 2 || a.rank() == 3) && a.dtype() == b.dtype() && a.device() == b.device(),
      "matmul: needs two matrices, or two stacks of them, of one type: got ", describe(a), " and ", describe(b));
  const Matrices ma = matrices(a), mb = matrices(b);
  const int64_t ka = ta ? ma.rows : ma.columns, kb = tb ? mb.columns : mb.rows;
  KDEF_CHECK(ka == kb && ma.batch == mb.batch, "matmul: ", a.shape(), ta ? "^T" : "", " x ", b.shape(), tb ? "^T" : "",
             " do not fit");
  return record(kMatmulInfo, product(a, b, ta, tb), {a, b}, {a, b},
                [ta, tb](const BackwardContext& c, const Tensor& dy) {
                  const Tensor &sa = c.saved[0], &sb = c.saved[1];
                  std::vector<Gradient> grads(2);
                  // With C = op(A) op(B): d op(A) = dC op(B)^T and d op(B) = op(A)^T dC; a transposed operand
                  // swaps the factors.
                  if (c.needs[0]) grads[0] = ta ? product(sb, dy, tb, true) : product(dy, sb, false, !tb);
                  if (c.needs[1]) grads[1] = tb ? product(dy, sa, true, ta) : product(sa, dy, !ta, false);
                  return grads;
                },
                {{"transpose_a", ta}, {"transpose_b", tb}, {"operands", operands_of(gemm_of(a, b, ta, tb), a)}});
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  KDEF_CHECK(x.rank() == 2 && weight.rank() == 2 && x.shape()[1] == weight.shape()[1] && x.dtype() == weight.dtype(),
             "linear: input ", describe(x), " does not fit weight ", describe(weight), " (needs [B, K] and [N, K])");
  KDEF_CHECK(!bias.defined() || bias.shape() == Shape{weight.shape()[0]}, "linear: bias ", describe(bias),
             " does not fit weight ", weight.shape());
  Gemm g;
  g.m = x.shape()[0];
  g.k = x.shape()[1];
  g.n = weight.shape()[0];
  g.transpose_b = true;
  g.lda = g.ldb = g.k;
  g.ldc = g.n;
  const Tensor y = Tensor::empty({g.m, g.n}, x.dtype(), x.device());
  const bool rounded = rounds_once(g, x);
  const Tensor a = rounded ? round_operand(x) : x, b = rounded ? round_operand(weight) : weight;
  gemm(g, a, b, y, bias);
  return record(kLinearInfo, y, {x, weight, bias}, {a, b},
                [type = x.dtype()](const BackwardContext& c, const Tensor& given) {
                  // On the CPU a product rounds its operands itself, from f32.
                  const Tensor gradient = given.device().is_cpu() ? given.to(type) : given;
                  const Tensor dy = c.saved[0].dtype() == DType::bf16 ? round_operand(gradient) : gradient;
                  std::vector<Gradient> grads(3);
                  if (c.needs[0]) grads[0] = product(dy, c.saved[1], false, false);
                  if (c.needs[1]) grads[1] = product(dy, c.saved[0], true, false);
                  if (c.needs[2]) grads[2] = column_sums(gradient, type);
                  return grads;
                },
                {{"operands", operands_of(g, x)}});
}

}  // namespace kdef::ops
