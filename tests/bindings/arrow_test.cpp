// Record batches by the Arrow C data interface, made by hand here and by pyarrow where it is installed, against the
// same rows as text.
#include <cmath>
#include <deque>
#include <functional>
#include <limits>

#include "bindings/c/kdef.h"
#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::HasSubstr;

// A record batch, or a column of one, and the memory that its structs point to.
struct Made {
  explicit Made(const char* format, const char* name = "") {
    schema.format = format;
    schema.name = name;
    schema.release = [](ArrowSchema* s) { s->release = nullptr; };
    array.release = [](ArrowArray* a) { a->release = nullptr; };
  }
  template <class T>
  Made& buffer(const std::vector<T>& elements) {
    bytes.emplace_back(reinterpret_cast<const char*>(elements.data()), sizeof(T) * elements.size());
    return add(bytes.back().data());
  }
  Made& text(const std::string& all) {
    bytes.push_back(all);
    return add(bytes.back().data());
  }
  // The rows that are there, or no buffer where all are.
  Made& validity(const std::vector<bool>& there = {}) {
    if (there.empty()) return add(nullptr);
    std::vector<uint8_t> bits((there.size() + 7) / 8);
    for (size_t i = 0; i < there.size(); ++i) bits[i / 8] |= static_cast<uint8_t>(there[i] << (i % 8));
    array.null_count = -1;
    return buffer(bits);
  }
  Made& add(const void* data) {
    buffers.push_back(data);
    array.buffers = buffers.data();
    array.n_buffers = static_cast<int64_t>(buffers.size());
    return *this;
  }
  Made& rows(int64_t length, int64_t offset = 0) {
    array.length = length;
    array.offset = offset;
    return *this;
  }
  Made& child(Made& column) {
    schemas.push_back(&column.schema);
    arrays.push_back(&column.array);
    schema.children = schemas.data();
    array.children = arrays.data();
    schema.n_children = array.n_children = static_cast<int64_t>(arrays.size());
    return *this;
  }
  Made& words(Made& dictionary) {
    schema.dictionary = &dictionary.schema;
    array.dictionary = &dictionary.array;
    return *this;
  }

  ArrowSchema schema{};
  ArrowArray array{};
  std::deque<std::string> bytes;
  std::vector<const void*> buffers;
  std::vector<ArrowSchema*> schemas;
  std::vector<ArrowArray*> arrays;
};

// A model of a number, a word, an integer that is a category, and a sequence.
class ArrowBatch : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryDirectory;
    std::string rows = "click,x,word,id,tags\n";
    for (int i = 0; i < 600; ++i) {
      rows += std::to_string((i * i) % 7 % 3 == 0) + "," + std::to_string(i % 17) + ".5,w" + std::to_string(i % 5) +
              "," + std::to_string(1000 + i % 7) + ",t" + std::to_string(i % 3) + "^t" + std::to_string(i % 4) + "\n";
    }
    put(path("rows.csv"), rows);
    put(path("dataset_config.yaml"),
        "d: {data_root: " + path("cache") + ", train_data: " + path("rows.csv") +
            ", valid_size: 0.2, label_col: {name: click, dtype: float}, feature_cols: [{name: x, type: numeric, dtype: "
            "float, normalizer: StandardScaler, fill_na: 3}, {name: word, type: categorical, dtype: str}, {name: id, "
            "type: categorical, dtype: int}, {name: tags, type: sequence, dtype: str, max_len: 3}]}\n");
    put(path("model_config.yaml"),
        "e: {dataset_id: d, model: KDEF, num_student: 2, embedding_dim: 4, hidden_units: [8], batch_size: 64, "
        "learning_rate: 0.05, epochs: 3}\n");
    const Outcome trained = kdef("train --config " + folder_->path() + " --expid e --run " + path("run"));
    ASSERT_EQ(trained.status, 0) << trained.text;
    ASSERT_EQ(kdef_open(path("run").c_str(), &model_), KDEF_OK) << kdef_last_error();
  }
  static void TearDownTestSuite() {
    kdef_close(model_);
    delete folder_;
  }
  static std::string path(const std::string& name) { return *folder_ / name; }

  // Scores of the ensemble and of the students of rows of text: x, word, id, tags.
  static std::vector<float> of_text(const std::vector<const char*>& cells) {
    const size_t rows = cells.size() / 4;
    std::vector<float> all(3 * rows);
    const kdef_text_rows text{nullptr, 0, cells.data(), nullptr, rows};
    EXPECT_EQ(kdef_score_text(model_, &text, all.data(), all.data() + rows), KDEF_OK) << kdef_last_error();
    return all;
  }
  static std::vector<float> of_batch(const Made& batch) {
    const auto rows = static_cast<size_t>(batch.array.length);
    std::vector<float> all(3 * rows);
    EXPECT_EQ(kdef_score_arrow(model_, &batch.schema, &batch.array, all.data(), all.data() + rows), KDEF_OK)
        << kdef_last_error();
    EXPECT_NE(batch.array.release, nullptr) << "the batch is the caller's";
    return all;
  }
  static std::string refusal(const Made& batch) {
    float scores[8] = {7, 7, 7, 7, 7, 7, 7, 7};
    EXPECT_EQ(kdef_score_arrow(model_, &batch.schema, &batch.array, scores, nullptr), KDEF_BAD_INPUT);
    for (const float score : scores) EXPECT_EQ(score, 7.0f);
    return kdef_last_error();
  }

  static TemporaryDirectory* folder_;
  static kdef_model* model_;
};
TemporaryDirectory* ArrowBatch::folder_ = nullptr;
kdef_model* ArrowBatch::model_ = nullptr;

