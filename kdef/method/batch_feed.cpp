#include "kdef/method/batch_feed.h"

#include <cstring>

#include "core/tensor/dispatch.h"

#if defined(KDEF_HAS_CUDA)
#include "core/cuda/runtime.h"
#endif

namespace kdef {

#if defined(KDEF_HAS_CUDA)

// A batch goes from the loader's buffer to `pinned` (by the host), to `staged` (by the copy stream, while the step
// before is computed), to `input` (within the device, when that step has read it). ids, values, labels and weights
// stand one after the other, each with space for max_rows.
struct BatchFeed::OnDevice {
  OnDevice(Device device, int64_t max_rows, int64_t ids, int64_t values, bool weights)
      : rows(max_rows),
        bytes(static_cast<size_t>(max_rows * (ids + values + (weights ? 2 : 1))) * 4),
        pinned(bytes),
        staged(Tensor::empty({static_cast<int64_t>(bytes)}, DType::u8, device)),
        input{ids > 0 ? Tensor::zeros({max_rows, ids}, DType::i32, device) : Tensor(),
              values > 0 ? Tensor::zeros({max_rows, values}, DType::f32, device) : Tensor(),
              Tensor::zeros({max_rows, 1}, DType::f32, device),
              weights ? Tensor::zeros({max_rows, 1}, DType::f32, device) : Tensor()} {
    copies.after_computation();  // which may still use the memory
  }

  ModelInput put(const data::Batch& batch) {
    KDEF_CHECK(batch.weights.empty() != input.weights.defined(), "batch feed: batches ",
               input.weights.defined() ? "have weights, this one has none" : "have no weights, this one has some");
    KDEF_CHECK(batch.rows <= rows, "batch feed: ", batch.rows, " rows, there is space for ", rows);
    copies.wait();  // of the batch before, from `pinned`
    size_t at = 0;
    const auto stage = [&](const void* from, const Tensor& to, auto&& then) {
      if (!to.defined()) return Tensor();
      const size_t used = to.bytes() / static_cast<size_t>(rows) * static_cast<size_t>(batch.rows);
      then(from, to, at, used);
      at += to.bytes();
      return to.rows(0, batch.rows);
    };
    const auto all = [&](auto&& then) {
      at = 0;
      return ModelInput{stage(batch.ids.data(), input.ids, then), stage(batch.numerics.data(), input.values, then),
                        stage(batch.labels.data(), input.labels, then),
                        stage(batch.weights.data(), input.weights, then)};
    };
    std::byte* host = static_cast<std::byte*>(pinned.data());
    all([&](const void* from, const Tensor&, size_t offset, size_t used) {
      std::memcpy(host + offset, from, used);
      copies.copy(staged.raw() + offset, host + offset, used);
    });
    copies.before_computation();
    const ModelInput result = all([&](const void*, const Tensor& to, size_t offset, size_t used) {
      cuda::copy_async(to.raw(), staged.raw() + offset, used);
    });
    copies.after_computation();  // `staged` is free when these are done, before the step itself
    return result;
  }

  int64_t rows;
  size_t bytes;
  cuda::PinnedMemory pinned;
  Tensor staged;
  ModelInput input;
  cuda::CopyStream copies;
};

BatchFeed::BatchFeed(Device device, int64_t max_rows, int64_t id_columns, int64_t value_columns, bool weights)
    : id_columns_(id_columns), value_columns_(value_columns) {
  if (!device.is_cpu()) on_device_ = std::make_unique<OnDevice>(device, max_rows, id_columns, value_columns, weights);
}

#else

struct BatchFeed::OnDevice {
  ModelInput put(const data::Batch&) { return {}; }
};

BatchFeed::BatchFeed(Device device, int64_t, int64_t id_columns, int64_t value_columns, bool)
    : id_columns_(id_columns), value_columns_(value_columns) {
  require_cpu(device, "batch feed");
}

#endif

BatchFeed::~BatchFeed() = default;

ModelInput BatchFeed::put(data::Batch& batch) {
  return on_device_ ? on_device_->put(batch) : model_input(batch, id_columns_, value_columns_);
}

}  // namespace kdef
