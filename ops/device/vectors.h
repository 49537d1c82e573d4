// Vectors of kVec numbers for the CPU's kernels, where the compiler does not vectorize a loop by itself.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/base/dtype.h"
#include "ops/device/row_parts.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace kdef::ops::cpu {

inline constexpr int64_t kVec = 16;

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(kVec * sizeof(T))));
};
template <class T>
using Vec = typename VecOf<T>::type;

/// kVec numbers from any address.
template <class T>
Vec<T> load(const T* from) {
  Vec<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class T>
void store(const Vec<T>& v, T* to) {
  std::memcpy(to, &v, sizeof v);
}

/// Loads or stores only the first n numbers where n is less than kVec; the rest of a loaded vector is zero.
template <class T>
Vec<T> load(const T* from, int64_t n) {
  if (n >= kVec) return load(from);
  Vec<T> v = {};
  for (int64_t j = 0; j < n; ++j) v[j] = from[j];
  return v;
}
template <class T>
void store(const Vec<T>& v, int64_t n, T* to) {
  if (n >= kVec) return store(v, to);
  for (int64_t j = 0; j < n; ++j) to[j] = v[j];
}

/// Stores past the caches, for numbers that are not read again soon: a plain store first reads the cache line that it
/// writes. `to` is a multiple of 64 bytes. A thread calls end_streams() after its last stream().
inline void stream(const Vec<float>& v, float* to) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, reinterpret_cast<__m512>(v));
#else
  store<float>(v, to);
#endif
}
inline void stream(const Vec<double>& v, double* to) { store<double>(v, to); }
inline void end_streams() {
#if defined(__AVX512F__)
  _mm_sfence();
#endif
}
/// Whether rows of n numbers from `first` on are whole vectors that stream() may write.
template <class T>
bool rows_can_stream(const T* first, int64_t n) {
  return reinterpret_cast<uintptr_t>(first) % 64 == 0 && n % kVec == 0;
}

/// Stores operands of products: the numbers themselves, or rounded to bf16.
inline void store_operands(const Vec<float>& v, float* to) { store<float>(v, to); }
inline void store_operands(const Vec<double>& v, double* to) { store<double>(v, to); }
inline void store_operands(float v, float* to) { *to = v; }
inline void store_operands(double v, double* to) { *to = v; }
inline void store_operands(float v, BFloat16* to) { *to = to_bf16(v); }
inline void store_operands(const Vec<float>& v, BFloat16* to) {
#if defined(__AVX512BF16__)
  const __m256bh rounded = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
  std::memcpy(to, &rounded, sizeof rounded);
#else
  for (int64_t j = 0; j < kVec; ++j) to[j] = to_bf16(v[j]);
#endif
}

/// Loads operands of products, widened where they are bf16.
inline Vec<float> load_operands(const float* from) { return load(from); }
inline Vec<double> load_operands(const double* from) { return load(from); }
inline Vec<float> load_operands(const BFloat16* from) {
#if defined(__AVX512F__)
  __m256i halves;
  std::memcpy(&halves, from, sizeof halves);
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xFFFF, halves);
  return reinterpret_cast<Vec<float>>(_mm512_maskz_slli_epi32(0xFFFF, wide, 16));
#else
  Vec<float> v;
  for (int64_t j = 0; j < kVec; ++j) v[j] = from_bf16(from[j]);
  return v;
#endif
}

inline void round_row(const float* __restrict from, int64_t n, BFloat16* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(from[i]);
}

/// to += factor from
template <class T>
void add_row(const T* __restrict from, T factor, int64_t n, T* __restrict to) {
  for (int64_t j = 0; j < n; ++j) to[j] += factor * from[j];
}

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  constexpr int64_t kTogether = 4;
  Vec<T> sums[kTogether] = {};
  int64_t l = 0;
  for (; l + kVec <= n; l += kVec) sums[l / kVec % kTogether] += load(a + l) * load(b + l);
  const Vec<T> all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  T sum = 0;
  for (int64_t j = 0; j < kVec; ++j) sum += all[j];
  for (; l < n; ++l) sum += a[l] * b[l];
  return sum;
}

/// The result of comparing two vectors of T: each element has all bits set, or none.
template <class T>
using Mask = decltype(Vec<T>{} == Vec<T>{});

/// A mask from kVec bytes: all bits are set where the byte is not 0.
template <class T>
Mask<T> load_mask(const uint8_t* from) {
#if defined(__AVX512F__)
  // The compiler would widen byte by byte. (GCC warns of the form without a mask for no reason: hence a full mask.)
  __m128i bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  const auto wide = reinterpret_cast<Vec<int32_t>>(_mm512_maskz_cvtepu8_epi32(0xFFFF, bytes));
#else
  Vec<int32_t> wide = {};
  for (int64_t j = 0; j < kVec; ++j) wide[j] = from[j];
#endif
  return __builtin_convertvector(wide, Mask<T>) != 0;
}

/// A mask from kVec numbers: all bits are set where the number is at least `min`.
template <class T>
Mask<T> load_mask(const uint16_t* from, uint32_t min) {
#if defined(__AVX512F__)
  __m256i numbers;
  std::memcpy(&numbers, from, sizeof numbers);
  const auto wide = reinterpret_cast<Vec<int32_t>>(_mm512_maskz_cvtepu16_epi32(0xFFFF, numbers));
#else
  Vec<int32_t> wide = {};
  for (int64_t j = 0; j < kVec; ++j) wide[j] = from[j];
#endif
  return __builtin_convertvector(wide >= static_cast<int32_t>(min), Mask<T>);
}

/// Stores a byte per element: 1 where all bits are set, else 0.
template <class M>
void store_mask(const M& mask, uint8_t* to) {
  typedef int8_t Bytes __attribute__((vector_size(kVec)));
  const Bytes bytes = __builtin_convertvector(mask, Bytes) & 1;
  std::memcpy(to, &bytes, sizeof bytes);
}

}  // namespace kdef::ops::cpu
