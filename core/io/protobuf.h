// Writing Protocol Buffers: the format of TensorBoard's event files and of ONNX. A message is its fields one after the
// other. A field is its number and wire type, (number << 3 | type) as a varint, and its value; the order of the fields
// is free. Source: https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kdef {

class ProtoMessage {
 public:
  /// Appends a field. int32, int64, bool and enumerations; double; float; bytes and string; a message.
  ProtoMessage& integer(uint32_t field, int64_t value);
  ProtoMessage& number(uint32_t field, double value);
  ProtoMessage& number(uint32_t field, float value);
  ProtoMessage& bytes(uint32_t field, std::string_view value);
  ProtoMessage& message(uint32_t field, const ProtoMessage& value);
  /// Bytes that are not copied: they must live until the message is written.
  ProtoMessage& borrowed_bytes(uint32_t field, const void* data, size_t bytes);

  /// Appends all fields of another message.
  ProtoMessage& append(const ProtoMessage& others);

  size_t size() const { return size_; }
  /// Gives the bytes of the message to `write`, in order, in pieces.
  void write(const std::function<void(const void* data, size_t bytes)>& write) const;
  std::string text() const;

 private:
  struct Piece {
    std::string own;
    const void* data;  // null: own
    size_t bytes;
  };
  void append(std::string_view bytes);
  void append_key(uint32_t field, uint32_t type) { append_varint(field << 3 | type); }
  void append_varint(uint64_t value);
  void append_borrowed(const void* data, size_t bytes);

  std::vector<Piece> pieces_;
  size_t size_ = 0;
};

}  // namespace kdef