// Three rows of every column, in the plainest types.
struct Plain {
  Made x{"g", "x"}, word{"u", "word"}, id{"l", "id"}, tag{"u", "item"}, tags{"+l", "tags"}, batch{"+s"};
  Plain() {
    x.validity().buffer<double>({0.5, 1.5, 16.5}).rows(3);
    word.validity().buffer<int32_t>({0, 2, 4, 6}).text("w1w2w3").rows(3);
    id.validity().buffer<int64_t>({1001, 1002, 1003}).rows(3);
    tag.validity().buffer<int32_t>({0, 2, 4, 6}).text("t1t2t0").rows(3);
    tags.validity().buffer<int32_t>({0, 2, 2, 3}).child(tag).rows(3);
    batch.validity().child(tags).child(id).child(word).child(x).rows(3);
  }
};
const std::vector<const char*> kPlain = {"0.5",  "w1", "1001", "t1^t2", "1.5",  "w2",
                                         "1002", "",   "16.5", "w3",    "1003", "t0"};

TEST_F(ArrowBatch, HasTheScoresOfItsText) {
  const Plain plain;
  const std::vector<float> scores = of_batch(plain.batch);
  EXPECT_EQ(scores, of_text(kPlain));
  EXPECT_NE(scores[0], scores[1]);
}

TEST_F(ArrowBatch, EveryTypeOfNumberIsRead) {
  const auto with_id = [&](Made& id) {
    Plain plain;
    plain.batch.arrays[1] = &id.array;
    plain.batch.schemas[1] = &id.schema;
    return of_batch(plain.batch);
  };
  const std::vector<float> expected = of_text(kPlain);
  Made s("s", "id"), S("S", "id"), i("i", "id"), I("I", "id"), L("L", "id"), c("c", "id"), C("C", "id"), b("b", "id"),
      text("U", "id");
  EXPECT_EQ(with_id(s.validity().buffer<int16_t>({1001, 1002, 1003}).rows(3)), expected);
  EXPECT_EQ(with_id(S.validity().buffer<uint16_t>({1001, 1002, 1003}).rows(3)), expected);
  EXPECT_EQ(with_id(i.validity().buffer<int32_t>({1001, 1002, 1003}).rows(3)), expected);
  EXPECT_EQ(with_id(I.validity().buffer<uint32_t>({1001, 1002, 1003}).rows(3)), expected);
  EXPECT_EQ(with_id(L.validity().buffer<uint64_t>({1001, 1002, 1003}).rows(3)), expected);
  EXPECT_EQ(with_id(text.validity().buffer<int64_t>({0, 4, 8, 12}).text("100110021003").rows(3)), expected);
  std::vector<const char*> unknown = kPlain;
  for (const size_t cell : {2u, 6u, 10u}) unknown[cell] = "5";
  EXPECT_EQ(with_id(c.validity().buffer<int8_t>({5, 5, 5}).rows(3)), of_text(unknown));
  EXPECT_EQ(with_id(C.validity().buffer<uint8_t>({5, 5, 5}).rows(3)), of_text(unknown));
  EXPECT_EQ(with_id(b.validity().buffer<uint8_t>({0b101}).rows(3)), of_text(unknown));
  Made f("f", "x");
  Plain plain;
  plain.batch.arrays[3] = &f.validity().buffer<float>({0.5f, 1.5f, 16.5f}).rows(3).array;
  plain.batch.schemas[3] = &f.schema;
  EXPECT_EQ(of_batch(plain.batch), expected);
}

