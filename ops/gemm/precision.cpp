#include "ops/gemm/precision.h"

#include "core/base/names.h"
#include "core/tensor/dispatch.h"
#if defined(KDEF_HAS_CUDA)
#include "ops/gemm/cuda.h"
#endif

namespace kdef::ops {
namespace {

thread_local GemmPrecision t_precision = GemmPrecision::f32;

// oneDNN computes bf16 products on any processor, but only with these instructions faster than fp32 products.
bool has_bf16_products() {
#if defined(KDEF_HAS_ONEDNN) && defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") > 0;
#else
  return false;
#endif
}

}  // namespace

GemmPrecision parse_precision(const std::string& name) {
  const PrecisionName* row = find_row(kPrecisions, name);
  if (row == nullptr) {
    throw InputError(cat("precision '", name, "' is unknown; known: ", joined(row_names(kPrecisions))));
  }
  return row->value;
}

void check_precision(GemmPrecision precision, Device device) {
#if defined(KDEF_HAS_CUDA)
  if (!device.is_cpu()) return cuda::check_precision(precision);
#endif
  require_cpu(device, "gemm");
  if (precision == GemmPrecision::tf32)
    throw InputError("precision tf32 exists on CUDA devices only; on the CPU use f32 or bf16");
  if (precision == GemmPrecision::bf16 && !has_bf16_products()) {
    throw InputError(
        "precision bf16 needs oneDNN and a processor with AVX512-BF16 or AMX instructions; this build has no oneDNN, "
        "or this processor lacks the instructions; use f32");
  }
}

GemmPrecision gemm_precision() { return t_precision; }

PrecisionScope::PrecisionScope(GemmPrecision precision) : before_(t_precision) { t_precision = precision; }
PrecisionScope::~PrecisionScope() { t_precision = before_; }

}  // namespace kdef::ops
