#include "ops/fused/field_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/parallel.h"
#include "core/tensor/dispatch.h"
#include "ops/device/vectors.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/softmax.h"

// Of one row and head, with f a query, g a key, s a column of the head, c the scale, and m_fg = keep_fg / (1 - p).
// Forward:
//   S_fg = c sum over s of q_fs k_gs
//   P_fg = e^(S_fg) / sum over g of e^(S_fg)
//   y_fs = sum over g of m_fg P_fg v_gs
// Backward:
//   dP_fg = m_fg sum over s of dy_fs v_gs
//   dS_fg = c P_fg (dP_fg - sum over h of P_fh dP_fh)
//   dq_fs = sum over g of dS_fg k_gs
//   dk_gs = sum over f of dS_fg q_fs
//   dv_gs = sum over f of m_fg P_fg dy_fs

namespace kdef::ops {

const OpInfo kFieldAttentionInfo{
    "field_attention",
    "y_f = sum over g of keep_fg / (1 - p) P_fg v_g, P_f = softmax over g of c q_f k_g, for each head",
    "dP_fg = keep_fg / (1 - p) dy_f v_g, dS_fg = c P_fg (dP_fg - sum over h of P_fh dP_fh), "
    "dq_f = sum over g of dS_fg k_g, dk_g = sum over f of dS_fg q_f, dv_g = sum over f of keep_fg / (1 - p) P_fg dy_f"};

namespace cpu {
namespace {

// e^x of 16 numbers that are at most 0. fp32: x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its series to r^7, error
// below 2e-7; 0 below -87, where e^x comes near the least normal number.
Vec<float> exponentials(Vec<float> x) {
  constexpr float kLog2e = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F, kLeast = -87.0F;
  constexpr float kRound = 12582912.0F;  // 1.5 2^23: adding it leaves a whole number in the lowest bits
  const auto vanishes = x < kLeast;      // NaN does not
  x = vanishes ? Vec<float>{} : x;
  const Vec<float> shifted = x * kLog2e + kRound, n = shifted - kRound;
  const Vec<float> r = (x - n * kLn2High) - n * kLn2Low;
  Vec<float> series = Vec<float>{} + 1.0F / 5040;
  for (const float c : {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 1.0F / 2, 1.0F, 1.0F}) series = series * r + c;
  using Bits = Vec<int32_t>;
  const Bits power = (__builtin_convertvector(n, Bits) + 127) << 23;  // the bits of 2^n
  return vanishes ? Vec<float>{} : series * reinterpret_cast<Vec<float>>(power);
}
Vec<double> exponentials(Vec<double> x) {
  for (int64_t j = 0; j < kVec; ++j) x[j] = std::exp(x[j]);
  return x;
}

template <class T>
struct Pointers {
  const T *q, *k, *v;
};

// One row and head in the cache of a thread. Matrices over queries and keys are stored key by key, [F, room], so that a
// vector holds neighbouring queries; matrices of queries are turned, [size, room]. The room is F, rounded up to
// vectors. What is computed behind the F-th query is not used.
template <class T>
class Head {
 public:
  Head(const AttentionForm& form, const Shape& shape)
      : form_(form),
        fields_(shape[1]),
        width_(shape[2]),
        size_(width_ / form.heads),
        room_(round_up(fields_, kVec)),
        threshold_(dropout_threshold(form.p)),
        factor_(static_cast<T>(1.0 / (1.0 - form.p))) {
    for (auto* turned : {&query_, &out_, &dquery_}) turned->resize(static_cast<size_t>(size_ * room_));
    for (auto* square : {&weights_, &kept_, &dweights_}) square->resize(static_cast<size_t>(fields_ * room_));
    row_.resize(static_cast<size_t>(room_));
    lanes_.resize(static_cast<size_t>(fields_ * kVec));
  }

  // Writes y of the head `head` of row `row`.
  void forward(const Pointers<T>& in, int64_t row, int64_t head, T* y) {
    weigh(in, row, head);
    if (form_.p > 0) keep(row, head, weights_.data());
    const int64_t at = place(row, head);
    times_rows(weights_.data(), in.v + at, out_.data());
    turn_back(out_.data(), y + at);
  }

  // Writes the gradients of the head.
  void backward(const Pointers<T>& in, const T* dy, int64_t row, int64_t head, T* dq, T* dk, T* dv) {
    weigh(in, row, head);
    const int64_t at = place(row, head);
    turn(dy + at, out_.data());
    products(in.v + at, out_.data(), dweights_.data(), T(1));
    const T* kept = weights_.data();
    if (form_.p > 0) {
      kept_ = weights_;
      keep(row, head, kept_.data());
      keep(row, head, dweights_.data());
      kept = kept_.data();
    }
    columns_times(kept, dy + at, dv + at);
    std::fill(row_.begin(), row_.end(), T(0));
    for_vectors([&](size_t i, int64_t f) { put(row_, f, get(row_, f) + get(weights_, i) * get(dweights_, i)); });
    const T scale = static_cast<T>(form_.scale);
    for_vectors(
        [&](size_t i, int64_t f) { put(dweights_, i, get(weights_, i) * (get(dweights_, i) - get(row_, f)) * scale); });
    times_rows(dweights_.data(), in.k + at, dquery_.data());
    turn_back(dquery_.data(), dq + at);
    columns_times(dweights_.data(), in.q + at, dk + at);
  }

