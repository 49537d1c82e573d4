#include "kdef/serve/program.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "core/base/integers.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/serve/packed.h"

namespace kdef::serve {
namespace {

constexpr int kNone = Graph::kNone;
constexpr int64_t kLine = 16;  // numbers of a cache line, in which every value begins

// A product with constant weights: y = act(x W^T + b + the sum over tables of W_t e(id)).
struct Linear {
  int64_t out = 0, in = 0;
  std::vector<float> weight, bias;  // [out, in], [out]
  bool relu = false;

  struct Table {
    Tensor embeddings;          // [vocabulary, D]
    int64_t column;             // of its ids
    std::vector<float> weight;  // W_t [out, D]
  };
  std::vector<Table> tables;
};

// A node computes one value.
struct Node {
  enum class Kind { op, linear, view };
  Kind kind = Kind::op;
  Graph::Call call;  // of an op; of the others, the inputs and the output
  Linear linear = {};
  int64_t first = 0;  // of a view: where it begins in a row of its input
  bool needed = true;

  int input(size_t i = 0) const { return call.inputs[i]; }
  bool is(const OpInfo& op) const { return kind == Kind::op && call.op == &op; }
};

class Compiler {
 public:
  Compiler(const Graph& graph, size_t fold_bytes, ops::Stored stored)
      : graph_(graph), values_(graph.values), fold_bytes_(fold_bytes), stored_(stored) {
    for (const Graph::Value& value : values_) {
      const DType type = value.kind == Graph::Value::Kind::ids ? DType::i32 : DType::f32;
      const bool constant = value.kind == Graph::Value::Kind::constant;
      KDEF_CHECK(value.type == type || constant || value.kind == Graph::Value::Kind::result, "an input of type ",
                 name_of(value.type));
      KDEF_CHECK(constant || value.batch_axis == 0, "a result whose rows stand along axis ", value.batch_axis);
    }
    for (const Graph::Call& call : graph.calls) nodes_.push_back({.call = call});
  }

  Program compile() {
    share_equal_calls();
    for (Node& node : nodes_) make_linear(node);
    for (Node& node : nodes_) make_view(node);
    join_relu_into_linear();
    join_side_by_side();
    fold_tables();
    drop_unneeded();
    place();
    return program();
  }

 private:
  Graph::Value& value(int v) { return values_[static_cast<size_t>(v)]; }
  const Graph::Value& value(int v) const { return values_[static_cast<size_t>(v)]; }
  bool is_constant(int v) const { return v != kNone && value(v).kind == Graph::Value::Kind::constant; }
  static std::vector<float> numbers_of(const Tensor& t) { return t.to_vector<float>(); }
  // The numbers of one row.
  int64_t width(int v) const { return value(v).shape.numel(); }

  int add_value(Shape shape) {
    values_.push_back({.kind = Graph::Value::Kind::result, .shape = shape, .batch_axis = 0});
    return static_cast<int>(values_.size()) - 1;
  }

  std::array<int, 2> outputs() const { return {prediction_, student_predictions_}; }

  // The node that computes each value; null for inputs and constants.
  std::vector<Node*> makers() {
    std::vector<Node*> of(values_.size(), nullptr);
    for (Node& node : nodes_) {
      if (node.needed) of[static_cast<size_t>(node.call.output)] = &node;
    }
    return of;
  }

  std::vector<int> reader_counts() const {
    std::vector<int> counts(values_.size(), 0);
    for (const Node& node : nodes_) {
      for (const int input : node.call.inputs) {
        if (node.needed && input != kNone) ++counts[static_cast<size_t>(input)];
      }
    }
    for (const int output : outputs()) ++counts[static_cast<size_t>(output)];
    return counts;
  }

  // ---- Calls

  static bool equal(const Attributes& a, const Attributes& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Attribute& x, const Attribute& y) {
      return std::string_view(x.name) == y.name && x.value == y.value;
    });
  }

