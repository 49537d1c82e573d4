// Tensor: a handle on {storage, shape, dtype, device, gradient node} that is cheap to copy; copies share the data. A
// tensor is always contiguous and row-major. A view is another shape of the same elements (alias) or a range of the
// leading dimension (rows). Differentiable functions are in ops/; the functions of this header do not write on the
// tape.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/base/dtype.h"
#include "core/base/shape.h"
#include "core/tensor/device.h"

namespace kdef {

struct Node;     // core/tensor/tape.h
class Gradient;  // core/tensor/tape.h

/// A block of device memory, shared by the tensors that view it.
class Storage {
 public:
  Storage(size_t bytes, Device device);
  /// Uses the memory of an owner, which is kept. Without one, the caller keeps the memory alive longer than every
  /// tensor on it.
  Storage(void* borrowed, size_t bytes, Device device, std::shared_ptr<const void> owner = nullptr);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// The number of changes in place. The tape compares it to find saved tensors that have changed.
  int64_t version = 0;

 private:
  void* data_;
  size_t bytes_;
  Device device_;
  bool owned_;
  std::shared_ptr<const void> owner_;
};

class Tensor {
 public:
  Tensor() = default;  // undefined

  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  /// Uninitialised, with the shape, dtype and device of `t`.
  static Tensor empty_like(const Tensor& t) { return empty(t.shape(), t.dtype(), t.device()); }
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32, Device device = kCpu);
  /// Copies host values; their number must be shape.numel().
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape, Device device = kCpu);
  /// A tensor on host memory of `owner`, which it keeps; without one, of the caller, who keeps it alive.
  template <class T>
  static Tensor borrow(T* values, const Shape& shape, std::shared_ptr<const void> owner = nullptr);

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const { return impl().shape; }
  int rank() const { return impl().shape.rank(); }
  int64_t size(int axis) const { return impl().shape[impl().shape.axis(axis, "size")]; }
  int64_t numel() const { return impl().shape.numel(); }
  DType dtype() const { return impl().dtype; }
  Device device() const { return impl().storage->device(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype()); }

  /// The elements. T must be the tensor's type.
  template <class T>
  T* data() const {
    KDEF_CHECK(dtype_of<T> == dtype(), "data<", name_of(dtype_of<T>), ">() of a tensor of type ", name_of(dtype()));
    return reinterpret_cast<T*>(raw());
  }
  std::byte* raw() const;
  /// The single element of a one-element floating-point tensor.
  double item() const;
  /// All elements, on the host.
  template <class T>
  std::vector<T> to_vector() const;

  /// The same elements under another shape of equal size; shares the data, not the tape.
  Tensor alias(const Shape& shape) const;
  /// The same elements, off the tape.
  Tensor detach() const { return alias(shape()); }
  /// Rows [first, first + count) of the leading dimension; shares the data, not the tape.
  Tensor rows(int64_t first, int64_t count) const;
  /// A copy with its own data, off the tape.
  Tensor clone() const;
  /// A copy in another type (f32 or f64), or on another device, off the tape. Where nothing changes, the tensor itself,
  /// which stays on the tape. The type of a device's tensor is changed on the host.
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;
  /// Overwrites the elements; same shape and dtype, any device. Counts as a change in place.
  void copy_from(const Tensor& source);
  void fill(double value);
  /// Call it after writing through data() into a tensor that may be saved on a tape.
  void changed() const { ++impl().storage->version; }
  int64_t version() const { return impl().storage->version; }
  /// True if no other handle or view shares the data: the holder may overwrite it.
  bool exclusive() const { return impl_.use_count() == 1 && impl().storage.use_count() == 1; }
  /// Makes this leaf, in all its handles, a second name of the elements of `other`, of the same shape and type, with a
  /// gradient of its own. The elements that it had are released.
  void share(const Tensor& other) const;
  bool same_storage(const Tensor& other) const { return impl().storage == other.impl().storage; }

  // -- the tape (core/tensor/tape.h)
  /// True for a leaf whose gradient is wanted, and for every tensor computed from such a leaf.
  bool requires_grad() const { return impl_ && (impl_->requires_grad || impl_->node); }
  /// Marks a leaf; returns itself.
  Tensor& set_requires_grad(bool value = true);
  /// The gradient accumulated by backward() in a leaf; undefined before. Row gradients are made dense.
  Tensor grad() const;
  /// The gradient as accumulated, dense or by rows.
  Gradient& gradient() const;
  void clear_grad() const;
  const std::shared_ptr<Node>& node() const { return impl().node; }
  void set_node(std::shared_ptr<Node> node) const { impl().node = std::move(node); }
  const void* identity() const { return impl_.get(); }

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    size_t offset = 0;  // bytes
    Shape shape;
    DType dtype = DType::f32;
    bool requires_grad = false;
    std::shared_ptr<Node> node;
    std::shared_ptr<Gradient> gradient;
  };

  explicit Tensor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  Impl& impl() const {
    KDEF_CHECK(impl_ != nullptr, "use of an undefined tensor");
    return *impl_;
  }
  void copy_host(void* to) const;

  std::shared_ptr<Impl> impl_;
};

template <class T>
Tensor Tensor::from(const std::vector<T>& values, const Shape& shape, Device device) {
  KDEF_CHECK(static_cast<int64_t>(values.size()) == shape.numel(), "Tensor::from: ", values.size(),
             " values for shape ", shape);
  Tensor t = empty(shape, dtype_of<T>, device);
  if (!values.empty()) memory_of(device).copy(t.raw(), values.data(), t.bytes());
  return t;
}

template <class T>
Tensor Tensor::borrow(T* values, const Shape& shape, std::shared_ptr<const void> owner) {
  auto impl = std::make_shared<Impl>();
  const size_t bytes = static_cast<size_t>(shape.numel()) * sizeof(T);
  impl->storage = std::make_shared<Storage>(values, bytes, kCpu, std::move(owner));
  impl->shape = shape;
  impl->dtype = dtype_of<T>;
  return Tensor(std::move(impl));
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  KDEF_CHECK(dtype_of<T> == dtype(), "to_vector<", name_of(dtype_of<T>), ">() of a tensor of type ", name_of(dtype()));
  std::vector<T> values(static_cast<size_t>(numel()));
  if (!values.empty()) copy_host(values.data());
  return values;
}

/// "f32 [29, 4] on cpu", for messages.
std::string describe(const Tensor& t);

}  // namespace kdef
