#include "ops/gemm/onednn.h"

#include <algorithm>
#include <dnnl.hpp>
#include <list>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "core/base/parallel.h"
#include "core/tensor/tensor.h"
#include "ops/device/vectors.h"

// Same bits for any number of threads: oneDNN chooses its split of a product by the number of threads that it may use.
// Here a product is cut by its shape alone, into panels of C or groups of the sums, and each piece is one call on one
// thread.
//
// Same bits for any number of rows: on processors with AVX-512, oneDNN computes a row of C in the same way whatever the
// other rows are. Its kernels for older processors do not; see RowLimits. (Measured with oneDNN 2.6.3, bit by bit, over
// 1,248 shapes; tests/ops/gemm/gemm_test.cpp checks both.)

namespace kdef::ops::onednn {
namespace {

using Dims = dnnl::memory::dims;

// Everything that a primitive depends on; two products with equal keys share a primitive.
struct Key {
  int64_t m, n, k, lda, ldb, ldc;
  bool ta, tb, accumulate, bias, bf16;
  int64_t arranged_for = 0;  // rows of the products that B was arranged for; 0: B is stored as Gemm says
  bool operator==(const Key&) const = default;
};
// The key of a part of g with m rows, n columns and k sums.
Key key_of(const Gemm& g, int64_t m, int64_t n, int64_t k, bool bias, bool bf16) {
  return {m, n, k, g.lda, g.ldb, g.ldc, g.transpose_a, g.transpose_b, g.accumulate, bias, bf16};
}
struct KeyHash {
  size_t operator()(const Key& key) const {
    size_t h = 0;
    for (int64_t v : {key.m, key.n, key.k, key.lda, key.ldb, key.ldc, key.arranged_for,
                      int64_t{key.ta} | int64_t{key.tb} << 1 | int64_t{key.accumulate} << 2 | int64_t{key.bias} << 3 |
                          int64_t{key.bf16} << 4}) {
      h = h * 1099511628211u ^ static_cast<size_t>(v);
    }
    return h;
  }
};

// Calls fn with one thread for its products.
template <class Fn>
void one_thread(Fn&& fn) {
  struct Scope {
    int before = num_threads();
    Scope() { set_num_threads(1); }
    ~Scope() { set_num_threads(before); }
  };
  const Scope scope;
  fn();
}

struct Plan {
  dnnl::matmul primitive;
  dnnl::memory a, b, c, bias;
};

dnnl::engine& engine() {
  static dnnl::engine e(dnnl::engine::kind::cpu, 0);
  return e;
}

dnnl::matmul::primitive_desc matmul_desc(const dnnl::memory::desc& a, const dnnl::memory::desc& b,
                                         const dnnl::memory::desc& bias, const dnnl::memory::desc& c,
                                         const dnnl::primitive_attr& attr) {
#if DNNL_VERSION_MAJOR >= 3
  return bias.get_ndims() ? dnnl::matmul::primitive_desc(engine(), a, b, bias, c, attr)
                          : dnnl::matmul::primitive_desc(engine(), a, b, c, attr);
#else
  return dnnl::matmul::primitive_desc(bias.data.ndims ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c),
                                      attr, engine());
#endif
}

// B of `type`, stored as Gemm says.
dnnl::memory::desc plain_b(const Key& key, dnnl::memory::data_type type) {
  return {Dims{key.k, key.n}, type, key.tb ? Dims{1, key.ldb} : Dims{key.ldb, 1}};
}

// B in the order that oneDNN prefers for products of key.arranged_for rows.
dnnl::memory::desc arranged_b(const Key& key) {
  using dnnl::memory;
  const auto f32 = memory::data_type::f32, operand = key.bf16 ? memory::data_type::bf16 : f32;
  const memory::desc a(Dims{key.arranged_for, key.k}, operand, Dims{key.lda, 1});
  const memory::desc b(Dims{key.k, key.n}, operand, memory::format_tag::any);
  const memory::desc c(Dims{key.arranged_for, key.n}, f32, Dims{key.ldc, 1});
  return matmul_desc(a, b, {}, c, {}).weights_desc();
}

Plan make_plan(const Key& key) {
  using dnnl::memory;
  const auto f32 = memory::data_type::f32, operand = key.bf16 ? memory::data_type::bf16 : f32;
  const memory::desc a(Dims{key.m, key.k}, operand, key.ta ? Dims{1, key.lda} : Dims{key.lda, 1});
  const memory::desc b = key.arranged_for ? arranged_b(key) : plain_b(key, operand);
  const memory::desc c(Dims{key.m, key.n}, f32, Dims{key.ldc, 1});
  const memory::desc bias = key.bias ? memory::desc(Dims{1, key.n}, f32, Dims{key.n, 1}) : memory::desc();
  dnnl::primitive_attr attr;
  if (key.accumulate) {
    dnnl::post_ops post;
    post.append_sum(1.0f);
    attr.set_post_ops(post);
  }
  const auto pd = matmul_desc(a, b, bias, c, attr);
  Plan plan{dnnl::matmul(pd), memory(a, engine(), nullptr), memory(b, engine(), nullptr), memory(c, engine(), nullptr),
            memory()};
  if (key.bias) plan.bias = memory(bias, engine(), nullptr);
  return plan;
}

// The plans that this thread used most recently. Threads cannot share a plan: every call sets its memory handles.
Plan& plan_for(const Key& key) {
  constexpr size_t kPlans = 256;
  thread_local std::list<std::pair<Key, Plan>> order;
  thread_local std::unordered_map<Key, decltype(order)::iterator, KeyHash> index;
  const auto found = index.find(key);
  if (found != index.end()) {
    order.splice(order.begin(), order, found->second);
    return order.front().second;
  }
  if (order.size() == kPlans) {
    index.erase(order.back().first);
    order.pop_back();
  }
  // oneDNN chooses its blocks by the number of threads that it sees, even within a parallel region.
  one_thread([&] { order.emplace_front(key, make_plan(key)); });
  index[key] = order.begin();
  return order.front().second;
}

// One call of oneDNN. A and B are fp32, or bf16 where the key says so.
void call(const Key& key, const void* a, const void* b, float* c, const float* bias) {
  try {
    Plan& plan = plan_for(key);
    thread_local dnnl::stream stream(engine());
    plan.a.set_data_handle(const_cast<void*>(a));
    plan.b.set_data_handle(const_cast<void*>(b));
    plan.c.set_data_handle(c);
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, plan.a}, {DNNL_ARG_WEIGHTS, plan.b}, {DNNL_ARG_DST, plan.c}};
    if (key.bias) {
      plan.bias.set_data_handle(const_cast<float*>(bias));
      args.emplace(DNNL_ARG_BIAS, plan.bias);
    }
    plan.primitive.execute(stream, args);
    stream.wait();
  } catch (const dnnl::error& e) {
    throw Error(cat("gemm: oneDNN refused [", key.m, ", ", key.k, "] x [", key.k, ", ", key.n, "]: ", e.what()));
  }
}