 private:
  static Vec<T> get(const std::vector<T>& from, size_t at) { return load(from.data() + at); }
  static Vec<T> get(const std::vector<T>& from, int64_t at) { return load(from.data() + at); }
  template <class Place>
  static void put(std::vector<T>& to, Place at, const Vec<T>& v) {
    store<T>(v, to.data() + at);
  }
  // work(place in a matrix, first query) for every vector of every key.
  template <class Work>
  void for_vectors(const Work& work) const {
    for (int64_t g = 0; g < fields_; ++g)
      for (int64_t f = 0; f < room_; f += kVec) work(static_cast<size_t>(g * room_ + f), f);
  }
  // Of the first number of the head, which has `fields_` rows of `size_` numbers, `width_` apart.
  int64_t place(int64_t row, int64_t head) const { return row * fields_ * width_ + head * size_; }

  void turn(const T* from, T* to) const {
    for (int64_t s = 0; s < size_; ++s) {
      for (int64_t f = 0; f < fields_; ++f) to[s * room_ + f] = from[f * width_ + s];
    }
  }
  void turn_back(const T* from, T* to) const {
    for (int64_t f = 0; f < fields_; ++f) {
      for (int64_t s = 0; s < size_; ++s) to[f * width_ + s] = from[s * room_ + f];
    }
  }

  // to[g, f] = factor sum over s of keys[g, s] turned[s, f]
  void products(const T* keys, const T* turned, T* to, T factor) const {
    for (int64_t g = 0; g < fields_; ++g) {
      for (int64_t f = 0; f < room_; f += kVec) {
        Vec<T> sum = {};
        for (int64_t s = 0; s < size_; ++s) sum += keys[g * width_ + s] * load(turned + s * room_ + f);
        store<T>(sum * factor, to + g * room_ + f);
      }
    }
  }
  // turned[s, f] = sum over g of matrix[g, f] rows[g, s]
  void times_rows(const T* matrix, const T* rows, T* turned) const {
    for (int64_t s = 0; s < size_; ++s) {
      for (int64_t f = 0; f < room_; f += kVec) {
        Vec<T> sum = {};
        for (int64_t g = 0; g < fields_; ++g) sum += rows[g * width_ + s] * load(matrix + g * room_ + f);
        store<T>(sum, turned + s * room_ + f);
      }
    }
  }
  // to[g, s] = sum over f of matrix[g, f] rows[f, s]
  void columns_times(const T* matrix, const T* rows, T* to) {
    constexpr int64_t kTogether = 4;  // keys
    for (int64_t s = 0; s < size_; s += kVec) {
      const int64_t n = std::min(kVec, size_ - s);
      for (int64_t f = 0; f < fields_; ++f) store<T>(load(rows + f * width_ + s, n), lanes_.data() + f * kVec);
      for (int64_t g = 0; g < fields_; g += kTogether) {
        Vec<T> sums[kTogether] = {};
        const T* of[kTogether];
        for (int64_t i = 0; i < kTogether; ++i) of[i] = matrix + std::min(g + i, fields_ - 1) * room_;
        for (int64_t f = 0; f < fields_; ++f) {
          const Vec<T> row = load(lanes_.data() + f * kVec);
          for (int64_t i = 0; i < kTogether; ++i) sums[i] += of[i][f] * row;
        }
        for (int64_t i = 0; i < std::min(kTogether, fields_ - g); ++i) store<T>(sums[i], n, to + (g + i) * width_ + s);
      }
    }
  }

  // The softmax of the scores, in weights_; the queries, turned, in query_.
  void weigh(const Pointers<T>& in, int64_t row, int64_t head) {
    const int64_t at = place(row, head);
    turn(in.q + at, query_.data());
    products(in.k + at, query_.data(), weights_.data(), static_cast<T>(form_.scale));
    for (int64_t f = 0; f < room_; f += kVec) {
      Vec<T> top = load(weights_.data() + f), sum = {};
      for (int64_t g = 1; g < fields_; ++g) {
        const Vec<T> score = load(weights_.data() + g * room_ + f);
        top = score < top ? top : score;
      }
      for (int64_t g = 0; g < fields_; ++g) {
        const Vec<T> e = exponentials(load(weights_.data() + g * room_ + f) - top);
        store<T>(e, weights_.data() + g * room_ + f);
        sum += e;
      }
      const Vec<T> share = T(1) / sum;
      for (int64_t g = 0; g < fields_; ++g)
        store<T>(load(weights_.data() + g * room_ + f) * share, weights_.data() + g * room_ + f);
    }
  }

