#include "ops/serve/packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "core/base/dtype.h"
#include "core/base/error.h"
#include "core/base/integers.h"
#include "core/base/names.h"
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
namespace v4_bf16 {
extern const Kernels kKernels;
}
#endif

// The twin in plain C++: one panel that holds all outputs, so that its weights are W^T.
namespace plain {
namespace {

void activate(bool relu, int64_t n, float* y) {
  for (int64_t j = 0; relu && j < n; ++j) y[j] = y[j] < 0.0f ? 0.0f : y[j];
}

float number(float kept) { return kept; }
float number(uint16_t kept) { return from_bf16({kept}); }
float number(int8_t kept) { return static_cast<float>(kept); }

template <class Number>
void product_of(const Product& p) {
  constexpr bool kScaled = std::is_same_v<Number, int8_t>;
  const auto* weight = static_cast<const Number*>(p.weight);
  for (int64_t b = 0; b < p.rows; ++b) {
    float* y = p.y + b * p.ldy;
    if (!p.add) std::copy_n(p.bias, p.out, y);
    for (int64_t i = 0; i < p.in; ++i) {
      const float x = p.x[b * p.ldx + i];
      for (int64_t j = 0; j < p.out; ++j) {
        const float w = number(weight[i * p.out + j]);
        y[j] += x * (kScaled ? w * p.scales[j] : w);
      }
    }
    activate(p.relu, p.out, y);
  }
}

void product(const Product& p) {
  if (p.stored == Stored::bf16) return product_of<uint16_t>(p);
  if (p.stored == Stored::int8) return product_of<int8_t>(p);
  product_of<float>(p);
}

void dots(const Product& p) {
  const auto* weight = static_cast<const float*>(p.weight);
  for (int64_t b = 0; b < p.rows; ++b) {
    float* y = p.y + b * p.ldy;
    for (int64_t j = 0; j < p.out; ++j) {
      float sum = 0;
      for (int64_t i = 0; i < p.in; ++i) sum += p.x[b * p.ldx + i] * weight[j * p.in + i];
      y[j] = (p.add ? y[j] : p.bias[j]) + sum;
    }
    activate(p.relu, p.out, y);
  }
}

template <class Number>
void row_sums_of(const RowSums& s) {
  constexpr bool kScaled = std::is_same_v<Number, int8_t>;
  for (int64_t b = 0; b < s.rows; ++b) {
    float* y = s.y + b * s.ldy;
    std::copy_n(s.bias, s.out, y);
    for (int64_t t = 0; t < s.count; ++t) {
      const int32_t id = s.ids[b * s.ldids + s.columns[t]];
      const Number* row = static_cast<const Number*>(s.tables[t]) + id * s.stride;
      const float scale = kScaled ? s.scales[t][id] : 1;
      for (int64_t j = 0; j < s.out; ++j) y[j] += kScaled ? number(row[j]) * scale : number(row[j]);
    }
    activate(s.relu, s.out, y);
  }
}

void row_sums(const RowSums& s) {
  if (s.stored == Stored::bf16) return row_sums_of<uint16_t>(s);
  if (s.stored == Stored::int8) return row_sums_of<int8_t>(s);
  row_sums_of<float>(s);
}

}  // namespace

static const Kernels kKernels = {Isa::plain, 1, INT64_MAX, product, dots, row_sums};

}  // namespace plain

const Kernels& kernels(Isa isa) {
#if defined(KDEF_SERVE_X86)
  if (isa == Isa::v2) return v2::kKernels;
  if (isa == Isa::v3) return v3::kKernels;
  if (isa == Isa::v4) return v4::kKernels;
  if (isa == Isa::v4_bf16) return v4_bf16::kKernels;
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

size_t size_of(Stored stored) { return stored == Stored::f32 ? 4 : stored == Stored::bf16 ? 2 : 1; }

// The memory of so many numbers, in floats.
size_t floats_for(int64_t count, Stored stored) {
  return divide_up(static_cast<size_t>(count) * size_of(stored), sizeof(float));
}

// What 127 stands for in a row, / 127; NaN where a number is not finite.
float scale_of(const float* from, int64_t n) {
  constexpr float kMost = 127;
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(from[i])) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, std::abs(from[i]));
  }
  return largest / kMost;
}

// Keeps a number at place `at`; `scale`: of its row, for int8.
void keep(float x, float scale, Stored stored, void* numbers, int64_t at) {
  switch (stored) {
    case Stored::f32:
      static_cast<float*>(numbers)[at] = x;
      return;
    case Stored::bf16:
      static_cast<uint16_t*>(numbers)[at] = to_bf16(x).bits;
      return;
    case Stored::int8: {
      const float q = scale > 0 ? std::clamp(std::nearbyint(x / scale), -127.0f, 127.0f) : 0;
      static_cast<int8_t*>(numbers)[at] = static_cast<int8_t>(q);
      return;
    }
  }
}

}  // namespace

Stored parse_stored(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, value] : kStoredNames) {
    if (name == known) return value;
    names.emplace_back(known);
  }
  throw InputError(cat("precision: expected ", either(names), ", found '", name, "'"));
}

StoredRows::StoredRows(int64_t count, int64_t stride, Stored stored)
    : stride_(stride),
      stored_(stored),
      numbers_(floats_for(count * stride, stored)),
      scales_(static_cast<size_t>(stored == Stored::int8 ? count : 0)) {}

void StoredRows::set(int64_t row, const float* from, int64_t n) {
  const float scale = stored_ == Stored::int8 ? scale_of(from, n) : 0;
  if (stored_ == Stored::int8) scales_.data()[row] = scale;
  for (int64_t i = 0; i < n; ++i) keep(from[i], scale, stored_, numbers_.data(), row * stride_ + i);
}