// The numbers of rows with which oneDNN computes a row in the same way wherever it stands: at most `max`, of which
// min_rest or more are left over after whole groups, or none. Kernels for AVX2 take a group of 6 rows at a time, sum 1
// to 3 rows that are left over in another order, and take larger products through copies; those for SSE4.1 have a way
// of their own for one row.
struct RowLimits {
  int64_t group, min_rest, max;
};
const RowLimits& row_limits() {
  static const RowLimits limits = [] {
    const int here = static_cast<int>(dnnl::get_effective_cpu_isa()),
              avx512 = static_cast<int>(dnnl::cpu_isa::avx512_core);
    return (here & avx512) == avx512 ? RowLimits{1, 0, INT64_MAX} : RowLimits{6, 4, 96};
  }();
  return limits;
}

// Computes key.m rows as the first of `rows` rows.
template <class U>
void call_padded(Key key, int64_t rows, const U* a, const void* b, float* c, const float* bias) {
  thread_local std::vector<U> padded_a;
  thread_local std::vector<float> padded_c;
  padded_a.assign(static_cast<size_t>(rows * key.k), U{});
  padded_c.assign(static_cast<size_t>(rows * key.n), 0.0f);
  const int64_t given = key.m, lda = key.lda, ldc = key.ldc;
  for (int64_t r = 0; r < given; ++r) {
    std::copy_n(a + r * lda, key.k, padded_a.data() + r * key.k);
    if (key.accumulate) std::copy_n(c + r * ldc, key.n, padded_c.data() + r * key.n);
  }
  key.m = rows;
  key.lda = key.k;
  key.ldc = key.n;
  call(key, padded_a.data(), b, padded_c.data(), bias);
  for (int64_t r = 0; r < given; ++r) std::copy_n(padded_c.data() + r * key.n, key.n, c + r * ldc);
}