  // A call that repeats another one reads its result: students flatten the same embeddings.
  void share_equal_calls() {
    std::map<std::pair<const OpInfo*, std::vector<int>>, std::vector<const Node*>> seen;
    std::vector<int> same(values_.size());
    for (size_t v = 0; v < same.size(); ++v) same[v] = static_cast<int>(v);
    for (Node& node : nodes_) {
      for (int& input : node.call.inputs) {
        if (input != kNone) input = same[static_cast<size_t>(input)];
      }
      std::vector<const Node*>& others = seen[{node.call.op, node.call.inputs}];
      const auto twin = std::find_if(others.begin(), others.end(), [&](const Node* other) {
        return equal(other->call.attributes, node.call.attributes);
      });
      if (twin == others.end()) {
        others.push_back(&node);
        continue;
      }
      node.needed = false;
      same[static_cast<size_t>(node.call.output)] = (*twin)->call.output;
    }
    prediction_ = same[static_cast<size_t>(graph_.prediction)];
    student_predictions_ = same[static_cast<size_t>(graph_.student_predictions)];
  }

  // A linear layer, or a product with a constant matrix.
  void make_linear(Node& node) {
    if (!node.needed || node.call.inputs.size() < 2 || !is_constant(node.input(1)) || is_constant(node.input(0)))
      return;
    const Tensor weight = value(node.input(1)).constant;
    Linear linear;
    if (node.is(ops::kLinearInfo)) {
      const int bias = node.input(2);
      if (bias != kNone && !is_constant(bias)) return;
      linear.out = weight.shape()[0];
      linear.in = weight.shape()[1];
      linear.weight = numbers_of(weight);
      linear.bias =
          bias == kNone ? std::vector<float>(static_cast<size_t>(linear.out)) : numbers_of(value(bias).constant);
    } else if (node.is(ops::kMatmulInfo) && weight.rank() == 2 && !attribute<bool>(node.call, "transpose_a")) {
      const bool transposed = attribute<bool>(node.call, "transpose_b");
      linear.out = weight.shape()[transposed ? 0 : 1];
      linear.in = weight.shape()[transposed ? 1 : 0];
      linear.weight = numbers_of(transposed ? weight : ops::transpose(weight, 0, 1));
      linear.bias.resize(static_cast<size_t>(linear.out));
    } else {
      return;
    }
    node.kind = Node::Kind::linear;
    node.linear = std::move(linear);
    node.call.inputs.resize(1);
  }

  // A reshape, or a slice that is one range of each row.
  void make_view(Node& node) {
    if (!node.needed) return;
    if (node.is(ops::kSliceInfo)) {
      const Shape& shape = value(node.input()).shape;
      const auto axis = static_cast<int>(attribute<int64_t>(node.call, "axis"));
      if (shape.product(0, axis) != 1) return;
      node.first = attribute<int64_t>(node.call, "first") * shape.product(axis + 1, shape.rank());
    } else if (!node.is(ops::kReshapeInfo)) {
      return;
    }
    node.kind = Node::Kind::view;
  }

  // ---- Linear layers

  // ReLU becomes part of the layer before it, if nothing else reads that.
  void join_relu_into_linear() {
    std::vector<Node*> maker = makers();
    const std::vector<int> readers = reader_counts();
    for (Node& node : nodes_) {
      if (!node.needed || !node.is(ops::kReluInfo)) continue;
      Node* before = maker[static_cast<size_t>(node.input())];
      if (before == nullptr || before->kind != Node::Kind::linear || before->linear.relu ||
          readers[static_cast<size_t>(node.input())] != 1) {
        continue;
      }
      before->linear.relu = true;
      before->call.output = node.call.output;
      maker[static_cast<size_t>(node.call.output)] = before;
      node.needed = false;
    }
  }

  // Layers that read the same value become one product, whose result they are parts of.
  void join_side_by_side() {
    std::map<std::pair<int, bool>, std::vector<size_t>> groups;
    for (size_t n = 0; n < nodes_.size(); ++n) {
      const Node& node = nodes_[n];
      // A layer of one input may be the embedding of a number, which fold_tables() looks for.
      if (node.needed && node.kind == Node::Kind::linear && node.linear.in > 1 &&
          width(node.input()) == node.linear.in) {
        groups[{node.input(), node.linear.relu}].push_back(n);
      }
    }
    for (const auto& [key, members] : groups) {
      if (members.size() < 2) continue;
      Linear all{.in = nodes_[members[0]].linear.in, .relu = key.second};
      std::vector<int64_t> first;
      for (const size_t n : members) {
        Linear& one = nodes_[n].linear;
        first.push_back(all.out);
        all.out += one.out;
        all.weight.insert(all.weight.end(), one.weight.begin(), one.weight.end());
        all.bias.insert(all.bias.end(), one.bias.begin(), one.bias.end());
      }
      const int together = add_value({1, all.out});
      for (size_t i = 0; i < members.size(); ++i) {
        Node& node = nodes_[members[i]];
        node.kind = Node::Kind::view;
        node.linear = {};
        node.call.inputs = {together};
        node.first = first[i];
      }
      Node product{.kind = Node::Kind::linear, .call = {.inputs = {key.first}, .output = together}};
      product.linear = std::move(all);
      inserted_.emplace_back(members[0], std::move(product));
    }
    insert_nodes();
  }

