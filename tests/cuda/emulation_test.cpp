// The emulated device itself: launches, meetings of threads, memory, recorded work.
#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/launch.cuh"
#include "core/tensor/tensor.h"
#include "ops/check/gradcheck.h"
#include "ops/rowwise_functors.h"

namespace kdef::cuda {
namespace {

constexpr Device kDevice{DeviceType::cuda, 0};

struct CountElement {
  uint8_t* seen;
  KDEF_DEVICE void operator()(int64_t i) const { ++seen[i]; }
};

TEST(Launches, EveryElementOnce) {
  // The last one is more than a launch has threads: some threads take two.
  for (const int64_t n : {int64_t{1}, int64_t{255}, int64_t{256}, int64_t{257}, kMaxBlocks * kBlockThreads + 1}) {
    const Tensor seen = Tensor::zeros({n}, DType::u8, kDevice);
    for_each(n, CountElement{seen.data<uint8_t>()});
    EXPECT_TRUE(seen.to_vector<uint8_t>() == std::vector<uint8_t>(static_cast<size_t>(n), 1)) << n << " elements";
  }
  for_each(0, CountElement{nullptr});
}

struct CountLane {
  int32_t* seen;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t row) const { ++seen[row * lane.size() + lane.id()]; }
};

TEST(Launches, EveryRowByOneWarp) {
  for (const int64_t rows : {1, 7, 8, 9, 257}) {
    const Tensor seen = Tensor::zeros({rows, kWarpThreads}, DType::i32, kDevice);
    for_warps(rows, CountLane{seen.data<int32_t>()});
    EXPECT_EQ(seen.to_vector<int32_t>(), std::vector<int32_t>(static_cast<size_t>(rows * kWarpThreads), 1));
  }
}

struct CountThread {
  int32_t* seen;
  KDEF_DEVICE void operator()(const Block& block) const {
    seen[block.index() * block.threads() + block.thread()] += static_cast<int32_t>(block.count());
  }
};

TEST(Launches, EveryThreadOfEveryBlock) {
  const Tensor seen = Tensor::zeros({3, kBlockThreads}, DType::i32, kDevice);
  for_blocks(3, 0, CountThread{seen.data<int32_t>()});
  EXPECT_EQ(seen.to_vector<int32_t>(), std::vector<int32_t>(3 * kBlockThreads, 3));
  EXPECT_THROW(for_blocks(1, (48 << 10) + 1, CountThread{seen.data<int32_t>()}), Error);
}

// ---- threads that meet

struct WarpSums {
  double *sum, *max;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t row) const {
    const double v = static_cast<double>(row * 100 + lane.id() * 7 % 32);
    sum[row * 32 + lane.id()] = lane.sum(v);
    max[row * 32 + lane.id()] = lane.max(v);
  }
};

TEST(Meetings, SumAndMaximumOfAWarpReachEveryLane) {
  const Tensor sum = Tensor::empty({3, 32}, DType::f64, kDevice), max = Tensor::empty_like(sum);
  for_warps(3, WarpSums{sum.data<double>(), max.data<double>()});
  for (size_t i = 0; i < 3 * 32; ++i) {
    const double row = static_cast<double>(i / 32);
    EXPECT_EQ(sum.to_vector<double>()[i], 32 * 100 * row + 31 * 32 / 2);
    EXPECT_EQ(max.to_vector<double>()[i], 100 * row + 31);
  }
}

struct BlockSums {
  double* y;
  KDEF_DEVICE void operator()(const Block& block) const {
    const double a = block.sum(block.thread()), b = block.sum(block.thread() == 77 ? 1000.0 : 0.0);
    y[block.index() * block.threads() + block.thread()] = a + b;
  }
};

using Row = std::vector<double>;

