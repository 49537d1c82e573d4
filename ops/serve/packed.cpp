#include "ops/serve/packed.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "core/base/error.h"
#include "core/base/integers.h"
#include "ops/serve/packed_kernels.h"

namespace kdef::ops {
namespace serve {

#if defined(KDEF_SERVE_X86)
namespace v2 {
extern const Kernels kKernels;
}
namespace v3 {
extern const Kernels kKernels;
}
namespace v4 {
extern const Kernels kKernels;
}
#endif

// The twin in plain C++: one panel that holds all outputs, so that its weights are W^T.
namespace plain {
namespace {

void activate(bool relu, int64_t n, float* y) {
  for (int64_t j = 0; relu && j < n; ++j) y[j] = y[j] < 0.0f ? 0.0f : y[j];
}

void product(const Product& p) {
  for (int64_t b = 0; b < p.rows; ++b) {
    float* y = p.y + b * p.ldy;
    if (!p.add) std::copy_n(p.bias, p.out, y);
    for (int64_t i = 0; i < p.in; ++i) {
      const float x = p.x[b * p.ldx + i];
      for (int64_t j = 0; j < p.out; ++j) y[j] += x * p.weight[i * p.out + j];
    }
    activate(p.relu, p.out, y);
  }
}

void dots(const Product& p) {
  for (int64_t b = 0; b < p.rows; ++b) {
    float* y = p.y + b * p.ldy;
    for (int64_t j = 0; j < p.out; ++j) {
      float sum = 0;
      for (int64_t i = 0; i < p.in; ++i) sum += p.x[b * p.ldx + i] * p.weight[j * p.in + i];
      y[j] = (p.add ? y[j] : p.bias[j]) + sum;
    }
    activate(p.relu, p.out, y);
  }
}

void row_sums(const RowSums& s) {
  for (int64_t b = 0; b < s.rows; ++b) {
    float* y = s.y + b * s.ldy;
    std::copy_n(s.bias, s.out, y);
    for (int64_t t = 0; t < s.count; ++t) {
      const float* row = s.tables[t] + s.ids[b * s.ldids + s.columns[t]] * s.stride;
      for (int64_t j = 0; j < s.out; ++j) y[j] += row[j];
    }
    activate(s.relu, s.out, y);
  }
}

}  // namespace

static const Kernels kKernels = {Isa::plain, 1, INT64_MAX, product, dots, row_sums};

}  // namespace plain

const Kernels& kernels(Isa isa) {
#if defined(KDEF_SERVE_X86)
  if (isa == Isa::v2) return v2::kKernels;
  if (isa == Isa::v3) return v3::kKernels;
  if (isa == Isa::v4) return v4::kKernels;
#endif
  KDEF_CHECK(isa == Isa::plain, "serve: this build has no kernels for ", name_of(isa));
  return plain::kKernels;
}

}  // namespace serve

namespace {

// The numbers of a cache line, which is also the longest vector.
constexpr int64_t kLine = 16;
constexpr std::align_val_t kLineBytes{kLine * sizeof(float)};

// Outputs up to which a dot product per output is faster than a panel whose vectors are mostly padding.
constexpr int64_t kFew = 4;

}  // namespace

AlignedFloats::AlignedFloats(size_t count)
    : data_(static_cast<float*>(::operator new(std::max<size_t>(1, count) * sizeof(float), kLineBytes))), size_(count) {
  std::fill_n(data_.get(), count, 0.0f);
}

void AlignedFloats::Free::operator()(float* p) const { ::operator delete(p, kLineBytes); }

PackedLinear::PackedLinear(const float* weight, const float* bias, int64_t out, int64_t in, bool relu, Isa isa)
    : kernels_(&serve::kernels(isa)), out_(out), in_(in), relu_(relu), few_(out <= kFew) {
  KDEF_CHECK(out > 0 && in >= 0, "packed linear: ", out, " outputs of ", in, " inputs");
  finite_ = std::all_of(weight, weight + out * in, [](float w) { return std::isfinite(w); });
  const int64_t lanes = kernels_->lanes, vectors = divide_up(out, lanes);
  bias_ = AlignedFloats(static_cast<size_t>(round_up(out, kLine)));
  // A sum that starts at -0 would show whether zeros were left out.
  if (bias != nullptr) std::transform(bias, bias + out, bias_.data(), [](float b) { return b + 0.0f; });
  if (few_) {
    weight_ = AlignedFloats(static_cast<size_t>(out * in));
    std::copy_n(weight, out * in, weight_.data());
    return;
  }
  weight_ = AlignedFloats(static_cast<size_t>(vectors * lanes * in));
  const int64_t panels = (vectors - 1) / kernels_->vectors + 1;  // kernels_->vectors may be INT64_MAX
  float* to = weight_.data();
  for (int64_t panel = 0, first = 0; panel < panels; ++panel) {
    const int64_t width = lanes * (vectors / panels + (panel < vectors % panels ? 1 : 0));
    for (int64_t i = 0; i < in; ++i, to += width) {
      for (int64_t j = 0; j < std::min(width, out - first); ++j) to[j] = weight[(first + j) * in + i];
    }
    first += width;
  }
}

void PackedLinear::run(const float* x, int64_t ldx, int64_t rows, float* y, int64_t ldy, bool add) const {
  if (rows == 0) return;
  serve::Product p;
  p.rows = rows;
  p.in = in_;
  p.out = out_;
  p.x = x;
  p.ldx = ldx;
  p.weight = weight_.data();
  p.bias = bias_.data();
  p.y = y;
  p.ldy = ldy;
  p.add = add;
  p.relu = relu_;
  p.skips_zeros = finite_;
  (few_ ? kernels_->dots : kernels_->product)(p);
}

TableSum::TableSum(const float* bias, int64_t out, bool relu, Isa isa)
    : kernels_(&serve::kernels(isa)), out_(out), relu_(relu), bias_(static_cast<size_t>(stride())) {
  if (bias != nullptr) std::copy_n(bias, out, bias_.data());
}

float* TableSum::add_table(int64_t vocabulary, int64_t column) {
  tables_.emplace_back(static_cast<size_t>(vocabulary * stride()));
  starts_.push_back(tables_.back().data());
  columns_.push_back(column);
  return tables_.back().data();
}

int64_t TableSum::stride() const { return round_up(out_, kLine); }

void TableSum::run(const int32_t* ids, int64_t ldids, int64_t rows, float* y, int64_t ldy) const {
  if (rows == 0) return;
  serve::RowSums s;
  s.rows = rows;
  s.out = out_;
  s.count = static_cast<int64_t>(starts_.size());
  s.tables = starts_.data();
  s.stride = stride();
  s.ids = ids;
  s.ldids = ldids;
  s.columns = columns_.data();
  s.bias = bias_.data();
  s.y = y;
  s.ldy = ldy;
  s.relu = relu_;
  kernels_->row_sums(s);
}

size_t TableSum::bytes() const {
  size_t all = bias_.size() * sizeof(float);
  for (const AlignedFloats& table : tables_) all += table.size() * sizeof(float);
  return all;
}

size_t TableSum::bytes_of(int64_t vocabulary, int64_t out) {
  return static_cast<size_t>(vocabulary * round_up(out, kLine)) * sizeof(float);
}

}  // namespace kdef::ops