  // Puts the nodes of inserted_ in front of the nodes with their numbers.
  void insert_nodes() {
    std::stable_sort(inserted_.begin(), inserted_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Node> all;
    auto next = inserted_.begin();
    for (size_t n = 0; n < nodes_.size(); ++n) {
      for (; next != inserted_.end() && next->first == n; ++next) all.push_back(std::move(next->second));
      all.push_back(std::move(nodes_[n]));
    }
    nodes_ = std::move(all);
    inserted_.clear();
  }

  // ---- Layers over embeddings

  // A part of a layer's input.
  struct Part {
    int value;
    int64_t first;  // its first number in the layer's input
  };

  // The values of which `v` is a concatenation.
  void add_parts(int v, int64_t first, const std::vector<Node*>& maker, std::vector<Part>& parts) const {
    const Node* node = maker[static_cast<size_t>(v)];
    if (node != nullptr && node->kind == Node::Kind::view && node->first == 0 && width(node->input()) == width(v)) {
      return add_parts(node->input(), first, maker, parts);
    }
    if (node == nullptr || !is_flat_concat(*node)) return parts.push_back({v, first});
    for (const int input : node->call.inputs) {
      add_parts(input, first, maker, parts);
      first += width(input);
    }
  }

  // Whether a node puts whole rows side by side.
  bool is_flat_concat(const Node& node) const {
    if (!node.is(ops::kConcatInfo)) return false;
    const Shape& shape = value(node.call.output).shape;
    return shape.product(0, static_cast<int>(attribute<int64_t>(node.call, "axis"))) == 1;
  }

  // The column of an input that a view of it begins with.
  std::optional<int64_t> column_of(int v, int input, const std::vector<Node*>& maker) const {
    if (v == input) return 0;
    const Node* node = v == kNone ? nullptr : maker[static_cast<size_t>(v)];
    if (node == nullptr || node->kind != Node::Kind::view) return std::nullopt;
    const std::optional<int64_t> column = column_of(node->input(), input, maker);
    return column ? std::optional(*column + node->first) : std::nullopt;
  }

  // The rows [first, first + count) of W^T, as a matrix [out, count].
  static std::vector<float> columns_of(const Linear& linear, int64_t first, int64_t count) {
    std::vector<float> columns;
    for (int64_t o = 0; o < linear.out; ++o) {
      const float* row = linear.weight.data() + o * linear.in + first;
      columns.insert(columns.end(), row, row + count);
    }
    return columns;
  }

  // An id whose embedding is a part of a layer's input: W_t e(id) can be known for every id.
  struct Candidate {
    size_t node;
    Part part;
    Tensor embeddings;
    int64_t column;
  };

  // A number whose embedding v w, w constant, is a part: W_t w is a column of weights for the number itself.
  struct NumberPart {
    int number;
    std::vector<float> direction;  // w
  };

  std::optional<NumberPart> number_part(const Part& part, const std::vector<Node*>& maker) const {
    const Node* node = maker[static_cast<size_t>(part.value)];
    const auto is_zero = [](float x) { return x == 0.0f; };
    if (node == nullptr || node->kind != Node::Kind::linear || node->linear.in != 1 || node->linear.relu ||
        width(node->input()) != 1 || !column_of(node->input(), graph_.numbers, maker) ||
        !std::all_of(node->linear.bias.begin(), node->linear.bias.end(), is_zero)) {
      return std::nullopt;
    }
    return NumberPart{node->input(), node->linear.weight};
  }

  std::optional<Candidate> candidate(size_t n, const Part& part, const std::vector<Node*>& maker) const {
    const Node* node = maker[static_cast<size_t>(part.value)];
    if (node == nullptr || !node->is(ops::kEmbeddingInfo) || !is_constant(node->input(0)) ||
        width(node->input(1)) != 1) {
      return std::nullopt;
    }
    const std::optional<int64_t> column = column_of(node->input(1), graph_.ids, maker);
    if (!column) return std::nullopt;
    return Candidate{n, part, value(node->input(0)).constant, *column};
  }

  // Known products, of the smallest vocabularies first, as long as they fit.
  void fold_tables() {
    const std::vector<Node*> maker = makers();
    std::vector<Candidate> candidates;
    std::map<size_t, std::vector<Part>> parts_of;
    for (size_t n = 0; n < nodes_.size(); ++n) {
      const Node& node = nodes_[n];
      if (!node.needed || node.kind != Node::Kind::linear || width(node.input()) != node.linear.in) continue;
      add_parts(node.input(), 0, maker, parts_of[n]);
      for (const Part& part : parts_of[n]) {
        if (auto found = candidate(n, part, maker)) candidates.push_back(std::move(*found));
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      return a.embeddings.shape()[0] < b.embeddings.shape()[0];
    });
    std::map<size_t, std::vector<const Candidate*>> folded;
    size_t bytes = 0;
    for (const Candidate& c : candidates) {
      const size_t more = ops::TableSum::bytes_of(c.embeddings.shape()[0], nodes_[c.node].linear.out, stored_);
      if (bytes + more > fold_bytes_) continue;
      bytes += more;
      folded[c.node].push_back(&c);
    }
    for (const auto& [n, parts] : parts_of) fold(n, parts, folded[n], maker);
    insert_nodes();
  }

  // Takes the folded parts out of a layer's input, and replaces embeddings of numbers by the numbers.
  void fold(size_t n, const std::vector<Part>& parts, const std::vector<const Candidate*>& folded,
            const std::vector<Node*>& maker) {
    Linear& linear = nodes_[n].linear;
    bool changes = !folded.empty();
    std::vector<int> rest;
    std::vector<std::vector<float>> columns;  // of the weights of `rest`, each [out, width]
    for (const Part& part : parts) {
      const int64_t count = width(part.value);
      const auto known =
          std::find_if(folded.begin(), folded.end(), [&](const Candidate* c) { return c->part.first == part.first; });
      std::vector<float> weight = columns_of(linear, part.first, count);
      if (known != folded.end()) {
        linear.tables.push_back({(*known)->embeddings, (*known)->column, std::move(weight)});
        continue;
      }
      if (const auto number = number_part(part, maker)) {
        std::vector<float> one;
        for (int64_t o = 0; o < linear.out; ++o) {
          double sum = 0;
          for (int64_t i = 0; i < count; ++i)
            sum += static_cast<double>(weight[static_cast<size_t>(o * count + i)]) *
                   static_cast<double>(number->direction[static_cast<size_t>(i)]);
          one.push_back(static_cast<float>(sum));
        }
        rest.push_back(number->number);
        columns.push_back(std::move(one));
        changes = true;
        continue;
      }
      rest.push_back(part.value);
      columns.push_back(std::move(weight));
    }
    if (!changes) return;
    int64_t in = 0;
    for (const int v : rest) in += width(v);
    std::vector<float> weight;
    for (int64_t o = 0; o < linear.out; ++o) {
      for (size_t i = 0; i < rest.size(); ++i) {
        const float* row = columns[i].data() + o * width(rest[i]);
        weight.insert(weight.end(), row, row + width(rest[i]));
      }
    }
    linear.in = in;
    linear.weight = std::move(weight);
    if (rest.empty()) {
      nodes_[n].call.inputs.clear();
    } else if (rest.size() == 1) {
      nodes_[n].call.inputs = rest;
    } else {
      const int together = add_value({1, in});
      Graph::Call call{
          .op = &ops::kConcatInfo, .attributes = {{"axis", int64_t{1}}}, .inputs = rest, .output = together};
      nodes_[n].call.inputs = {together};
      inserted_.emplace_back(n, Node{.call = std::move(call)});
    }
  }

  void drop_unneeded() {
    std::vector<bool> need(values_.size(), false);
    for (const int output : outputs()) need[static_cast<size_t>(output)] = true;
    for (size_t n = nodes_.size(); n-- > 0;) {
      Node& node = nodes_[n];
      node.needed = node.needed && need[static_cast<size_t>(node.call.output)];
      for (const int input : node.call.inputs) {
        if (node.needed && input != kNone) need[static_cast<size_t>(input)] = true;
      }
    }
    std::erase_if(nodes_, [](const Node& node) { return !node.needed; });
  }

  // ---- Places

  // Where a value begins in another one; `in` is kNone for a value with memory of its own.
  struct Within {
    int in = kNone;
    int64_t first = 0;
  };

  void place() {
    within_.assign(values_.size(), {});
    for (const Node& node : nodes_) {
      if (node.kind == Node::Kind::view) within_[static_cast<size_t>(node.call.output)] = {node.input(), node.first};
    }
    // What is put side by side is computed where it belongs: the last concatenation first, so that parts of parts are.
    for (size_t n = nodes_.size(); n-- > 0;) {
      const Node& node = nodes_[n];
      if (!is_flat_concat(node)) continue;
      int64_t first = 0;
      for (const int input : node.call.inputs) {
        const Within root = root_of(input);
        Within& own = within_[static_cast<size_t>(root.in)];
        if (value(root.in).kind == Graph::Value::Kind::result && width(root.in) == width(input) &&
            root.in != root_of(node.call.output).in) {
          own = {node.call.output, first};
        }
        first += width(input);
      }
    }
    give_memory();
  }

  // The value with memory of its own, or the input, in which a value is.
  Within root_of(int v) const {
    Within at{v, 0};
    while (within_[static_cast<size_t>(at.in)].in != kNone) {
      at.first += within_[static_cast<size_t>(at.in)].first;
      at.in = within_[static_cast<size_t>(at.in)].in;
    }
    return at;
  }

  // Values that are needed at the same time get different memory; of all others, some get the same.
  void give_memory() {
    struct Life {
      size_t from = SIZE_MAX, to = 0;
    };
    std::map<int, Life> lives;
    const auto live = [&](int v, size_t at) {
      const int root = root_of(v).in;
      if (value(root).kind != Graph::Value::Kind::result) return;
      Life& life = lives[root];
      life.from = std::min(life.from, at);
      life.to = std::max(life.to, at);
    };
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (nodes_[n].kind != Node::Kind::view) live(nodes_[n].call.output, n);
      for (const int input : nodes_[n].call.inputs) {
        if (input != kNone) live(input, n);
      }
    }
    for (const int output : outputs()) live(output, nodes_.size());
    std::vector<std::pair<int, Life>> in_order(lives.begin(), lives.end());
    std::stable_sort(in_order.begin(), in_order.end(),
                     [](const auto& a, const auto& b) { return a.second.from < b.second.from; });
    std::vector<std::pair<int, Life>> placed;
    for (const auto& [v, life] : in_order) {
      const int64_t size = round_up(width(v), kLine);
      // The lowest place that no value of the same time has.
      std::vector<std::pair<int64_t, int64_t>> taken;
      for (const auto& [other, others] : placed) {
        if (others.from <= life.to && life.from <= others.to)
          taken.emplace_back(start_.at(other), round_up(width(other), kLine));
      }
      std::sort(taken.begin(), taken.end());
      int64_t at = 0;
      for (const auto& [first, count] : taken) {
        if (at + size <= first) break;
        at = std::max(at, first + count);
      }
      start_[v] = at;
      row_size_ = std::max(row_size_, at + size);
      placed.emplace_back(v, life);
    }
    // As many rows as keep results and the weights of a layer in a processor's second cache.
    constexpr int64_t kNumbers = int64_t{1} << 18;
    constexpr int64_t kTile = 6, kMost = 96;
    rows_ = std::clamp(kNumbers / std::max<int64_t>(1, row_size_) / kTile * kTile, kTile, kMost);
  }

