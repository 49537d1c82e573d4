#include "nn/optimizer/group_gradients.h"

#include <algorithm>
#include <cstring>

#include "core/base/pairwise.h"
#include "core/tensor/collectives.h"
#include "core/tensor/tape_kernels.h"
#include "nn/optimizer/passes.h"

namespace kdef::nn {

RowGradient rows_on_host(const Gradient& gradient, int64_t width, DType type) {
  std::vector<RowGradient> parts;
  for (const RowGradient& part : gradient.row_parts()) {
    // A device's rows may have an end that names none.
    const Tensor ids = part.ids.to(kCpu);
    const int64_t* first = ids.data<int64_t>();
    const int64_t used = std::lower_bound(first, first + ids.numel(), kNoRow) - first;
    parts.push_back({ids.rows(0, used), part.values.rows(0, used).to(kCpu)});
  }
  if (parts.empty()) parts.push_back({Tensor::empty({0}, DType::i64), Tensor::empty({0, width}, type)});
  return cpu::merge_rows(parts);
}

RowGradient sum_of_rows(std::vector<RowGradient> parts) {
  add_pairwise(parts.size(), [&](size_t to, size_t from) {
    parts[to] = cpu::merge_rows({parts[to], parts[from]});
    parts[from] = {};
  });
  return parts[0];
}

namespace {

// How a member holds the gradient of a parameter, from the narrowest form to the widest.
enum class Form : unsigned char { none, rows, dense };

Form form_of(const Gradient& g) { return !g.defined() ? Form::none : g.is_rows_only() ? Form::rows : Form::dense; }

// The widest form that any member has, for each parameter.
std::vector<Form> agreed_forms(Group& group, const std::vector<Parameter>& parameters) {
  Group::Bytes mine;
  for (const Parameter& p : parameters) mine.push_back(static_cast<std::byte>(form_of(p.tensor.gradient())));
  std::vector<Form> forms(parameters.size(), Form::none);
  for (const Group::Bytes& theirs : group.all_gather(mine)) {
    for (size_t i = 0; i < forms.size(); ++i) forms[i] = std::max(forms[i], static_cast<Form>(theirs[i]));
  }
  return forms;
}

// The tensor of a gradient may be that of another gradient as well (y = a + b gives dy to both): it is copied.
Tensor dense_sum(Group& group, const Parameter& p) {
  const Tensor& w = p.tensor;
  const Tensor mine = w.gradient().dense(w.shape());
  const Tensor sum = mine.defined() ? mine.clone() : Tensor::zeros(w.shape(), w.dtype(), w.device());
  all_reduce(group, sum);
  return sum;
}

// A message holds the ids, then the values.
Group::Bytes to_message(const RowGradient& rows) {
  Group::Bytes message(rows.ids.bytes() + rows.values.bytes());
  if (message.empty()) return message;
  std::memcpy(message.data(), rows.ids.raw(), rows.ids.bytes());
  std::memcpy(message.data() + rows.ids.bytes(), rows.values.raw(), rows.values.bytes());
  return message;
}

RowGradient from_message(const Group::Bytes& message, int64_t width, DType type) {
  const size_t row_bytes = sizeof(int64_t) + static_cast<size_t>(width) * size_of(type);
  const auto count = static_cast<int64_t>(message.size() / row_bytes);
  const RowGradient rows{Tensor::empty({count}, DType::i64), Tensor::empty({count, width}, type)};
  if (count == 0) return rows;
  std::memcpy(rows.ids.raw(), message.data(), rows.ids.bytes());
  std::memcpy(rows.values.raw(), message.data() + rows.ids.bytes(), rows.values.bytes());
  return rows;
}

RowGradient row_sum(Group& group, const Parameter& p) {
  const int64_t width = p.tensor.shape().back();
  const DType type = p.tensor.dtype();
  std::vector<RowGradient> of_members;
  for (const Group::Bytes& message : group.all_gather(to_message(rows_on_host(p.tensor.gradient(), width, type)))) {
    of_members.push_back(from_message(message, width, type));
  }
  const RowGradient sum = sum_of_rows(std::move(of_members));
  return {sum.ids.to(p.tensor.device()), sum.values.to(p.tensor.device())};
}

}  // namespace

void sum_over_group(Group& group, const std::vector<Parameter>& parameters) {
  if (group.is_alone()) return;
  const std::vector<Form> forms = agreed_forms(group, parameters);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    if (forms[i] == Form::dense) p.tensor.gradient() = Gradient(dense_sum(group, p));
    if (forms[i] == Form::rows) p.tensor.gradient() = Gradient(row_sum(group, p));
  }
}

void sum_over_shards(const std::vector<std::vector<Parameter>>& shards, const std::vector<Parameter>& sum) {
  for (size_t i = 0; i < sum.size(); ++i) {
    const Tensor& w = sum[i].tensor;
    Form form = Form::none;
    for (const auto& shard : shards) form = std::max(form, form_of(shard[i].tensor.gradient()));
    if (form == Form::rows) {
      std::vector<RowGradient> parts;
      for (const auto& shard : shards) {
        parts.push_back(rows_on_host(shard[i].tensor.gradient(), w.shape().back(), w.dtype()));
        shard[i].tensor.clear_grad();
      }
      w.gradient() = Gradient(sum_of_rows(std::move(parts)));
    } else if (form == Form::dense) {
      std::vector<Tensor> parts;
      for (const auto& shard : shards) {
        const Tensor dense = shard[i].tensor.gradient().dense(w.shape());
        parts.push_back(dense.defined() ? dense : Tensor::zeros(w.shape(), w.dtype()));
        shard[i].tensor.clear_grad();
      }
      add_pairwise(parts.size(), [&](size_t to, size_t from) {
        if (!parts[to].exclusive()) parts[to] = parts[to].clone();  // it may be the gradient of another tensor as well
        kdef::cpu::accumulate(parts[to], parts[from]);
        parts[from] = {};
      });
      w.gradient() = Gradient(parts[0]);
    }
  }
}

}  // namespace kdef::nn
