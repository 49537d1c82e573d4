// Each warning appears for data that deserves it, and names the column, the figure and the remedy.
#include "kdef/run/warnings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "tests/support/files.h"

namespace kdef {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Warnings : public testing::Test {
 protected:
  Warnings() {
    data::DatasetConfig& d = config_.dataset;
    d.id = "clicks";
    d.label = "click";
    d.data_root = folder_ / "cache";
    d.train_data = folder_ / "train.csv";
    d.valid_data = folder_ / "valid.csv";
    data::FieldConfig user, price;
    user.name = "user";
    price.name = "price";
    price.type = data::FieldType::numeric;
    price.cell = data::CellType::real;
    d.fields = {user, price};
    config_.training.batch_size = 2;
    write("train.csv", rows("u"));
    write("valid.csv", rows("u"));
  }

  void write(const char* name, const std::string& text) { test::put(folder_ / name, text); }
  // 100 rows of 5 users, of `price` and of half of it; every second one is a click, or none is.
  static std::string rows(const std::string& user, double price = 0.5, int labels = 2) {
    std::string text = "click,user,price\n";
    for (int i = 0; i < 100; ++i) text += cat(i % labels, ",", user, i % 5, ",", price / (1 + i % 3), "\n");
    return text;
  }
  data::PreparedData prepared() const { return data::prepare_and_open(config_.dataset, config_.dataset.data_root); }
  std::vector<std::string> warnings() const {
    const data::PreparedData data = prepared();
    return data_warnings(config_, data, count_unknown(data));
  }

  const test::TemporaryDirectory folder_;
  ExperimentConfig config_;
};

TEST_F(Warnings, NothingIsSaidOfGoodData) { EXPECT_THAT(warnings(), IsEmpty()); }

TEST_F(Warnings, ValuesThatTrainingHasNotSeen) {
  write("valid.csv", rows("U"));
  EXPECT_THAT(warnings(), ElementsAre(AllOf(HasSubstr("column user: 100 % of 100 rows of valid_data"),
                                            HasSubstr("as 'U0' (train_data has 'u0')"), HasSubstr("check that both"))));
  const data::PreparedData data = prepared();
  const data::Encoder encoder = data::Encoder::parse(data.vocabulary, "vocabulary");
  UnknownValues unknown(data.summary.map);
  EXPECT_FALSE(unknown.any());
  data::Batch batch;
  data::RawFile rows(encoder, config_.dataset.valid_data, false);
  while (rows.next(batch)) unknown.add(batch);
  EXPECT_TRUE(unknown.any());
  // A file that cannot be read again, as a pipe.
  EXPECT_THAT(
      unknown.warnings("new rows", "absent.csv", encoder),
      ElementsAre(HasSubstr("rows of new rows have a value that is not in the vocabulary of train_data (train")));
}

TEST_F(Warnings, AVocabularyThatTheSmallestCountEmpties) {
  config_.dataset.min_categr_count = 21;
  EXPECT_THAT(warnings(), ElementsAre(AllOf(HasSubstr("column user: no value occurs min_categr_count = 21 times"),
                                            HasSubstr("lower min_categr_count"))));
}

TEST_F(Warnings, NumbersFarLargerThanTheOtherInputs) {
  write("train.csv", rows("u", 1.5e12));
  EXPECT_THAT(warnings(), ElementsAre(AllOf(HasSubstr("column price: its numbers reach 1.5e+12"),
                                            HasSubstr("the other inputs are near 1;"), HasSubstr("StandardScaler"))));
  config_.dataset.fields[1].normalizer = data::Normalizer::min_max;
  EXPECT_THAT(warnings(), IsEmpty());
}

TEST_F(Warnings, NumbersThatSayNothing) {
  write("train.csv", rows("u", 0));
  const auto expected = HasSubstr("column price: all of the 100 training rows have the same number; check that");
  EXPECT_THAT(warnings(), ElementsAre(expected));
}

TEST_F(Warnings, AColumnWithoutValues) {
  write("train.csv", rows("u"));
  config_.dataset.fields[0].na_values = std::vector<std::string>{"u0", "u1", "u2", "u3", "u4"};
  EXPECT_THAT(warnings(), Contains(HasSubstr("column user: has no value in train_data, so all rows have the same id; "
                                             "leave the column out")));
}

TEST_F(Warnings, EpochsOfFewSteps) {
  config_.training.batch_size = 10;
  EXPECT_THAT(warnings(), ElementsAre(AllOf(HasSubstr("an epoch has 10 steps (100 training rows, batch_size 10)"),
                                            HasSubstr("a batch_size of at most 5"))));
  config_.training.batch_size = 1000;
  EXPECT_THAT(warnings(), ElementsAre(HasSubstr("an epoch has 1 step (100 training rows, batch_size 1000)")));
}

TEST_F(Warnings, TrainingRowsOfOneLabel) {
  write("train.csv", rows("u", 0.5, 1));
  EXPECT_THAT(warnings(), Contains(HasSubstr("every row of train_data has the label 0")));
}

TEST_F(Warnings, AValidationFileOfOneLabelCannotChooseByAuc) {
  data::Prepared prepared;
  prepared.valid_rows = 8;
  prepared.valid_positives = 3;
  EXPECT_NO_THROW(check_monitored(config_, prepared));
  for (const int64_t positives : {0, 8}) {
    prepared.valid_positives = positives;
    config_.training.monitor = {{"AUC", 1.0}};
    try {
      check_monitored(config_, prepared);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(), AllOf(HasSubstr("AUC is undefined"), HasSubstr("monitor: logloss")));
    }
    config_.training.monitor = {{"AUC", 0.0}, {"logloss", 1.0}};
    EXPECT_NO_THROW(check_monitored(config_, prepared));
  }
}

TEST_F(Warnings, ALogLossWorseThanTheConstantPrediction) {
  Evaluation valid;
  valid.rows = 100;
  valid.positives = 30;
  const double constant = -0.3 * std::log(0.2) - 0.7 * std::log(0.8);
  valid.ensemble.set("logloss", constant - 1e-6);
  EXPECT_EQ(baseline_warning(valid, 0.2), "");
  valid.ensemble.set("logloss", constant + 1e-3);
  EXPECT_THAT(baseline_warning(valid, 0.2),
              AllOf(HasSubstr(fixed_point(constant + 1e-3, 6)), HasSubstr(fixed_point(constant, 6)),
                    HasSubstr("click rate 0.2"), HasSubstr("embedding_regularizer")));
  EXPECT_EQ(baseline_warning(valid, 0), "");
  EXPECT_EQ(baseline_warning(Evaluation(), 0.2), "");
}

}  // namespace
}  // namespace kdef
