#include "ops/embedding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "core/cuda/runtime.h"
#include "tests/cuda/support.h"

namespace kdef::ops {
namespace {

using test::kDevice;
using Kind = EmbedField::Kind;

// Multiples of 1/128 in [-1, 1) that follow from the seed: their sums are exact, so that the order of additions does
// not matter and both devices must give the same bits.
template <class T>
Tensor numbers(const Shape& shape, uint64_t seed) {
  std::vector<T> values(static_cast<size_t>(shape.numel()));
  uint64_t state = seed * 2654435761 + 1;
  for (T& v : values) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    v = static_cast<T>(static_cast<double>(state >> 56) / 128 - 1);
  }
  return Tensor::from(values, shape);
}

// Ids below `rows`, about a third of them padding.
std::vector<int32_t> some_ids(int64_t count, int32_t rows, uint64_t seed) {
  std::vector<int32_t> ids;
  uint64_t state = seed;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    ids.push_back(state >> 33 & 3 ? static_cast<int32_t>((state >> 36) % static_cast<uint64_t>(rows)) : 0);
  }
  return ids;
}

template <class T>
struct Rows {
  std::vector<int64_t> ids;  // without the unused ones
  std::map<int64_t, std::vector<T>> values;
};

// Checks that ids are distinct and ascending, and what is unused comes last.
template <class T>
Rows<T> rows_of(const RowGradient& g) {
  Rows<T> out;
  const std::vector<int64_t> ids = g.ids.to_vector<int64_t>();
  const std::vector<T> values = g.values.to_vector<T>();
  const size_t d = static_cast<size_t>(g.values.shape()[1]);
  for (size_t u = 0; u < ids.size(); ++u) {
    if (ids[u] == kNoRow) continue;
    EXPECT_TRUE(u == 0 || ids[u - 1] < ids[u]) << "id " << ids[u] << " at " << u;
    out.ids.push_back(ids[u]);
    const auto from = values.begin() + static_cast<int64_t>(u * d);
    out.values[ids[u]].assign(from, from + static_cast<int64_t>(d));
  }
  return out;
}

template <class T>
void expect_same_rows(const RowGradient& device, const RowGradient& cpu) {
  const Rows<T> have = rows_of<T>(device), want = rows_of<T>(cpu);
  EXPECT_EQ(have.ids, want.ids);
  EXPECT_EQ(have.values, want.values);
}

template <class T>
class OnDevice : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(OnDevice, Types);

// sum_by_id on both devices.
template <class T, class I>
void compare_sums(const std::vector<I>& ids, int64_t rows, int64_t d, bool padding) {
  const int64_t n = static_cast<int64_t>(ids.size());
  const Tensor dy = numbers<T>({n, d}, 3), host_ids = Tensor::from(ids, {n});
  const RowGradient want = cpu::sum_by_id(host_ids, dy, rows, padding);
  const RowGradient have = cuda::sum_by_id(host_ids.to(kDevice), dy.to(kDevice), rows, padding);
  EXPECT_EQ(have.ids.numel(), std::min(n, rows)) << "room for every id that there may be";
  expect_same_rows<T>(have, want);
  kdef::cuda::synchronize();
}

TYPED_TEST(OnDevice, SumsAnIdThatIsEverywhere) {
  compare_sums<TypeParam>(std::vector<int32_t>(10000, 7), 50, 3, true);
  std::vector<int64_t> ids(10000, 7);
  for (size_t i = 0; i < ids.size(); i += 100) ids[i] = static_cast<int64_t>(i / 100 % 40);
  compare_sums<TypeParam>(ids, 50, 3, true);
  compare_sums<TypeParam>(ids, 50, 3, false);
}

TYPED_TEST(OnDevice, SumsIdsThatAreAllDistinct) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 5000; ++i) ids.push_back(i * 7 % 5000);
  compare_sums<TypeParam>(ids, 5000, 2, true);
  compare_sums<TypeParam>(ids, 100000, 2, false);
}

// Runs of ids that end before, at and behind the ends of the 32 entries that a thread adds up.
TYPED_TEST(OnDevice, SumsRunsOfEveryLengthAroundAPart) {
  for (const int length : {1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 192}) {
    for (const int lead : {0, 1, 31, 32, 63, 64}) {
      std::vector<int32_t> ids(static_cast<size_t>(lead), 1);
      ids.insert(ids.end(), static_cast<size_t>(length), 2);
      ids.insert(ids.end(), 70, 3);
      SCOPED_TRACE(cat("length ", length, " behind ", lead));
      compare_sums<TypeParam>(ids, 4, 2, true);
    }
  }
}

