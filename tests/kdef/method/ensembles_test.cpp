// The table of ensembles and their objectives.
#include "kdef/method/ensembles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
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
    EXPECT_THAT(ensemble_meanings([](const EnsembleType&) { return true; }),
                testing::HasSubstr(std::string(type.name) + ": " + type.meaning));
    EXPECT_EQ(type.label_loss_alone(), std::string(type.objective.name) == "label");
    if (!type.label_loss_alone()) {
      EXPECT_STREQ(type.objective.name, type.name);
    }
  }
  EXPECT_EQ(ensembles_where([](const EnsembleType& t) { return t.kind == EnsembleKind::sum; }), "sum");
  EXPECT_EQ(ensembles_where([](const EnsembleType& t) { return t.trains_output_layers(); }),
            "kdef, final, self_ensemble, tri_bce, mean or sum");
  EXPECT_EQ(ensembles_where([](const EnsembleType& t) { return !t.one_student_is_plain(); }),
            "self_ensemble or concat");
}

TEST(EnsembleTable, CombinesLogits) {
  const Tensor z = Tensor::from<double>({1, 2, 6, -1, 0, 4}, {2, 3});
  EXPECT_EQ(mean_of_students(z).to_vector<double>(), (std::vector<double>{3, 1}));
  EXPECT_EQ(sum_of_students(z).to_vector<double>(), (std::vector<double>{9, 3}));
  const double p = (1 / (1 + std::exp(-1.0)) + 1 / (1 + std::exp(-2.0)) + 1 / (1 + std::exp(-6.0))) / 3;
  EXPECT_NEAR(mean_of_probabilities(z).data<double>()[0], std::log(p / (1 - p)), 1e-13);
}

TEST(EnsembleTable, RefusesNumbersWhereAnObjectiveIsForClicks) {
  for (const EnsembleType& type : ensemble_types()) {
    EXPECT_EQ(refusal_of(type.kind, find_task("binary_classification")), "");
    EXPECT_EQ(refusal_of(type.kind, find_task("regression")).empty(), type.objective.clicks_only == nullptr);
  }
  EXPECT_THAT(refusal_of(EnsembleKind::kdef, find_task("regression")),
              testing::AllOf(
                  testing::HasSubstr("task regression"),
                  testing::HasSubstr("objective to final or tri_bce, or to none with ensemble mean, sum or concat")));
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
        const auto loss_and_gradient = [&, &weights = weights](bool as_one_op) {
          Tensor leaf = z.clone();
          leaf.set_requires_grad();
          const Tensor loss = o->loss(default_task(), {leaf, mean_of_students(leaf), y, weights}, config, as_one_op);
          backward(loss);
          std::vector<double> all = leaf.grad().to_vector<double>();
          all.push_back(loss.item());
          return all;
        };
        const std::vector<double> one = loss_and_gradient(true), composed = loss_and_gradient(false);
        for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], composed[i], 1e-13) << o->name << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace kdef
