// A hash of a file's bytes that tells whether two files hold the same; internal to data/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace kdef::data {

/// 128 bits of the bytes given so far. The pieces that they come in do not matter. Made for speed (it does not slow
/// down reading), not against forgery.
class ContentHash {
 public:
  void update(const char* bytes, size_t count);
  /// 32 hexadecimal digits.
  std::string text() const;

 private:
  static constexpr size_t kLanes = 8, kBlock = 8 * kLanes;
  void block(const char* p);

  std::array<uint64_t, kLanes> lanes_ = {1, 2, 3, 4, 5, 6, 7, 8};
  std::array<char, kBlock> rest_{};  // bytes that do not make a block yet
  uint64_t count_ = 0;
};

}  // namespace kdef::data
