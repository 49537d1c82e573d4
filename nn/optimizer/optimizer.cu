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

// The places in control_, the state of the optimizer in device memory.
enum : int64_t { kRate, kSteps, kFailed, kAttempts, kFactor, kApply, kCorrection1, kCorrection2, kControls };

constexpr int64_t kChunk = 8192;     // elements that a block takes
constexpr int64_t kRowChunk = 1024;  // rows of a gradient that a block takes
constexpr int kPack = 4;             // elements that a thread reads at once, where every row is made of whole packs

// A parameter and its gradient: dense, by rows, or neither (zero).
template <class T>
struct Slot {
  T* w;
  T* state[kMaxState];
  const T *dense, *rows;
  const int64_t* ids;
  int32_t* map;
  int64_t n;          // elements that the step visits: all, or with only_rows the elements of the gradient's rows
  int64_t row_count;  // of `rows`, rows of id kNoRow included
  int64_t width;
  T l1, l2;                 // the part of the regularizer that is added to the gradient
  Regularizer regularizer;  // the whole regularizer: some rules apply a part themselves
  bool only_rows;
  bool packed;  // the elements may be read by packs

  bool operator==(const Slot&) const = default;
};

// The work of one block: elements of a slot, or rows of its gradient, from `first` on.
struct Chunk {
  int64_t slot, first;
};

// Calls fn(i, g) for each pack of V elements of a chunk that this thread takes: i is the place of its first element in
// w, g the elements' data gradients.
template <int V, class T, class Fn>
KDEF_DEVICE void for_packs(const Block& block, const Slot<T>& s, int64_t first, Fn fn) {
  const int64_t last = first + kChunk < s.n ? first + kChunk : s.n;
  // Rows and places within rows are found from the start of the chunk's first row: small numbers divide faster.
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
    if (s.only_rows) {
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

// Sets map[ids[u]] to u, or with `clear` back to -1.
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

// First pass, per chunk: the sum of squared regularized gradients, and the regularizers' value.
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

// Adds the chunks' sums, decides whether the step is applied, and writes its record.
template <class T>
struct Decide {
  const double* partial;  // [chunks, 2]
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
    control[kCorrection1] = bias_correction(beta1, control[kSteps]);
    control[kCorrection2] = bias_correction(beta2, control[kSteps]);
    double* record = records + static_cast<int64_t>(control[kAttempts]) % DeviceOptimizer::kRecords * 4;
    record[0] = data_loss;
    record[1] = penalty;
    record[2] = norm;
    record[3] = apply;
    control[kAttempts] += 1;
  }
};

// Second pass: updates the elements of a chunk by the rule of the optimizer.
template <class T>
struct Update {
  const Slot<T>* slots;
  const Chunk* chunks;
  const double* control;
  OptimizerKind kind;
  double beta1, beta2, eps;

  KDEF_DEVICE void operator()(const Block& block) const {
    if (control[kApply] == 0) return;
    const Chunk chunk = chunks[block.index()];
    const Slot<T>& s = slots[chunk.slot];
    const RuleStep step{control[kRate], beta1, beta2, eps, control[kCorrection1], control[kCorrection2]};
    switch (kind) {
#define KDEF_CASE(name, Rule, ...) \
  case OptimizerKind::name:        \
    return run(block, s, chunk.first, Rule<T>::at(step, s.regularizer), StateOf<Rule<T>>());
      KDEF_OPTIMIZERS(KDEF_CASE)
#undef KDEF_CASE
    }
  }

 private:
  template <class Rule>
  using StateOf = std::make_index_sequence<kStateCount<Rule>>;

  template <class Rule, size_t... S>
  KDEF_DEVICE void run(const Block& block, const Slot<T>& s, int64_t first, const Rule& rule,
                       std::index_sequence<S...>) const {
    const T factor = static_cast<T>(control[kFactor]);
    for_elements(block, s, first, [&]<int V>(int64_t i, const Pack<T, V>& g) {
      Pack<T, V> w = load<V>(s.w + i);
      // The element behind the last state is unused: an array may not be empty.
      [[maybe_unused]] Pack<T, V> state[sizeof...(S) + 1] = {load<V>(s.state[S] + i)...};
      for (int k = 0; k < V; ++k) rule(factor * regularized(g[k], w[k], s.l1, s.l2), w[k], state[S][k]...);
      store<V>(w, s.w + i);
      (store<V>(state[S], s.state[S] + i), ...);
    });
  }
};

// Whether the slot can be read by packs.
template <class T>
bool packs(const Slot<T>& s) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return s.n % kPack == 0 && (s.rows == nullptr || s.width % kPack == 0) && aligned(s.w) &&
         std::all_of(std::begin(s.state), std::end(s.state), aligned) && aligned(s.dense) && aligned(s.rows);
}

