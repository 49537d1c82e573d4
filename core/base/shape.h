// The shape of a tensor: its sizes, outermost axis first. Tensors are contiguous and row-major.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/base/error.h"

namespace kdef {

class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;  // rank 0: a scalar
  Shape(std::initializer_list<int64_t> sizes) {
    for (int64_t s : sizes) push_back(s);
  }
  template <class It>
  Shape(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return sizes_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return sizes_[static_cast<size_t>(axis)]; }
  /// The size of the last axis. Throws Error for a scalar, which has none.
  int64_t back() const {
    KDEF_CHECK(rank_ > 0, "shape: a scalar has no last axis");
    return sizes_[static_cast<size_t>(rank_ - 1)];
  }
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }

  void push_back(int64_t size) {
    KDEF_CHECK(rank_ < kMaxRank, "shape: more than ", kMaxRank, " dimensions");
    KDEF_CHECK(size >= 0, "shape: negative size ", size);
    sizes_[static_cast<size_t>(rank_++)] = size;
  }

  /// Number of elements; 1 for a scalar.
  int64_t numel() const { return product(0, rank_); }
  /// Product of the sizes of axes [first, last).
  int64_t product(int first, int last) const {
    int64_t n = 1;
    for (int i = first; i < last; ++i) n *= (*this)[i];
    return n;
  }
  /// The axis `a` as a number from 0; a negative `a` counts from the end, -1 is the last axis. Throws Error, naming
  /// `op`, for an axis that the shape does not have.
  int axis(int a, const char* op) const {
    const int normal = a < 0 ? a + rank_ : a;
    KDEF_CHECK(normal >= 0 && normal < rank_, op, ": axis ", a, " is out of range for ", str());
    return normal;
  }

  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i) {
      if ((*this)[i] != other[i]) return false;
    }
    return true;
  }

  /// "[29, 4]"
  std::string str() const {
    std::string s = "[";
    for (int i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string((*this)[i]);
    return s + "]";
  }

 private:
  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

inline std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.str(); }

}  // namespace kdef
