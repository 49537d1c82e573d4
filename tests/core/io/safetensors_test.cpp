#include "core/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/support/files.h"

namespace kdef {
namespace {

class Safetensors : public testing::Test {
 protected:
  void write() {
    write_safetensors(path_,
                      {{"w", Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3})}, {"n", Tensor::from<int64_t>({7}, {1})}},
                      {{"who", "test"}});
  }
  std::string bytes() const { return test::read_file(path_); }
  void put(const std::string& text) { test::put(path_, text); }

  const test::TemporaryDirectory directory_;
  const std::string path_ = directory_ / "a.safetensors";
};

TEST_F(Safetensors, ComeBackAsWritten) {
  write();
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"w", "n"}));
  EXPECT_EQ(file.metadata().at("who"), "test");
  EXPECT_EQ(file.read("w").to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(file.shape("w"), (Shape{2, 3}));
  EXPECT_EQ(file.read("n").to_vector<int64_t>(), (std::vector<int64_t>{7}));
  EXPECT_THROW(file.read("x"), InputError);
  EXPECT_EQ(file.view("w").to_vector<float>(), file.read("w").to_vector<float>());
  EXPECT_EQ(file.view("w").shape(), file.read("w").shape());
  EXPECT_EQ(file.view("n").to_vector<int64_t>(), (std::vector<int64_t>{7}));
  EXPECT_THROW(file.view("x"), InputError);
}

// A tensor that comes in pieces leaves the bytes of one that lies in memory.
TEST_F(Safetensors, PartsLeaveTheSameBytes) {
  write();
  const std::string whole = bytes();
  const std::vector<float> w = {1, 2, 3, 4, 5, 6};
  const int64_t n = 7;
  int readings = 0;
  const std::vector<SafetensorsPart> parts = {
      {"w",
       DType::f32,
       {2, 3},
       [&](const SafetensorsPart::Take& take) {
         ++readings;
         for (const float& x : w) take(&x, sizeof x);
       }},
      {"n", DType::i64, {1}, [&](const SafetensorsPart::Take& take) { take(&n, sizeof n); }}};
  write_safetensors(path_, parts, {{"who", "test"}});
  EXPECT_EQ(bytes(), whole);
  EXPECT_EQ(readings, 2);
}

TEST_F(Safetensors, APartThatFailsLeavesTheFileThatWasThere) {
  write();
  const std::string before = bytes();
  int readings = 0;
  const SafetensorsPart part{"w", DType::f32, {1000}, [&](const SafetensorsPart::Take& take) {
                               const std::vector<float> half(500);
                               take(half.data(), 2000);
                               if (++readings == 2) throw SystemError("a process is gone");
                               take(half.data(), 2000);
                             }};
  EXPECT_THROW(write_safetensors(path_, std::vector<SafetensorsPart>{part}, {}), SystemError);
  EXPECT_EQ(bytes(), before);
}

TEST_F(Safetensors, EveryTruncationIsRefused) {
  write();
  const std::string whole = bytes();
  for (size_t n = 0; n < whole.size(); ++n) {
    put(whole.substr(0, n));
    EXPECT_THROW(SafetensorsFile{path_}, InputError) << n << " bytes";
  }
}

TEST_F(Safetensors, EveryFlippedByteIsRefused) {
  write();
  const std::string whole = bytes();
  uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  const size_t key = whole.find("crc32");
  for (size_t i = 0; i < whole.size(); ++i) {
    if (i >= key && i < key + 5) continue;  // a file without the key has no checksum, as files of other programs
    if (i >= 8 && whole[i] == ' ' && i > header) continue;  // padding of the header
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    put(bad);
    EXPECT_THROW(SafetensorsFile{path_}, InputError) << "byte " << i;
  }
}

TEST_F(Safetensors, ForeignFilesAreRefused) {
  put("PK\x03\x04 this is something else entirely, long enough to be read as a header");
  EXPECT_THROW(SafetensorsFile{path_}, InputError);
  EXPECT_THROW(SafetensorsFile{directory_ / "missing"}, InputError);
  EXPECT_THROW(SafetensorsFile{directory_.path()}, InputError);
}

// A header as another program may write it: without a checksum.
std::string file_with(const std::string& header, size_t data_bytes) {
  const uint64_t size = header.size();
  std::string text(reinterpret_cast<const char*>(&size), 8);
  return text + header + std::string(data_bytes, '\0');
}

