#include "core/io/protobuf.h"

#include "core/base/little_endian.h"

namespace kdef {
namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

}  // namespace

void ProtoMessage::append(std::string_view bytes) {
  if (pieces_.empty() || pieces_.back().data != nullptr) pieces_.push_back({{}, nullptr, 0});
  pieces_.back().own += bytes;
  size_ += bytes.size();
}

void ProtoMessage::append_borrowed(const void* data, size_t bytes) {
  if (bytes == 0) return;
  pieces_.push_back({{}, data, bytes});
  size_ += bytes;
}

void ProtoMessage::append_varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  append(bytes + static_cast<char>(value));
}

ProtoMessage& ProtoMessage::integer(uint32_t field, int64_t value) {
  append_key(field, kVarint);
  append_varint(static_cast<uint64_t>(value));
  return *this;
}

ProtoMessage& ProtoMessage::number(uint32_t field, double value) {
  append_key(field, kFixed64);
  append(little_endian(value));
  return *this;
}

ProtoMessage& ProtoMessage::number(uint32_t field, float value) {
  append_key(field, kFixed32);
  append(little_endian(value));
  return *this;
}

ProtoMessage& ProtoMessage::bytes(uint32_t field, std::string_view value) {
  append_key(field, kLength);
  append_varint(value.size());
  append(value);
  return *this;
}

ProtoMessage& ProtoMessage::message(uint32_t field, const ProtoMessage& value) {
  append_key(field, kLength);
  append_varint(value.size());
  return append(value);
}

ProtoMessage& ProtoMessage::append(const ProtoMessage& others) {
  for (const Piece& piece : others.pieces_) {
    if (piece.data == nullptr)
      append(piece.own);
    else
      append_borrowed(piece.data, piece.bytes);
  }
  return *this;
}

ProtoMessage& ProtoMessage::borrowed_bytes(uint32_t field, const void* data, size_t bytes) {
  append_key(field, kLength);
  append_varint(bytes);
  append_borrowed(data, bytes);
  return *this;
}

void ProtoMessage::write(const std::function<void(const void*, size_t)>& write) const {
  for (const Piece& piece : pieces_) {
    if (piece.data == nullptr)
      write(piece.own.data(), piece.own.size());
    else
      write(piece.data, piece.bytes);
  }
}

std::string ProtoMessage::text() const {
  std::string all;
  write([&](const void* data, size_t bytes) { all.append(static_cast<const char*>(data), bytes); });
  return all;
}

}  // namespace kdef