// The product of `key`. Where A is not transposed, the bits of a row do not depend on the other rows.
template <class U>
void run(const Key& key, const U* a, const void* b, float* c, const float* bias) {
  const auto [group, min_rest, max_rows] = row_limits();
  if (key.ta || group == 1) return call(key, a, b, c, bias);
  int64_t rows = 0;
  for (int64_t first = 0; first < key.m; first += rows) {
    Key part = key;
    rows = std::min(max_rows, key.m - first);
    const int64_t rest = rows % group;
    const bool is_short = rest > 0 && rest < min_rest;
    if (is_short && rows > rest) rows -= rest;  // the rest is the next part
    part.m = rows;
    const U* from = a + first * key.lda;
    float* to = c + first * key.ldc;
    if (is_short && rows == rest)
      call_padded(part, min_rest, from, b, to, bias);
    else
      call(part, from, b, to, bias);
  }
}

// The size of a panel of C: at least two panels for two cores, more for larger products, by the shape alone.
struct Panel {
  int64_t rows, columns;
};
Panel panel_of(const Gemm& g, GemmWay way) {
  if (!is_large(g)) return {g.m, g.n};
  constexpr int64_t kPanels = 16;
  const auto part = [&](int64_t size, int64_t least) {
    return std::max(least, divide_up(divide_up(size, kPanels), 16) * 16);
  };
  if (way == GemmWay::column_panels) return {g.m, part(g.n, 64)};
  // Fewer rows than columns: panels of 64 rows would leave threads without work.
  return {part(g.m, g.m >= g.n ? 64 : 32), g.n};
}

// Parts of the sums over k, for products over many rows. A group of chunks makes one partial sum; a chunk of both
// operands lies in cache.
constexpr int64_t kGroups = 8, kChunk = 320;

// ---- bf16

// An operand as stored: `rows` rows of `columns` numbers, `stride` apart.
struct Stored {
  const float* data;
  int64_t rows, columns, stride;
};

// Writes x in bf16, without gaps between rows.
void round_rows(const Stored& x, BFloat16* to) {
  for (int64_t r = 0; r < x.rows; ++r) cpu::round_row(x.data + r * x.stride, x.columns, to + r * x.columns);
}

// The part of A for the rows [i, i + m) of C, and the part of B for the columns [j, j + n) of C, both for the terms
// [l, l + k) of the sums.
Stored part_of_a(const Gemm& g, const float* a, int64_t i, int64_t m, int64_t l, int64_t k) {
  return g.transpose_a ? Stored{a + l * g.lda + i, k, m, g.lda} : Stored{a + i * g.lda + l, m, k, g.lda};
}
Stored part_of_b(const Gemm& g, const float* b, int64_t j, int64_t n, int64_t l, int64_t k) {
  return g.transpose_b ? Stored{b + j * g.ldb + l, n, k, g.ldb} : Stored{b + l * g.ldb + j, k, n, g.ldb};
}

// A buffer of this thread, kept for the next product.
BFloat16* own_buffer(int64_t n) {
  thread_local std::vector<BFloat16> buffer;
  if (static_cast<int64_t>(buffer.size()) < n) buffer.resize(static_cast<size_t>(n));
  return buffer.data();
}