TYPED_TEST(OnDevice, PaddingGetsNoGradient) {
  const Tensor ids = Tensor::from(std::vector<int32_t>(300, 0), {300}).to(kDevice);
  const Tensor dy = numbers<TypeParam>({300, 2}, 1);
  EXPECT_TRUE(rows_of<TypeParam>(cuda::sum_by_id(ids, dy.to(kDevice), 9, true)).ids.empty());
  EXPECT_EQ(rows_of<TypeParam>(cuda::sum_by_id(ids, dy.to(kDevice), 9, false)).ids, std::vector<int64_t>{0});
  const RowGradient none =
      cuda::sum_by_id(Tensor::empty({0}, DType::i32, kDevice), Tensor::empty({0, 2}, dy.dtype(), kDevice), 9, true);
  EXPECT_EQ(none.ids.numel(), 0);
}

// A table of one row takes one bit of key.
TYPED_TEST(OnDevice, SumsATableOfOneRow) { compare_sums<TypeParam>(std::vector<int32_t>(100, 0), 1, 2, false); }

TYPED_TEST(OnDevice, GathersAndPoolsTheSameBits) {
  using T = TypeParam;
  const int64_t batch = 70, length = 5, d = 3;
  const Tensor table = numbers<T>({20, d}, 1);
  std::vector<int32_t> values = some_ids(batch * length, 20, 5);
  std::fill_n(values.begin(), length, 0);
  const Tensor ids = Tensor::from(values, {batch, length});
  Tensor want = Tensor::empty({batch, length, d}, table.dtype());
  Tensor have = Tensor::empty(want.shape(), table.dtype(), kDevice);
  cpu::gather_rows(table, ids, want);
  cuda::gather_rows(table.to(kDevice), ids.to(kDevice), have);
  EXPECT_EQ(have.to_vector<T>(), want.to_vector<T>());
  const Tensor x = want, dy = numbers<T>({batch, d}, 2);
  for (const bool average : {false, true}) {
    want = Tensor::empty({batch, d}, table.dtype());
    have = Tensor::empty(want.shape(), table.dtype(), kDevice);
    cpu::pool_forward(x, ids, average, want);
    cuda::pool_forward(x.to(kDevice), ids.to(kDevice), average, have);
    EXPECT_EQ(have.to_vector<T>(), want.to_vector<T>());
    want = Tensor::empty(x.shape(), table.dtype());
    have = Tensor::empty(x.shape(), table.dtype(), kDevice);
    cpu::pool_backward(dy, ids, average, want);
    cuda::pool_backward(dy.to(kDevice), ids.to(kDevice), average, have);
    EXPECT_EQ(have.to_vector<T>(), want.to_vector<T>());
  }
}

struct Fields {
  std::vector<EmbedField> fields;
  std::vector<Shape> tables;
};

