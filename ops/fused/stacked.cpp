#include "ops/fused/stacked.h"

#include "ops/gemm/route.h"
#include "ops/layout.h"
#include "ops/norm.h"
#include "ops/reduce.h"

namespace kdef::ops {

const OpInfo kStackedLinearInfo{"stacked_linear", "z_m = x_m W_m^T + b_m for networks m side by side",
                                "dx_m = dz_m W_m, dW_m = dz_m^T x_m, db = sum over rows of dz", true};
const OpInfo kStackedOutputInfo{
    "stacked_output", "h = dropout(max(batch_norm(x), 0)), z_m = h_m w_m + b_m for networks m side by side",
    "dw_m = sum over rows of dz_m h_m, db = sum over rows of dz, d_m = dz_m w_m [h_m > 0] / (1 - p), then dgamma, "
    "dbeta, dx of batch_norm with d for dy"};

namespace {

// Products of all blocks at once.
struct Blocks {
  int64_t rows, count, in, out;

  // x_m W_m^T
  Gemm forward() const {
    Gemm g;
    g.m = rows, g.n = out, g.k = in, g.batch = count;
    g.transpose_b = true;
    activations(in, g.lda, g.stride_a);
    weights(g.ldb, g.stride_b);
    activations(out, g.ldc, g.stride_c);
    g.stride_bias = out;
    return g;
  }
  // dz_m W_m
  Gemm backward_x() const {
    Gemm g;
    g.m = rows, g.n = in, g.k = out, g.batch = count;
    activations(out, g.lda, g.stride_a);
    weights(g.ldb, g.stride_b);
    activations(in, g.ldc, g.stride_c);
    return g;
  }
  // dz_m^T x_m
  Gemm backward_weight() const {
    Gemm g;
    g.m = out, g.n = in, g.k = rows, g.batch = count;
    g.transpose_a = true;
    activations(out, g.lda, g.stride_a);
    activations(in, g.ldb, g.stride_b);
    weights(g.ldc, g.stride_c);
    return g;
  }

 private:
  void activations(int64_t width, int64_t& leading, int64_t& stride) const {
    leading = count * width;
    stride = width;
  }
  void weights(int64_t& leading, int64_t& stride) const {
    leading = in;
    stride = out * in;
  }
};

}  // namespace

Tensor stacked_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  KDEF_CHECK(x.rank() == 2 && weight.rank() == 3 && x.shape()[1] == weight.shape()[0] * weight.shape()[2] &&
                 (!bias.defined() ||
                  (bias.shape() == Shape{weight.shape()[0], weight.shape()[1]} && bias.dtype() == weight.dtype())),
             "stacked_linear: input ", describe(x), " does not fit weight ", describe(weight), " and bias ",
             describe(bias), " (needs [B, M K], [M, N, K] and [M, N])");
  const Blocks blocks{x.shape()[0], weight.shape()[0], weight.shape()[2], weight.shape()[1]};
  const bool rounded = x.dtype() == DType::bf16;
  KDEF_CHECK(rounded || x.dtype() == weight.dtype(), "stacked_linear: input ", describe(x), ", weight ",
             describe(weight));
  const Tensor w = rounded ? round_operand(weight) : weight;
  const Tensor z = Tensor::empty({blocks.rows, blocks.count * blocks.out}, weight.dtype(), x.device());
  gemm(blocks.forward(), x, w, z, bias);
  return record(kStackedLinearInfo, z, {x, weight, bias}, {x, w},
                [blocks, type = z.dtype()](const BackwardContext& c, const Tensor& given) {
                  const Tensor dy = given.device().is_cpu() ? given.to(type) : given;
                  // If one of them is rounded already, all are.
                  const bool round = c.saved[0].dtype() == DType::bf16 || dy.dtype() == DType::bf16;
                  const auto operand = [&](const Tensor& t) { return round ? round_operand(t) : t; };
                  const Tensor sx = operand(c.saved[0]), sw = operand(c.saved[1]), dz = operand(dy);
                  std::vector<Gradient> grads(3);
                  if (c.needs[0]) {
                    const Tensor dx = Tensor::empty(sx.shape(), type, sx.device());
                    gemm(blocks.backward_x(), dz, sw, dx);
                    grads[0] = dx;
                  }
                  if (c.needs[1]) {
                    const Tensor dw = Tensor::empty(sw.shape(), type, sx.device());
                    gemm(blocks.backward_weight(), dz, sx, dw);
                    grads[1] = dw;
                  }
                  if (c.needs[2]) grads[2] = column_sums(dy, type).alias({blocks.count, blocks.out});
                  return grads;
                },
                {{"networks", blocks.count}, {"operands", operands_of(blocks.forward(), z)}});
}

#if defined(KDEF_HAS_CUDA)
namespace {

// stacked_output on a device: the hidden layers are never in memory.
Tensor output_on_device(const Tensor& x, const HiddenLayer& layers, const Tensor& weight, const Tensor& bias) {
  NormState s = normalise_hidden(x, layers);
  s.weight = weight;
  const Tensor z = Tensor::empty({x.shape()[0], weight.shape()[0]}, x.dtype(), x.device());
  s.kept = cuda::output_forward(s, layers.keys, bias, z);
  Attributes attributes = hidden_layer_attributes(layers);
  attributes.push_back({"operands", name_of(x.dtype())});
  return record(
      kStackedOutputInfo, z, hidden_layer_inputs(x, layers, {layers.bias, weight, bias}), s.saved(),
      [rate = s.rate, batch = s.batch, operand = operand_type(x)](const BackwardContext& c, const Tensor& dz) {
        const NormState of = NormState::restored(c.saved, rate, batch);
        const NormSums mine = NormSums::like(of.gamma);
        const Tensor dbias = Tensor::empty_like(of.gamma), dweight = Tensor::empty_like(of.weight),
                     dx = Tensor::empty(of.x.shape(), operand, of.x.device());
        cuda::output_sums(of, dz, mine, dweight);
        cuda::output_dx(of, dz, sums_of_batch(batch, mine), dx, dbias);
        return std::vector<Gradient>{dx, mine.dgamma, mine.dbeta, dbias, dweight, column_sums(dz, dz.dtype())};
      },
      std::move(attributes));
}

}  // namespace
#endif

Tensor stacked_output(const Tensor& x, const HiddenLayer& layers, const Tensor& weight, const Tensor& bias) {
  check_stacked("stacked_output", x, layers);
  KDEF_CHECK(weight.rank() == 2 && x.shape()[1] == weight.numel() && x.dtype() == weight.dtype() &&
                 bias.shape() == Shape{weight.shape()[0]} && bias.dtype() == x.dtype() &&
                 layers.keys.size() == static_cast<size_t>(weight.shape()[0]),
             "stacked_output: input ", describe(x), " does not fit weight ", describe(weight), " and bias ",
             describe(bias), " (needs [B, M K], [M, K] and [M])");
#if defined(KDEF_HAS_CUDA)
  if (!x.device().is_cpu()) return output_on_device(x, layers, weight, bias);
#endif
  const int64_t count = weight.shape()[0], units = weight.shape()[1];
  const Tensor h = stacked_batch_norm_relu_dropout(x, layers);
  return stacked_linear(h, reshape(weight, {count, 1, units}), reshape(bias, {count, 1}));
}

}  // namespace kdef::ops
