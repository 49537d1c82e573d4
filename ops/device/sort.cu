#include "ops/device/sort.h"

#include "core/cuda/launch.cuh"

#if defined(KDEF_CUDA_EMULATED)
#include <algorithm>
#include <numeric>
#include <vector>
#else
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#endif

namespace kdef::ops::cuda {
namespace {

uint32_t* unsigned_data(const Tensor& t) { return reinterpret_cast<uint32_t*>(t.data<int32_t>()); }

#if defined(KDEF_CUDA_EMULATED)

using kdef::cuda::emulated::enqueue;

void sort(Device, const uint32_t* keys, const int32_t* values, uint32_t* sorted_keys, int32_t* sorted_values, int64_t n,
          int) {
  enqueue([=] {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [=](int64_t a, int64_t b) { return keys[a] < keys[b]; });
    for (int64_t i = 0; i < n; ++i) {
      sorted_keys[i] = keys[order[static_cast<size_t>(i)]];
      sorted_values[i] = values[order[static_cast<size_t>(i)]];
    }
  });
}

void scan(Device, const int32_t* x, int32_t* y, int64_t n) {
  enqueue([=] { std::partial_sum(x, x + n, y); });
}

#else

// Calls fn(storage, bytes) of CUB twice: for the size of its temporary storage, and for the work.
template <class Fn>
void with_storage(Device device, Fn&& fn) {
  size_t bytes = 0;
  KDEF_CUDA_CHECK(fn(nullptr, bytes));
  const Tensor storage = Tensor::empty({static_cast<int64_t>(bytes)}, DType::u8, device);
  KDEF_CUDA_CHECK(fn(storage.raw(), bytes));
}

void sort(Device device, const uint32_t* keys, const int32_t* values, uint32_t* sorted_keys, int32_t* sorted_values,
          int64_t n, int bits) {
  with_storage(device, [&](void* storage, size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(storage, bytes, keys, sorted_keys, values, sorted_values,
                                           static_cast<int>(n), 0, bits, kdef::cuda::stream());
  });
}

void scan(Device device, const int32_t* x, int32_t* y, int64_t n) {
  with_storage(device, [&](void* storage, size_t& bytes) {
    return cub::DeviceScan::InclusiveSum(storage, bytes, x, y, static_cast<int>(n), kdef::cuda::stream());
  });
}

#endif

void check_size(int64_t n) { KDEF_CHECK(n < int64_t{1} << 31, "sort: 2^31 elements at most, got ", n); }

}  // namespace

void sort_pairs(Tensor& keys, Tensor& values, int bits) {
  const int64_t n = keys.numel();
  check_size(n);
  KDEF_CHECK(values.numel() == n && bits >= 1 && bits <= 32, "sort_pairs: ", describe(keys), ", ", describe(values),
             ", ", bits, " bits");
  if (n == 0) return;
  const Tensor sorted_keys = Tensor::empty_like(keys), sorted_values = Tensor::empty_like(values);
  sort(keys.device(), unsigned_data(keys), values.data<int32_t>(), unsigned_data(sorted_keys),
       sorted_values.data<int32_t>(), n, bits);
  keys = sorted_keys;
  values = sorted_values;
}

void prefix_sum(const Tensor& x, const Tensor& y) {
  check_size(x.numel());
  if (x.numel() > 0) scan(x.device(), x.data<int32_t>(), y.data<int32_t>(), x.numel());
}

}  // namespace kdef::ops::cuda
