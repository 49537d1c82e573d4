// Element types. Training is fp32, auditing fp64; ids are integers and never pass through floating point.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/base/error.h"
#include "core/base/hd.h"

namespace kdef {

enum class DType : uint8_t { f32, f64, bf16, i32, i64, u8 };

/// Bytes of one element.
constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::f32:
      return 4;
    case DType::f64:
      return 8;
    case DType::bf16:
      return 2;
    case DType::i32:
      return 4;
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr const char* name_of(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "?";
}

constexpr bool is_floating(DType t) { return t == DType::f32 || t == DType::f64 || t == DType::bf16; }

/// A bfloat16 as it is stored: the upper half of an fp32. Operands of matrix products may have this type, and so may
/// gradients that become operands.
struct BFloat16 {
  uint16_t bits;
};

/// Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
KDEF_HD BFloat16 to_bf16(float x) {
  uint32_t u = 0;
  std::memcpy(&u, &x, sizeof u);
  const uint32_t rounded = (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16, quiet = (u >> 16) | 0x40u;
  return {static_cast<uint16_t>((u & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded)};
}

KDEF_HD float from_bf16(BFloat16 x) {
  const uint32_t u = static_cast<uint32_t>(x.bits) << 16;
  float y = 0;
  std::memcpy(&y, &u, sizeof y);
  return y;
}

/// A stored number in the type that computations use: a bfloat16 becomes a float.
template <class T>
KDEF_HD T number(T x) {
  return x;
}
KDEF_HD float number(BFloat16 x) { return from_bf16(x); }

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

/// Calls `fn.template operator()<T>()` with the T that `t` names, float or double; another type is an Error that names
/// `op`.
template <class Fn>
decltype(auto) for_float(DType t, const char* op, Fn&& fn) {
  if (t == DType::f32) return fn.template operator()<float>();
  if (t == DType::f64) return fn.template operator()<double>();
  throw Error(cat(op, ": needs an f32 or f64 tensor, got ", name_of(t)));
}

/// Calls `fn.template operator()<T>()` with the T that `t` names, int32_t or int64_t; another type is an Error that
/// names `op`.
template <class Fn>
decltype(auto) for_index(DType t, const char* op, Fn&& fn) {
  if (t == DType::i32) return fn.template operator()<int32_t>();
  if (t == DType::i64) return fn.template operator()<int64_t>();
  throw Error(cat(op, ": ids must be i32 or i64, got ", name_of(t)));
}

}  // namespace kdef
