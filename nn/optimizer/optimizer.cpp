#include "nn/optimizer/optimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/parallel.h"
#include "core/tensor/dispatch.h"
#include "nn/optimizer/device.h"
#include "nn/optimizer/rules.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

// A parameter's gradient as the passes read it: a dense part, rows of a table, or neither; rows sorted by id.
template <class T>
struct GradientView {
  const T* dense = nullptr;
  const int64_t* ids = nullptr;
  const T* rows = nullptr;
  int64_t row_count = 0;
  int64_t width = 1;
};

// One RowGradient of distinct ascending ids from several: rows of an id are added in the order of the parts.
RowGradient merge_rows(const std::vector<RowGradient>& parts) {
  if (parts.size() == 1) return parts[0];
  struct Row {
    int64_t id;
    size_t part;
    int64_t row;
  };
  std::vector<Row> rows;
  for (size_t p = 0; p < parts.size(); ++p) {
    for (int64_t u = 0; u < parts[p].ids.numel(); ++u) rows.push_back({parts[p].ids.data<int64_t>()[u], p, u});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.id < b.id; });
  int64_t distinct = 0;
  for (size_t i = 0; i < rows.size(); ++i) distinct += i == 0 || rows[i].id != rows[i - 1].id;
  const int64_t d = parts[0].values.shape()[1];
  RowGradient merged{Tensor::empty({distinct}, DType::i64), Tensor::zeros({distinct, d}, parts[0].values.dtype())};
  for_float(merged.values.dtype(), "merge_rows", [&]<class T>() {
    T* out = merged.values.data<T>();
    int64_t u = -1;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i == 0 || rows[i].id != rows[i - 1].id) merged.ids.data<int64_t>()[++u] = rows[i].id;
      const T* from = parts[rows[i].part].values.data<T>() + rows[i].row * d;
      for (int64_t j = 0; j < d; ++j) out[u * d + j] += from[j];
    }
  });
  return merged;
}

// Elements that a pass visits: the parameter's, or `only_rows` those of its gradient's rows, so that the pass costs the
// same however large the table is.
template <class T>
int64_t count_visited(const GradientView<T>& view, int64_t numel, bool only_rows) {
  return only_rows && !view.dense ? view.row_count * view.width : numel;
}

// Calls fn(first, last, g) on runs of consecutive elements of the parameter that make up [first, last) of the visited
// ones, g pointing at the run's data gradient or null where it is zero.
template <class T, class Fn>
void for_runs(const GradientView<T>& view, int64_t first, int64_t last, bool only_rows, Fn&& fn) {
  if (view.dense) return fn(first, last, view.dense + first);
  const int64_t d = view.width;
  if (only_rows) {
    for (int64_t begin = first, end; begin < last; begin = end) {
      end = std::min(last, (begin / d + 1) * d);
      const int64_t at = view.ids[begin / d] * d + begin % d;
      fn(at, at + (end - begin), view.rows + begin);
    }
    return;
  }
  int64_t u = std::lower_bound(view.ids, view.ids + view.row_count, first / d) - view.ids;
  int64_t at = first;
  for (; u < view.row_count && view.ids[u] * d < last; ++u) {
    const int64_t begin = std::max(first, view.ids[u] * d), end = std::min(last, (view.ids[u] + 1) * d);
    if (at < begin) fn(at, begin, static_cast<const T*>(nullptr));
    fn(begin, end, view.rows + u * d + (begin - view.ids[u] * d));
    at = end;
  }
  if (at < last) fn(at, last, static_cast<const T*>(nullptr));
}

// Applies a rule to n consecutive elements; g may be null (no data gradient). The pointers do not alias, so that the
// loop runs in vector registers.
template <bool kHasGradient, class T, class Rule>
void update_run(const T* __restrict g, T* __restrict w, T* __restrict m, T* __restrict v, int64_t n, T l1, T l2, T clip,
                Rule rule) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    T wi = w[i], mi = Rule::kM ? m[i] : T(0), vi = Rule::kV ? v[i] : T(0);
    rule(clip * regularized(kHasGradient ? g[i] : T(0), wi, l1, l2), wi, mi, vi);
    w[i] = wi;
    if constexpr (Rule::kM) m[i] = mi;
    if constexpr (Rule::kV) v[i] = vi;
  }
}