// An operand that all panels share is rounded once, before the panels are computed: [batch, rows * columns].
Tensor round_shared(const Stored& whole, int64_t batch, int64_t stride) {
  const Tensor rounded = Tensor::empty({batch, whole.rows * whole.columns}, DType::bf16);
  BFloat16* to = rounded.data<BFloat16>();
  parallel_for(batch * whole.rows, std::max<int64_t>(1, kPiece / whole.columns), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const float* row = whole.data + i / whole.rows * stride + i % whole.rows * whole.stride;
      cpu::round_row(row, whole.columns, to + i * whole.columns);
    }
  });
  return rounded;
}

// Panels of rows share B; panels of columns share A.
void by_panels(const Gemm& g, GemmWay way, bool bf16, const float* a, const float* b, float* c, const float* bias) {
  const Panel size = panel_of(g, way);
  const int64_t down = divide_up(g.m, size.rows), across = divide_up(g.n, size.columns);
  const int64_t pieces = g.batch * down * across;
  const bool by_rows = way == GemmWay::row_panels;
  Tensor shared;
  if (bf16) {
    shared = by_rows ? round_shared(part_of_b(g, b, 0, g.n, 0, g.k), g.batch, g.stride_b)
                     : round_shared(part_of_a(g, a, 0, g.m, 0, g.k), g.batch, g.stride_a);
  }
  const auto piece = [&](int64_t p) {
    const int64_t batch = p / (down * across), i = p / across % down * size.rows, j = p % across * size.columns;
    const int64_t m = std::min(size.rows, g.m - i), n = std::min(size.columns, g.n - j);
    Key key = key_of(g, m, n, g.k, bias != nullptr, bf16);
    const Stored pa = part_of_a(g, a + batch * g.stride_a, i, m, 0, g.k);
    const Stored pb = part_of_b(g, b + batch * g.stride_b, j, n, 0, g.k);
    float* pc = c + batch * g.stride_c + i * g.ldc + j;
    const float* bias_here = bias ? bias + batch * g.stride_bias + j : nullptr;
    if (!bf16) return run(key, pa.data, pb.data, pc, bias_here);
    const BFloat16* common = reinterpret_cast<const BFloat16*>(shared.raw()) + batch * shared.shape()[1];
    const Stored& mine = by_rows ? pa : pb;
    BFloat16* own = own_buffer(mine.rows * mine.columns);
    round_rows(mine, own);
    key.lda = by_rows ? mine.columns : g.transpose_a ? g.m : g.k;
    key.ldb = by_rows ? (g.transpose_b ? g.k : g.n) : mine.columns;
    run(key, by_rows ? own : common, by_rows ? common : own, pc, bias_here);
  };
  if (pieces == 1) return one_thread([&] { piece(0); });
  parallel_for(pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) piece(p);
  });
}

// C (+)= the partial sums [batch, kGroups, m, n] in the order of the groups, + bias.
void add_groups(const Gemm& g, const Tensor& partial, float* c, const float* bias) {
  parallel_for(g.batch * g.m, std::max<int64_t>(1, kPiece / (kGroups * g.n)), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t batch = r / g.m, i = r % g.m;
      const float* from = partial.data<float>() + (batch * kGroups * g.m + i) * g.n;
      float* row = c + batch * g.stride_c + i * g.ldc;
      if (!g.accumulate) std::fill_n(row, g.n, 0.0f);
      for (int64_t q = 0; q < kGroups; ++q) cpu::add_row(from + q * g.m * g.n, 1.0f, g.n, row);
      if (bias) cpu::add_row(bias + batch * g.stride_bias, 1.0f, g.n, row);
    }
  });
}