// embed_fields on both devices. Where fields share a table the CPU gives a gradient per field, the device one for all
// of them: they are compared made dense.
template <class T>
void compare_fields(const Fields& f, int64_t batch, const std::vector<bool>& needs) {
  std::vector<Tensor> host, device;
  for (size_t t = 0; t < f.tables.size(); ++t) {
    host.push_back(numbers<T>(f.tables[t], t + 1));
    device.push_back(host[t].to(kDevice));
  }
  int64_t columns = 0, numerics = 0, d = 0;
  bool average = false;
  for (const EmbedField& field : f.fields) {
    const bool numeric = field.kind == Kind::numeric;
    (numeric ? numerics : columns) += field.count;
    d = f.tables[static_cast<size_t>(field.table)][numeric ? 0 : 1];
    average = average || field.kind == Kind::average;
  }
  std::vector<int32_t> id_values(static_cast<size_t>(batch * columns));
  for (const EmbedField& field : f.fields) {
    if (field.kind == Kind::numeric) continue;
    const auto some = some_ids(batch * field.count, static_cast<int32_t>(f.tables[static_cast<size_t>(field.table)][0]),
                               static_cast<uint64_t>(field.column) + 11);
    for (int64_t i = 0; i < batch * field.count; ++i) {
      id_values[static_cast<size_t>(i / field.count * columns + field.column + i % field.count)] =
          some[static_cast<size_t>(i)];
    }
  }
  const Tensor ids = columns > 0 ? Tensor::from(id_values, {batch, columns}) : Tensor();
  const Tensor values = numerics > 0 ? numbers<T>({batch, numerics}, 77) : Tensor();
  const Tensor device_ids = columns > 0 ? ids.to(kDevice) : Tensor();
  const Tensor device_values = numerics > 0 ? values.to(kDevice) : Tensor();
  const Shape shape{batch, static_cast<int64_t>(f.fields.size()), d};
  const Tensor want = Tensor::empty(shape, dtype_of<T>), have = Tensor::empty(shape, dtype_of<T>, kDevice);
  cpu::embed_forward(host, ids, values, f.fields, want);
  cuda::embed_forward(device, device_ids, device_values, f.fields, have);
  EXPECT_EQ(have.template to_vector<T>(), want.template to_vector<T>());

  const Tensor dy = numbers<T>(shape, 88);
  const auto cpu_grads = cpu::embed_backward(f.tables, needs, ids, values, f.fields, dy);
  const auto grads = cuda::embed_backward(f.tables, needs, device_ids, device_values, f.fields, dy.to(kDevice));
  ASSERT_EQ(grads.size(), cpu_grads.size());
  // Averages over three ids are not exact: some hundred terms of size 1, in another order.
  const double tolerance = !average ? 0 : sizeof(T) == 4 ? 1e-5 : 1e-14;
  double largest = 0;
  for (size_t t = 0; t < grads.size(); ++t) {
    SCOPED_TRACE(cat("table ", t));
    ASSERT_EQ(grads[t].defined(), cpu_grads[t].defined());
    if (!grads[t].defined()) continue;
    ASSERT_LE(grads[t].row_parts().size(), 1u);
    for (const RowGradient& part : grads[t].row_parts()) rows_of<T>(part);
    const auto a = grads[t].dense(f.tables[t]).template to_vector<T>();
    const auto b = cpu_grads[t].dense(f.tables[t]).template to_vector<T>();
    for (size_t i = 0; i < b.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(b[i])));
      ASSERT_NEAR(a[i], b[i], tolerance) << "element " << i;
    }
  }
  EXPECT_GT(largest, 0) << "nothing was compared";
  kdef::cuda::synchronize();
}

TYPED_TEST(OnDevice, FieldsOfEveryKindAndTablesInAnyOrder) {
  const Fields f{{{Kind::id, 2, 0, 1},
                  {Kind::numeric, 1, 0, 1},
                  {Kind::average, 0, 1, 4},
                  {Kind::sum, 2, 5, 3},
                  {Kind::numeric, 3, 1, 1},
                  {Kind::id, 0, 8, 1},
                  {Kind::id, 4, 9, 1}},
                 {{30, 3}, {3, 1}, {9, 3}, {3, 1}, {500, 3}}};
  for (const int64_t batch : {1, 63, 64, 200}) {
    SCOPED_TRACE(cat("batch ", batch));
    compare_fields<TypeParam>(f, batch, {true, true, true, true, true});
  }
  compare_fields<TypeParam>(f, 100, {true, false, false, true, true});
  compare_fields<TypeParam>(f, 100, {false, true, true, false, false});
}

// Dimensions that are read by fours, and one that is not.
TYPED_TEST(OnDevice, DimensionsOfWholePacks) {
  for (const int64_t d : {4, 6, 8}) {
    SCOPED_TRACE(cat("dimension ", d));
    compare_fields<TypeParam>(
        {{{Kind::id, 2, 0, 1}, {Kind::numeric, 1, 0, 1}, {Kind::average, 0, 1, 3}, {Kind::sum, 2, 4, 3}},
         {{30, d}, {d, 1}, {9, d}}},
        100, {true, true, true});
  }
}

TYPED_TEST(OnDevice, OnlyIdsOrOnlyNumbers) {
  compare_fields<TypeParam>({{{Kind::id, 0, 0, 1}}, {{40, 2}}}, 150, {true});
  compare_fields<TypeParam>({{{Kind::numeric, 0, 0, 1}, {Kind::numeric, 1, 1, 1}}, {{2, 1}, {2, 1}}}, 150,
                            {true, true});
}

// More than the arguments of one launch describe.
TYPED_TEST(OnDevice, ManyFieldsAndTables) {
  Fields f;
  int64_t columns = 0, numerics = 0;
  for (int i = 0; i < 150; ++i) {
    const bool numeric = i % 2 == 1;
    f.fields.push_back({numeric ? Kind::numeric : Kind::id, i, numeric ? numerics++ : columns++, 1});
    f.tables.push_back(numeric ? Shape{2, 1} : Shape{5 + i, 2});
  }
  for (int i = 0; i < 70; ++i) f.fields.push_back({Kind::id, 2 * (i % 5), columns++, 1});
  compare_fields<TypeParam>(f, 70, std::vector<bool>(150, true));
}