std::string refusal(const std::string& path) {
  try {
    SafetensorsFile file(path);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST_F(Safetensors, AFileOfTorchIsToldAsSuch) {
  for (const char* head : {"PK\x03\x04", "\x80\x02\x8a\n"}) {
    put(head + std::string(100, 'x'));
    EXPECT_THAT(refusal(path_), testing::HasSubstr("as torch.save writes them"));
  }
  // A header of 640 bytes begins with the same two bytes as a pickle.
  const std::string header = R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  put(file_with(header + std::string(640 - header.size(), ' '), 4));
  EXPECT_EQ(refusal(path_), "accepted");
}

TEST_F(Safetensors, AShapeWhoseBytesWrapIsRefusedByTensor) {
  // 2^61 doubles are 2^64 bytes, which is 0 in 64 bits; the others wrap in the product of the sizes.
  for (const char* shape : {"[2305843009213693952]", "[4294967296, 536870912]", "[4294967296, 4294967296]",
                            "[0, 4611686018427387904, 8]", "[9223372036854775808]", "[-1]", "[2.0]"}) {
    put(file_with(cat(R"({"big":{"dtype":"F64","shape":)", shape, R"(,"data_offsets":[0,0]}})"), 0));
    EXPECT_THAT(refusal(path_), testing::AllOf(testing::HasSubstr("tensor 'big'"), testing::HasSubstr("the shape")))
        << shape;
  }
}

TEST_F(Safetensors, HeadersThatContradictThemselvesAreRefused) {
  const auto refused = [&](const std::string& header, const std::string& why) {
    put(file_with(header, 8));
    EXPECT_THAT(refusal(path_), testing::HasSubstr(why)) << header;
  };
  refused(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[-8,0]}})", "tensor 'a' has the data_offsets");
  refused(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0.5,8.5]}})", "tensor 'a' has the data_offsets");
  refused(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[8,16]}})", "tensor 'a' [1] does not lie within");
  refused(R"({"a":{"dtype":"F64","shape":[2],"data_offsets":[0,8]}})", "tensor 'a' [2] does not lie within");
  refused(R"({"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})", "tensor 'a' has dtype C64");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "longer or shorter");
  refused(R"([1, 2])", "no JSON object");
  refused(R"({"a":{"dtype":"F64"}})", "not what the format asks for");
  put(file_with(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8));
  EXPECT_EQ(refusal(path_), "accepted");
}

TEST_F(Safetensors, ADeepHeaderIsRefusedBeforeItIsParsed) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  put(file_with(R"({"a":{"dtype":"F32","shape":[)" + deep + R"(],"data_offsets":[0,0]}})", 0));
  EXPECT_THAT(refusal(path_), testing::HasSubstr("more than 64 levels"));
  put(file_with(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"x":)" + deep + "}}", 0));
  EXPECT_THAT(refusal(path_), testing::HasSubstr("more than 64 levels"));
}

TEST_F(Safetensors, TensorsThatShareBytesOrLeaveAGapAreRefused) {
  const auto two = [](int a, int b, int c, int d) {
    return cat(R"({"a":{"dtype":"U8","shape":[)", b - a, R"(],"data_offsets":[)", a, ",", b,
               R"(]},"b":{"dtype":"U8","shape":[)", d - c, R"(],"data_offsets":[)", c, ",", d, "]}}");
  };
  put(file_with(two(0, 4, 4, 8), 8));
  EXPECT_FALSE(SafetensorsFile(path_).checked());
  put(file_with(two(4, 8, 0, 4), 8));
  EXPECT_EQ(SafetensorsFile(path_).names().size(), 2u);
  put(file_with(two(0, 8, 0, 8), 8));
  EXPECT_THAT(refusal(path_), testing::HasSubstr("shares bytes"));
  put(file_with(two(0, 5, 4, 8), 8));
  EXPECT_THAT(refusal(path_), testing::HasSubstr("share bytes at 4"));
  put(file_with(two(0, 3, 4, 8), 8));
  EXPECT_THAT(refusal(path_), testing::HasSubstr("leave bytes out at 4"));
  write();
  EXPECT_TRUE(SafetensorsFile(path_).checked());
}

}  // namespace
}  // namespace kdef
