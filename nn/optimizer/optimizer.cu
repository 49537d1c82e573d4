#include <algorithm>
#include <cstring>
#include <list>
#include <memory>

#include "core/cuda/launch.cuh"
#include "nn/optimizer/device.h"
#include "nn/optimizer/rules.h"
#include "ops/device/tiles.cuh"

namespace kdef::nn {
namespace {

using kdef::cuda::Block;
using kdef::cuda::for_blocks;
using ops::cuda::load;
using ops::cuda::Pack;
using ops::cuda::store;

// What is in control_.
enum : int64_t { kRate, kSteps, kFailed, kAttempts, kFactor, kApply, kCorrection1, kCorrection2, kControls };

constexpr int64_t kChunk = 8192;     // elements that a block takes
constexpr int64_t kRowChunk = 1024;  // rows of a gradient that a block takes
constexpr int kPack = 4;             // elements that are read at once, where rows are made of such packs

// A parameter and its gradient, dense or by rows (neither: zero).
template <class T>
struct Slot {
  T *w, *m, *v;
  const T *dense, *rows;
  const int64_t* ids;
  int32_t* map;
  int64_t n;          // elements that are worked on: all, or of lazy ones those of the gradient's rows
  int64_t row_count;  // of `rows`, those too whose id is kNoRow
  int64_t width;
  T l1, l2;
  int64_t lazy;  // not a smaller type: arguments are compared byte by byte, and bytes between members may be anything
  int64_t packed;
};

// Chunks of the slots' elements, and of their row gradients' rows.
struct Chunk {
  int64_t slot, first;
};

// Calls fn(first element of w, their data gradients) for packs of V of a chunk's elements that this thread takes.
template <int V, class T, class Fn>
KDEF_DEVICE void for_packs(const Block& block, const Slot<T>& s, int64_t first, Fn fn) {
  const int64_t last = first + kChunk < s.n ? first + kChunk : s.n;
  // A row and the place in it, of an element of this chunk: by small numbers, which divide faster.
  const int64_t first_row = first / s.width;
  const uint32_t width = static_cast<uint32_t>(s.width), before = static_cast<uint32_t>(first - first_row * s.width);
  for (int64_t i = first + block.thread() * V; i < last; i += block.threads() * V) {
    Pack<T, V> g = {};
    if (s.dense != nullptr) {
      fn(i, load<V>(s.dense + i));
      continue;
    }
    if (s.rows == nullptr) {
      fn(i, g);
      continue;
    }
    const uint32_t at = before + static_cast<uint32_t>(i - first), row = at / width, place = at - row * width;
    if (s.lazy) {
      const int64_t id = s.ids[first_row + row];
      if (id != kNoRow) fn(id * s.width + place, load<V>(s.rows + i));
    } else {
      const int32_t found = s.map[first_row + row];
      if (found >= 0) g = load<V>(s.rows + found * s.width + place);
      fn(i, g);
    }
  }
}

template <class T, class Fn>
KDEF_DEVICE void for_elements(const Block& block, const Slot<T>& s, int64_t first, Fn fn) {
  if (s.packed)
    for_packs<kPack>(block, s, first, fn);
  else
    for_packs<1>(block, s, first, fn);
}

// map[ids[u]] = u, or -1 again.
template <class T>
struct MarkRows {
  const Slot<T>* slots;
  const Chunk* chunks;
  bool clear;
  KDEF_DEVICE void operator()(const Block& block) const {
    const Chunk chunk = chunks[block.index()];
    const Slot<T>& s = slots[chunk.slot];
    const int64_t last = chunk.first + kRowChunk < s.row_count ? chunk.first + kRowChunk : s.row_count;
    for (int64_t u = chunk.first + block.thread(); u < last; u += block.threads()) {
      if (s.ids[u] != kNoRow) s.map[s.ids[u]] = clear ? -1 : static_cast<int32_t>(u);
    }
  }
};

// Per chunk: the sum of squared regularized gradients, and the regularizers' value.
template <class T>
struct Measure {
  const Slot<T>* slots;
  const Chunk* chunks;
  double* partial;  // [chunks, 2]
  KDEF_DEVICE void operator()(const Block& block) const {
    const Chunk chunk = chunks[block.index()];
    const Slot<T>& s = slots[chunk.slot];
    double squares = 0, penalty = 0;
    const double l1 = static_cast<double>(s.l1), l2 = static_cast<double>(s.l2);
    for_elements(block, s, chunk.first, [&]<int V>(int64_t i, const Pack<T, V>& g) {
      const Pack<T, V> w = load<V>(s.w + i);
      for (int k = 0; k < V; ++k) {
        const double r = static_cast<double>(regularized(g[k], w[k], s.l1, s.l2)), wide = static_cast<double>(w[k]);
        squares += r * r;
        penalty += l1 * (wide < 0 ? -wide : wide) + 0.5 * l2 * wide * wide;
      }
    });
    squares = block.sum(squares);
    penalty = block.sum(penalty);
    if (block.thread() == 0) {
      partial[2 * block.index()] = squares;
      partial[2 * block.index() + 1] = penalty;
    }
  }
};

KDEF_DEVICE bool finite(double x) { return x - x == 0; }

// Adds the parts, decides whether the step is applied, and writes its record.
template <class T>
struct Decide {
  const double* partial;
  int64_t chunks;
  const T* loss;  // may be null
  double clip_norm, beta1, beta2;
  double *control, *records;
  KDEF_DEVICE void operator()(const Block& block) const {
    double squares = 0, penalty = 0;
    for (int64_t c = block.thread(); c < chunks; c += block.threads()) {
      squares += partial[2 * c];
      penalty += partial[2 * c + 1];
    }
    squares = block.sum(squares);
    penalty = block.sum(penalty);
    if (block.thread() != 0) return;
    const double norm = sqrt(squares), data_loss = loss != nullptr ? static_cast<double>(*loss) : 0.0;
    const bool apply = control[kFailed] == 0 && finite(norm) && finite(data_loss);
    if (!apply) control[kFailed] = 1;
    const double limited = clip_norm / (norm + 1e-6);
    control[kFactor] = clip_norm > 0 && limited < 1 ? limited : 1.0;
    control[kApply] = apply;
    if (apply) control[kSteps] += 1;
    control[kCorrection1] = AdamRule<T>::correction(beta1, control[kSteps]);
    control[kCorrection2] = AdamRule<T>::correction(beta2, control[kSteps]);
    double* record = records + static_cast<int64_t>(control[kAttempts]) % DeviceOptimizer::kRecords * 4;
    record[0] = data_loss;
    record[1] = penalty;
    record[2] = norm;
    record[3] = apply;
    control[kAttempts] += 1;
  }
};

// A step's rule from what is in control_.
struct RuleSettings {
  OptimizerKind kind;
  double beta1, beta2, eps;
};

template <class T>
struct Update {
  const Slot<T>* slots;
  const Chunk* chunks;
  const double* control;
  RuleSettings settings;

