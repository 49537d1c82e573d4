#include "kdef/serve/steps.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "ops/device/broadcast.h"
#include "ops/elementwise_functors.h"
#include "ops/embedding.h"
#include "ops/embedding_functors.h"
#include "ops/norm_functors.h"
#include "ops/reduce_functors.h"
#include "ops/rowwise_functors.h"

namespace kdef::serve {
namespace {

using Call = Graph::Call;
using Operands = std::vector<Operand>;
using Maker = Step (*)(const Call& call, const Operands& x, const Operand& y);

// A shape around an axis: [outer, n, inner].
struct Slab {
  int64_t outer, n, inner;
};

Slab slab(const Operand& x, int64_t axis) {
  const int a = x.shape.axis(static_cast<int>(axis), "scorer");
  return {x.shape.product(0, a), x.shape[a], x.shape.product(a + 1, x.shape.rank())};
}
Slab slab(const Operand& x, const Call& call) { return slab(x, attribute<int64_t>(call, "axis")); }

// fn(numbers of x, numbers of y) for every row.
template <class Fn>
Step by_rows(const Operand& x, const Operand& y, Fn fn) {
  return [x = x.place, y = y.place, fn = std::move(fn)](const Rows& rows) {
    for (int64_t b = 0; b < rows.count; ++b) fn(x.read(rows, b), y.write(rows, b));
  };
}

// ---- Elementwise ops

template <class F>
Step unary(const F& f, const Operand& x, const Operand& y) {
  return by_rows(x, y, [f, n = y.width()](const float* from, float* to) {
    for (int64_t i = 0; i < n; ++i) to[i] = f.f(from[i]);
  });
}

// Where the rows of the last axis start, in an operand that is broadcast to y.
struct Starts {
  std::vector<int64_t> at;
  bool moves;  // along the last axis
};

Starts starts(const Operand& x, const Operand& y) {
  KDEF_CHECK(!x.batched || x.shape.rank() == y.shape.rank(), "a batch of ", x.shape, " is broadcast to ", y.shape);
  const auto strides = ops::broadcast_strides(x.shape, y.shape);
  const int last = y.shape.rank() - 1;
  Starts s{{}, last >= 0 && strides[static_cast<size_t>(last)] != 0 && y.shape[last] > 1};
  const int64_t outer = y.shape.product(0, std::max(0, last));
  for (int64_t o = 0; o < outer; ++o) {
    int64_t rest = o, at = 0;
    for (int axis = last - 1; axis >= 0; --axis) {
      at += rest % y.shape[axis] * strides[static_cast<size_t>(axis)];
      rest /= y.shape[axis];
    }
    s.at.push_back(at);
  }
  return s;
}

template <class F>
Step binary(const Operands& x, const Operand& y) {
  const Operand &a = x[0], &b = x[1];
  if (a.shape == y.shape && b.shape == y.shape && y.shape.rank() > 1) {
    const Shape flat = {y.width()};
    return binary<F>({{a.place, flat, a.batched}, {b.place, flat, b.batched}}, {y.place, flat});
  }
  const int64_t n = y.shape.rank() > 0 ? y.shape.back() : 1;
  return [a = a.place, b = b.place, y = y.place, n, sa = starts(a, y), sb = starts(b, y)](const Rows& rows) {
    for (int64_t row = 0; row < rows.count; ++row) {
      const float *from_a = a.read(rows, row), *from_b = b.read(rows, row);
      float* to = y.write(rows, row);
      for (size_t o = 0; o < sa.at.size(); ++o, to += n) {
        const float *pa = from_a + sa.at[o], *pb = from_b + sb.at[o];
        if (sa.moves && sb.moves) {
          for (int64_t i = 0; i < n; ++i) to[i] = F::f(pa[i], pb[i]);
        } else if (sa.moves) {
          for (int64_t i = 0; i < n; ++i) to[i] = F::f(pa[i], *pb);
        } else if (sb.moves) {
          for (int64_t i = 0; i < n; ++i) to[i] = F::f(*pa, pb[i]);
        } else {
          for (int64_t i = 0; i < n; ++i) to[i] = F::f(*pa, *pb);
        }
      }
    }
  };
}

// ---- Layout

Step concat(const Call& call, const Operands& xs, const Operand& y) {
  const Slab to = slab(y, call);
  std::vector<std::pair<Place, int64_t>> parts;
  for (const Operand& x : xs) parts.emplace_back(x.place, x.width() / to.outer);
  return [parts, y = y.place, outer = to.outer, width = to.n * to.inner](const Rows& rows) {
    for (int64_t b = 0; b < rows.count; ++b) {
      float* at = y.write(rows, b);
      for (const auto& [place, n] : parts) {
        const float* from = place.read(rows, b);
        if (from != at) {  // a part may have been computed where it belongs
          for (int64_t o = 0; o < outer; ++o) std::copy_n(from + o * n, n, at + o * width);
        }
        at += n;
      }
    }
  };
}

Step slice(const Call& call, const Operands& x, const Operand& y) {
  const Slab from = slab(x[0], call);
  const int64_t first = attribute<int64_t>(call, "first") * from.inner,
                n = attribute<int64_t>(call, "count") * from.inner, step = from.n * from.inner;
  return by_rows(x[0], y, [=, outer = from.outer](const float* in, float* out) {
    for (int64_t o = 0; o < outer; ++o) std::copy_n(in + o * step + first, n, out + o * n);
  });
}

Step pad(const Call& call, const Operands& x, const Operand& y) {
  const Slab from = slab(x[0], call);
  const int64_t before = attribute<int64_t>(call, "before") * from.inner,
                after = attribute<int64_t>(call, "after") * from.inner, n = from.n * from.inner;
  const auto value = static_cast<float>(attribute<double>(call, "value"));
  return by_rows(x[0], y, [=, outer = from.outer](const float* in, float* out) {
    for (int64_t o = 0; o < outer; ++o, in += n) {
      out = std::fill_n(out, before, value);
      out = std::copy_n(in, n, out);
      out = std::fill_n(out, after, value);
    }
  });
}

Step transpose(const Call& call, const Operands& x, const Operand& y) {
  const Shape& s = x[0].shape;
  const auto a = static_cast<int>(attribute<int64_t>(call, "a")), b = static_cast<int>(attribute<int64_t>(call, "b"));
  const int64_t p = s.product(0, a), m = s[a], q = s.product(a + 1, b), n = s[b], r = s.product(b + 1, s.rank());
  return by_rows(x[0], y, [=](const float* in, float* out) {
    for (int64_t ip = 0; ip < p; ++ip) {
      for (int64_t in_ = 0; in_ < n; ++in_) {
        for (int64_t iq = 0; iq < q; ++iq) {
          for (int64_t im = 0; im < m; ++im) {
            out = std::copy_n(in + (((ip * m + im) * q + iq) * n + in_) * r, r, out);
          }
        }
      }
    }
  });
}

Step upper_triangle(const Call&, const Operands& x, const Operand& y) {
  return by_rows(x[0], y, [r = x[0].shape[0], n = x[0].shape[1]](const float* in, float* out) {
    for (int64_t m = 0; m < r; ++m, in += n * n) {
      for (int64_t i = 0; i < n; ++i) out = std::copy_n(in + i * n + i + 1, n - i - 1, out);
    }
  });
}

// ---- Products of two results; those with weights are packed (program.cpp)

// The sum of a[i step] b[i], in parts that the compiler may compute side by side.
float dot(const float* a, int64_t step, const float* b, int64_t n) {
  constexpr int64_t kParts = 8;
  float parts[kParts] = {}, sum = 0;
  int64_t i = 0;
  for (; i + kParts <= n; i += kParts) {
    for (int64_t p = 0; p < kParts; ++p) parts[p] += a[(i + p) * step] * b[i + p];
  }
  for (; i < n; ++i) sum += a[i * step] * b[i];
  for (const float part : parts) sum += part;
  return sum;
}

Step matmul(const Call& call, const Operands& x, const Operand& y) {
  const bool ta = attribute<bool>(call, "transpose_a"), tb = attribute<bool>(call, "transpose_b");
  KDEF_CHECK(x[0].shape.rank() == 3 && x[0].batched && x[1].batched, "a product of ", x[0].shape, " and ", x[1].shape);
  const int64_t count = y.shape[0], m = y.shape[1], n = y.shape[2], k = x[0].shape[ta ? 1 : 2];
  return [=, a = x[0].place, b = x[1].place, y = y.place](const Rows& rows) {
    for (int64_t row = 0; row < rows.count; ++row) {
      const float *pa = a.read(rows, row), *pb = b.read(rows, row);
      float* to = y.write(rows, row);
      for (int64_t c = 0; c < count; ++c, pa += m * k, pb += k * n) {
        for (int64_t i = 0; i < m; ++i, to += n) {
          const float* from = ta ? pa + i : pa + i * k;
          if (tb) {
            for (int64_t j = 0; j < n; ++j) to[j] = dot(from, ta ? m : 1, pb + j * k, k);
            continue;
          }
          std::fill_n(to, n, 0.0f);
          for (int64_t l = 0; l < k; ++l) {
            const float v = from[ta ? l * m : l];
            for (int64_t j = 0; j < n; ++j) to[j] += v * pb[l * n + j];
          }
        }
      }
    }
  };
}

// ---- Embeddings

Step embedding(const Call&, const Operands& x, const Operand& y) {
  KDEF_CHECK(!x[0].batched && x[1].place.kind == Place::Kind::ids, "a table or ids that are computed");
  return [table = x[0].place, ids = x[1].place, y = y.place, n = x[1].width(), d = x[0].shape[1]](const Rows& rows) {
    for (int64_t b = 0; b < rows.count; ++b) {
      const int32_t* id = ids.read_ids(rows, b);
      float* to = y.write(rows, b);
      const float* from = table.read(rows, 0);
      for (int64_t l = 0; l < n; ++l) to = std::copy_n(from + id[l] * d, d, to);
    }
  };
}

Step pool_sequence(const Call& call, const Operands& x, const Operand& y) {
  KDEF_CHECK(x[1].place.kind == Place::Kind::ids && x[0].shape[0] == 1, "ids that are computed");
  const bool average = attribute<std::string>(call, "mode") == "average";
  return [average, x = x[0].place, ids = x[1].place, y = y.place, length = x[0].shape[1],
          d = x[0].shape[2]](const Rows& rows) {
    for (int64_t b = 0; b < rows.count; ++b) {
      const int32_t* id = ids.read_ids(rows, b);
      const float* from = x.read(rows, b);
      float* to = y.write(rows, b);
      std::fill_n(to, d, 0.0f);
      for (int64_t l = 0; l < length; ++l, from += d) {
        if (id[l] == 0) continue;
        for (int64_t j = 0; j < d; ++j) to[j] += from[j];
      }
      const int64_t n = ops::count_ids(id, length);
      if (average && n > 1) {
        for (int64_t j = 0; j < d; ++j) to[j] *= ops::average_factor<float>(n);
      }
    }
  };
}

// ---- Normalisation, reductions

Step batch_norm_eval(const Call& call, const Operands& x, const Operand& y) {
  const double eps = attribute<double>(call, "eps");
  const int64_t columns = x[0].shape[1];
  std::vector<float> rstd;
  for (int64_t j = 0; j < columns; ++j) {
    const float var = x[4].place.read({}, 0)[j];
    rstd.push_back(static_cast<float>(1.0 / std::sqrt(static_cast<double>(var) + eps)));
  }
  return by_rows(
      x[0], y,
      [=, r = x[0].shape[0], gamma = x[1].place, beta = x[2].place, mean = x[3].place](const float* in, float* out) {
        const float *g = gamma.read({}, 0), *c = beta.read({}, 0), *mu = mean.read({}, 0);
        for (int64_t m = 0; m < r; ++m, in += columns, out += columns) {
          for (int64_t j = 0; j < columns; ++j)
            out[j] = ops::ColumnNorm::f(in[j], mu[j], rstd[static_cast<size_t>(j)], g[j], c[j]);
        }
      });
}

Step layer_norm(const Call& call, const Operands& x, const Operand& y) {
  const auto eps = static_cast<float>(attribute<double>(call, "eps"));
  const int64_t n = x[0].shape.back(), count = x[0].width() / n;
  return by_rows(x[0], y, [=, gamma = x[1].place, beta = x[2].place](const float* in, float* out) {
    float mean, rstd;
    for (int64_t m = 0; m < count; ++m, in += n, out += n) {
      ops::LayerNormRow::forward(ops::ScalarLane{}, in, gamma.read({}, 0), beta.read({}, 0), out, &mean, &rstd, n, eps);
    }
  });
}

// fn(x, y, n, step) for every vector along the axis, whose elements are `step` apart; y may have another size there.
template <class Fn>
Step along_axis(const Call& call, const Operand& x, const Operand& y, Fn fn) {
  const Slab s = slab(x, call);
  const int64_t of_y = y.width() / (s.outer * s.inner);
  return by_rows(x, y, [=](const float* in, float* out) {
    for (int64_t o = 0; o < s.outer; ++o) {
      for (int64_t j = 0; j < s.inner; ++j) {
        fn(in + o * s.n * s.inner + j, out + o * of_y * s.inner + j, s.n, s.inner);
      }
    }
  });
}

// The sum along the axis, carried in double precision.
Step sum(const Call& call, const Operand& x, const Operand& y, bool mean) {
  const Slab s = slab(x, call);
  const double factor = mean ? 1.0 / static_cast<double>(s.n) : 1.0;
  return by_rows(x, y, [=](const float* in, float* out) {
    constexpr int64_t kTogether = 16;
    for (int64_t o = 0; o < s.outer; ++o, in += s.n * s.inner) {
      for (int64_t first = 0; first < s.inner; first += kTogether) {
        const int64_t count = std::min(kTogether, s.inner - first);
        double sums[kTogether] = {};
        for (int64_t i = 0; i < s.n; ++i) {
          const float* from = in + i * s.inner + first;
          for (int64_t j = 0; j < count; ++j) sums[j] += static_cast<double>(from[j]);
        }
        for (int64_t j = 0; j < count; ++j) *out++ = static_cast<float>(sums[j] * factor);
      }
    }
  });
}

template <int sign>
Step softmax(const Call& call, const Operands& x, const Operand& y) {
  return along_axis(call, x[0], y, [](const float* in, float* out, int64_t n, int64_t step) {
    ops::SoftmaxRow::forward(ops::ScalarLane{}, in, out, n, step, static_cast<float>(sign));
  });
}

Step max(const Call& call, const Operands& x, const Operand& y) {
  return along_axis(call, x[0], y, [](const float* in, float* out, int64_t n, int64_t step) {
    float best = *in;
    for (int64_t i = 1; i < n; ++i) best = in[i * step] > best ? in[i * step] : best;
    *out = best;
  });
}

Step k_max(const Call& call, const Operands& x, const Operand& y) {
  const int64_t k = attribute<int64_t>(call, "k");
  constexpr int64_t kMost = 256;
  KDEF_CHECK(slab(x[0], call).n <= kMost, "the largest of more than ", kMost, " elements");
  return along_axis(call, x[0], y, [k](const float* in, float* out, int64_t n, int64_t step) {
    // The functor has one step for the elements of both.
    float column[kMost], kept[kMost];
    int64_t places[kMost];
    for (int64_t i = 0; i < n; ++i) column[i] = in[i * step];
    ops::KMaxColumn<float>{column, kept, places, n, k, 1}.forward();
    for (int64_t s = 0; s < k; ++s) out[s * step] = kept[s];
  });
}

const std::map<std::string_view, Maker>& makers() {
  static const std::map<std::string_view, Maker> all = {
#define KDEF_ROW(function, Functor, ...) \
  {#function, [](const Call&, const Operands& x, const Operand& y) { return unary(ops::Functor{}, x[0], y); }},
      KDEF_UNARY_OPS(KDEF_ROW)
#undef KDEF_ROW
#define KDEF_ROW(function, Functor, ...)                                  \
  {#function, [](const Call& call, const Operands& x, const Operand& y) { \
     return unary(ops::Functor{attribute<double>(call, "c")}, x[0], y);   \
   }},
          KDEF_SCALAR_OPS(KDEF_ROW)
#undef KDEF_ROW
#define KDEF_ROW(function, Functor, ...) \
  {#function, [](const Call&, const Operands& x, const Operand& y) { return binary<ops::Functor>(x, y); }},
              KDEF_BINARY_OPS(KDEF_ROW)
#undef KDEF_ROW
                  {"concat", concat},
      {"slice", slice},
      {"pad", pad},
      {"transpose", transpose},
      {"upper_triangle", upper_triangle},
      {"matmul", matmul},
      {"embedding", embedding},
      {"pool_sequence", pool_sequence},
      {"batch_norm_eval", batch_norm_eval},
      {"layer_norm", layer_norm},
      {"softmax", softmax<1>},
      {"softmin", softmax<-1>},
      {"sum", [](const Call& c, const Operands& x, const Operand& y) { return sum(c, x[0], y, false); }},
      {"mean", [](const Call& c, const Operands& x, const Operand& y) { return sum(c, x[0], y, true); }},
      {"max", max},
      {"k_max", k_max},
  };
  return all;
}

}  // namespace

Step make_step(const Call& call, const Operands& inputs, const Operand& output) {
  const auto found = makers().find(call.op->name);
  KDEF_CHECK(found != makers().end(), "no step for the op");
  KDEF_CHECK(output.type == DType::f32, "a result of type ", name_of(output.type));
  const bool looks_up = call.op == &ops::kEmbeddingInfo || call.op == &ops::kPoolInfo;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool ids = looks_up && i == 1;
    KDEF_CHECK(inputs[i].type == (ids ? DType::i32 : DType::f32), "input ", i + 1, " is of type ",
               name_of(inputs[i].type));
  }
  return found->second(call, inputs, output);
}

}  // namespace kdef::serve