// One row of each row functor. What the lanes write is read on the host: the row is host memory.
struct RowByLanes {
  const double *x, *dy, *gamma, *beta;
  Row *y, *dx, *norm, *dnorm, *moments;
  template <class Lane>
  void operator()(const Lane& lane, int64_t) const {
    const int64_t n = static_cast<int64_t>(y->size());
    ops::SoftmaxRow::forward(lane, x, y->data(), n, 1, 1.0);
    ops::SoftmaxRow::backward(lane, dy, y->data(), dx->data(), n, 1, 1.0);
    ops::LayerNormRow::forward(lane, x, gamma, beta, norm->data(), &(*moments)[0], &(*moments)[1], n, 1e-5);
    lane.sum(0.0);  // as a warp's lanes meet before they read what lane 0 wrote
    ops::LayerNormRow::backward(lane, dy, x, gamma, (*moments)[0], (*moments)[1], dnorm->data(), n);
  }
};

void expect_near(const Row& got, const Row& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << "element " << i;
}

TEST(Meetings, AWarpAgreesWithOneLane) {
  for (const int64_t n : {1, 5, 32, 45}) {
    const Tensor x = ops::random_uniform({n}, -2, 2, 4), dy = ops::random_uniform({n}, -1, 1, 5);
    const Tensor gamma = ops::random_uniform({n}, -1, 1, 6), beta = ops::random_uniform({n}, -1, 1, 7);
    const size_t size = static_cast<size_t>(n);
    Row y(size), dx(size), norm(size), dnorm(size), moments(2), wy(size), wdx(size), wnorm(size), wdnorm(size), wm(2);
    const RowByLanes one{x.data<double>(), dy.data<double>(), gamma.data<double>(), beta.data<double>(), &y, &dx, &norm,
                         &dnorm,           &moments};
    one(ops::ScalarLane{}, 0);
    RowByLanes shared = one;
    shared.y = &wy;
    shared.dx = &wdx;
    shared.norm = &wnorm;
    shared.dnorm = &wdnorm;
    shared.moments = &wm;
    for_warps(1, shared);
    expect_near(wy, y, 1e-13);
    expect_near(wdx, dx, 1e-13);
    expect_near(wnorm, norm, 1e-12);
    expect_near(wdnorm, dnorm, 1e-12);
  }
}

TEST(Meetings, SumOfABlockReachesEveryThread) {
  const Tensor y = Tensor::empty({2, kBlockThreads}, DType::f64, kDevice);
  for_blocks(2, 0, BlockSums{y.data<double>()});
  EXPECT_EQ(y.to_vector<double>(), std::vector<double>(2 * kBlockThreads, 255 * 256 / 2 + 1000.0));
}

// Reverses a block's numbers through shared memory, in two rounds.
struct Reverse {
  int32_t* y;
  KDEF_DEVICE void operator()(const Block& block) const {
    int32_t* shared = block.shared<int32_t>();
    for (int round = 0; round < 2; ++round) {
      shared[block.thread()] = y[block.thread()] + 1;
      block.sync();
      y[block.thread()] = shared[block.threads() - 1 - block.thread()];
      block.sync();
    }
  }
};

TEST(Meetings, ABlockSharesMemory) {
  std::vector<int32_t> numbers(kBlockThreads);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int32_t>(i * i);
  const Tensor y = Tensor::from(numbers, {kBlockThreads}, kDevice);
  for_blocks(1, kBlockThreads * sizeof(int32_t), Reverse{y.data<int32_t>()});
  for (int32_t& v : numbers) v += 2;
  EXPECT_EQ(y.to_vector<int32_t>(), numbers);
}

struct MissedSync {
  int absent;
  KDEF_DEVICE void operator()(const Block& block) const {
    if (block.thread() != absent) block.sync();
  }
};
struct MissedSum {
  KDEF_DEVICE void operator()(const Warp& lane, int64_t) const {
    if (lane.id() < 31) lane.sum(1.0);
  }
};

TEST(Meetings, AThreadThatDoesNotComeIsFound) {
  for (const int absent : {0, 100, kBlockThreads - 1}) EXPECT_THROW(for_blocks(1, 0, MissedSync{absent}), Error);
  for_blocks(1, 0, MissedSync{-1});
  EXPECT_THROW(for_warps(1, MissedSum{}), Error);
}

struct Failing {
  KDEF_DEVICE void operator()(const Block& block) const {
    block.sync();
    if (block.thread() == 3) throw InputError("thread 3");
    block.sync();
  }
};