// What the kernels of a step read about the parameters, in device memory.
template <class T>
class Arguments {
 public:
  Arguments(std::vector<Slot<T>> slots, Device device) : slots_(std::move(slots)) {
    std::vector<Chunk> chunks, row_chunks;
    for (size_t i = 0; i < slots_.size(); ++i) {
      const Slot<T>& s = slots_[i];
      const auto cut = [i](std::vector<Chunk>& into, int64_t n, int64_t each) {
        for (int64_t first = 0; first < n; first += each) into.push_back({static_cast<int64_t>(i), first});
      };
      cut(chunks, s.n, kChunk);
      if (!s.only_rows) cut(row_chunks, s.row_count, kRowChunk);
    }
    chunk_count_ = static_cast<int64_t>(chunks.size());
    row_chunk_count_ = static_cast<int64_t>(row_chunks.size());
    // One block of memory, so that there is one copy.
    std::vector<std::byte> content;
    append(content, slots_);
    chunks_at_ = append(content, chunks);
    row_chunks_at_ = append(content, row_chunks);
    pinned_ = std::make_unique<kdef::cuda::PinnedMemory>(content.size());
    memory_ = Tensor::empty({static_cast<int64_t>(content.size())}, DType::u8, device);
    std::memcpy(pinned_->data(), content.data(), content.size());
    kdef::cuda::copy_async(memory_.raw(), pinned_->data(), content.size());
  }

  /// Whether these are the arguments of a step with such slots. The chunks follow from the slots.
  bool fits(const std::vector<Slot<T>>& slots) const { return slots_ == slots; }

  // In device memory.
  const Slot<T>* slots() const { return reinterpret_cast<const Slot<T>*>(memory_.raw()); }
  const Chunk* chunks() const { return reinterpret_cast<const Chunk*>(memory_.raw() + chunks_at_); }
  const Chunk* row_chunks() const { return reinterpret_cast<const Chunk*>(memory_.raw() + row_chunks_at_); }
  int64_t chunk_count() const { return chunk_count_; }
  int64_t row_chunk_count() const { return row_chunk_count_; }

  bool recorded = false;  // a graph reads them, for as long as it lives

 private:
  // Appends the bytes of `items` at the next multiple of 16, and returns their place.
  template <class Item>
  static size_t append(std::vector<std::byte>& content, const std::vector<Item>& items) {
    const size_t at = (content.size() + 15) / 16 * 16;
    content.resize(at + items.size() * sizeof(Item));
    if (!items.empty()) std::memcpy(content.data() + at, items.data(), items.size() * sizeof(Item));
    return at;
  }

  std::vector<Slot<T>> slots_;
  int64_t chunk_count_, row_chunk_count_;
  size_t chunks_at_, row_chunks_at_;
  std::unique_ptr<kdef::cuda::PinnedMemory> pinned_;  // the source of the copy
  Tensor memory_;
};

// The arguments of the last steps. Steps of one shape find their gradients at the same addresses: then nothing is
// copied, and a recorded step reads the same memory each time it is repeated.
template <class T>
class RecentArguments {
 public:
  explicit RecentArguments(Device device) : device_(device) {}

  const Arguments<T>& find(std::vector<Slot<T>> slots) {
    const auto known = std::find_if(all_.begin(), all_.end(), [&](const auto& a) { return a.fits(slots); });
    if (known != all_.end()) {
      all_.splice(all_.begin(), all_, known);
    } else {
      if (all_.size() >= kKept) drop_oldest();
      all_.emplace_front(std::move(slots), device_);
    }
    all_.front().recorded = all_.front().recorded || kdef::cuda::recording();
    return all_.front();
  }

 private:
  static constexpr size_t kKept = 16;

  // Drops the oldest arguments that no graph reads. Their copy may still be under way, and while work is recorded
  // nothing may be waited for: then none are dropped.
  void drop_oldest() {
    if (kdef::cuda::recording()) return;
    const auto spare = std::find_if(all_.rbegin(), all_.rend(), [](const auto& a) { return !a.recorded; });
    if (spare == all_.rend()) return;
    kdef::cuda::synchronize();
    all_.erase(std::next(spare).base());
  }

  Device device_;
  std::list<Arguments<T>> all_;  // the most recently used first
};

// Each pass is one launch over all parameters.
template <class T>
class OnCuda final : public DeviceOptimizer {
 public:
  OnCuda(const OptimizerConfig& config, std::vector<OptimizerSlot> slots, Device device)
      : config_(config),
        slots_(std::move(slots)),
        device_(device),
        control_(Tensor::zeros({kControls}, DType::f64, device)),
        records_(Tensor::zeros({kRecords, 4}, DType::f64, device)),
        recent_(device) {
    set_learning_rate(config.learning_rate);
    for (const OptimizerSlot& slot : slots_) {
      const Tensor& w = slot.parameter.tensor;
      const bool table = slot.parameter.embedding && w.rank() == 2;
      maps_.push_back(table ? Tensor::full({w.shape()[0]}, -1, DType::i32, device) : Tensor());
    }
  }