TYPED_TEST(OnDevice, SameBitsAgain) {
  const Tensor ids = Tensor::from(some_ids(3000, 20, 1), {1000, 3}).to(kDevice);
  const Tensor dy = numbers<TypeParam>({1000, 3, 2}, 1).to(kDevice);
  const std::vector<EmbedField> fields{{Kind::id, 0, 0, 1}, {Kind::id, 0, 1, 1}, {Kind::id, 1, 2, 1}};
  const auto once = [&] {
    std::vector<Rows<TypeParam>> all;
    for (const Gradient& g : cuda::embed_backward({{20, 2}, {20, 2}}, {true, true}, ids, {}, fields, dy)) {
      all.push_back(rows_of<TypeParam>(g.row_parts().at(0)));
    }
    return all;
  };
  const auto first = once(), second = once();
  for (size_t t = 0; t < 2; ++t) EXPECT_EQ(first[t].values, second[t].values);
}

// A recorded backward pass meets other ids, and another number of distinct ones, when it is repeated.
TYPED_TEST(OnDevice, RecordedGradientsFollowTheBatch) {
  using T = TypeParam;
  const int64_t batch = 130, rows = 60;
  const std::vector<EmbedField> fields{{Kind::average, 0, 0, 2}, {Kind::id, 1, 2, 1}};  // 1/2: exact
  const std::vector<Shape> tables{{rows, 2}, {rows, 2}};
  Tensor ids = Tensor::empty({batch, 3}, DType::i32, kDevice);
  Tensor dy = Tensor::empty({batch, 2, 2}, dtype_of<T>, kDevice);
  const auto batch_ids = [&](uint64_t seed) {
    // The first batch has few distinct ids, later ones more.
    return Tensor::from(some_ids(batch * 3, static_cast<int32_t>(seed == 0 ? 3 : rows), seed), {batch, 3});
  };
  ids.copy_from(batch_ids(0));
  dy.copy_from(numbers<T>(dy.shape(), 0));
  std::vector<Gradient> grads;
  kdef::cuda::Graph graph;
  graph.record([&] { grads = cuda::embed_backward(tables, {true, true}, ids, {}, fields, dy); });
  for (uint64_t step = 0; step < 3; ++step) {
    const Tensor host_ids = batch_ids(step), host_dy = numbers<T>(dy.shape(), step);
    ids.copy_from(host_ids);
    dy.copy_from(host_dy);
    graph.launch();
    const auto want = cpu::embed_backward(tables, {true, true}, host_ids, {}, fields, host_dy);
    for (size_t t = 0; t < 2; ++t) {
      expect_same_rows<T>(grads[t].row_parts().at(0), want[t].row_parts().at(0));
    }
  }
  kdef::cuda::synchronize();
}

template <class Fn>
std::string failure_of(Fn&& fn) {
  fn();
  try {
    kdef::cuda::synchronize();
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

// Ids outside their table are told by synchronize(), once; nothing is read or written outside.
TYPED_TEST(OnDevice, IdsOutsideTheirTableAreReported) {
  using T = TypeParam;
  const Tensor table = numbers<T>({6, 2}, 1).to(kDevice), dy = numbers<T>({4, 1, 2}, 1).to(kDevice);
  for (const int32_t bad : {6, -1, INT32_MAX, INT32_MIN}) {
    const Tensor ids = Tensor::from<int32_t>({1, 2, bad, 3}, {4, 1}).to(kDevice);
    const std::string expected = cat("id ", bad, " at position 2 is outside its table of 6 rows");
    const Tensor y = Tensor::empty({4, 1, 2}, table.dtype(), kDevice);
    EXPECT_EQ(failure_of([&] { cuda::gather_rows(table, ids, y); }), expected);
    EXPECT_EQ(y.to_vector<T>()[4], table.to_vector<T>()[0]);
    for (const Kind kind : {Kind::id, Kind::sum, Kind::average}) {
      const std::vector<EmbedField> fields{{kind, 0, 0, 1}};
      EXPECT_EQ(failure_of([&] { cuda::embed_forward({table}, ids, {}, fields, y); }), expected);
      std::vector<Gradient> g;
      EXPECT_EQ(failure_of([&] { g = cuda::embed_backward({{6, 2}}, {true}, ids, {}, fields, dy); }), "");
      EXPECT_EQ(rows_of<T>(g[0].row_parts().at(0)).ids, (std::vector<int64_t>{1, 2, 3}));
    }
    EXPECT_EQ(rows_of<T>(cuda::sum_by_id(ids, dy, 6, false)).ids, (std::vector<int64_t>{0, 1, 2, 3}));
  }
  EXPECT_EQ(failure_of([] {}), "");
}

}  // namespace
}  // namespace kdef::ops