void StoredRows::read(int64_t row, int64_t n, float* to) const {
  const int64_t first = row * stride_;
  if (stored_ == Stored::f32) {
    std::copy_n(numbers_.data() + first, n, to);
  } else if (stored_ == Stored::bf16) {
    const uint16_t* from = static_cast<const uint16_t*>(data()) + first;
    for (int64_t i = 0; i < n; ++i) to[i] = from_bf16({from[i]});
  } else {
    const int8_t* from = static_cast<const int8_t*>(data()) + first;
    const float scale = scales_.data()[row];
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]) * scale;
  }
}

size_t StoredRows::bytes_of(int64_t count, int64_t stride, Stored stored) {
  const size_t scales = stored == Stored::int8 ? static_cast<size_t>(count) : 0;
  return (floats_for(count * stride, stored) + scales) * sizeof(float);
}

AlignedFloats::AlignedFloats(size_t count)
    : data_(static_cast<float*>(::operator new(std::max<size_t>(1, count) * sizeof(float), kLineBytes))), size_(count) {
  std::fill_n(data_.get(), count, 0.0f);
}

void AlignedFloats::Free::operator()(float* p) const { ::operator delete(p, kLineBytes); }

PackedLinear::PackedLinear(const float* weight, const float* bias, int64_t out, int64_t in, bool relu, Isa isa,
                           Stored stored)
    : kernels_(&serve::kernels(isa)),
      out_(out),
      in_(in),
      relu_(relu),
      few_(out <= kFew),
      stored_(few_ ? Stored::f32 : stored) {
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
  const int64_t step = rounds_inputs() ? 2 : 1;  // inputs whose weights stand side by side
  weight_ = AlignedFloats(floats_for(vectors * lanes * round_up(in, step), stored_));
  if (stored_ == Stored::int8) {
    scales_ = AlignedFloats(bias_.size());
    for (int64_t j = 0; j < out; ++j) scales_.data()[j] = scale_of(weight + j * in, in);
  }
  const int64_t panels = (vectors - 1) / kernels_->vectors + 1;  // kernels_->vectors may be INT64_MAX
  int64_t to = 0;
  for (int64_t panel = 0, first = 0; panel < panels; ++panel) {
    const int64_t width = lanes * (vectors / panels + (panel < vectors % panels ? 1 : 0));
    for (int64_t i = 0; i < in; i += step, to += width * step) {
      for (int64_t j = 0; j < std::min(width, out - first); ++j) {
        const float scale = stored_ == Stored::int8 ? scales_.data()[first + j] : 0;
        for (int64_t k = 0; k < std::min(step, in - i); ++k)
          keep(weight[(first + j) * in + i + k], scale, stored_, weight_.data(), to + j * step + k);
      }
    }
    first += width;
  }
}

bool PackedLinear::rounds_inputs() const { return stored_ == Stored::bf16 && kernels_->bf16_pairs; }

void PackedLinear::run(const float* x, int64_t ldx, int64_t rows, float* y, int64_t ldy, bool add) const {
  if (rows == 0) return;
  serve::Product p;
  p.rows = rows;
  p.in = in_;
  p.out = out_;
  p.x = x;
  p.ldx = ldx;
  p.stored = stored_;
  p.weight = weight_.data();
  p.scales = scales_.data();
  p.bias = bias_.data();
  p.y = y;
  p.ldy = ldy;
  p.add = add;
  p.relu = relu_;
  p.skips_zeros = finite_;
  (few_ ? kernels_->dots : kernels_->product)(p);
}

TableSum::TableSum(const float* bias, int64_t out, bool relu, Isa isa, Stored stored)
    : kernels_(&serve::kernels(isa)), out_(out), relu_(relu), stored_(stored), bias_(static_cast<size_t>(stride())) {
  if (bias != nullptr) std::copy_n(bias, out, bias_.data());
}

void TableSum::add_table(int64_t vocabulary, int64_t column,
                         const std::function<void(int64_t first, int64_t count, float* rows)>& fill) {
  StoredRows table(vocabulary, stride(), stored_);
  const bool direct = stored_ == Stored::f32;
  if (direct) fill(0, vocabulary, table.floats());
  constexpr int64_t kTogether = 256;
  AlignedFloats rows(direct ? 0 : static_cast<size_t>(kTogether * stride()));
  for (int64_t first = 0; !direct && first < vocabulary; first += kTogether) {
    const int64_t count = std::min(kTogether, vocabulary - first);
    fill(first, count, rows.data());
    for (int64_t r = 0; r < count; ++r) table.set(first + r, rows.data() + r * stride(), out_);
  }
  starts_.push_back(table.data());
  scales_.push_back(table.scales());
  columns_.push_back(column);
  tables_.push_back(std::move(table));
}

int64_t TableSum::stride() const { return round_up(out_, kLine); }

void TableSum::run(const int32_t* ids, int64_t ldids, int64_t rows, float* y, int64_t ldy) const {
  if (rows == 0) return;
  serve::RowSums s;
  s.rows = rows;
  s.out = out_;
  s.count = static_cast<int64_t>(starts_.size());
  s.stored = stored_;
  s.tables = starts_.data();
  s.scales = scales_.data();
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
  for (const StoredRows& table : tables_) all += table.bytes();
  return all;
}

size_t TableSum::bytes_of(int64_t vocabulary, int64_t out, Stored stored) {
  return StoredRows::bytes_of(vocabulary, round_up(out, kLine), stored);
}

}  // namespace kdef::ops
