#include "core/tensor/tape.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/base/clock.h"
#include "core/base/parallel.h"
#include "core/tensor/launch.h"
#include "core/tensor/names.h"
#include "core/tensor/tape_kernels.h"

namespace kdef {
namespace {

thread_local bool t_recording = true;
thread_local RecordObserver* t_observer = nullptr;
thread_local TapeProfiler* t_profiler = nullptr;
std::atomic<uint64_t> g_sequence{0};

}  // namespace

namespace cpu {

void accumulate(const Tensor& a, const Tensor& b) {
  for_float(a.dtype(), "gradient accumulation", [&]<class T>() {
    T* x = a.data<T>();
    const T* y = b.data<T>();
    parallel_for(a.numel(), kPiece, [=](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) x[i] += y[i];
    });
  });
}

void accumulate_rows(const Tensor& table, const RowGradient& rows) {
  for_float(table.dtype(), "row gradient", [&]<class T>() {
    const int64_t d = table.shape().back();
    const int64_t* ids = rows.ids.data<int64_t>();
    const T* values = rows.values.data<T>();
    T* out = table.data<T>();
    for (int64_t u = 0; u < rows.ids.numel(); ++u) {
      if (ids[u] == kNoRow) break;
      for (int64_t j = 0; j < d; ++j) out[ids[u] * d + j] += values[u * d + j];
    }
  });
}

}  // namespace cpu

namespace {

void add_to(const Tensor& a, const Tensor& b) {
  KDEF_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device(),
             "gradient accumulation: ", describe(a), " and ", describe(b), " differ");
  KDEF_LAUNCH(a.device(), accumulate, a, b);
  a.changed();
}

}  // namespace

void Gradient::widen(DType type) {
  if (dense_.defined() && dense_.dtype() == DType::bf16) dense_ = dense_.to(type);
}

void Gradient::add(const Gradient& other) {
  if (other.dense_.defined()) {
    if (!dense_.defined()) {
      dense_ = other.dense_;
    } else {
      if (!dense_.exclusive()) dense_ = dense_.clone();
      add_to(dense_, other.dense_);
    }
  }
  rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
}

Tensor Gradient::dense(const Shape& shape) const {
  if (!defined()) return {};
  if (rows_.empty()) return dense_;
  Tensor sum =
      dense_.defined() ? dense_.clone() : Tensor::zeros(shape, rows_[0].values.dtype(), rows_[0].values.device());
  for (const RowGradient& r : rows_) KDEF_LAUNCH(sum.device(), accumulate_rows, sum, r);
  return sum;
}

bool recording() { return t_recording; }
NoGrad::NoGrad() : before_(t_recording) { t_recording = false; }
NoGrad::~NoGrad() { t_recording = before_; }

bool attributes_wanted() { return t_recording || t_observer != nullptr; }

RecordObserver::RecordObserver(std::function<void(const Recorded&)> see) : see_(std::move(see)), before_(t_observer) {
  t_observer = this;
}
RecordObserver::~RecordObserver() { t_observer = before_; }

TapeProfiler::TapeProfiler() : last_(seconds_now()), before_(t_profiler) { t_profiler = this; }
TapeProfiler::~TapeProfiler() { t_profiler = before_; }
void TapeProfiler::restart() { last_ = seconds_now(); }
void TapeProfiler::count(std::map<std::string, double>& where, const char* op) {
  const double now = seconds_now();
  where[op] += now - last_;
  last_ = now;
}

