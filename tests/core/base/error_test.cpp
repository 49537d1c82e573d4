#include "core/base/error.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace kdef {
namespace {

TEST(Errors, ClassesAreToldApart) {
  EXPECT_TRUE((std::is_base_of_v<Error, InputError>));
  EXPECT_TRUE((std::is_base_of_v<Error, SystemError>));
  EXPECT_TRUE((std::is_base_of_v<Error, CheckError>));
  EXPECT_FALSE((std::is_base_of_v<InputError, SystemError>));
  EXPECT_FALSE((std::is_base_of_v<InputError, CheckError>));
}

TEST(Errors, CheckThrowsItsWords) {
  int evaluated = 0;
  KDEF_CHECK(true, "never ", ++evaluated);
  EXPECT_EQ(evaluated, 0);
  try {
    KDEF_CHECK(1 > 2, "op: ", 3, " rows of ", 0.25);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "op: 3 rows of 0.25");
  }
}

TEST(Errors, CatPrintsNineDigits) {
  EXPECT_EQ(cat(1.0 / 3, " ", 123456789012.0, " ", true, 'c', std::string("s")), "0.333333333 1.23456789e+11 1cs");
}

}  // namespace
}  // namespace kdef