void by_groups(const Gemm& g, bool bf16, const float* a, const float* b, float* c, const float* bias) {
  const int64_t group = divide_up(g.k, kGroups), chunk = divide_up(group, divide_up(group, kChunk));
  const Tensor partial = Tensor::empty({g.batch, kGroups, g.m, g.n});
  parallel_for(g.batch * kGroups, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const int64_t batch = p / kGroups, begin = p % kGroups * group, end = std::min(g.k, begin + group);
      float* sums = partial.data<float>() + p * g.m * g.n;
      for (int64_t l = begin; l < end; l += chunk) {
        const int64_t k = std::min(chunk, end - l);
        const Stored pa = part_of_a(g, a + batch * g.stride_a, 0, g.m, l, k);
        const Stored pb = part_of_b(g, b + batch * g.stride_b, 0, g.n, l, k);
        Key key = key_of(g, g.m, g.n, k, false, bf16);
        key.ldc = g.n;
        key.accumulate = l > begin;
        if (!bf16) {
          run(key, pa.data, pb.data, sums, nullptr);
          continue;
        }
        BFloat16 *own_a = own_buffer((g.m + g.n) * k), *own_b = own_a + g.m * k;
        round_rows(pa, own_a);
        round_rows(pb, own_b);
        key.lda = pa.columns;
        key.ldb = pb.columns;
        run(key, own_a, own_b, sums, nullptr);
      }
    }
  });
  add_groups(g, partial, c, bias);
}

template <class U>
void one_piece(const Gemm& g, const U* a, const U* b, float* c, const float* bias) {
  const Key key = key_of(g, g.m, g.n, g.k, bias != nullptr, std::is_same_v<U, BFloat16>);
  one_thread([&] { run(key, a, b, c, bias); });
}

}  // namespace

void gemm_piece(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  one_piece(g, a, b, c, bias);
}
void gemm_piece(const Gemm& g, const BFloat16* a, const BFloat16* b, float* c, const float* bias) {
  one_piece(g, a, b, c, bias);
}

template <class U>
Tensor arrange(const Gemm& g, const float* b) {
  Key key = key_of(g, g.m, g.n, g.k, false, std::is_same_v<U, BFloat16>);
  key.arranged_for = g.m;
  try {
    dnnl::memory::desc to;
    one_thread([&] { to = arranged_b(key); });
    const Tensor arranged = Tensor::empty({static_cast<int64_t>(to.get_size())}, DType::u8);
    dnnl::memory source(plain_b(key, dnnl::memory::data_type::f32), engine(), const_cast<float*>(b)),
        target(to, engine(), arranged.data<uint8_t>());
    dnnl::stream stream(engine());
    dnnl::reorder(source, target).execute(stream, source, target);
    stream.wait();
    return arranged;
  } catch (const dnnl::error& e) {
    throw Error(cat("gemm: oneDNN cannot arrange an operand of [", g.k, ", ", g.n, "]: ", e.what()));
  }
}
template Tensor arrange<float>(const Gemm&, const float*);
template Tensor arrange<BFloat16>(const Gemm&, const float*);

template <class U>
void gemm_piece(const Gemm& g, int64_t rows, const U* a, const Tensor& arranged, float* c, const float* bias) {
  Key key = key_of(g, rows, g.n, g.k, bias != nullptr, std::is_same_v<U, BFloat16>);
  key.arranged_for = g.m;
  one_thread([&] { run(key, a, static_cast<const void*>(arranged.data<uint8_t>()), c, bias); });
}
template void gemm_piece(const Gemm&, int64_t, const float*, const Tensor&, float*, const float*);
template void gemm_piece(const Gemm&, int64_t, const BFloat16*, const Tensor&, float*, const float*);

void gemm(const Gemm& g, const Route& route, const float* a, const float* b, float* c, const float* bias) {
  const bool bf16 = route.precision == GemmPrecision::bf16;
  if (route.way == GemmWay::groups)
    by_groups(g, bf16, a, b, c, bias);
  else
    by_panels(g, route.way, bf16, a, b, c, bias);
}

const char* version() {
  static const std::string text =
      cat("oneDNN ", dnnl_version()->major, ".", dnnl_version()->minor, ".", dnnl_version()->patch);
  return text.c_str();
}

}  // namespace kdef::ops::onednn