Tensor record(const OpInfo& info, Tensor y, std::vector<Tensor> inputs, std::vector<Tensor> saved, BackwardFn backward,
              Attributes attributes) {
  if (t_observer) t_observer->see_({info, inputs, y, attributes});
  if (t_profiler && t_recording) t_profiler->count(t_profiler->forward, info.name);
  if (!t_recording) return y;
  bool any = false;
  std::vector<bool> needs;
  for (const Tensor& x : inputs) {
    needs.push_back(x.requires_grad());
    any = any || needs.back();
  }
  if (!any) return y;
  auto node = std::make_shared<Node>();
  node->info = &info;
  node->attributes = std::move(attributes);
  for (const Tensor& x : inputs) {
    NodeInput& input = node->inputs.emplace_back();
    if (!x.defined()) continue;
    input.shape = x.shape();
    input.type = x.dtype();
    input.node = x.node();
    if (input.node)
      ++input.node->readers;
    else
      input.leaf = x;
  }
  for (const Tensor& s : saved) {
    // Saved off the tape: a node that held its own output would keep itself alive.
    node->saved.push_back(s.defined() ? s.detach() : Tensor());
    node->versions.push_back(s.defined() ? s.version() : 0);
  }
  node->needs = std::move(needs);
  node->shape = y.shape();
  node->type = y.dtype();
  node->sequence = g_sequence++;
  node->backward = std::move(backward);
  y.set_node(std::move(node));
  return y;
}

namespace {

std::vector<std::shared_ptr<Node>> owned_nodes_behind(const Tensor& y) {
  std::vector<std::shared_ptr<Node>> found;
  if (!y.defined() || !y.node()) return found;
  std::unordered_set<const Node*> seen{y.node().get()};
  found.push_back(y.node());
  for (size_t i = 0; i < found.size(); ++i) {
    const Node& node = *found[i];
    for (const NodeInput& x : node.inputs) {
      if (x.node && seen.insert(x.node.get()).second) found.push_back(x.node);
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->sequence < b->sequence; });
  return found;
}

void check_usable(const Node& node) {
  KDEF_CHECK(!node.released, "backward: the tape behind '", node.info->name,
             "' was already used; compute the forward again before a second backward");
  for (size_t i = 0; i < node.saved.size(); ++i) {
    KDEF_CHECK(!node.saved[i].defined() || node.saved[i].version() == node.versions[i], "backward of '",
               node.info->name, "': saved tensor ", i, " (", describe(node.saved[i]),
               ") was changed in place after the forward; change a clone() instead");
  }
}

// Throws unless gradient g fits input i.
void check_gradient(const Node& node, size_t i, const Gradient& g) {
  const NodeInput& x = node.inputs[i];
  if (!g.dense_part().defined()) return;
  KDEF_CHECK(g.dense_part().shape() == x.shape, "backward of '", node.info->name, "': gradient ",
             g.dense_part().shape(), " for input ", i, " of shape ", x.shape);
  const bool rounded = g.dense_part().dtype() == DType::bf16 && x.type != DType::bf16;
  KDEF_CHECK(!rounded || g.dense_part().device().is_cpu() || !x.node || x.node->readers == 1, "backward of '",
             node.info->name, "': input ", i, " ", x.shape, ", the result of '", x.node->info->name, "', has ",
             x.node->readers,
             " readers; its gradient is rounded to bf16 for the product in front and cannot be added to ", "others on ",
             name_of(g.dense_part().device()), "; let nothing else read it, or train with precision f32");
}

// Frees what a node holds; the shapes stay, for messages.
void release(Node& node) {
  node.released = true;
  node.saved.clear();
  node.versions.clear();
  node.backward = nullptr;
  for (NodeInput& x : node.inputs) {
    x.node.reset();
    x.leaf = {};
  }
}

}  // namespace

std::vector<Node*> nodes_behind(const Tensor& y) {
  std::vector<Node*> found;
  for (const auto& node : owned_nodes_behind(y)) found.push_back(node.get());
  return found;
}