  KDEF_DEVICE void operator()(const Block& block) const {
    if (control[kApply] == 0) return;
    const double rate = control[kRate];
    switch (settings.kind) {
      case OptimizerKind::adam:
      case OptimizerKind::lazy_adam:
        return run(block, AdamRule<T>::at(settings.beta1, settings.beta2, settings.eps, rate, control[kCorrection1],
                                          control[kCorrection2]));
      case OptimizerKind::sgd:
        return run(block, SgdRule<T>{static_cast<T>(rate)});
      case OptimizerKind::adagrad:
        return run(block, AdagradRule<T>{static_cast<T>(rate)});
    }
  }

 private:
  template <class Rule>
  KDEF_DEVICE void run(const Block& block, const Rule& rule) const {
    const Chunk chunk = chunks[block.index()];
    const Slot<T>& s = slots[chunk.slot];
    const T factor = static_cast<T>(control[kFactor]);
    for_elements(block, s, chunk.first, [&]<int V>(int64_t i, const Pack<T, V>& g) {
      Pack<T, V> w = load<V>(s.w + i), m = {}, v = {};
      if constexpr (Rule::kM) m = load<V>(s.m + i);
      if constexpr (Rule::kV) v = load<V>(s.v + i);
      for (int k = 0; k < V; ++k) rule(factor * regularized(g[k], w[k], s.l1, s.l2), w[k], m[k], v[k]);
      store<V>(w, s.w + i);
      if constexpr (Rule::kM) store<V>(m, s.m + i);
      if constexpr (Rule::kV) store<V>(v, s.v + i);
    });
  }
};

void add_chunks(std::vector<Chunk>& chunks, int64_t slot, int64_t n, int64_t each) {
  for (int64_t first = 0; first < n; first += each) chunks.push_back({slot, first});
}

// Whether the slot can be read by packs.
template <class T>
bool packs(const Slot<T>& s) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return s.n % kPack == 0 && (s.rows == nullptr || s.width % kPack == 0) && aligned(s.w) && aligned(s.m) &&
         aligned(s.v) && aligned(s.dense) && aligned(s.rows);
}

// Appends the bytes of `items`, from a multiple of 16 on, and returns where.
template <class Item>
size_t append(std::vector<std::byte>& content, const std::vector<Item>& items) {
  const size_t at = (content.size() + 15) / 16 * 16;
  content.resize(at + items.size() * sizeof(Item));
  if (!items.empty()) std::memcpy(content.data() + at, items.data(), items.size() * sizeof(Item));
  return at;
}

// One launch over all parameters for each pass.
class OnCuda final : public DeviceOptimizer {
 public:
  OnCuda(const OptimizerConfig& config, std::vector<Parameter> parameters, Device device)
      : config_(config),
        parameters_(std::move(parameters)),
        device_(device),
        control_(Tensor::zeros({kControls}, DType::f64, device)),
        records_(Tensor::zeros({kRecords, 4}, DType::f64, device)) {
    set_learning_rate(config.learning_rate);
    for (const Parameter& p : parameters_) {
      maps_.push_back(p.table ? Tensor::full({p.w.shape()[0]}, -1, DType::i32, device) : Tensor());
    }
  }

