// Precision of fp32 matrix products.
#pragma once

#include <string>

#include "core/tensor/tensor.h"

namespace kdef::ops {

/// f32: operands as they are. tf32 (CUDA only): operands are rounded to 10 bits of mantissa. bf16: operands are rounded
/// to bf16, to the nearest, ties to even. Sums and results are fp32 in all three. A product that would lose time by
/// rounding stays in f32 (route.h).
enum class GemmPrecision { f32, tf32, bf16 };

/// A name in configurations.
struct PrecisionName {
  const char* name;
  GemmPrecision value;
};
inline constexpr PrecisionName kPrecisions[] = {
    {"f32", GemmPrecision::f32}, {"tf32", GemmPrecision::tf32}, {"bf16", GemmPrecision::bf16}};
inline const char* name_of(GemmPrecision value) { return kPrecisions[static_cast<size_t>(value)].name; }
/// The value of a name of kPrecisions; throws InputError for another name.
GemmPrecision parse_precision(const std::string& name);

/// Throws InputError where the device or the build cannot compute in this precision, or not faster than in f32.
void check_precision(GemmPrecision precision, Device device);

/// The precision of the products of this thread: f32 unless a PrecisionScope is alive.
GemmPrecision gemm_precision();

/// Sets the precision of this thread's products while the scope is alive.
class PrecisionScope {
 public:
  explicit PrecisionScope(GemmPrecision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  GemmPrecision before_;
};

}  // namespace kdef::ops