  // Drops numbers of a matrix, and scales the others.
  void keep(int64_t row, int64_t head, T* matrix) {
    const int64_t numbers = fields_ * fields_, first = ((form_.key.first_row + row) * form_.heads + head) * numbers;
    const uint16_t* u = dropout_bits(form_.key, first, numbers, bits_);
    for (int64_t g = 0; g < fields_; ++g) {
      T* of_key = matrix + g * room_;
      for (int64_t f = 0; f < fields_; ++f) of_key[f] = u[f * fields_ + g] < threshold_ ? T(0) : of_key[f] * factor_;
    }
  }

  AttentionForm form_;
  int64_t fields_, width_, size_, room_;
  uint32_t threshold_;
  T factor_;
  std::vector<T> query_, out_, dquery_, weights_, kept_, dweights_, row_, lanes_;
  std::vector<uint16_t> bits_;
};

template <class T>
Pointers<T> pointers(const Tensor& q, const Tensor& k, const Tensor& v) {
  return {q.data<T>(), k.data<T>(), v.data<T>()};
}

// work(head of a row in cache, row, head) for all.
template <class T, class Work>
void for_heads(const AttentionForm& form, const Shape& shape, const Work& work) {
  constexpr int64_t kRows = 16;
  parallel_for(shape[0], kRows, [&](int64_t first, int64_t last) {
    Head<T> cache(form, shape);
    for (int64_t row = first; row < last; ++row) {
      for (int64_t head = 0; head < form.heads; ++head) work(cache, row, head);
    }
  });
}

}  // namespace
}  // namespace cpu

Tensor field_attention_composed(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionForm& form) {
  const int64_t rows = q.shape()[0], fields = q.shape()[1], width = q.shape()[2], size = width / form.heads;
  // [B, F, A] -> [B heads, F, size]
  const auto by_head = [&](const Tensor& t) {
    const Tensor split = transpose(reshape(t, {rows, fields, form.heads, size}), 1, 2);
    return reshape(split, {rows * form.heads, fields, size});
  };
  Tensor scores = matmul(by_head(q), by_head(k), false, true);
  if (form.scale != 1) scores = scale(scores, form.scale);
  Tensor weights = softmax(scores, -1);
  if (form.p > 0) {
    const Shape of_rows{rows, form.heads, fields, fields};
    weights = reshape(dropout(reshape(weights, of_rows), form.p, form.key), scores.shape());
  }
  const Tensor heads = reshape(matmul(weights, by_head(v)), {rows, form.heads, fields, size});
  return reshape(transpose(heads, 1, 2), {rows, fields, width});
}

Tensor field_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionForm& given) {
  KDEF_CHECK(q.rank() == 3 && q.numel() > 0 && k.shape() == q.shape() && v.shape() == q.shape() &&
                 k.dtype() == q.dtype() && v.dtype() == q.dtype(),
             "field_attention: queries ", describe(q), ", keys ", describe(k), " and values ", describe(v),
             " differ, or are not [B, F, A]");
  KDEF_CHECK(given.heads > 0 && q.shape()[2] % given.heads == 0, "field_attention: ", given.heads, " heads of ",
             describe(q));
  KDEF_CHECK(given.p >= 0 && given.p < 1, "field_attention: rate ", given.p, " is not in [0, 1)");
  if (!q.device().is_cpu()) return field_attention_composed(q, k, v, given);
  AttentionForm form = given;
  form.p = dropout_rate(given.p);
  const Tensor y = Tensor::empty_like(q);
  for_float(q.dtype(), "field_attention", [&]<class T>() {
    const cpu::Pointers<T> in = cpu::pointers<T>(q, k, v);
    T* to = y.data<T>();
    cpu::for_heads<T>(form, q.shape(), [&](auto& head, int64_t row, int64_t h) { head.forward(in, row, h, to); });
  });
  return record(
      kFieldAttentionInfo, y, {q, k, v}, {q, k, v},
      [form](const BackwardContext& c, const Tensor& given_dy) -> std::vector<Gradient> {
        const Tensor &sq = c.saved[0], &sk = c.saved[1], &sv = c.saved[2], dy = given_dy.to(sq.dtype());
        const Tensor dq = Tensor::empty_like(sq), dk = Tensor::empty_like(sq), dv = Tensor::empty_like(sq);
        for_float(dy.dtype(), "field_attention", [&]<class T>() {
          const cpu::Pointers<T> in = cpu::pointers<T>(sq, sk, sv);
          const T* from = dy.data<T>();
          T *to_q = dq.data<T>(), *to_k = dk.data<T>(), *to_v = dv.data<T>();
          cpu::for_heads<T>(form, sq.shape(), [&](auto& head, int64_t row, int64_t h) {
            head.backward(in, from, row, h, to_q, to_k, to_v);
          });
        });
        return {dq, dk, dv};
      },
      mask_attributes(form.p, {form.key}));
}

}  // namespace kdef::ops