void backward(const Tensor& y, const Tensor& seed) {
  KDEF_CHECK(y.requires_grad(), "backward: the tensor was not computed from anything that requires a gradient");
  Tensor start = seed;
  if (!start.defined()) {
    KDEF_CHECK(y.numel() == 1, "backward: a tensor of shape ", y.shape(), " needs a seed gradient of that shape");
    start = Tensor::full(y.shape(), 1.0, y.dtype(), y.device());
  }
  KDEF_CHECK(start.shape() == y.shape() && start.dtype() == y.dtype(), "backward: seed ", describe(start),
             " does not fit ", describe(y));
  NoGrad no_grad;
  if (!y.node()) {
    y.gradient().add(start);
    return;
  }
  std::unordered_map<Node*, Gradient> pending;
  pending[y.node().get()].add(start);
  start = {};
  std::vector<std::shared_ptr<Node>> nodes = owned_nodes_behind(y);
  for (; !nodes.empty(); nodes.pop_back()) {  // the node dies here, unless a tensor holds it
    Node& node = *nodes.back();
    const auto found = pending.find(&node);
    if (found == pending.end()) continue;
    Gradient gradient = std::move(found->second);
    pending.erase(found);
    check_usable(node);
    if (!node.info->takes_rounded) gradient.widen(node.type);
    const Tensor dy = gradient.dense(node.shape);
    gradient = {};
    std::vector<Gradient> grads = node.backward({node.saved, node.needs}, dy);
    KDEF_CHECK(grads.size() <= node.inputs.size(), "backward of '", node.info->name, "' returned ", grads.size(),
               " gradients for ", node.inputs.size(), " inputs");
    for (size_t i = 0; i < grads.size(); ++i) {
      const NodeInput& x = node.inputs[i];
      if (!node.needs[i] || !grads[i].defined()) continue;
      check_gradient(node, i, grads[i]);
      Gradient& sum = x.node ? pending[x.node.get()] : x.leaf.gradient();
      if (!x.node || sum.defined()) {
        sum.widen(x.type);
        grads[i].widen(x.type);
      }
      sum.add(grads[i]);
      grads[i] = {};
    }
    release(node);
    if (t_profiler) t_profiler->count(t_profiler->backward, node.info->name);
  }
}

namespace {

// Every tensor behind y has a number: leaves x1.., results t1... Its name is the one that TensorNames has for it, or
// else the number.
class Naming {
 public:
  explicit Naming(const std::vector<Node*>& nodes) : names_(TensorNames::current()) {
    for (size_t i = 0; i < nodes.size(); ++i) numbers_[nodes[i]] = cat("t", i + 1);
    size_t leaves = 0;
    for (const Node* node : nodes) {
      for (const NodeInput& x : node->inputs) {
        if (x.leaf.defined() && numbers_.emplace(x.leaf.identity(), cat("x", leaves + 1)).second) ++leaves;
      }
    }
  }
  const std::string& number(const Node* node) const { return numbers_.at(node); }
  const std::string& number(const NodeInput& x) const {
    return numbers_.at(x.node ? static_cast<const void*>(x.node.get()) : x.leaf.identity());
  }
  std::string name(const Node* node) const {
    const std::string name = names_ ? names_->of(*node) : "";
    return name.empty() ? number(node) : name;
  }
  std::string name(const NodeInput& x) const {
    if (!x.defined()) return "-";
    const std::string name = !names_ ? "" : x.node ? names_->of(*x.node) : names_->of(x.leaf);
    return name.empty() ? number(x) : name;
  }

 private:
  const TensorNames* names_;
  std::unordered_map<const void*, std::string> numbers_;
};

// The group of a leaf called "GROUP/NAME"; empty for other names.
std::string group_of(const std::string& name) {
  const size_t slash = name.find('/');
  return slash == std::string::npos ? "" : name.substr(0, slash);
}

// The group of every node: the one that all leaves with a group behind it have in common; otherwise empty.
std::unordered_map<const Node*, std::string> groups_of(const std::vector<Node*>& nodes, const Naming& names) {
  std::unordered_map<const Node*, std::set<std::string>> behind;
  std::unordered_map<const Node*, std::string> groups;
  for (const Node* node : nodes) {
    std::set<std::string>& mine = behind[node];
    for (const NodeInput& x : node->inputs) {
      if (x.node) mine.insert(behind[x.node.get()].begin(), behind[x.node.get()].end());
      if (x.leaf.defined()) mine.insert(group_of(names.name(x)));
    }
    mine.erase("");
    groups[node] = mine.size() == 1 ? *mine.begin() : "";
  }
  return groups;
}

// A text of Graphviz; its line ends are those of a label.
std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? "\\n" : std::string(1, c);
  }
  return out + "\"";
}

}  // namespace

