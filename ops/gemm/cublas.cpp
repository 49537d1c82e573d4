#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <type_traits>

#include "core/cuda/check.h"
#include "ops/gemm/cuda.h"

namespace kdef::ops::cuda {
namespace {

#define KDEF_CUBLAS_LT_FUNCTIONS(X) \
  X(GetStatusString)                \
  X(GetVersion)                     \
  X(Create)                         \
  X(Matmul)                         \
  X(MatmulAlgoGetHeuristic)         \
  X(MatmulDescCreate)               \
  X(MatmulDescSetAttribute)         \
  X(MatmulPreferenceCreate)         \
  X(MatmulPreferenceDestroy) X(MatmulPreferenceSetAttribute) X(MatrixLayoutCreate) X(MatrixLayoutSetAttribute)

// The library is loaded at the first product on a device, so that a program with this backend starts without it. The
// system's own search comes first, then the toolkit of the build.
struct CublasLt {
#define KDEF_FUNCTION(name) decltype(&cublasLt##name) name = nullptr;
  KDEF_CUBLAS_LT_FUNCTIONS(KDEF_FUNCTION)
#undef KDEF_FUNCTION

  CublasLt() {
    const std::string file = cat("libcublasLt.so.", CUBLAS_VER_MAJOR);
    void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    const std::string why = library == nullptr ? ::dlerror() : "";
    if (library == nullptr) library = ::dlopen((KDEF_CUBLAS_LT_FOLDER "/" + file).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      throw SystemError(cat("cuBLAS: ", file, " cannot be loaded (", why,
                            "); install the CUDA libraries of this version, or name their folder in LD_LIBRARY_PATH"));
    }
    const auto find = [&](const char* name) {
      void* found = ::dlsym(library, name);
      if (found == nullptr) throw SystemError(cat("cuBLAS: ", file, " has no function ", name));
      return found;
    };
#define KDEF_FUNCTION(name) name = reinterpret_cast<decltype(name)>(find("cublasLt" #name));
    KDEF_CUBLAS_LT_FUNCTIONS(KDEF_FUNCTION)
#undef KDEF_FUNCTION
  }
};
const CublasLt& lt() {
  static const CublasLt it;
  return it;
}

void check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw SystemError(cat("cuBLAS: ", call, " failed: ", lt().GetStatusString(status), " at ", file, ":", line));
}
#define KDEF_CUBLAS_CHECK(call) check((call), #call, __FILE__, __LINE__)

constexpr size_t kWorkspace = size_t{32} << 20;

struct Handle {
  cublasLtHandle_t library = nullptr;
  Tensor workspace = Tensor::empty({static_cast<int64_t>(kWorkspace)}, DType::u8, {DeviceType::cuda, current()});
  Handle() { KDEF_CUBLAS_CHECK(lt().Create(&library)); }
  static int current() {
    int index = 0;
    KDEF_CUDA_CHECK(cudaGetDevice(&index));
    return index;
  }
};
Handle& handle() {
  static Handle& it = *new Handle;
  return it;
}

enum class Kind { f32, tf32, bf16, f64 };
cudaDataType_t operand_type(Kind kind) {
  return kind == Kind::f64 ? CUDA_R_64F : kind == Kind::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}
cudaDataType_t result_type(Kind kind) { return kind == Kind::f64 ? CUDA_R_64F : CUDA_R_32F; }
cublasComputeType_t compute_type(Kind kind) {
  return kind == Kind::f64    ? CUBLAS_COMPUTE_64F
         : kind == Kind::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                              : CUBLAS_COMPUTE_32F;
}

// The largest power of two up to 16 that divides every address.
uint32_t alignment(const void* a, const void* b, const void* c) {
  const uintptr_t bits =
      reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) | reinterpret_cast<uintptr_t>(c) | 16;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

using Key = std::tuple<int64_t, int64_t, int64_t, bool, bool, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                       int64_t, int64_t, bool, bool, Kind, uint32_t>;

// cublasLt adds a bias to column-major results only, so it computes C^T [n, m] = op(B)^T op(A)^T. A row-major matrix
// read by columns is its own transpose: B is the first operand, and an operand is transposed here exactly where Gemm
// says that it is.
struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, result = nullptr;
  cublasLtMatmulAlgo_t algorithm{};