  Operand operand(int v) const {
    if (v == kNone) return {};
    const Graph::Value& of = value(v);
    Operand x{.shape = of.shape, .batched = of.batch_axis == 0, .type = of.type};
    if (is_constant(v)) {
      x.place = {Place::Kind::constant, 0, 0, of.constant};
      return x;
    }
    const Within root = root_of(v);
    const auto kind = value(root.in).kind;
    if (kind == Graph::Value::Kind::ids) {
      x.place = {Place::Kind::ids, root.first, width(graph_.ids)};
    } else if (kind == Graph::Value::Kind::numbers) {
      x.place = {Place::Kind::numbers, root.first, width(graph_.numbers)};
    } else {
      const int64_t stride = round_up(width(root.in), kLine);
      x.place = {Place::Kind::memory, start_.at(root.in) * rows_ + root.first, stride};
    }
    return x;
  }

  // ---- The program

  Program program() {
    Program p;
    p.rows = rows_;
    p.memory = row_size_ * rows_;
    p.id_columns = graph_.ids == kNone ? 0 : width(graph_.ids);
    p.number_columns = graph_.numbers == kNone ? 0 : width(graph_.numbers);
    p.vocabularies.assign(static_cast<size_t>(p.id_columns), 0);
    for (const Node& node : nodes_) {
      if (node.kind == Node::Kind::view) continue;
      if (node.kind == Node::Kind::linear) {
        p.steps.push_back(linear_step(node, p));
        continue;
      }
      std::vector<Operand> inputs;
      for (const int input : node.call.inputs) inputs.push_back(operand(input));
      try {
        const bool looks_up = node.is(ops::kEmbeddingInfo) && is_constant(node.input(0));
        if (looks_up) count_table(value(node.input(0)).constant, p);
        p.steps.push_back(looks_up && stored_ != ops::Stored::f32
                              ? look_up_step(inputs, operand(node.call.output))
                              : make_step(node.call, inputs, operand(node.call.output)));
      } catch (const Error& e) {
        throw Error(cat("op '", node.call.op->name, "': ", e.what()));
      }
      p.lines.push_back(cat(node.call.op->name, " ", value(node.call.output).shape));
      if (node.is(ops::kEmbeddingInfo))
        limit(p, inputs[1].place.first, inputs[1].width(), value(node.input(0)).shape[0]);
    }
    for (const int output : outputs()) {
      KDEF_CHECK(value(output).type == DType::f32, "a prediction of type ", name_of(value(output).type));
    }
    p.scores = operand(prediction_).place;
    p.students = operand(student_predictions_).place;
    p.student_count = width(student_predictions_);
    return p;
  }