  void launch(const std::vector<Gradient>& gradients, const Tensor& loss) override {
    if (parameters_.empty()) return;
    for_float(parameters_[0].w.dtype(), "optimizer", [&]<class T>() { launch_as<T>(gradients, loss); });
  }
  std::vector<StepRecord> take_records() override;
  void set_learning_rate(double value) override { control_.rows(kRate, 1).fill(value); }
  int64_t steps() const override { return static_cast<int64_t>(control_.rows(kSteps, 1).item()); }
  void set_steps(int64_t steps) override { control_.rows(kSteps, 1).fill(static_cast<double>(steps)); }

 private:
  // The arguments of one step's launches as the device reads them. Kept, and found again by their content: steps of one
  // shape find their gradients at the same addresses.
  struct Arguments {
    std::vector<std::byte> content;
    std::unique_ptr<kdef::cuda::PinnedMemory> pinned;
    Tensor device;
    bool recorded = false;  // by a graph, which reads it for as long as it lives
  };
  const Arguments& arguments(std::vector<std::byte> content);
  template <class T>
  void launch_as(const std::vector<Gradient>& gradients, const Tensor& loss);

  OptimizerConfig config_;
  std::vector<Parameter> parameters_;
  std::vector<Tensor> maps_;  // i32 [rows] of a table: -1, or within a step where the gradient has the row
  Device device_;
  Tensor control_;  // f64 [kControls]
  Tensor records_;  // f64 [kRecords, 4]
  int64_t taken_ = 0;
  std::list<Arguments> known_;
};

const OnCuda::Arguments& OnCuda::arguments(std::vector<std::byte> content) {
  constexpr size_t kKept = 16;
  for (auto it = known_.begin(); it != known_.end(); ++it) {
    if (it->content != content) continue;
    known_.splice(known_.begin(), known_, it);
    it->recorded = it->recorded || kdef::cuda::recording();
    return known_.front();
  }
  // One that no graph reads makes room; its copy may be under way. While work is recorded nothing may be waited for.
  if (known_.size() >= kKept && !kdef::cuda::recording()) {
    const auto spare = std::find_if(known_.rbegin(), known_.rend(), [](const Arguments& a) { return !a.recorded; });
    if (spare != known_.rend()) {
      kdef::cuda::synchronize();
      known_.erase(std::next(spare).base());
    }
  }
  Arguments made;
  made.pinned = std::make_unique<kdef::cuda::PinnedMemory>(content.size());
  made.device = Tensor::empty({static_cast<int64_t>(content.size())}, DType::u8, device_);
  made.recorded = kdef::cuda::recording();
  std::memcpy(made.pinned->data(), content.data(), content.size());
  kdef::cuda::copy_async(made.device.raw(), made.pinned->data(), content.size());
  made.content = std::move(content);
  known_.push_front(std::move(made));
  return known_.front();
}

template <class T>
void OnCuda::launch_as(const std::vector<Gradient>& gradients, const Tensor& loss) {
  std::vector<Slot<T>> slots;
  std::vector<Chunk> chunks, row_chunks;
  std::vector<Tensor> alive;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    Slot<T> s{};
    s.w = p.w.data<T>();
    s.m = p.m.defined() ? p.m.data<T>() : nullptr;
    s.v = p.v.defined() ? p.v.data<T>() : nullptr;
    s.n = p.w.numel();
    s.width = p.w.shape().back();
    s.l1 = static_cast<T>(p.l1);
    s.l2 = static_cast<T>(p.l2);
    const Gradient& g = gradients[i];
    if (g.is_rows_only() && g.row_parts().size() == 1 && p.table) {
      const RowGradient& rows = g.row_parts()[0];
      s.rows = rows.values.data<T>();
      s.ids = rows.ids.data<int64_t>();
      s.row_count = rows.ids.numel();
      s.map = maps_[i].data<int32_t>();
      s.lazy = p.lazy;
      if (p.lazy) s.n = s.row_count * s.width;
      if (!p.lazy) add_chunks(row_chunks, static_cast<int64_t>(slots.size()), s.row_count, kRowChunk);
    } else if (g.defined()) {
      KDEF_CHECK(!p.lazy || !g.is_rows_only(),
                 "lazy_adam: a table's gradient has several parts on this device; use adam");
      alive.push_back(g.dense(p.w.shape()));
      s.dense = alive.back().data<T>();
    } else if (p.lazy) {
      s.n = 0;
    }
    s.packed = packs(s);
    add_chunks(chunks, static_cast<int64_t>(slots.size()), s.n, kChunk);
    slots.push_back(s);
  }
  std::vector<std::byte> content;
  append(content, slots);
  const size_t at_chunks = append(content, chunks), at_rows = append(content, row_chunks);
  const std::byte* base = arguments(std::move(content)).device.raw();
  const auto* device_slots = reinterpret_cast<const Slot<T>*>(base);
  const auto* device_chunks = reinterpret_cast<const Chunk*>(base + at_chunks);
  const auto* device_rows = reinterpret_cast<const Chunk*>(base + at_rows);
  const int64_t count = static_cast<int64_t>(chunks.size()), rows = static_cast<int64_t>(row_chunks.size());
  const Tensor partial = Tensor::empty({count, 2}, DType::f64, device_);
  double* control = control_.data<double>();

