#include "kdef/method/batch_feed.h"

#include <cstring>

#include "core/tensor/dispatch.h"

#if defined(KDEF_HAS_CUDA)
#include "core/cuda/runtime.h"
#endif

namespace kdef {

#if defined(KDEF_HAS_CUDA)

// A batch goes from the loader's buffer to `pinned` (by the host), to `staged` (by the copy stream, while the step
// before is computed), to `input` (within the device, when that step is done with it). ids, values and labels stand one
// after the other, each with room for most_rows.
struct BatchFeed::OnDevice {
  OnDevice(Device device, int64_t most_rows, int64_t ids, int64_t values)
      : rows(most_rows),
        bytes(static_cast<size_t>(most_rows * (ids + values + 1)) * 4),
        pinned(bytes),
        staged(Tensor::empty({static_cast<int64_t>(bytes)}, DType::u8, device)),
        input{ids > 0 ? Tensor::zeros({most_rows, ids}, DType::i32, device) : Tensor(),
              values > 0 ? Tensor::zeros({most_rows, values}, DType::f32, device) : Tensor(),
              Tensor::zeros({most_rows, 1}, DType::f32, device)} {
    copies.after_computation();  // whatever had the memory before
  }

  ModelInput put(const data::Batch& batch) {
    KDEF_CHECK(batch.rows <= rows, "batch feed: ", batch.rows, " rows, there is room for ", rows);
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
                        stage(batch.labels.data(), input.labels, then)};
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

BatchFeed::BatchFeed(Device device, int64_t most_rows, int64_t id_columns, int64_t value_columns)
    : id_columns_(id_columns), value_columns_(value_columns) {
  if (!device.is_cpu()) on_device_ = std::make_unique<OnDevice>(device, most_rows, id_columns, value_columns);
}

#else

struct BatchFeed::OnDevice {
  ModelInput put(const data::Batch&) { return {}; }
};

BatchFeed::BatchFeed(Device device, int64_t, int64_t id_columns, int64_t value_columns)
    : id_columns_(id_columns), value_columns_(value_columns) {
  require_cpu(device, "batch feed");
}

#endif

BatchFeed::~BatchFeed() = default;

ModelInput BatchFeed::put(data::Batch& batch) {
  return on_device_ ? on_device_->put(batch) : model_input(batch, id_columns_, value_columns_);
}

}  // namespace kdef
