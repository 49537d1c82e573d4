// Products with constant weights, for predictions of few or many rows: the weights are packed once, and a row's sums,
// bias and activation are computed in one pass. Everything runs on the calling thread and allocates nothing.
//
// A row's numbers have the same bits whatever rows are beside it. They depend on the instruction set (core/base/isa.h):
// those without fused multiply-add round more often.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/isa.h"
#include "ops/serve/stored.h"

namespace kdef::ops {

namespace serve {
struct Kernels;
}

/// Numbers at an address that is a multiple of 64 bytes.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  /// `count` zeros.
  explicit AlignedFloats(size_t count);
  float* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float[], Free> data_;
  size_t size_ = 0;
};

/// A name in options.
struct StoredName {
  const char* name;
  Stored value;
};
inline constexpr StoredName kStoredNames[] = {{"f32", Stored::f32}, {"bf16", Stored::bf16}, {"int8", Stored::int8}};
inline const char* name_of(Stored value) { return kStoredNames[static_cast<size_t>(value)].name; }
/// The value of a name; throws InputError for another one.
Stored parse_stored(const std::string& name);

/// Rows of constants. Of int8, a row with a number that is not finite is NaN.
class StoredRows {
 public:
  /// `count` rows of zeros, `stride` numbers apart.
  StoredRows(int64_t count, int64_t stride, Stored stored);
  /// Keeps the first `n` numbers of a row.
  void set(int64_t row, const float* from, int64_t n);
  /// The first `n` numbers of a row, as they are kept.
  void read(int64_t row, int64_t n, float* to) const;

  const void* data() const { return numbers_.data(); }
  float* floats() { return numbers_.data(); }             // of f32: to be filled in
  const float* scales() const { return scales_.data(); }  // of int8: of each row
  size_t bytes() const { return (numbers_.size() + scales_.size()) * sizeof(float); }
  static size_t bytes_of(int64_t count, int64_t stride, Stored stored);

 private:
  int64_t stride_;
  Stored stored_;
  AlignedFloats numbers_, scales_;
};

/// y = act(x W^T + b), with act(z) = z or max(z, 0).
class PackedLinear {
 public:
  /// weight [out, in]; bias [out], or null for zeros. The weights of a layer of at most 4 outputs stay in fp32.
  PackedLinear(const float* weight, const float* bias, int64_t out, int64_t in, bool relu, Isa isa = chosen_isa(),
               Stored stored = Stored::f32);

  /// x [rows, in] with rows `ldx` apart, y [rows, out] with rows `ldy` apart; they do not overlap. With `add`, y holds
  /// the start of the sums in place of the bias.
  void run(const float* x, int64_t ldx, int64_t rows, float* y, int64_t ldy, bool add = false) const;

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  bool relu() const { return relu_; }
  /// Whether x is rounded to bf16 before it is multiplied: where weights are kept in bf16 and the processor multiplies
  /// such numbers (Isa::v4_bf16). The sums are fp32, but for numbers below 2^-126, which become 0.
  bool rounds_inputs() const;
  size_t bytes() const { return (weight_.size() + scales_.size() + bias_.size()) * sizeof(float); }

 private:
  const serve::Kernels* kernels_;
  int64_t out_, in_;
  bool relu_, finite_, few_;  // few_: outputs so few that a row's sums are dot products
  Stored stored_;
  AlignedFloats weight_, scales_, bias_;
};

/// y = act(b + the sum over tables t of a row of t, which an id names): a linear layer over embeddings whose products
/// with the weights are known.
class TableSum {
 public:
  /// bias [out], or null for zeros.
  TableSum(const float* bias, int64_t out, bool relu, Isa isa = chosen_isa(), Stored stored = Stored::f32);

  /// Adds a table of `vocabulary` rows, which the ids of column `column` name. fill(first, count, rows) gives
  /// `count` rows of it, `out()` numbers each, `stride()` apart.
  void add_table(int64_t vocabulary, int64_t column,
                 const std::function<void(int64_t first, int64_t count, float* rows)>& fill);
  int64_t stride() const;

  /// ids: rows `ldids` apart; each is in its table. y as above.
  void run(const int32_t* ids, int64_t ldids, int64_t rows, float* y, int64_t ldy) const;

  int64_t out() const { return out_; }
  size_t bytes() const;
  /// The bytes that a table of so many rows will take.
  static size_t bytes_of(int64_t vocabulary, int64_t out, Stored stored);

 private:
  const serve::Kernels* kernels_;
  int64_t out_;
  bool relu_;
  Stored stored_;
  std::vector<StoredRows> tables_;
  std::vector<const void*> starts_;
  std::vector<const float*> scales_;
  std::vector<int64_t> columns_;
  AlignedFloats bias_;
};

}  // namespace kdef::ops