std::string explain(const Tensor& y) {
  const std::vector<Node*> nodes = nodes_behind(y);
  const Naming names(nodes);
  std::string text;
  for (const Node* node : nodes) {
    text += cat(names.name(node), " ", node->shape, " = ", node->info->name, "(");
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      const NodeInput& x = node->inputs[i];
      text += cat(i ? ", " : "", names.name(x), x.defined() || node->released ? cat(" ", x.shape) : std::string(),
                  node->needs[i] ? "" : " (constant)");
    }
    const std::string attributes = to_text(node->attributes);
    text += cat(attributes.empty() ? "" : "; ", attributes, ")  |  ", node->info->forward, "  |  ",
                node->info->backward, "  |  saved:");
    std::string saved;
    for (const Tensor& s : node->saved) saved += s.defined() ? cat(" ", name_of(s.dtype()), s.shape()) : "";
    text += cat(node->released ? " released" : saved.empty() ? " nothing" : saved, "\n");
  }
  return text;
}

std::string to_dot(const Tensor& y) {
  const std::vector<Node*> nodes = nodes_behind(y);
  const Naming names(nodes);
  const auto groups = groups_of(nodes, names);
  std::map<std::string, std::string> boxes;  // by group
  std::string arrows;
  std::unordered_set<const void*> drawn;
  for (const Node* node : nodes) {
    const std::string &number = names.number(node), name = names.name(node), attributes = to_text(node->attributes);
    const std::string label = cat(name == number ? "" : name + " = ", node->info->name, " ", node->shape,
                                  attributes.empty() ? "" : "\n" + attributes + "\n");
    boxes[groups.at(node)] += cat("  ", number, " [label=", quoted(label),
                                  ", tooltip=", quoted(cat(node->info->forward, " | ", node->info->backward)), "];\n");
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      const NodeInput& x = node->inputs[i];
      if (!x.defined()) continue;
      if (x.leaf.defined() && drawn.insert(x.leaf.identity()).second) {
        boxes[group_of(names.name(x))] += cat(
            "  ", names.number(x), " [shape=ellipse, label=", quoted(cat(names.name(x), " ", x.shape)),
            node->needs[i] ? ", fillcolor=\"#cfe8ff\"" : ", style=\"filled,dashed\", fillcolor=\"#eeeeee\"", "];\n");
      }
      arrows += cat("  ", names.number(x), " -> ", number, node->needs[i] ? "" : " [style=dashed]", ";\n");
    }
  }
  // The drawing is scaled down to a screen of 1280 x 720 points; the frames of groups have colours that differ without
  // hue, too.
  static constexpr const char* kFrames[] = {"#fff3c4", "#d9f0d3", "#f3d9e6", "#e0dcf2"};
  std::string text =
      "digraph tape {\n  rankdir=TB; size=\"13.3,7.5\"; ranksep=0.3; nodesep=0.2; fontname=\"Helvetica\";\n"
      "  node [shape=box, style=filled, fillcolor=\"#ffffff\", fontname=\"Helvetica\", margin=\"0.08,0.04\", "
      "height=0.3];\n";
  size_t frame = 0;
  for (const auto& [group, inside] : boxes) {
    if (group.empty()) {
      text += inside;
      continue;
    }
    text += cat("  subgraph ", quoted("cluster " + group), " {\n  label=", quoted(group), "; bgcolor=\"",
                kFrames[frame++ % std::size(kFrames)], "\"; color=\"#888888\";\n", inside, "  }\n");
  }
  return text + arrows + "}\n";
}

}  // namespace kdef