// Sums over n consecutive elements, in fp64.
struct Sums {
  double gradient = 0, w1 = 0, w2 = 0;  // of squared regularized gradients, of |w|, of w^2
};
template <bool kHasGradient, class T>
void add_sums(const T* __restrict g, const T* __restrict w, int64_t n, T l1, T l2, Sums& sums) {
  double gradient = 0, w1 = 0, w2 = 0;
#pragma omp simd reduction(+ : gradient, w1, w2)
  for (int64_t i = 0; i < n; ++i) {
    const double gi = static_cast<double>(regularized(kHasGradient ? g[i] : T(0), w[i], l1, l2));
    const double wi = static_cast<double>(w[i]);
    gradient += gi * gi;
    w1 += std::abs(wi);
    w2 += wi * wi;
  }
  sums.gradient += gradient;
  sums.w1 += w1;
  sums.w2 += w2;
}

}  // namespace

OptimizerKind parse_optimizer(const std::string& name) {
  const std::string lower = lower_case(name);
  if (lower == "adam") return OptimizerKind::adam;
  if (lower == "lazy_adam") return OptimizerKind::lazy_adam;
  if (lower == "sgd") return OptimizerKind::sgd;
  if (lower == "adagrad") return OptimizerKind::adagrad;
  throw InputError(cat("optimizer '", name, "' is unknown; known: adam, lazy_adam, sgd, adagrad"));
}

namespace cpu {

// The data gradient of a parameter, its row parts merged into `storage`.
template <class T>
GradientView<T> view_of(const Parameter& p, RowGradient& storage) {
  GradientView<T> view;
  const Gradient& g = p.tensor.gradient();
  if (!g.defined()) return view;
  if (!g.is_rows_only()) {
    storage.values = g.dense(p.tensor.shape());
    view.dense = storage.values.data<T>();
    return view;
  }
  storage = merge_rows(g.row_parts());
  view.ids = storage.ids.data<int64_t>();
  view.rows = storage.values.data<T>();
  view.row_count = storage.ids.numel();
  view.width = p.tensor.shape().back();
  return view;
}

}  // namespace cpu

Optimizer::Optimizer(std::vector<Parameter> parameters, const OptimizerConfig& config) : config_(config) {
  const bool adam = config.kind == OptimizerKind::adam || config.kind == OptimizerKind::lazy_adam;
  for (Parameter& p : parameters) {
    Slot slot{p, {}, {}, p.embedding ? config.embedding : config.net};
    const auto zeros = [&] { return Tensor::zeros(p.tensor.shape(), p.tensor.dtype(), p.tensor.device()); };
    if (adam) slot.m = zeros();
    if (adam || config.kind == OptimizerKind::adagrad) slot.v = zeros();
    slots_.push_back(std::move(slot));
  }
  const Device device = slots_.empty() ? kCpu : slots_[0].parameter.tensor.device();
  if (device.is_cpu()) return;
  std::vector<DeviceOptimizer::Parameter> all;
  for (const Slot& slot : slots_) {
    const bool table = slot.parameter.embedding && slot.parameter.tensor.rank() == 2;
    all.push_back({slot.parameter.tensor, slot.m, slot.v, slot.regularizer.l1, slot.regularizer.l2, table,
                   config.kind == OptimizerKind::lazy_adam && slot.parameter.embedding});
  }
#if defined(KDEF_HAS_CUDA)
  on_device_ = cuda::make_device_optimizer(config, std::move(all), device);
#endif
}

Optimizer::~Optimizer() = default;

void Optimizer::set_learning_rate(double value) {
  config_.learning_rate = value;
  if (on_device_) on_device_->set_learning_rate(value);
}

int64_t Optimizer::steps() const {
  if (on_device_) return on_device_->steps();
  return steps_;
}

void Optimizer::set_steps(int64_t steps) {
  steps_ = steps;
  if (on_device_) on_device_->set_steps(steps);
}

void Optimizer::launch_step(const Tensor& loss) {
  if (on_device_) {
    std::vector<Gradient> gradients;
    for (const Slot& slot : slots_) gradients.push_back(slot.parameter.tensor.gradient());
    on_device_->launch(gradients, loss);
    for (const Slot& slot : slots_) {
      slot.parameter.tensor.changed();
      slot.parameter.tensor.clear_grad();
    }
    return;
  }
  StepRecord record = measure();
  record.loss = loss.defined() ? loss.item() : 0;
  const bool failed = !records_.empty() && !records_.back().applied;
  record.applied = !failed && std::isfinite(record.gradient_norm) && std::isfinite(record.loss);
  if (record.applied) update(clip_factor(record.gradient_norm));
  records_.push_back(record);
}

