#include "nn/module.h"

#include <cmath>

#include "core/base/parallel.h"

namespace kdef::nn {

std::vector<Parameter> Module::parameters() const {
  std::vector<Parameter> all = parameters_;
  for (const Child& child : children_) {
    for (Parameter p : child.module->parameters()) {
      p.name = child.prefix() + p.name;
      all.push_back(std::move(p));
    }
  }
  return all;
}

std::vector<Buffer> Module::buffers() const {
  std::vector<Buffer> all = buffers_;
  for (const Child& child : children_) {
    for (Buffer b : child.module->buffers()) {
      b.name = child.prefix() + b.name;
      all.push_back(std::move(b));
    }
  }
  return all;
}

int64_t Module::parameter_count() const {
  int64_t n = 0;
  for (const Parameter& p : parameters()) n += p.table ? p.table->rows * p.tensor.shape().back() : p.tensor.numel();
  return n;
}

Tensor Module::add_parameter(std::string name, Tensor t, bool embedding, std::shared_ptr<const TableRows> table) {
  t.set_requires_grad();
  parameters_.push_back({std::move(name), t, embedding, std::move(table)});
  return t;
}

Tensor Module::add_buffer(std::string name, Tensor t) {
  buffers_.push_back({std::move(name), t});
  return t;
}

void Builder::count(const Shape& shape) {
  if (values_left_ == kNoLimit) return;  // a tensor that is too large for the memory says so itself
  int64_t values = 1;
  bool fits = true;
  for (const int64_t size : shape) fits = fits && !__builtin_mul_overflow(values, size, &values);
  if (!fits || values > values_left_)
    throw InputError(cat("the model would have a tensor ", shape, ", which is too large"));
  values_left_ -= values;
}

// What the values of a tensor are where none are drawn.
Tensor Builder::undrawn(const Shape& shape) const {
  return drawn_ == Drawn::zero ? Tensor::zeros(shape, dtype_, device_) : Tensor::empty(shape, dtype_, device_);
}

Tensor Builder::xavier_normal(int64_t out, int64_t in) {
  return normal({out, in}, std::sqrt(2.0 / static_cast<double>(in + out)));
}

Tensor Builder::xavier_normal(const Shape& shape) {
  const int64_t fans = shape[1] * shape[2] + shape[0] * shape[2];
  return normal(shape, std::sqrt(2.0 / static_cast<double>(fans)));
}

Tensor Builder::normal(const Shape& shape, double standard_deviation) {
  count(shape);
  const NormalValues values = next_normal(standard_deviation);
  ++streams_;
  if (drawn_ != Drawn::random) return undrawn(shape);
  const Tensor host = Tensor::empty(shape, dtype_);
  values.fill(host, 0);
  return host.to(device_);
}

NormalValues Builder::next_normal(double standard_deviation) const {
  return {seed_, kStreamInit + streams_, standard_deviation, drawn_ != Drawn::random};
}

void NormalValues::fill(const Tensor& part, int64_t first) const {
  constexpr int64_t kWords = 4;  // of the stream, for each number
  for_float(part.dtype(), "initial values", [&]<class T>() {
    T* x = part.data<T>();
    if (zeros) return static_cast<void>(std::fill_n(x, part.numel(), T(0)));
    parallel_for(part.numel(), kPiece, [&](int64_t begin, int64_t end) {
      Random random(seed, stream, static_cast<uint64_t>((first + begin) * kWords));
      for (int64_t i = begin; i < end; ++i) x[i] = static_cast<T>(deviation * random.normal());
    });
  });
}

Tensor Builder::uniform(const Shape& shape, double low, double high) {
  count(shape);
  const uint64_t stream = kStreamInit + streams_++;
  if (drawn_ != Drawn::random) return undrawn(shape);
  const Tensor host = Tensor::empty(shape, dtype_);
  for_float(dtype_, "initial values", [&]<class T>() {
    T* x = host.data<T>();
    parallel_for(host.numel(), kPiece, [&](int64_t first, int64_t last) {
      Random random(seed_, stream, static_cast<uint64_t>(first) * 2);  // two words for each number
      for (int64_t i = first; i < last; ++i) x[i] = static_cast<T>(low + (high - low) * random.uniform53());
    });
  });
  return host.to(device_);
}

void Builder::clear_rows(const Tensor& t, int64_t first, int64_t count) const {
  if (drawn_ == Drawn::random) t.rows(first, count).fill(0);
}

Tensor Builder::constant(const Shape& shape, double value) {
  count(shape);
  return Tensor::full(shape, value, dtype_, device_);
}

}  // namespace kdef::nn