TEST_F(ArrowBatch, NullsAreMissingAndOffsetsAreSkipped) {
  Made x("g", "x"), word("U", "word"), id("l", "id"), item("U", "item"), tags("+L", "tags"), other("vu", "other"),
      batch("+s");
  // The columns begin one, two or no rows before the batch, the batch one row before its first row.
  x.validity({true, true, true, false}).buffer<double>({9, 9, 0.5, 9}).rows(3, 1);
  word.validity({true, true, true, true, false}).buffer<int64_t>({0, 1, 2, 3, 5, 5}).text("???w1").rows(3, 2);
  id.validity({false, false, true}).buffer<int64_t>({7, 1001, 1003}).rows(3);
  item.validity({true, true, false, true}).buffer<int64_t>({0, 1, 3, 3, 5}).text("?t1t0").rows(3, 1);
  tags.validity({true, true, false}).buffer<int64_t>({0, 0, 3, 3}).child(item).rows(3);
  batch.validity().child(x).child(other).child(word).child(id).child(tags).rows(2, 1);
  // A null within a list is padding; it takes a place. A column of a type that is not read is not looked at.
  EXPECT_EQ(of_batch(batch), of_text({"0.5", "w1", "", "t1^^t0", "", "", "1003", ""}));
  // A null list may have elements, which are not read.
  Made again("+L", "tags");
  again.validity({true, true, false}).buffer<int64_t>({0, 0, 1, 3}).child(item).rows(3);
  batch.arrays[4] = &again.array;
  batch.schemas[4] = &again.schema;
  EXPECT_EQ(of_batch(batch), of_text({"0.5", "w1", "", "t1", "", "", "1003", ""}));
}

TEST_F(ArrowBatch, DictionariesAreLookedUp) {
  Made few("u"), many("u"), small("C", "word"), large("i", "word");
  few.validity({true, true, false}).buffer<int32_t>({0, 1, 3, 5}).text("?w1w2").rows(2, 1);
  std::vector<int32_t> ends = {0};
  std::string all;
  for (int i = 0; i < 100; ++i) {
    all += "w" + std::to_string(i);
    ends.push_back(static_cast<int32_t>(all.size()));
  }
  many.validity().buffer(ends).text(all).rows(100);
  const auto with = [](Made& word) {
    Plain plain;
    plain.batch.arrays[2] = &word.array;
    plain.batch.schemas[2] = &word.schema;
    return of_batch(plain.batch);
  };
  std::vector<const char*> cells = kPlain;
  cells[1] = "w1", cells[5] = "", cells[9] = "w1";
  EXPECT_EQ(with(small.validity().buffer<uint8_t>({0, 1, 0}).words(few).rows(3)), of_text(cells));
  cells[5] = "w2", cells[9] = "";
  EXPECT_EQ(with(large.validity({true, true, false}).buffer<int32_t>({1, 2, 0}).words(many).rows(3)), of_text(cells));
}