std::vector<StepRecord> Optimizer::take_records() {
  if (on_device_) return on_device_->take_records();
  return std::exchange(records_, {});
}

StepRecord Optimizer::step() {
  launch_step();
  return take_records().back();
}

double Optimizer::clip_factor(double norm) const {
  return config_.clip_norm > 0 ? std::min(1.0, config_.clip_norm / (norm + 1e-6)) : 1.0;
}

// First pass: the regularizers' value and the norm of the whole gradient. Lazy Adam regularizes only what it updates.
StepRecord Optimizer::measure() {
  double squares = 0, penalty = 0;
  for (const Slot& slot : slots_) {
    const Tensor& w = slot.parameter.tensor;
    require_cpu(w.device(), "optimizer");
    for_float(w.dtype(), "optimizer", [&]<class T>() {
      RowGradient storage;
      const GradientView<T> view = cpu::view_of<T>(slot.parameter, storage);
      const bool lazy = config_.kind == OptimizerKind::lazy_adam && slot.parameter.embedding;
      const T l1 = static_cast<T>(slot.regularizer.l1), l2 = static_cast<T>(slot.regularizer.l2);
      const T* pw = w.data<T>();
      const int64_t visited = count_visited(view, w.numel(), lazy), pieces = divide_up(visited, kPiece);
      std::vector<double> part(static_cast<size_t>(2 * pieces));
      parallel_for(visited, kPiece, [&](int64_t first, int64_t last) {
        Sums sums;
        for_runs(view, first, last, lazy, [&](int64_t a, int64_t b, const T* g) {
          if (g)
            add_sums<true>(g, pw + a, b - a, l1, l2, sums);
          else
            add_sums<false>(g, pw + a, b - a, l1, l2, sums);
        });
        const size_t at = static_cast<size_t>(2 * (first / kPiece));
        part[at] = sums.gradient;
        part[at + 1] = slot.regularizer.l1 * sums.w1 + 0.5 * slot.regularizer.l2 * sums.w2;
      });
      for (int64_t p = 0; p < pieces; ++p) {
        squares += part[static_cast<size_t>(2 * p)];
        penalty += part[static_cast<size_t>(2 * p + 1)];
      }
    });
  }
  return {0, penalty, std::sqrt(squares), false};
}

void Optimizer::update(double factor) {
  ++steps_;
  for (const Slot& slot : slots_) {
    const Tensor& w = slot.parameter.tensor;
    for_float(w.dtype(), "optimizer", [&]<class T>() {
      RowGradient storage;
      const GradientView<T> view = cpu::view_of<T>(slot.parameter, storage);
      const bool lazy = config_.kind == OptimizerKind::lazy_adam && slot.parameter.embedding;
      const T l1 = static_cast<T>(slot.regularizer.l1), l2 = static_cast<T>(slot.regularizer.l2);
      const T c = static_cast<T>(factor);
      T* pw = w.data<T>();
      T* pm = slot.m.defined() ? slot.m.data<T>() : nullptr;
      T* pv = slot.v.defined() ? slot.v.data<T>() : nullptr;
      const auto run = [&](auto rule) {
        parallel_for(count_visited(view, w.numel(), lazy), kPiece, [&](int64_t first, int64_t last) {
          for_runs(view, first, last, lazy, [&](int64_t a, int64_t b, const T* g) {
            T *m = pm ? pm + a : nullptr, *v = pv ? pv + a : nullptr;
            if (g)
              update_run<true>(g, pw + a, m, v, b - a, l1, l2, c, rule);
            else
              update_run<false>(g, pw + a, m, v, b - a, l1, l2, c, rule);
          });
        });
      };
      const T rate = static_cast<T>(config_.learning_rate);
      switch (config_.kind) {
        case OptimizerKind::adam:
        case OptimizerKind::lazy_adam:
          run(AdamRule<T>::at(config_.beta1, config_.beta2, config_.eps, config_.learning_rate,
                              AdamRule<T>::correction(config_.beta1, static_cast<double>(steps_)),
                              AdamRule<T>::correction(config_.beta2, static_cast<double>(steps_))));
          break;
        case OptimizerKind::sgd:
          run(SgdRule<T>{rate});
          break;
        case OptimizerKind::adagrad:
          run(AdagradRule<T>{rate});
          break;
      }
    });
    w.changed();
    w.clear_grad();
  }
}

