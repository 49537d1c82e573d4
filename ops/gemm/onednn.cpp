#include <dnnl.hpp>
#include <list>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "core/base/parallel.h"
#include "core/tensor/tensor.h"
#include "ops/device/vectors.h"
#include "ops/gemm/gemm.h"

// Determinism: oneDNN chooses its split of a product by the number of threads it may use. Here a product is cut by its
// shape alone, into panels of the output or groups of the sums, and each piece is one single-threaded call, so that the
// bits do not depend on the number of threads.

namespace kdef::ops::onednn {
namespace {

using Dims = dnnl::memory::dims;

// Everything that a primitive depends on; two products with equal keys share one.
struct Key {
  int64_t m, n, k, lda, ldb, ldc;
  bool ta, tb, accumulate, bias, bf16;
  int64_t arranged_for = 0;  // rows of the products that B was arranged for; 0: B is as Gemm says
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

// Calls fn with one thread to its products.
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

dnnl::matmul::primitive_desc describe(const dnnl::memory::desc& a, const dnnl::memory::desc& b,
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

// B as `type`, as Gemm says.
dnnl::memory::desc plain_b(const Key& key, dnnl::memory::data_type type) {
  return {Dims{key.k, key.n}, type, key.tb ? Dims{1, key.ldb} : Dims{key.ldb, 1}};
}

// B as oneDNN prefers it for products of key.arranged_for rows.
dnnl::memory::desc arranged_b(const Key& key) {
  using dnnl::memory;
  const auto f32 = memory::data_type::f32, operand = key.bf16 ? memory::data_type::bf16 : f32;
  const memory::desc a(Dims{key.arranged_for, key.k}, operand, Dims{key.lda, 1});
  const memory::desc b(Dims{key.k, key.n}, operand, memory::format_tag::any);
  const memory::desc c(Dims{key.arranged_for, key.n}, f32, Dims{key.ldc, 1});
  return describe(a, b, {}, c, {}).weights_desc();
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
  const auto pd = describe(a, b, bias, c, attr);
  Plan plan{dnnl::matmul(pd), memory(a, engine(), nullptr), memory(b, engine(), nullptr), memory(c, engine(), nullptr),
            memory()};
  if (key.bias) plan.bias = memory(bias, engine(), nullptr);
  return plan;
}

// Plans of this thread, the most recently used kept: the memory handles are set at every call, so that a plan
// cannot be shared between threads.
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
  // oneDNN chooses its blocks by the number of threads that it sees, within a parallel region too.
  one_thread([&] { order.emplace_front(key, make_plan(key)); });
  index[key] = order.begin();
  return order.front().second;
}

// A and B are fp32, or bf16 where the key says so.
void run(const Key& key, const void* a, const void* b, float* c, const float* bias) {
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

bool is_large(const Gemm& g) {
  return 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k) >= 4e6;
}

// Cuts the output into panels of rows or columns: at least two for two cores, more for larger products, by
// shape alone.
struct Cut {
  int64_t rows, columns;  // of one panel
};
Cut cut(const Gemm& g) {
  if (!is_large(g)) return {g.m, g.n};
  const int64_t panels = 16;
  const auto part = [&](int64_t size) { return std::max<int64_t>(64, divide_up(divide_up(size, panels), 16) * 16); };
  return g.m >= g.n ? Cut{part(g.m), g.n} : Cut{g.m, part(g.n)};
}

// Products over many rows, as the gradient of a weight is, are cut along k instead: panels of the output would each
// read one operand whole. A group of chunks makes one partial sum; a chunk of both operands lies in cache.
constexpr int64_t kGroups = 8, kChunk = 320;
bool cut_along_k(const Gemm& g) { return is_large(g) && g.k >= 2048 && g.k >= 4 * std::max(g.m, g.n); }

// ---- bf16

// An operand as stored: `rows` rows of `columns` numbers, `stride` apart.
struct Stored {
  const float* data;
  int64_t rows, columns, stride;
};

// Packed without gaps.
void round_rows(const Stored& x, BFloat16* to) {
  for (int64_t r = 0; r < x.rows; ++r) cpu::round_row(x.data + r * x.stride, x.columns, to + r * x.columns);
}

// The part of an operand that meets rows i .. i + m, columns j .. j + n of C and l .. l + k of the sums.
Stored part_of_a(const Gemm& g, const float* a, int64_t i, int64_t m, int64_t l, int64_t k) {
  return g.transpose_a ? Stored{a + l * g.lda + i, k, m, g.lda} : Stored{a + i * g.lda + l, m, k, g.lda};
}
Stored part_of_b(const Gemm& g, const float* b, int64_t j, int64_t n, int64_t l, int64_t k) {
  return g.transpose_b ? Stored{b + j * g.ldb + l, n, k, g.ldb} : Stored{b + l * g.ldb + j, k, n, g.ldb};
}

// A buffer of this thread, kept from product to product.
BFloat16* own_buffer(int64_t n) {
  thread_local std::vector<BFloat16> buffer;
  if (static_cast<int64_t>(buffer.size()) < n) buffer.resize(static_cast<size_t>(n));
  return buffer.data();
}

void by_panels(const Gemm& g, const float* a, const float* b, float* c, const float* bias, bool bf16) {
  const Cut size = cut(g);
  const int64_t down = divide_up(g.m, size.rows), across = divide_up(g.n, size.columns);
  const int64_t pieces = g.batch * down * across;
  // What all panels share, B of panels of rows and A of panels of columns, is rounded once, in front.
  const bool by_rows = g.m >= g.n;
  Tensor shared;
  if (bf16) {
    const Stored whole = by_rows ? part_of_b(g, b, 0, g.n, 0, g.k) : part_of_a(g, a, 0, g.m, 0, g.k);
    const int64_t stride = by_rows ? g.stride_b : g.stride_a, one = whole.rows * whole.columns;
    shared = Tensor::empty({g.batch, one}, DType::bf16);
    BFloat16* to = shared.data<BFloat16>();
    parallel_for(g.batch * whole.rows, std::max<int64_t>(1, kPiece / whole.columns), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const float* row = whole.data + i / whole.rows * stride + i % whole.rows * whole.stride;
        cpu::round_row(row, whole.columns, to + i * whole.columns);
      }
    });
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

void by_groups(const Gemm& g, const float* a, const float* b, float* c, const float* bias, bool bf16) {
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
  // C (+)= the partial sums in their order + bias.
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

template <class U>
void one_piece(const Gemm& g, const U* a, const U* b, float* c, const float* bias) {
  const Key key = key_of(g, g.m, g.n, g.k, bias != nullptr, std::is_same_v<U, BFloat16>);
  one_thread([&] { run(key, a, b, c, bias); });
}

}  // namespace

bool worth_rounding(const Gemm& g) { return std::min({g.m, g.n, g.k}) >= 16 && is_large(g); }

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
  one_thread([&] { run(key, a, arranged.data<uint8_t>(), c, bias); });
}
template void gemm_piece(const Gemm&, int64_t, const float*, const Tensor&, float*, const float*);
template void gemm_piece(const Gemm&, int64_t, const BFloat16*, const Tensor&, float*, const float*);

void gemm(const Gemm& g, const float* a, const float* b, float* c, const float* bias, GemmPrecision precision) {
  const bool bf16 = precision == GemmPrecision::bf16 && worth_rounding(g);
  (cut_along_k(g) ? by_groups : by_panels)(g, a, b, c, bias, bf16);
}

const char* version() {
  static const std::string text =
      cat("oneDNN ", dnnl_version()->major, ".", dnnl_version()->minor, ".", dnnl_version()->patch);
  return text.c_str();
}

}  // namespace kdef::ops::onednn