TEST_F(ArrowBatch, WhatIsWrongIsSaidAndNothingIsWritten) {
  {
    Plain plain;
    plain.word.schema.format = "tdD";
    EXPECT_THAT(refusal(plain.batch),
                testing::AllOf(HasSubstr("column 'word'"), HasSubstr("'tdD'"), HasSubstr("cast")));
  }
  {
    Plain plain;
    plain.word.schema.name = "another";
    EXPECT_THAT(refusal(plain.batch), HasSubstr("word"));
  }
  {
    Plain plain;
    plain.batch.schema.format = "g";
    EXPECT_THAT(refusal(plain.batch), HasSubstr("'+s'"));
  }
  {
    Plain plain;
    plain.batch.array.release = nullptr;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("released"));
  }
  {
    Plain plain;
    plain.id.array.length = 2;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("fewer than the rows"));
  }
  {
    Plain plain;
    plain.word.array.n_buffers = 2;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("its type needs 3"));
  }
  {
    Plain plain;
    plain.word.buffers[2] = nullptr;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("a buffer is null"));
  }
  {
    Plain plain;
    plain.word.bytes.clear();
    plain.word.buffers.clear();
    plain.word.validity().buffer<int32_t>({0, 4, 2, 6}).text("w1w2w3");
    EXPECT_THAT(refusal(plain.batch), HasSubstr("do not ascend"));
  }
  {
    Plain plain;
    Made few("u"), small("c", "word");
    few.validity().buffer<int32_t>({0, 2}).text("w1").rows(1);
    small.validity().buffer<int8_t>({0, -1, 0}).words(few).rows(3);
    plain.batch.arrays[2] = &small.array;
    plain.batch.schemas[2] = &small.schema;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("index -1 is not in its dictionary"));
  }
  {
    Plain plain;
    Made words("u"), indices("c"), places("c", "word");
    words.validity().buffer<int32_t>({0, 2}).text("w1").rows(1);
    indices.validity().buffer<int8_t>({0, 0, 0, 0}).words(words).rows(4);
    places.validity().buffer<int8_t>({0, 1, 2}).words(indices).rows(3);
    plain.batch.arrays[2] = &places.array;
    plain.batch.schemas[2] = &places.schema;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("'word' has a dictionary of lists or of another dictionary's words"));
    places.schema.format = "f";
    EXPECT_THAT(refusal(plain.batch), HasSubstr("its indices are no integers"));
  }
  {
    Plain plain;
    --plain.batch.array.n_children;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("give the schema of this batch"));
    ++plain.batch.array.n_children;
    plain.batch.array.offset = -1;
    EXPECT_THAT(refusal(plain.batch), HasSubstr("is no valid Arrow array"));
  }
  {
    Plain plain;
    plain.batch.buffers.clear();
    plain.batch.validity({true, false, true});
    EXPECT_THAT(refusal(plain.batch), HasSubstr("the record batch:2: the row itself is null"));
  }
  const Plain plain;
  EXPECT_EQ(kdef_score_arrow(model_, nullptr, &plain.batch.array, nullptr, nullptr), KDEF_BAD_INPUT);
  EXPECT_STREQ(kdef_last_error(), "kdef_score_arrow: schema is null");
  EXPECT_EQ(kdef_score_arrow(model_, &plain.batch.schema, &plain.batch.array, nullptr, nullptr), KDEF_BAD_INPUT);
  EXPECT_STREQ(kdef_last_error(), "kdef_score_arrow: scores is null");
}

TEST_F(ArrowBatch, ManyRowsAreManyChunks) {
  constexpr int kRows = 10000;
  Made x("g", "x"), word("u", "word"), id("i", "id"), item("u", "item"), tags("+l", "tags"), batch("+s");
  std::vector<double> numbers;
  std::vector<int32_t> ids, ends = {0}, list_ends = {0};
  std::string text;
  std::deque<std::string> kept;
  std::vector<const char*> cells;
  for (int i = 0; i < kRows; ++i) {
    numbers.push_back(i % 17 + 0.5);
    ids.push_back(1000 + i % 9);
    text += "w" + std::to_string(i % 6);
    ends.push_back(static_cast<int32_t>(text.size()));
    list_ends.push_back(i + 1);
    for (const std::string& cell : {std::to_string(i % 17) + ".5", "w" + std::to_string(i % 6),
                                    std::to_string(1000 + i % 9), "w" + std::to_string(i % 6)}) {
      kept.push_back(cell);
      cells.push_back(kept.back().c_str());
    }
  }
  x.validity().buffer(numbers).rows(kRows);
  word.validity().buffer(ends).text(text).rows(kRows);
  id.validity().buffer(ids).rows(kRows);
  item.validity().buffer(ends).text(text).rows(kRows);
  tags.validity().buffer(list_ends).child(item).rows(kRows);
  batch.validity().child(x).child(word).child(id).child(tags).rows(kRows);
  EXPECT_EQ(of_batch(batch), of_text(cells));
}

#if !defined(KDEF_SANITIZED)  // an interpreter has no sanitizer
TEST_F(ArrowBatch, OfPyarrowHasTheScoresOfItsText) {
  const std::string python = KDEF_TEST_PYTHON;
  if (shell(python + " -c 'import pyarrow'").status != 0) GTEST_SKIP() << python << " has not the package pyarrow";
  const Outcome outcome =
      shell("PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" KDEF_PYTHON_PACKAGE " KDEF_LIBRARY=" KDEF_LIBRARY " " + python +
            " " KDEF_BINDING_TESTS "/arrow.py " + path("run"));
  EXPECT_EQ(outcome.status, 0) << outcome.text;
}
#endif

}  // namespace
}  // namespace kdef::test