std::vector<Tensor> Optimizer::clipped_gradients() {
  if (on_device_) {
    std::vector<Parameter> on_host;
    for (const Slot& slot : slots_) {
      Parameter p = slot.parameter;
      const Tensor g = p.tensor.grad();
      p.tensor = p.tensor.detach().to(kCpu);
      if (g.defined()) p.tensor.gradient().add(g.to(kCpu));
      on_host.push_back(p);
    }
    return Optimizer(on_host, config_).clipped_gradients();
  }
  const double factor = clip_factor(measure().gradient_norm);
  std::vector<Tensor> grads;
  for (const Slot& slot : slots_) {
    const Tensor& w = slot.parameter.tensor;
    Tensor g = Tensor::zeros(w.shape(), w.dtype());
    for_float(w.dtype(), "optimizer", [&]<class T>() {
      RowGradient storage;
      const GradientView<T> view = cpu::view_of<T>(slot.parameter, storage);
      T* out = g.data<T>();
      for_runs(view, 0, w.numel(), false, [&](int64_t a, int64_t b, const T* data) {
        for (int64_t i = a; i < b; ++i) {
          out[i] = static_cast<T>(factor) * regularized(data ? data[i - a] : T(0), w.data<T>()[i],
                                                        static_cast<T>(slot.regularizer.l1),
                                                        static_cast<T>(slot.regularizer.l2));
        }
      });
    });
    grads.push_back(g);
  }
  return grads;
}

std::vector<Buffer> Optimizer::state() const {
  std::vector<Buffer> all;
  for (const Slot& slot : slots_) {
    if (slot.m.defined()) all.push_back({"m." + slot.parameter.name, slot.m});
    if (slot.v.defined()) all.push_back({"v." + slot.parameter.name, slot.v});
  }
  return all;
}

StepRecord composed_step(Optimizer& optimizer) {
  using namespace ops;  // NOLINT: the formulas below read as such
  NoGrad no_grad;
  const OptimizerConfig& config = optimizer.config_;
  KDEF_CHECK(config.kind == OptimizerKind::adam, "composed_step: dense Adam only");
  StepRecord report;
  std::vector<Tensor> grads;
  double squares = 0;
  for (const Optimizer::Slot& slot : optimizer.slots_) {
    const Tensor w = slot.parameter.tensor.detach();
    Tensor g = slot.parameter.tensor.grad();
    if (!g.defined()) g = Tensor::zeros(w.shape(), w.dtype(), w.device());
    const Tensor magnitude = abs(w);
    // The derivative of |w| is w / |w|, and 0 at 0.
    const Tensor direction = div(w, clamp_min(magnitude, 1e-30));
    g = add(g, add(scale(w, slot.regularizer.l2), scale(direction, slot.regularizer.l1)));
    report.regularization +=
        0.5 * slot.regularizer.l2 * sum(square(w)).item() + slot.regularizer.l1 * sum(magnitude).item();
    squares += sum(square(g)).item();
    grads.push_back(g);
  }
  report.gradient_norm = std::sqrt(squares);
  const double factor = optimizer.clip_factor(report.gradient_norm);
  optimizer.set_steps(optimizer.steps() + 1);
  const double t = static_cast<double>(optimizer.steps());
  report.applied = true;
  for (size_t i = 0; i < grads.size(); ++i) {
    Optimizer::Slot& slot = optimizer.slots_[i];
    const Tensor g = scale(grads[i], factor);
    slot.m.copy_from(add(scale(slot.m, config.beta1), scale(g, 1 - config.beta1)));
    slot.v.copy_from(add(scale(slot.v, config.beta2), scale(square(g), 1 - config.beta2)));
    const Tensor m_hat = scale(slot.m, 1 / (1 - std::pow(config.beta1, t)));
    const Tensor v_hat = scale(slot.v, 1 / (1 - std::pow(config.beta2, t)));
    const Tensor update = scale(div(m_hat, shift(sqrt(v_hat), config.eps)), config.learning_rate);
    slot.parameter.tensor.copy_from(sub(slot.parameter.tensor.detach(), update));
    slot.parameter.tensor.clear_grad();
  }
  return report;
}

}  // namespace kdef::nn
