#include "core/tensor/tensor.h"

#include "core/base/parallel.h"
#include "core/base/shortage.h"
#include "core/tensor/tape.h"
#include "core/tensor/tape_kernels.h"

namespace kdef {

Storage::Storage(size_t bytes, Device device)
    : data_(memory_of(device).allocate(bytes)), bytes_(bytes), device_(device), owned_(true) {}

Storage::Storage(void* borrowed, size_t bytes, Device device, std::shared_ptr<const void> owner)
    : data_(borrowed), bytes_(bytes), device_(device), owned_(false), owner_(std::move(owner)) {}

Storage::~Storage() {
  if (owned_) memory_of(device_).release(data_);
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  int64_t bytes = static_cast<int64_t>(size_of(dtype));
  for (int64_t n : shape) {
    if (__builtin_mul_overflow(bytes, n, &bytes)) {
      throw SystemError(cat("out of memory: a tensor ", shape, " was asked", kMemoryAdvice));
    }
  }
  auto impl = std::make_shared<Impl>();
  impl->storage = std::make_shared<Storage>(static_cast<size_t>(bytes), device);
  impl->shape = shape;
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  memory_of(device).zero(t.raw(), t.bytes());
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  t.fill(value);
  return t;
}

std::byte* Tensor::raw() const { return static_cast<std::byte*>(impl().storage->data()) + impl().offset; }

double Tensor::item() const {
  KDEF_CHECK(numel() == 1, "item() of a tensor of shape ", shape());
  return for_float(dtype(), "item", [&]<class T>() -> double { return static_cast<double>(to_vector<T>()[0]); });
}

void Tensor::copy_host(void* to) const { memory_of(device()).copy(to, raw(), bytes()); }

Tensor Tensor::alias(const Shape& shape) const {
  KDEF_CHECK(shape.numel() == numel(), "alias: ", this->shape(), " does not have the elements of ", shape);
  auto view = std::make_shared<Impl>();
  view->storage = impl().storage;
  view->offset = impl().offset;
  view->shape = shape;
  view->dtype = impl().dtype;
  return Tensor(std::move(view));
}

Tensor Tensor::rows(int64_t first, int64_t count) const {
  KDEF_CHECK(rank() >= 1 && first >= 0 && count >= 0 && first + count <= shape()[0], "rows: [", first, ", ",
             first + count, ") is out of range for ", shape());
  Shape s = shape();
  s[0] = count;
  auto view = std::make_shared<Impl>();
  view->storage = impl().storage;
  view->offset = impl().offset + static_cast<size_t>(first * shape().product(1, rank())) * size_of(dtype());
  view->shape = s;
  view->dtype = impl().dtype;
  return Tensor(std::move(view));
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape(), dtype(), device());
  memory_of(device()).copy(t.raw(), raw(), bytes());
  return t;
}

Tensor Tensor::to(DType target) const {
  if (target == dtype()) return *this;
  if (!device().is_cpu()) return to(kCpu).to(target).to(device());
  Tensor t = empty(shape(), target);
  const auto convert = [&]<class From>() {
    for_float(target, "to", [&]<class To>() {
      const From* x = data<From>();
      To* y = t.data<To>();
      parallel_for(numel(), kPiece, [=](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) y[i] = static_cast<To>(number(x[i]));
      });
    });
  };
  if (dtype() == DType::bf16)
    convert.operator()<BFloat16>();
  else
    for_float(dtype(), "to", convert);
  return t;
}

Tensor Tensor::to(Device target) const {
  if (target == device()) return *this;
  Tensor t = empty(shape(), dtype(), target);
  t.copy_from(*this);
  return t;
}

void Tensor::copy_from(const Tensor& source) {
  KDEF_CHECK(source.shape() == shape() && source.dtype() == dtype(), "copy_from: ", describe(source), " does not fit ",
             describe(*this));
  memory_of(device().is_cpu() ? source.device() : device()).copy(raw(), source.raw(), bytes());
  changed();
}

void Tensor::share(const Tensor& other) const {
  KDEF_CHECK(other.shape() == shape() && other.dtype() == dtype(), "share: ", describe(other), " does not fit ",
             describe(*this));
  KDEF_CHECK(!impl().node, "share: only a leaf can be given other elements, this tensor was computed");
  impl().storage = other.impl().storage;
  impl().offset = other.impl().offset;
}

void Tensor::fill(double value) {
  if (value == 0) {
    memory_of(device()).zero(raw(), bytes());
  } else if (device().is_cpu()) {
    const auto assign = [&]<class T>() { std::fill_n(data<T>(), numel(), static_cast<T>(value)); };
    if (is_floating(dtype()))
      for_float(dtype(), "fill", assign);
    else
      for_index(dtype(), "fill", assign);
  } else {
#if defined(KDEF_HAS_CUDA)
    cuda::fill(*this, value);
#endif
  }
  changed();
}

Tensor& Tensor::set_requires_grad(bool value) {
  KDEF_CHECK(!impl().node, "set_requires_grad: only a leaf can be marked, this tensor was computed");
  KDEF_CHECK(!value || is_floating(dtype()), "set_requires_grad: ", describe(*this), " has no gradient");
  impl().requires_grad = value;
  return *this;
}

Gradient& Tensor::gradient() const {
  if (!impl().gradient) impl().gradient = std::make_shared<Gradient>();
  return *impl().gradient;
}

Tensor Tensor::grad() const { return impl().gradient ? impl().gradient->dense(shape()) : Tensor(); }

void Tensor::clear_grad() const { impl().gradient.reset(); }

std::string describe(const Tensor& t) {
  if (!t.defined()) return "undefined tensor";
  return cat(name_of(t.dtype()), " ", t.shape(), " on ", name_of(t.device()));
}

}  // namespace kdef
