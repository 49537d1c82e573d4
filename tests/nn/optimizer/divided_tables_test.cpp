// Tables whose rows are divided among the members of a group give ops and optimizer what whole tables give.
#include "nn/optimizer/divided_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/base/first_member.h"
#include "core/base/random.h"
#include "nn/optimizer/group_gradients.h"
#include "nn/optimizer/optimizer.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "tests/support/thread_group.h"

namespace kdef::nn {
namespace {

using Kind = EmbeddingField::Kind;

TEST(TableRows, EveryRowHasOneOwnerAndOnePlace) {
  for (const int64_t rows : {1, 31, 32, 33, 64, 1000}) {
    for (const int64_t members : {1, 2, 3, 8}) {
      for (const int64_t column : {0, 1, 7}) {
        std::set<std::pair<int64_t, int64_t>> taken;
        int64_t held = 0;
        for (int64_t m = 0; m < members; ++m) {
          const TableRows table{rows, column, {}, members, m};
          int64_t before = -1;
          table.for_held([&](int64_t first, int64_t place, int64_t count) {
            for (int64_t i = 0; i < count; ++i) {
              EXPECT_EQ(table.owner(first + i), m);
              EXPECT_EQ(table.place(first + i), place + i);
              EXPECT_GT(first + i, before) << "places ascend with rows";
              before = first + i;
              EXPECT_LT(place + i, table.held_rows());
              EXPECT_TRUE(taken.emplace(m, place + i).second);
            }
          });
          held += table.held_rows();
        }
        EXPECT_EQ(static_cast<int64_t>(taken.size()), rows) << rows << " rows, " << members << " members";
        EXPECT_EQ(held, rows);
      }
    }
  }
}

// Two tables over the same ids, of which one is shared by a sequence, and a numeric field.
std::vector<EmbeddingField> some_fields() {
  return with_columns({{.name = "user", .vocab_size = 300},
                       {.name = "item", .vocab_size = 90},
                       {.name = "price", .kind = Kind::numeric},
                       {.name = "history", .kind = Kind::average, .vocab_size = 90, .max_len = 3, .shared = "item"}});
}

struct Tables final : Module {
  explicit Tables(const std::vector<EmbeddingField>& fields) {
    Builder build(11);
    wide = &add_child("wide", std::make_unique<EmbeddingTables>(fields, 4, build));
    thin = &add_child("thin", std::make_unique<EmbeddingTables>(fields, 1, build));
  }
  // Rows of every table enter the gradient with other weights.
  Tensor loss(const Tensor& ids, const Tensor& values) const {
    const Tensor a = wide->forward(ids, values), b = thin->forward(ids, values);
    return ops::add(ops::sum(ops::mul(a, a)), ops::scale(ops::sum(ops::mul(b, b)), 3));
  }
  EmbeddingTables* wide = nullptr;
  EmbeddingTables* thin = nullptr;
};

constexpr int64_t kRows = 40;

// The batch of a member in a step.
std::pair<Tensor, Tensor> batch_of(int member, uint64_t step) {
  Random random(100 * step + static_cast<uint64_t>(member));
  std::vector<int32_t> ids;
  std::vector<float> values;
  for (int64_t b = 0; b < kRows; ++b) {
    ids.push_back(static_cast<int32_t>(random.below(300)));
    for (int c = 0; c < 4; ++c) ids.push_back(static_cast<int32_t>(random.below(90)));
    values.push_back(static_cast<float>(random.normal()));
  }
  return {Tensor::from(ids, {kRows, 5}), Tensor::from(values, {kRows, 1})};
}

OptimizerConfig settings(OptimizerKind kind) {
  OptimizerConfig config;
  config.kind = kind;
  config.learning_rate = 0.01;
  config.embedding = {1e-5, 1e-3};
  config.clip_norm = 1;  // below the norms, so that their last digits matter
  return config;
}

using Values = std::map<std::string, std::vector<double>>;

// What `parameters` and the optimizer's state hold after some steps, whole and by name.
Values whole_values(const std::vector<Parameter>& parameters, const std::vector<Buffer>& state,
                    const DividedTables* divided) {
  Values all;
  const auto add = [&](const std::string& name, const Tensor& tensor, const TableRows* table) {
    if (table == nullptr || table->members == 1) {
      all[name] = tensor.to(DType::f64).to_vector<double>();
      return;
    }
    divided->collect(*table, tensor, [&](const void* data, size_t bytes) {
      const auto* values = static_cast<const float*>(data);
      all[name].insert(all[name].end(), values, values + bytes / sizeof(float));
    });
  };
  for (const Parameter& p : parameters) add(p.name, p.tensor, p.table.get());
  for (const Buffer& b : state) add(b.name, b.tensor, b.table.get());
  return all;
}

Values train(Group& group, OptimizerKind kind, int64_t classes, bool divide) {
  const std::vector<EmbeddingField> fields = divide ? holding_a_batch(some_fields(), kRows) : some_fields();
  const Tables model(fields);
  std::unique_ptr<DividedTables> divided;
  if (divide) divided = std::make_unique<DividedTables>(fields, kRows, model.parameters(), group);
  Optimizer optimizer(divide ? divided->owned() : model.parameters(), settings(kind), classes);
  std::vector<double> records;
  for (uint64_t step = 0; step < 5; ++step) {
    auto [ids, values] = batch_of(group.rank(), step);
    if (divide) ids = divided->fetch(ids);
    backward(model.loss(ids, values));
    if (divide)
      divided->return_gradients();
    else
      sum_over_group(group, model.parameters());
    const StepRecord record = optimizer.step();
    EXPECT_TRUE(record.applied);
    records.insert(records.end(), {record.gradient_norm, record.regularization});
  }
  Values all = whole_values(divide ? divided->owned() : model.parameters(), optimizer.state(), divided.get());
  all["norms and penalties"] = records;
  return all;
}

class DividedTraining : public testing::TestWithParam<OptimizerKind> {};

TEST_P(DividedTraining, HasTheBitsOfWholeTables) {
  for (const int members : {1, 2, 4}) {
    Values whole;
    test::ThreadGroup(members).run([&](Group& group) {
      const Values mine = train(group, GetParam(), 4, false);
      if (group.is_first()) whole = mine;
    });
    test::ThreadGroup(members).run([&](Group& group) {
      const Values divided = train(group, GetParam(), 4, true);
      if (group.is_first()) {
        EXPECT_EQ(divided, whole) << members << " members";
      }
    });
  }
}

// The order of the sums differs by fp64 rounding of the norm alone.
TEST_P(DividedTraining, ClassesOnlyChangeTheOrderOfSums) {
  const Values pieces = train(Group::alone(), GetParam(), 0, false),
               classes = train(Group::alone(), GetParam(), 8, false);
  for (const auto& [name, values] : pieces) {
    for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(classes.at(name)[i], values[i], 1e-6) << name << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, DividedTraining, testing::ValuesIn([] {
                           std::vector<OptimizerKind> kinds;
                           for (const OptimizerEntry& entry : kOptimizers) kinds.push_back(entry.kind);
                           return kinds;
                         }()),
                         [](const auto& test) { return std::string(entry_of(test.param).name); });

TEST(DividedTables, ModelHoldsABatchAndAMemberItsShare) {
  const std::vector<EmbeddingField> fields = holding_a_batch(some_fields(), 10);
  EXPECT_EQ(fields[0].held_rows, 11);
  EXPECT_EQ(fields[1].held_rows, 41) << "one id of item and three of history, in each of ten rows, and padding";
  test::ThreadGroup(3).run([&](Group& group) {
    const Tables model(fields);
    EXPECT_EQ(model.parameter_count(), Tables(some_fields()).parameter_count());
    const DividedTables divided(fields, 10, model.parameters(), group);
    int64_t values = 0;
    for (const Parameter& p : divided.owned()) {
      if (p.table) values += p.tensor.numel();
    }
    EXPECT_LE(values, (300 + 90) * 5 / 3 + 2 * TableRows::kBlock * 5);
  });
}

TEST(DividedTables, AMemberWithoutABatchAnswersTheOthers) {
  const std::vector<EmbeddingField> fields = holding_a_batch(some_fields(), kRows);
  test::ThreadGroup(2).run([&](Group& group) {
    const Tables model(fields);
    DividedTables divided(fields, kRows, model.parameters(), group);
    const auto [ids, values] = batch_of(0, 0);
    const Tensor own = divided.fetch(group.is_first() ? ids : Tensor());
    EXPECT_EQ(own.defined(), group.is_first());
    if (!group.is_first()) return;
    const Tables whole(some_fields());
    EXPECT_EQ(model.wide->forward(own, values).to_vector<float>(), whole.wide->forward(ids, values).to_vector<float>());
  });
}

TEST(DividedTables, IdsOutsideOfATableAndTooManyAreNamed) {
  const std::vector<EmbeddingField> fields = holding_a_batch(some_fields(), 2);
  const Tables model(fields);
  DividedTables divided(fields, 2, model.parameters(), Group::alone());
  const auto message = [&](const std::vector<int32_t>& ids) -> std::string {
    try {
      divided.fetch(Tensor::from(ids, {static_cast<int64_t>(ids.size() / 5), 5}));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(message({1, 2, 3, 4, 5, 1, 2, 3, 4, 90}),
              testing::HasSubstr("id 90 in row 1 of the batch, field 'item'"));
  EXPECT_THAT(message({-1, 2, 3, 4, 5}), testing::HasSubstr("id -1 in row 0 of the batch, field 'user'"));
  EXPECT_THAT(message({1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0}), testing::HasSubstr("space for 3"));
  EXPECT_EQ(message({1, 2, 3, 4, 5}), "");
}

TEST(DividedTables, PretrainedVectorsAreRefused) {
  std::vector<EmbeddingField> fields = some_fields();
  fields[0].pretrained.dim = 8;
  EXPECT_THROW(holding_a_batch(fields, 10), InputError);
}

// 50,000 rows of 64 numbers are 12.8 MB, and a piece has 4 MB.
TEST(DividedTables, ATableOfSeveralPiecesIsCollectedInItsOrder) {
  constexpr int64_t kTableRows = 50000, kWidth = 64;
  for (const int members : {1, 2, 3}) {
    std::vector<float> collected;
    test::ThreadGroup(members).run([&](Group& group) {
      const DividedTables divided({}, 1, {}, group);
      const TableRows table{kTableRows, 5, {}, members, group.rank()};
      const Tensor part = Tensor::empty({table.held_rows(), kWidth}, DType::f32);
      table.for_held([&](int64_t first, int64_t place, int64_t count) {
        for (int64_t i = 0; i < count * kWidth; ++i)
          part.data<float>()[place * kWidth + i] = static_cast<float>(first * kWidth + i);
      });
      by_all_members(group, [&] {
        divided.collect(table, part, [&](const void* data, size_t bytes) {
          ASSERT_TRUE(group.is_first());
          const auto* values = static_cast<const float*>(data);
          collected.insert(collected.end(), values, values + bytes / sizeof(float));
        });
      });
    });
    ASSERT_EQ(collected.size(), static_cast<size_t>(kTableRows * kWidth));
    for (size_t i = 0; i < collected.size(); ++i) ASSERT_EQ(collected[i], static_cast<float>(i)) << members;
  }
}

// The first member fails while it receives a table.
TEST(DividedTables, AFailedWriterIsMissedByTheOthers) {
  const std::vector<EmbeddingField> fields = holding_a_batch(some_fields(), kRows);
  test::ThreadGroup(2).run([&](Group& group) {
    const Tables model(fields);
    const DividedTables divided(fields, kRows, model.parameters(), group);
    const Parameter& table = divided.owned()[0];
    const auto work = [&] {
      for (int i = 0; i < 3; ++i) {
        divided.collect(*table.table, table.tensor, [](const void*, size_t) { throw SystemError("the disk is full"); });
      }
    };
    try {
      by_all_members(group, work);
      ADD_FAILURE() << "no failure in member " << group.rank();
    } catch (const SystemError& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr(group.is_first() ? "the disk is full" : "another process"));
    }
  });
}

}  // namespace
}  // namespace kdef::nn
