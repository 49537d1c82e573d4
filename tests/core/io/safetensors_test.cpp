#include "core/io/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/io/file.h"

namespace kdef {
namespace {

class Safetensors : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/kdef_safetensors.XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/a.safetensors";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write() {
    write_safetensors(path_,
                      {{"w", Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3})}, {"n", Tensor::from<int64_t>({7}, {1})}},
                      {{"who", "test"}});
  }
  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& text) { std::ofstream(path_, std::ios::binary | std::ios::trunc) << text; }
  size_t files() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory_)) ++n;
    return n;
  }

  std::string directory_, path_;
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
  EXPECT_THROW(SafetensorsFile{directory_ + "/missing"}, InputError);
  EXPECT_THROW(SafetensorsFile{directory_}, InputError);
}

TEST_F(Safetensors, AFileThatWasThereStaysWholeWhenWritingFails) {
  write();
  const std::string before = bytes();
  {
    AtomicFile file(path_);
    file.write("half", 4);
  }  // no commit
  EXPECT_EQ(bytes(), before);
  EXPECT_EQ(files(), 1u);
}

TEST_F(Safetensors, FullDiskIsASystemErrorThatNamesThePath) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  EXPECT_THROW(write_file("/proc/nowhere/x", "text"), SystemError);
  try {
    write_file(directory_ + "/missing/x", "text");
    FAIL();
  } catch (const SystemError& e) {
    EXPECT_NE(std::string(e.what()).find("/missing/x"), std::string::npos);
  }
}

TEST(Crc32, KnownAnswers) {
  EXPECT_EQ(crc32("123456789", 9), 0xCBF43926u);
  EXPECT_EQ(crc32("6789", 4, crc32("12345", 5)), 0xCBF43926u);
  EXPECT_EQ(crc32("", 0), 0u);
}

}  // namespace
}  // namespace kdef
