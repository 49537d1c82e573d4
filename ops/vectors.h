// Vectors of kLane numbers for the CPU's kernels, where the compiler does not find them by itself.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace kdef::ops::cpu {

inline constexpr int64_t kLane = 16;

template <class T>
struct LaneOf {
  typedef T type __attribute__((vector_size(kLane * sizeof(T)), aligned(64)));
};
template <class T>
using Lane = typename LaneOf<T>::type;

/// kLane numbers from any address.
template <class T>
Lane<T> load_lane(const T* from) {
  Lane<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class T>
void store_lane(const Lane<T>& v, T* to) {
  std::memcpy(to, &v, sizeof v);
}

/// The first n numbers only where there are fewer than kLane, zeros behind them.
template <class T>
Lane<T> load_lane(const T* from, int64_t n) {
  if (n >= kLane) return load_lane(from);
  Lane<T> v = {};
  for (int64_t j = 0; j < n; ++j) v[j] = from[j];
  return v;
}
template <class T>
void store_lane(const Lane<T>& v, int64_t n, T* to) {
  if (n >= kLane) return store_lane(v, to);
  for (int64_t j = 0; j < n; ++j) to[j] = v[j];
}

/// to += factor from
template <class T>
void add_row(const T* __restrict from, T factor, int64_t n, T* __restrict to) {
  for (int64_t j = 0; j < n; ++j) to[j] += factor * from[j];
}

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  constexpr int64_t kTogether = 4;
  Lane<T> sums[kTogether] = {};
  int64_t l = 0;
  for (; l + kLane <= n; l += kLane) sums[l / kLane % kTogether] += load_lane(a + l) * load_lane(b + l);
  const Lane<T> all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  T sum = 0;
  for (int64_t j = 0; j < kLane; ++j) sum += all[j];
  for (; l < n; ++l) sum += a[l] * b[l];
  return sum;
}

/// What comparing two vectors of T gives: lanes of all ones or of zeros.
template <class T>
using MaskOf = decltype(Lane<T>{} == Lane<T>{});

/// Ones where one of kLane bytes is not 0.
template <class T>
MaskOf<T> load_mask(const uint8_t* from) {
#if defined(__AVX512F__)
  // The compiler would widen byte by byte.
  __m128i bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  const auto wide = reinterpret_cast<Lane<int32_t>>(_mm512_maskz_cvtepu8_epi32(0xFFFF, bytes));
#else
  Lane<int32_t> wide = {};
  for (int64_t j = 0; j < kLane; ++j) wide[j] = from[j];
#endif
  return __builtin_convertvector(wide, MaskOf<T>) != 0;
}

}  // namespace kdef::ops::cpu
