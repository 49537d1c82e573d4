// The table of ensembles and their objectives.
#include "kdef/method/ensembles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/base/random.h"
#include "ops/check/gradcheck.h"

namespace kdef {
namespace {

TEST(EnsembleTable, EveryKindHasItsRow) {
  std::set<std::string> names;
  for (const EnsembleType& type : ensemble_types()) {
    EXPECT_EQ(&ensemble_type(type.kind), &type);
    EXPECT_STREQ(name_of(type.kind), type.name);
    EXPECT_TRUE(names.insert(type.name).second) << type.name << " stands in the table twice";
    EXPECT_THAT(ensemble_meanings(), testing::HasSubstr(std::string(type.name) + ": " + type.meaning));
  }
  EXPECT_EQ(ensembles_where([](const EnsembleType& t) { return t.kind == EnsembleKind::sum; }), "sum");
  EXPECT_EQ(ensembles_where([](const EnsembleType& t) { return t.trains_output_layers(); }), "kdef, mean or sum");
}

TEST(EnsembleTable, CombinesLogits) {
  const Tensor z = Tensor::from<double>({1, 2, 6, -1, 0, 4}, {2, 3});
  EXPECT_EQ(mean_of_students(z).to_vector<double>(), (std::vector<double>{3, 1}));
  EXPECT_EQ(sum_of_students(z).to_vector<double>(), (std::vector<double>{9, 3}));
}

TEST(EnsembleTable, RefusesNumbersWhereAnObjectiveIsForClicks) {
  for (const EnsembleType& type : ensemble_types()) {
    EXPECT_EQ(refusal_of(type.kind, find_task("binary_classification")), "");
    EXPECT_EQ(refusal_of(type.kind, find_task("regression")).empty(), type.objective.clicks_only == nullptr);
  }
  EXPECT_THAT(refusal_of(EnsembleKind::kdef, find_task("regression")),
              testing::AllOf(testing::HasSubstr("task regression"), testing::HasSubstr("mean, sum or concat")));
}

TEST(ObjectiveTable, EveryFusedOpAgreesWithItsTwin) {
  const Tensor z = ops::random_uniform({23, 3}, -3, 3, 11), w = ops::random_uniform({23, 1}, 0, 2, 12);
  std::vector<double> clicks;
  for (int i = 0; i < 23; ++i) clicks.push_back(i % 3 == 1);
  const Tensor y = Tensor::from<double>(clicks, {23, 1});
  std::set<std::string> names;
  for (const Objective* o : objectives()) {
    EXPECT_TRUE(names.insert(o->name).second) << o->name << " stands in the table twice";
    EXPECT_EQ(o->fused == nullptr, o->op == nullptr) << o->name;
    std::vector<ObjectiveConfig> configs{{}};
    for (const ObjectiveCase& c : o->cases) configs.push_back(c.config);
    for (const ObjectiveConfig& config : configs) {
      for (const Tensor& weights : {Tensor(), w}) {
        const ObjectiveInput input{z, mean_of_students(z), y, weights};
        EXPECT_NEAR(o->loss(default_task(), input, config, true).item(),
                    o->loss(default_task(), input, config, false).item(), 1e-13)
            << o->name;
      }
    }
  }
}

}  // namespace
}  // namespace kdef