  Plan(const Gemm& g, Kind kind, const void* bias, uint32_t aligned) {
    KDEF_CUBLAS_CHECK(lt().MatmulDescCreate(&product, compute_type(kind), result_type(kind)));
    set(CUBLASLT_MATMUL_DESC_TRANSA, g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);  // before asking for an algorithm, whose choice may depend on it
      set(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, g.stride_bias);
    }
    first =
        layout(operand_type(kind), g.transpose_b ? g.k : g.n, g.transpose_b ? g.n : g.k, g.ldb, g.batch, g.stride_b);
    second =
        layout(operand_type(kind), g.transpose_a ? g.m : g.k, g.transpose_a ? g.k : g.m, g.lda, g.batch, g.stride_a);
    result = layout(result_type(kind), g.n, g.m, g.ldc, g.batch, g.stride_c);

    cublasLtMatmulPreference_t preference = nullptr;
    KDEF_CUBLAS_CHECK(lt().MatmulPreferenceCreate(&preference));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
      KDEF_CUBLAS_CHECK(lt().MatmulPreferenceSetAttribute(preference, what, &value, sizeof value));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kWorkspace));
    for (const auto what : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      prefer(what, aligned);
    }
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status = lt().MatmulAlgoGetHeuristic(handle().library, product, first, second, result, result,
                                                              preference, 1, &found, &count);
    lt().MatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS || count == 0) {
      throw SystemError(cat("cuBLAS: no algorithm for [", g.m, ", ", g.k, "] x [", g.k, ", ", g.n, "], batch ", g.batch,
                            ": ", lt().GetStatusString(status)));
    }
    algorithm = found.algo;
  }

  template <class V>
  void set(cublasLtMatmulDescAttributes_t what, V value) {
    KDEF_CUBLAS_CHECK(lt().MatmulDescSetAttribute(product, what, &value, sizeof value));
  }
  static cublasLtMatrixLayout_t layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t leading,
                                       int64_t batch, int64_t stride) {
    cublasLtMatrixLayout_t made = nullptr;
    KDEF_CUBLAS_CHECK(
        lt().MatrixLayoutCreate(&made, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), leading));
    const int32_t count = static_cast<int32_t>(batch);
    KDEF_CUBLAS_CHECK(lt().MatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    KDEF_CUBLAS_CHECK(
        lt().MatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
    return made;
  }
};

// Plans are made once per shape and alignment, and kept: asking for an algorithm costs about 0.1 ms.
Plan& plan_for(const Gemm& g, Kind kind, const void* bias, uint32_t aligned) {
  static std::map<Key, Plan>& plans = *new std::map<Key, Plan>;
  const Key key{g.m,     g.n,        g.k,        g.transpose_a, g.transpose_b, g.lda,        g.ldb,           g.ldc,
                g.batch, g.stride_a, g.stride_b, g.stride_c,    g.stride_bias, g.accumulate, bias != nullptr, kind,
                aligned};
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  return plans.emplace(key, Plan(g, kind, bias, aligned)).first->second;
}

template <class Scalar>
void run(const Gemm& g, Kind kind, const void* a, const void* b, void* c, const void* bias) {
  Plan& plan = plan_for(g, kind, bias, alignment(a, b, c));
  if (bias != nullptr) plan.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const Scalar one = 1, add = g.accumulate ? 1 : 0;
  KDEF_CUBLAS_CHECK(lt().Matmul(handle().library, plan.product, &one, b, plan.first, a, plan.second, &add, c,
                                plan.result, c, plan.result, &plan.algorithm, handle().workspace.raw(), kWorkspace,
                                kdef::cuda::stream()));
}

