// Every op has a kind.
#include "ops/check/kinds.h"

#include <gtest/gtest.h>

#include "ops/check/cases.h"

namespace kdef::ops {
namespace {

TEST(Kinds, AreThoseOfAllOps) {
  for (const OpCase& op : op_cases()) {
    EXPECT_NE(kind_of(op.info->name), nullptr) << op.info->name << " has no kind; add it to ops/check/kinds.cpp";
  }
  EXPECT_EQ(kind_of("no_such_op"), nullptr);
}

}  // namespace
}  // namespace kdef::ops
