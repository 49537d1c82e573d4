#include <dnnl.hpp>
#include <list>
#include <string>
#include <tuple>
#include <unordered_map>

#include "core/parallel.h"
#include "ops/gemm.h"

// Determinism: oneDNN chooses its split of a product by the number of threads it may use. Here the output is
// cut into panels by its shape alone and each panel is one single-threaded product, so that the bits do not
// depend on the number of threads.

namespace kdef::ops::onednn {
namespace {

using Dims = dnnl::memory::dims;

// Everything that a primitive depends on; two products with equal keys share one.
struct Key {
  int64_t m, n, k, lda, ldb, ldc;
  bool ta, tb, accumulate, bias;
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  size_t operator()(const Key& key) const {
    size_t h = 0;
    for (int64_t v : {key.m, key.n, key.k, key.lda, key.ldb, key.ldc,
                      int64_t{key.ta} | int64_t{key.tb} << 1 | int64_t{key.accumulate} << 2 | int64_t{key.bias} << 3}) {
      h = h * 1099511628211u ^ static_cast<size_t>(v);
    }
    return h;
  }
};

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

Plan make_plan(const Key& key) {
  using dnnl::memory;
  const auto f32 = memory::data_type::f32;
  const memory::desc a(Dims{key.m, key.k}, f32, key.ta ? Dims{1, key.lda} : Dims{key.lda, 1});
  const memory::desc b(Dims{key.k, key.n}, f32, key.tb ? Dims{1, key.ldb} : Dims{key.ldb, 1});
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
  order.emplace_front(key, make_plan(key));
  index[key] = order.begin();
  return order.front().second;
}

void run(const Key& key, const float* a, const float* b, float* c, const float* bias) {
  try {
    Plan& plan = plan_for(key);
    thread_local dnnl::stream stream(engine());
    plan.a.set_data_handle(const_cast<float*>(a));
    plan.b.set_data_handle(const_cast<float*>(b));
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

// One thread while it lives.
class OneThread {
 public:
  OneThread() : before_(num_threads()) { set_num_threads(1); }
  ~OneThread() { set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// Cuts the output into panels of rows or columns: at least two for two cores, more for larger products, by
// shape alone.
struct Cut {
  int64_t rows, columns;  // of one panel
};
Cut cut(const Gemm& g) {
  const double flop = 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
  if (flop < 4e6) return {g.m, g.n};
  const int64_t panels = 16;
  const auto part = [&](int64_t size) { return std::max<int64_t>(64, ((size + panels - 1) / panels + 15) / 16 * 16); };
  return g.m >= g.n ? Cut{part(g.m), g.n} : Cut{g.m, part(g.n)};
}

}  // namespace

void gemm(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  const Cut size = cut(g);
  const int64_t down = (g.m + size.rows - 1) / size.rows, across = (g.n + size.columns - 1) / size.columns;
  const int64_t pieces = g.batch * down * across;
  const auto piece = [&](int64_t p) {
    const int64_t batch = p / (down * across), i = p / across % down * size.rows, j = p % across * size.columns;
    const Key key{std::min(size.rows, g.m - i),
                  std::min(size.columns, g.n - j),
                  g.k,
                  g.lda,
                  g.ldb,
                  g.ldc,
                  g.transpose_a,
                  g.transpose_b,
                  g.accumulate,
                  bias != nullptr};
    run(key, a + batch * g.stride_a + (g.transpose_a ? i : i * g.lda),
        b + batch * g.stride_b + (g.transpose_b ? j * g.ldb : j), c + batch * g.stride_c + i * g.ldc + j,
        bias ? bias + j : nullptr);
  };
  if (pieces == 1) {
    const OneThread one;
    return piece(0);
  }
  parallel_for(pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) piece(p);
  });
}

const char* version() {
  static const std::string text =
      cat("oneDNN ", dnnl_version()->major, ".", dnnl_version()->minor, ".", dnnl_version()->patch);
  return text.c_str();
}

}  // namespace kdef::ops::onednn