  void launch(const std::vector<Gradient>& gradients, const Tensor& loss) override;
  std::vector<StepRecord> take_records() override;
  void set_learning_rate(double value) override { control_.rows(kRate, 1).fill(value); }
  int64_t steps() const override { return static_cast<int64_t>(control_.rows(kSteps, 1).item()); }
  void set_steps(int64_t steps) override { control_.rows(kSteps, 1).fill(static_cast<double>(steps)); }

 private:
  // Parameter i and its gradient as the kernels read them; a dense gradient that is made for them goes into `alive`.
  Slot<T> describe(size_t i, const Gradient& gradient, std::vector<Tensor>& alive) const;

  OptimizerConfig config_;
  std::vector<OptimizerSlot> slots_;
  std::vector<Tensor> maps_;  // i32 [rows] per table: the row's place in the gradient within a step, else -1
  Device device_;
  Tensor control_;  // f64 [kControls]
  Tensor records_;  // f64 [kRecords, 4]
  int64_t taken_ = 0;
  RecentArguments<T> recent_;
};

template <class T>
Slot<T> OnCuda<T>::describe(size_t i, const Gradient& g, std::vector<Tensor>& alive) const {
  const OptimizerSlot& slot = slots_[i];
  const Tensor& w = slot.parameter.tensor;
  Slot<T> s{};
  s.w = w.data<T>();
  for (size_t k = 0; k < slot.state.size(); ++k) s.state[k] = slot.state[k].template data<T>();
  s.n = w.numel();
  s.width = w.shape().back();
  s.l1 = static_cast<T>(slot.added.l1);
  s.l2 = static_cast<T>(slot.added.l2);
  s.regularizer = slot.regularizer;
  if (g.is_rows_only() && g.row_parts().size() == 1 && maps_[i].defined()) {
    const RowGradient& rows = g.row_parts()[0];
    s.rows = rows.values.data<T>();
    s.ids = rows.ids.data<int64_t>();
    s.row_count = rows.ids.numel();
    s.map = maps_[i].template data<int32_t>();
    s.only_rows = slot.only_rows;
    if (slot.only_rows) s.n = s.row_count * s.width;
  } else if (g.defined()) {
    KDEF_CHECK(!slot.only_rows || !g.is_rows_only(), entry_of(config_.kind).name, ": the gradient of table '",
               slot.parameter.name, "' has several parts, which a CUDA device cannot merge; use adam");
    alive.push_back(g.dense(w.shape()));
    s.dense = alive.back().data<T>();
  } else if (slot.only_rows) {
    s.n = 0;
  }
  s.packed = packs(s);
  return s;
}

template <class T>
void OnCuda<T>::launch(const std::vector<Gradient>& gradients, const Tensor& loss) {
  if (slots_.empty()) return;
  std::vector<Tensor> alive;
  std::vector<Slot<T>> slots;
  for (size_t i = 0; i < slots_.size(); ++i) slots.push_back(describe(i, gradients[i], alive));
  const Arguments<T>& a = recent_.find(std::move(slots));
  const Tensor partial = Tensor::empty({a.chunk_count(), 2}, DType::f64, device_);
  double* control = control_.data<double>();

  for_blocks(a.row_chunk_count(), 0, MarkRows<T>{a.slots(), a.row_chunks(), false});
  for_blocks(a.chunk_count(), 0, Measure<T>{a.slots(), a.chunks(), partial.data<double>()});
  for_blocks(1, 0,
             Decide<T>{partial.data<double>(), a.chunk_count(), loss.defined() ? loss.data<T>() : nullptr,
                       config_.clip_norm, config_.beta1, config_.beta2, control, records_.data<double>()});
  for_blocks(a.chunk_count(), 0,
             Update<T>{a.slots(), a.chunks(), control, config_.kind, config_.beta1, config_.beta2, config_.eps});
  for_blocks(a.row_chunk_count(), 0, MarkRows<T>{a.slots(), a.row_chunks(), true});
}

template <class T>
std::vector<StepRecord> OnCuda<T>::take_records() {
  synchronize(device_);
  const int64_t attempts = static_cast<int64_t>(control_.rows(kAttempts, 1).item());
  KDEF_CHECK(attempts - taken_ <= kRecords, "optimizer: ", attempts - taken_,
             " steps were launched since the last records were taken, and only ", kRecords,
             " records are kept; call take_records() more often");
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
                                                             std::vector<OptimizerSlot> slots, Device device) {
  std::unique_ptr<DeviceOptimizer> made;
  for_float(slots.at(0).parameter.tensor.dtype(), "optimizer",
            [&]<class T>() { made = std::make_unique<OnCuda<T>>(config, std::move(slots), device); });
  return made;
}

}  // namespace kdef::nn