  for_blocks(rows, 0, MarkRows<T>{device_slots, device_rows, false});
  for_blocks(count, 0, Measure<T>{device_slots, device_chunks, partial.data<double>()});
  for_blocks(1, 0,
             Decide<T>{partial.data<double>(), count, loss.defined() ? loss.data<T>() : nullptr, config_.clip_norm,
                       config_.beta1, config_.beta2, control, records_.data<double>()});
  for_blocks(count, 0,
             Update<T>{device_slots, device_chunks, control,
                       RuleSettings{config_.kind, config_.beta1, config_.beta2, config_.eps}});
  for_blocks(rows, 0, MarkRows<T>{device_slots, device_rows, true});
}

std::vector<StepRecord> OnCuda::take_records() {
  synchronize(device_);
  const int64_t attempts = static_cast<int64_t>(control_.rows(kAttempts, 1).item());
  KDEF_CHECK(attempts - taken_ <= kRecords, "optimizer: ", attempts - taken_,
             " steps since their records were taken, only ", kRecords, " are kept");
  const std::vector<double> all = records_.to_vector<double>();
  std::vector<StepRecord> taken;
  for (; taken_ < attempts; ++taken_) {
    const double* r = all.data() + taken_ % kRecords * 4;
    taken.push_back({r[0], r[1], r[2], r[3] != 0});
  }
  if (!taken.empty() && !taken.back().applied) control_.rows(kFailed, 1).fill(0);
  return taken;
}

}  // namespace

std::unique_ptr<DeviceOptimizer> cuda::make_device_optimizer(const OptimizerConfig& config,
                                                             std::vector<DeviceOptimizer::Parameter> parameters,
                                                             Device device) {
  return std::make_unique<OnCuda>(config, std::move(parameters), device);
}

}  // namespace kdef::nn
