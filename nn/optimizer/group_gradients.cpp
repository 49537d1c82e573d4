#include "nn/optimizer/group_gradients.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/base/error.h"
#include "core/base/integers.h"
#include "core/base/pairwise.h"
#include "core/base/parallel.h"
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

// All dense gradients of one type are summed by one call, since every call waits for all members. The gradient of a
// parameter becomes its part of the sum.
void sum_dense(Group& group, const std::vector<Tensor>& parameters) {
  constexpr int64_t kAligned = 32;  // elements: the parts begin where vectors may
  const auto space = [](const Tensor& w) { return round_up(w.numel(), kAligned); };
  int64_t elements = 0;
  for (const Tensor& w : parameters) elements += space(w);
  const Tensor all = Tensor::zeros({elements}, parameters[0].dtype(), parameters[0].device());
  int64_t at = 0;
  for (const Tensor& w : parameters) {
    const Tensor mine = w.gradient().dense(w.shape());
    Tensor part = all.rows(at, w.numel()).alias(w.shape());
    if (mine.defined()) part.copy_from(mine);
    w.gradient() = Gradient(part);
    at += space(w);
  }
  all_reduce(group, all);
}

void append(Group::Bytes& message, const void* data, size_t bytes) {
  const auto* first = static_cast<const std::byte*>(data);
  message.insert(message.end(), first, first + bytes);
}

// The rows of one table in a message: their number, the ids, the values.
void append(Group::Bytes& message, const RowGradient& rows) {
  const int64_t count = rows.ids.numel();
  append(message, &count, sizeof count);
  if (count == 0) return;
  append(message, rows.ids.raw(), rows.ids.bytes());
  append(message, rows.values.raw(), rows.values.bytes());
}

// Takes the rows of a table out of `message`, from byte `at` on, which becomes the byte behind them.
RowGradient take_rows(const Group::Bytes& message, size_t& at, int64_t width, DType type) {
  const auto take = [&](void* to, size_t bytes) {
    KDEF_CHECK(bytes <= message.size() - at, "gradients of rows: a message of ", message.size(), " bytes is too short");
    std::memcpy(to, message.data() + at, bytes);
    at += bytes;
  };
  int64_t count = 0;
  take(&count, sizeof count);
  const RowGradient rows{Tensor::empty({count}, DType::i64), Tensor::empty({count, width}, type)};
  if (count == 0) return rows;
  take(rows.ids.raw(), rows.ids.bytes());
  take(rows.values.raw(), rows.values.bytes());
  return rows;
}

// The same for the rows of all tables.
void sum_rows(Group& group, const std::vector<Tensor>& tables) {
  const auto width = [](const Tensor& w) { return w.shape().back(); };
  Group::Bytes mine;
  for (const Tensor& w : tables) append(mine, rows_on_host(w.gradient(), width(w), w.dtype()));
  const std::vector<Group::Bytes> messages = group.all_gather(mine);
  std::vector<size_t> at(messages.size(), 0);
  for (const Tensor& w : tables) {
    std::vector<RowGradient> of_members;
    for (size_t r = 0; r < messages.size(); ++r)
      of_members.push_back(take_rows(messages[r], at[r], width(w), w.dtype()));
    const RowGradient sum = sum_of_rows(std::move(of_members));
    w.gradient() = Gradient(RowGradient{sum.ids.to(w.device()), sum.values.to(w.device())});
  }
}

using ParameterLists = std::vector<std::vector<Parameter>>;

// Gives parameter `i` of `sum` the sum of the shards' gradients, which are by rows.
void sum_rows_of_shards(const ParameterLists& shards, const std::vector<Parameter>& sum, size_t i) {
  const Tensor& w = sum[i].tensor;
  std::vector<RowGradient> parts;
  for (const auto& shard : shards) {
    parts.push_back(rows_on_host(shard[i].tensor.gradient(), w.shape().back(), w.dtype()));
    shard[i].tensor.clear_grad();
  }
  w.gradient() = Gradient(sum_of_rows(std::move(parts)));
}

// The same of gradients of which one is dense at least.
void sum_dense_of_shards(const ParameterLists& shards, const std::vector<Parameter>& sum, size_t i) {
  const Tensor& w = sum[i].tensor;
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

}  // namespace

void sum_over_group(Group& group, const std::vector<Parameter>& parameters) {
  if (group.is_alone()) return;
  const std::vector<Form> forms = agreed_forms(group, parameters);
  std::map<DType, std::vector<Tensor>> dense;
  std::vector<Tensor> tables;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (forms[i] == Form::dense) dense[parameters[i].tensor.dtype()].push_back(parameters[i].tensor);
    if (forms[i] == Form::rows) tables.push_back(parameters[i].tensor);
  }
  for (const auto& [type, tensors] : dense) sum_dense(group, tensors);
  if (!tables.empty()) sum_rows(group, tables);
}

void sum_over_shards(const std::vector<std::vector<Parameter>>& shards, const std::vector<Parameter>& sum) {
  const auto form_of_all = [&](size_t i) {
    Form form = Form::none;
    for (const auto& shard : shards) form = std::max(form, form_of(shard[i].tensor.gradient()));
    return form;
  };
  std::vector<Form> forms;
  for (size_t i = 0; i < sum.size(); ++i) forms.push_back(form_of_all(i));
  // Tables side by side, since each has gradients of its own in every shard: rows are merged by one thread. Other
  // gradients one by one, each by all threads.
  std::vector<size_t> tables;
  for (size_t i = 0; i < sum.size(); ++i) {
    if (forms[i] == Form::rows) tables.push_back(i);
  }
  parallel_for(static_cast<int64_t>(tables.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) sum_rows_of_shards(shards, sum, tables[static_cast<size_t>(t)]);
  });
  for (size_t i = 0; i < sum.size(); ++i) {
    if (forms[i] == Form::dense) sum_dense_of_shards(shards, sum, i);
  }
}

}  // namespace kdef::nn