// An operand as stored, rounded; rows start at multiples of 16 bytes.
struct Rounded {
  Tensor data;
  int64_t leading, stride;
};
Rounded round(const float* x, int64_t rows, int64_t columns, int64_t leading, int64_t batch, int64_t stride) {
  const int64_t count = stride == 0 ? 1 : batch, to = (columns + 7) / 8 * 8;
  Tensor data = Tensor::empty({count * rows * to}, DType::bf16, {DeviceType::cuda, Handle::current()});
  round_to_bf16(x, count, stride, rows, columns, leading, data.data<BFloat16>(), to);
  return {data, to, stride == 0 ? 0 : rows * to};
}

// In fp32 cublasLt may read a bias by 16 bytes, whatever alignment was asked for.
bool readable(const Gemm& g, const void* bias) {
  return reinterpret_cast<uintptr_t>(bias) % 16 == 0 && (g.batch == 1 || g.stride_bias % 4 == 0);
}

// Sets the rows of c to the bias. Returns the product that remains, which accumulates onto them.
template <class T>
Gemm onto_bias(const Gemm& g, T* c, const T* bias) {
  set_rows(g, c, bias);
  Gemm plain = g;
  plain.accumulate = true;
  return plain;
}

}  // namespace

void gemm(const Gemm& g, const BFloat16* a, const BFloat16* b, float* c, const float* bias) {
  check_rounded(g, bias);
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if (g.k == 0) {
    if (!g.accumulate) set_rows(g, c, bias);
    return;
  }
  if (bias != nullptr && !readable(g, bias)) return gemm(onto_bias(g, c, bias), a, b, c, nullptr);
  run<float>(g, Kind::bf16, a, b, c, bias);
}

template <class T>
void gemm(const Gemm& g, const T* a, const T* b, T* c, const T* bias, GemmPrecision precision) {
  KDEF_CHECK(bias == nullptr || !g.accumulate, "gemm: an accumulated product with a bias");
  if (g.k == 0) {
    if (!g.accumulate) set_rows(g, c, bias);
    return;
  }
  // cublasLt has no bias for fp64.
  if (bias != nullptr && (std::is_same_v<T, double> || !readable(g, bias))) {
    return gemm<T>(onto_bias(g, c, bias), a, b, c, nullptr, precision);
  }
  if constexpr (std::is_same_v<T, double>) {
    run<double>(g, Kind::f64, a, b, c, nullptr);
  } else if (precision == GemmPrecision::bf16) {
    const Rounded ra = round(a, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k, g.lda, g.batch, g.stride_a);
    const Rounded rb = round(b, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n, g.ldb, g.batch, g.stride_b);
    Gemm rounded = g;
    rounded.lda = ra.leading;
    rounded.stride_a = ra.stride;
    rounded.ldb = rb.leading;
    rounded.stride_b = rb.stride;
    run<float>(rounded, Kind::bf16, ra.data.raw(), rb.data.raw(), c, bias);
  } else {
    run<float>(g, precision == GemmPrecision::tf32 ? Kind::tf32 : Kind::f32, a, b, c, bias);
  }
}

template void gemm<float>(const Gemm&, const float*, const float*, float*, const float*, GemmPrecision);
template void gemm<double>(const Gemm&, const double*, const double*, double*, const double*, GemmPrecision);

const char* gemm_version() {
  static const std::string text = [] {
    const size_t v = lt().GetVersion();
    return cat("cublasLt ", v / 10000, ".", v / 100 % 100, ".", v % 100);
  }();
  return text.c_str();
}

void check_precision(GemmPrecision precision) {
  if (precision == GemmPrecision::f32) return;
  int major = 0;
  KDEF_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, Handle::current()));
  if (major < 8) throw InputError("precision tf32 and bf16 need a GPU of compute capability 8.0 or later; use f32");
}

}  // namespace kdef::ops::cuda