  // Fields may share a table.
  void count_table(const Tensor& table, Program& p) {
    if (!counted_tables_.insert(table.raw()).second) return;
    const Shape& shape = table.shape();
    p.embedding_bytes += ops::StoredRows::bytes_of(shape[0], shape[1], stored_);
  }

  // The rows of an embedding table, kept in fewer bits.
  std::shared_ptr<const ops::StoredRows> stored_table(const Tensor& table) {
    std::shared_ptr<const ops::StoredRows>& kept = stored_tables_[table.raw()];
    if (kept != nullptr) return kept;
    const int64_t rows = table.shape()[0], dim = table.shape()[1];
    const auto made = std::make_shared<ops::StoredRows>(rows, dim, stored_);
    for (int64_t r = 0; r < rows; ++r) made->set(r, table.data<float>() + r * dim, dim);
    return kept = made;
  }

  Step look_up_step(const std::vector<Operand>& x, const Operand& y) {
    KDEF_CHECK(x[0].type == DType::f32 && x[1].place.kind == Place::Kind::ids, "a table or ids that are computed");
    const int64_t dim = x[0].shape[1];
    return [table = stored_table(x[0].place.constant), ids = x[1].place, y = y.place, n = x[1].width(),
            dim](const Rows& rows) {
      for (int64_t b = 0; b < rows.count; ++b) {
        const int32_t* id = ids.read_ids(rows, b);
        float* to = y.write(rows, b);
        for (int64_t l = 0; l < n; ++l) table->read(id[l], dim, to + l * dim);
      }
    };
  }