TEST(Meetings, ErrorsOfAThreadComeThrough) {
  EXPECT_THROW(for_blocks(1, 0, Failing{}), InputError);
  for_blocks(1, 0, MissedSync{-1});
}

// ---- memory

struct ReadShared {
  double* y;
  KDEF_DEVICE void operator()(const Block& block) const { y[block.thread()] = block.shared<double>()[block.thread()]; }
};

TEST(EmulatedMemory, IsNotZeroed) {
  const Tensor x = Tensor::empty({12345}, DType::f64, kDevice);  // not the size of a block that was used before
  for (const double v : x.to_vector<double>()) EXPECT_TRUE(std::isnan(v));
  const Tensor y = Tensor::zeros({kBlockThreads}, DType::f64, kDevice);
  for_blocks(1, kBlockThreads * sizeof(double), ReadShared{y.data<double>()});
  for (const double v : y.to_vector<double>()) EXPECT_TRUE(std::isnan(v));
}

TEST(EmulatedMemoryDeathTest, IsClosedToTheHost) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Tensor x = Tensor::zeros({4}, DType::f64, kDevice);
  EXPECT_DEATH(*const_cast<volatile double*>(x.data<double>()) = 1, "");
}

// ---- errors of kernels, recorded work

struct Report {
  KDEF_DEVICE void operator()(int64_t i) const { report_id(fault, 7 + i, i, 5); }
  Fault* fault;
};

TEST(Faults, AreThrownOnce) {
  for_each(1, Report{fault()});
  for_each(3, Report{fault()});
  try {
    synchronize();
    FAIL();
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("id 7 "), std::string::npos) << e.what();
  }
  synchronize();
}

struct AddTo {
  const double* what;
  double* to;
  KDEF_DEVICE void operator()(int64_t) const { *to += *what; }
};

TEST(Graphs, RunOnceThenRepeatOverDeviceMemory) {
  Tensor what = Tensor::full({1}, 1, DType::f64, kDevice);
  const Tensor to = Tensor::zeros({1}, DType::f64, kDevice);
  Graph graph;
  EXPECT_FALSE(graph.recorded());
  graph.record([&] {
    // Memory of the recorded work is its own: a copy made in between must not be given to others.
    const Tensor copy = what.clone();
    for_each(1, AddTo{copy.data<double>(), to.data<double>()});
  });
  EXPECT_TRUE(graph.recorded());
  EXPECT_EQ(to.item(), 1);
  for (const double v : {10.0, 100.0}) {
    what.fill(v);
    const Tensor others = Tensor::full({1}, 1e6, DType::f64, kDevice);
    graph.launch();
    EXPECT_EQ(others.item(), 1e6);
  }
  EXPECT_EQ(to.item(), 111);
}

TEST(Graphs, LeaveTheirMemoryToOthers) {
  const Shape shape{123, 4567};
  Tensor kept;
  {
    Graph graph;
    graph.record([&] {
      const Tensor passing = Tensor::zeros(shape, DType::f64, kDevice);
      if (!kept.defined()) kept = Tensor::zeros(shape, DType::f64, kDevice);
    });
  }
  const size_t before = memory_of(kDevice).statistics().system_allocations;
  { const Tensor first = Tensor::empty(shape, DType::f64, kDevice); }
  kept = {};
  const Tensor first = Tensor::empty(shape, DType::f64, kDevice), second = Tensor::empty(shape, DType::f64, kDevice);
  EXPECT_EQ(memory_of(kDevice).statistics().system_allocations, before);
}

TEST(Graphs, WorkThatFailsIsNotRecorded) {
  Graph graph;
  EXPECT_THROW(graph.record([] { throw InputError("no"); }), InputError);
  EXPECT_FALSE(graph.recorded());
  const Tensor x = Tensor::zeros({1}, DType::f64, kDevice);  // and launches work at once again
  const Tensor one = Tensor::full({1}, 1, DType::f64, kDevice);
  for_each(1, AddTo{one.data<double>(), x.data<double>()});
  EXPECT_EQ(x.item(), 1);
}

}  // namespace
}  // namespace kdef::cuda
