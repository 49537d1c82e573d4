// The binary interface of libkdef.so, against the list in bindings/c/abi.txt.
#include <cstddef>

#include "bindings/c/kdef.h"
#include "tests/cli/support.h"

namespace kdef::test {
namespace {

const std::string kAdvice =
    "a line that is gone or changed breaks compiled programs: raise KDEF_ABI, which the SOVERSION follows; then, or if "
    "lines are only new, write the list anew as it is printed above";

std::string functions_of_library() {
  const Outcome outcome = shell("nm -D --defined-only " KDEF_LIBRARY);
  if (outcome.status != 0) return "";
  std::string text;
  for (const std::string& line : lines(outcome.text)) text += "function " + line.substr(line.rfind(' ') + 1) + "\n";
  return text;
}

template <class Member>
std::string member(const char* name, size_t offset, Member*) {
  return std::string(" ") + name + "@" + std::to_string(offset) + ":" + std::to_string(sizeof(Member));
}

// Every member with its offset and its size.
std::string structs() {
  std::string text;
#define BEGIN(type) text += "struct " #type " " + std::to_string(sizeof(type)) + ":"
#define MEMBER(type, name) text += member(#name, offsetof(type, name), static_cast<decltype(type::name)*>(nullptr))
  BEGIN(kdef_text_rows);
  MEMBER(kdef_text_rows, columns), MEMBER(kdef_text_rows, column_count), MEMBER(kdef_text_rows, cells);
  MEMBER(kdef_text_rows, sizes), MEMBER(kdef_text_rows, rows);
  text += "\n";
  BEGIN(kdef_step);
  MEMBER(kdef_step, step), MEMBER(kdef_step, epoch), MEMBER(kdef_step, batch), MEMBER(kdef_step, batches);
  MEMBER(kdef_step, loss);
  text += "\n";
  BEGIN(kdef_opening);
  MEMBER(kdef_opening, size), MEMBER(kdef_opening, path), MEMBER(kdef_opening, bytes);
  MEMBER(kdef_opening, byte_count), MEMBER(kdef_opening, precision);
  text += "\n";
  BEGIN(kdef_training);
  MEMBER(kdef_training, size), MEMBER(kdef_training, config), MEMBER(kdef_training, experiment);
  MEMBER(kdef_training, run), MEMBER(kdef_training, values), MEMBER(kdef_training, value_count);
  MEMBER(kdef_training, resume), MEMBER(kdef_training, overwrite), MEMBER(kdef_training, threads);
  MEMBER(kdef_training, context), MEMBER(kdef_training, step), MEMBER(kdef_training, evaluated);
  MEMBER(kdef_training, note);
  text += "\n";
#undef BEGIN
#undef MEMBER
  const kdef_status statuses[] = {KDEF_OK, KDEF_CHECK_FAILED, KDEF_BAD_INPUT, KDEF_SYSTEM_FAILURE, KDEF_INTERRUPTED};
  text += "status";
  for (const kdef_status status : statuses) text += " " + std::to_string(static_cast<int>(status));
  return text + "\n";
}

TEST(Abi, IsThatOfTheList) {
  if (sizeof(void*) != 8) GTEST_SKIP() << "the list is for 64-bit machines";
  const std::string functions = functions_of_library();
  if (functions.empty()) GTEST_SKIP() << "there is no nm";
  EXPECT_EQ(read_file(std::string(KDEF_BINDINGS) + "/c/abi.txt"),
            "abi " + std::to_string(kdef_abi()) + "\n" + structs() + functions)
      << kAdvice;
}

// The sizes of the specification: https://arrow.apache.org/docs/format/CDataInterface.html.
TEST(Abi, HasTheStructsOfArrow) {
  if (sizeof(void*) != 8) GTEST_SKIP() << "the sizes are those of 64-bit machines";
  EXPECT_EQ(sizeof(ArrowSchema), 72u);
  EXPECT_EQ(offsetof(ArrowSchema, dictionary), 48u);
  EXPECT_EQ(offsetof(ArrowSchema, release), 56u);
  EXPECT_EQ(sizeof(ArrowArray), 80u);
  EXPECT_EQ(offsetof(ArrowArray, buffers), 40u);
  EXPECT_EQ(offsetof(ArrowArray, release), 64u);
}

// A struct that the header has and this test does not know would escape the list.
TEST(Abi, TheTestKnowsEveryStructOfTheHeader) {
  const std::string header = read_file(std::string(KDEF_BINDINGS) + "/c/kdef.h");
  int count = 0;
  for (size_t at = 0; (at = header.find("typedef struct ", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 5) << "kdef_model, kdef_opening, kdef_text_rows, kdef_step, kdef_training";
}

}  // namespace
}  // namespace kdef::test