  // The ids of these columns must be below `vocabulary`.
  static void limit(Program& p, int64_t column, int64_t count, int64_t vocabulary) {
    for (int64_t c = column; c < column + count; ++c) {
      int64_t& least = p.vocabularies[static_cast<size_t>(c)];
      least = least == 0 ? vocabulary : std::min(least, vocabulary);
    }
  }

  Step linear_step(const Node& node, Program& p) const {
    const Linear& linear = node.linear;
    const Operand y = operand(node.call.output), x = linear.in > 0 ? operand(node.input()) : Operand{};
    KDEF_CHECK(x.type == DType::f32 && y.type == DType::f32, "op 'linear': from ", name_of(x.type), " to ",
               name_of(y.type));
    std::shared_ptr<ops::TableSum> sum;
    if (!linear.tables.empty()) {
      sum = std::make_shared<ops::TableSum>(linear.bias.data(), linear.out, linear.relu && linear.in == 0, chosen_isa(),
                                            stored_);
      for (const Linear::Table& table : linear.tables) {
        const int64_t vocabulary = table.embeddings.shape()[0], dim = table.embeddings.shape()[1];
        limit(p, table.column, 1, vocabulary);
        // W_t e(id) of every id.
        const ops::PackedLinear product(table.weight.data(), nullptr, linear.out, dim, false);
        sum->add_table(vocabulary, table.column, [&](int64_t first, int64_t count, float* rows) {
          product.run(table.embeddings.data<float>() + first * dim, dim, count, rows, sum->stride());
        });
      }
      p.table_bytes += sum->bytes();
      p.tables += static_cast<int64_t>(linear.tables.size());
    }
    std::shared_ptr<const ops::PackedLinear> product;
    if (linear.in > 0) {
      product = std::make_shared<ops::PackedLinear>(linear.weight.data(), linear.bias.data(), linear.out, linear.in,
                                                    linear.relu, chosen_isa(), stored_);
      p.packed_bytes += product->bytes();
    }
    p.lines.push_back(cat("linear ", linear.in, " -> ", linear.out, linear.relu ? ", relu" : "",
                          linear.tables.empty() ? "" : cat(", and ", linear.tables.size(), " tables of products")));
    const int64_t id_columns = p.id_columns;
    if (sum == nullptr) return product_step(std::move(product), x, y);
    return [=, x = x.place, y = y.place](const Rows& rows) {
      sum->run(rows.ids, id_columns, rows.count, y.write(rows, 0), y.stride);
      if (product != nullptr) product->run(x.read(rows, 0), x.stride, rows.count, y.write(rows, 0), y.stride, true);
    };
  }

