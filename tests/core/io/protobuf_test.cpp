// Bytes of messages, written out by hand from the description of the format.
#include "core/io/protobuf.h"

#include <gtest/gtest.h>

namespace kdef {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int v : values) text += static_cast<char>(v);
  return text;
}

TEST(Protobuf, WritesEveryKindOfField) {
  EXPECT_EQ(ProtoMessage().integer(1, 150).text(), bytes({0x08, 0x96, 0x01}));
  EXPECT_EQ(ProtoMessage().integer(16, 0).text(), bytes({0x80, 0x01, 0x00}));
  EXPECT_EQ(ProtoMessage().integer(1, -1).text(),
            bytes({0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}));
  EXPECT_EQ(ProtoMessage().bytes(2, "testing").text(), bytes({0x12, 0x07}) + "testing");
  EXPECT_EQ(ProtoMessage().number(3, 1.5f).text(), bytes({0x1D, 0, 0, 0xC0, 0x3F}));
  EXPECT_EQ(ProtoMessage().number(3, 1.5).text(), bytes({0x19, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F}));
  EXPECT_EQ(ProtoMessage().message(3, ProtoMessage().integer(1, 150)).text(), bytes({0x1A, 0x03, 0x08, 0x96, 0x01}));
  EXPECT_EQ(ProtoMessage().message(3, ProtoMessage()).text(), bytes({0x1A, 0x00}));
}

TEST(Protobuf, DoesNotCopyBorrowedBytes) {
  const std::string weights = "weights";
  const ProtoMessage inner = ProtoMessage().bytes(1, "w").borrowed_bytes(2, weights.data(), weights.size());
  const ProtoMessage outer = ProtoMessage().integer(1, 1).message(2, inner).integer(3, 2);
  EXPECT_EQ(outer.text(),
            bytes({0x08, 0x01, 0x12, 0x0C, 0x0A, 0x01}) + "w" + bytes({0x12, 0x07}) + "weights" + bytes({0x18, 0x02}));
  EXPECT_EQ(outer.size(), outer.text().size());
  bool borrowed = false;
  outer.write([&](const void* data, size_t) { borrowed = borrowed || data == weights.data(); });
  EXPECT_TRUE(borrowed);
}

TEST(Protobuf, AppendsTheFieldsOfAnotherMessage) {
  const ProtoMessage a = ProtoMessage().integer(1, 1), b = ProtoMessage().integer(2, 2);
  EXPECT_EQ(ProtoMessage(a).append(b).text(), a.text() + b.text());
}

}  // namespace
}  // namespace kdef
