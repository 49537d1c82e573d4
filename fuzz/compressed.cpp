// The bytes of a file that may be compressed: by gzip, by Zstandard, or by one in the other.
#include "data/raw/byte_source.h"

#include "fuzz/fuzz.h"

namespace {

// Whether Zstandard data begins with a window of more than 128 MiB, which the reader grants up to 2 GiB. With
// sanitizers such an allocation takes most of a second.
bool has_large_window(std::string_view input) {
  constexpr uint8_t kSingleSegment = 0x20, kLargest = 27 - 10;  // RFC 8878, 3.1.1.1: 2^(10 + exponent) bytes
  if (!input.starts_with("\x28\xB5\x2F\xFD") || input.size() < 6) return false;
  if (static_cast<uint8_t>(input[4]) & kSingleSegment) return false;
  return static_cast<uint8_t>(input[5]) >> 3 >= kLargest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, [](std::string_view input) {
    if (has_large_window(input)) return;
    const auto source = kdef::data::ByteSource::open(kdef::fuzz::put("in.gz", input));
    constexpr int kMaxBlocks = 16;  // a small file may become any number of bytes, which costs time alone
    static char block[1 << 16];
    source->peek(7);
    for (int i = 0; i < kMaxBlocks && source->read(block, sizeof(block)) == sizeof(block); ++i) {
      kdef::fuzz::require(source->fraction() >= 0 && source->fraction() <= 1, "the share read is in [0, 1]");
    }
  });
}