  // A row of x may hold several inputs of the product.
  static Step product_step(std::shared_ptr<const ops::PackedLinear> product, const Operand& x, const Operand& y) {
    const int64_t together = x.width() / product->in();
    KDEF_CHECK(together * product->in() == x.width() && together * product->out() == y.width(),
               "op 'linear': ", product->in(), " inputs of ", x.shape);
    const bool one_after_another = together > 1 && x.place.stride == x.width() && y.place.stride == y.width();
    return [=, x = x.place, y = y.place](const Rows& rows) {
      if (together == 1) return product->run(x.read(rows, 0), x.stride, rows.count, y.write(rows, 0), y.stride);
      const int64_t in = product->in(), out = product->out();
      if (one_after_another) return product->run(x.read(rows, 0), in, rows.count * together, y.write(rows, 0), out);
      for (int64_t b = 0; b < rows.count; ++b) product->run(x.read(rows, b), in, together, y.write(rows, b), out);
    };
  }

  const Graph& graph_;
  std::vector<Graph::Value> values_;
  std::vector<Node> nodes_;
  std::vector<std::pair<size_t, Node>> inserted_;
  size_t fold_bytes_;
  ops::Stored stored_;
  std::map<const void*, std::shared_ptr<const ops::StoredRows>> stored_tables_;  // by the model's own numbers
  std::set<const void*> counted_tables_;
  int prediction_ = kNone, student_predictions_ = kNone;
  std::vector<Within> within_;
  std::map<int, int64_t> start_;  // of values with memory of their own, in a row of all memory
  int64_t row_size_ = 0, rows_ = 0;
};

}  // namespace

Program compile(const Graph& graph, size_t fold_bytes, ops::Stored stored) {
  return Compiler(graph, fold_bytes, stored).compile();
}

}  // namespace kdef::serve
