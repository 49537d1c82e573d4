#include "core/io/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <numeric>

#include "core/io/file.h"
#include "tests/core/io/support.h"

namespace kdef {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using MappedFileTest = test::Files;

TEST_F(MappedFileTest, ShowsTheBytes) {
  std::string text(100'000, '\0');
  std::iota(text.begin(), text.end(), 'a');
  write_file(path_, text);
  MappedFile file(path_);
  EXPECT_EQ(file.text(), text);
  for (const auto& [first, bytes] : {std::pair<size_t, size_t>{0, 10}, {5000, 1 << 20}, {200'000, 5}, {99'999, ~0ul}}) {
    file.will_need(first, bytes);
  }
  MappedFile moved(std::move(file));
  EXPECT_EQ(file.size(), 0u);
  EXPECT_EQ(file.data(), nullptr);
  EXPECT_EQ(moved.text(), text);
  file = std::move(moved);
  EXPECT_EQ(file.text(), text);
  write_file(path_, "new");  // a file replaced as a whole leaves the map whole
  EXPECT_EQ(file.text(), text);
  drop_from_page_cache(path_);
}

TEST_F(MappedFileTest, WhatIsWrittenStaysInTheMap) {
  write_file(path_, "text");
  const MappedFile file = MappedFile::to_be_written(path_), other = MappedFile::to_be_written(path_);
  const_cast<std::byte*>(file.data())[0] = std::byte{'n'};
  EXPECT_EQ(file.text(), "next");
  EXPECT_EQ(other.text(), "text");
  EXPECT_EQ(MappedFile(path_).text(), "text");
}

TEST_F(MappedFileTest, AnEmptyFileIsEmpty) {
  write_file(path_, "");
  MappedFile file(path_);
  EXPECT_EQ(file.size(), 0u);
  EXPECT_EQ(file.text(), "");
  file.will_need(0, 10);
  const MappedFile none;
  EXPECT_EQ(none.text(), "");
}

TEST_F(MappedFileTest, WhatIsNoFileIsRefused) {
  EXPECT_THAT(message<InputError>([&] { MappedFile(path_, "; prepare the data first"); }),
              AllOf(StartsWith(path_ + ": cannot be opened: No such file"), EndsWith("; prepare the data first")));
  EXPECT_THAT(message<InputError>([&] { MappedFile{folder_}; }), HasSubstr("is a folder, not a regular file"));
  EXPECT_THAT(message<InputError>([&] { MappedFile{"/dev/null"}; }), HasSubstr("is a device, not a regular file"));
  // It does not wait until somebody writes into the pipe.
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(message<InputError>([&] { MappedFile(path_, "; prepare the data first"); }),
              AllOf(StartsWith(path_ + ": is a pipe, not a regular file"), EndsWith("; prepare the data first")));
}

}  // namespace
}  // namespace kdef
