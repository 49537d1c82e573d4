#include "kdef/audit/worksheet.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/names.h"
#include "kdef/measure/collapse.h"

namespace kdef {

Tensor Worksheet::leaf(const std::string& name, const std::vector<double>& values, const Shape& shape) {
  return leaf(name, Tensor::from(values, shape));
}

Tensor Worksheet::leaf(const std::string& name, Tensor t) {
  t.set_requires_grad();
  leaves_.push_back({name, named(name.c_str(), t)});
  return t;
}

Tensor Worksheet::stop(const Tensor& t) {
  if (replays_) return held_.at(next_held_++);
  held_.push_back(t.clone());
  return t.detach();
}

void Worksheet::measure(const std::string& name, const Tensor& matrix) { measured_.push_back({name, matrix}); }

namespace {

constexpr size_t kWidth = 80, kValues = 38;  // columns of the page, and where the numbers start
constexpr double kRate = 0.05;               // of the step

std::string number(double v) {
  const std::string text = fixed_point(v, 6);
  return text == "-0.000000" ? "0.000000" : text;
}

// Appends `text` at column `at` of a line that is `line`, or of a new line if that is too long.
void put(std::string& page, std::string line, size_t at, const std::string& text) {
  if (line.size() >= at) {
    page += line + "\n";
    line.clear();
  }
  page += line + std::string(at - line.size(), ' ') + text + "\n";
}

// Text broken at blanks; the first line starts with `start`, the others are indented as far.
std::string paragraph(const std::string& start, const std::string& text) {
  std::string out, line = start;
  for (const std::string& word : split(text, ' ')) {
    if (line.size() > start.size() && line.size() + 1 + word.size() > kWidth) {
      out += line + "\n";
      line = std::string(start.size(), ' ');
    }
    line += (line.size() > start.size() ? " " : "") + word;
  }
  return out + line + "\n";
}

// The place of an op on the tape, "  7 ".
std::string margin(const std::string& place) {
  return std::string(place.size() < 3 ? 3 - place.size() : 0, ' ') + place + " ";
}

// The elements by rows of the last axis, at most four of them a line.
std::vector<std::string> rows_of(const Tensor& t) {
  std::vector<std::string> cells, rows;
  if (is_floating(t.dtype())) {
    for (const double v : t.to(DType::f64).to_vector<double>()) cells.push_back(number(v));
  } else if (t.dtype() == DType::i32) {
    for (const int32_t v : t.to_vector<int32_t>()) cells.push_back(cat(v));
  } else {
    for (const int64_t v : t.to_vector<int64_t>()) cells.push_back(cat(v));
  }
  const size_t width = t.rank() == 0 ? 1 : std::max<size_t>(1, static_cast<size_t>(t.shape().back()));
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i % width % 4 == 0) rows.emplace_back();
    rows.back() += std::string(cells[i].size() < 10 ? 10 - cells[i].size() : 1, ' ') + cells[i];
  }
  return rows;
}

void put_rows(std::string& page, std::string line, const std::vector<std::string>& rows) {
  for (const std::string& row : rows) {
    put(page, line, kValues, row);
    line.clear();
  }
}

// The rows of a gradient: of a dense one all; of one by rows of a table a line "row 3: .." for each of them.
std::vector<std::string> rows_of(const Gradient& g) {
  std::vector<std::string> all;
  if (g.dense_part().defined()) all = rows_of(g.dense_part());
  for (const RowGradient& part : g.row_parts()) {
    for (int64_t u = 0; u < part.ids.numel(); ++u) {
      all.push_back(cat("row ", part.ids.data<int64_t>()[u], ":", rows_of(part.values.rows(u, 1))[0]));
    }
  }
  return all;
}

}  // namespace

// An example that is worked out: its tape, what happened on it, and the names of all that took part.
class Workings {
 public:
  explicit Workings(const Example& example) : example_(example), forward_(example.make(sheet_)) {
    const RecordObserver observer([this](const Recorded& r) {
      if (!r.inputs.empty()) calls_.push_back({&r.op, r.inputs, r.output, r.attributes});
    });
    loss_ = forward_();
    if (!loss_.defined()) return;
    if (names_.of(loss_).empty()) names_.set(loss_, "L");
    // A result without a name has that of its place on the tape, as in explain(); off the tape, c1, c2, ..
    const std::vector<Node*> nodes = nodes_behind(loss_);
    size_t constants = 0;
    for (const Call& call : calls_) {
      if (!names_.of(call.output).empty() && names_.of(call.output).rfind("sg(", 0) != 0) continue;
      const auto place = std::find(nodes.begin(), nodes.end(), call.output.node().get());
      names_.set(call.output, place == nodes.end() ? cat("c", ++constants) : cat("t", place - nodes.begin() + 1));
    }
  }

  const Tensor& loss() const { return loss_; }

  WorkedExample page(const std::optional<ops::BrokenOp>& broken) {
    WorkedExample out;
    out.text = cat("Example '", example_.name, "', lesson ", example_.lesson, "\n", paragraph("", example_.about));
    if (broken && !loss_.defined()) throw InputError(cat("example ", example_.name, " has no gradient to break"));
    if (loss_.defined()) {
      break_op(broken, out.text);
      put_forward(out.text);
      put_backward(out.text);
      out.agrees = put_check(out.text);
      put_step(out.text);
    }
    put_spectra(out.text);
    return out;
  }

 private:
  struct Call {
    const OpInfo* op;
    std::vector<Tensor> inputs;
    Tensor output;
    Attributes attributes;
  };
  // What a node received and passed on, in the order of backward().
  struct Passed {
    size_t place;
    const OpInfo* op;
    std::string output;
    Tensor dy;
    std::vector<std::string> inputs;
    std::vector<Gradient> gradients;
  };

  std::string name(const Tensor& t) const {
    const std::string name = names_.of(t);
    return name.empty() ? cat("constant ", t.shape()) : name;
  }

  // "softmin(s; axis=0)"
  std::string call_text(const Call& call) const {
    std::string text = cat(call.op->name, "(");
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      if (call.inputs[i].defined()) text += cat(i ? ", " : "", name(call.inputs[i]));
    }
    Attributes attributes;
    for (const Attribute& a : call.attributes) {
      // Products say in which type they multiply, which is f64 here.
      if (a.name != std::string("operands")) attributes.push_back(a);
    }
    return text + cat(attributes.empty() ? "" : "; ", to_text(attributes), ")");
  }

  void break_op(const std::optional<ops::BrokenOp>& broken, std::string& page) const {
    if (!broken) return;
    std::set<std::string> ops;
    for (const Node* node : nodes_behind(loss_)) ops.insert(node->info->name);
    if (ops::break_gradient(loss_, *broken) == 0) {
      const std::vector<std::string> known(ops.begin(), ops.end());
      if (ops.count(broken->name) == 0) fail_unknown_name(cat("op of example ", example_.name), broken->name, known);
      throw InputError(cat("--break ", broken->name, ":", broken->input, ": this op has fewer inputs; the first is 0"));
    }
    page += cat("BROKEN: '", broken->name, "' passes back ",
                broken->input < 0 ? "its gradient" : cat("the gradient of its input ", broken->input),
                " with the wrong sign.\n");
  }

  void put_forward(std::string& page) const {
    page += "\nForward: every value, in the order of computation\n";
    std::set<const void*> seen;
    const auto put_inputs = [&](const Call& call) {
      for (const Tensor& x : call.inputs) {
        if (!x.defined() || x.node() || names_.of(x).empty() || !seen.insert(x.identity()).second) continue;
        if (names_.of(x).rfind("sg(", 0) == 0) continue;  // shown under its own name
        put_rows(page, cat("    ", name(x), x.requires_grad() ? "  (leaf)" : "  (constant)"), rows_of(x));
      }
    };
    size_t place = 0;
    for (const Call& call : calls_) {
      put_inputs(call);
      seen.insert(call.output.identity());
      const std::string at = call.output.node() ? cat(++place) : "-";
      put_rows(page, cat(margin(at), name(call.output), " = ", call_text(call)), rows_of(call.output));
    }
  }

  // Runs backward() and prints what every node received and passed on.
  void put_backward(std::string& page) const {
    std::vector<Passed> all;
    size_t place = 0;
    for (Node* node : nodes_behind(loss_)) {
      Passed seen{++place, node->info, names_.of(*node), {}, {}, {}};
      for (const NodeInput& x : node->inputs) {
        seen.inputs.push_back(x.node ? names_.of(*x.node) : x.leaf.defined() ? name(x.leaf) : "");
      }
      node->backward = [&all, seen, rule = node->backward](const BackwardContext& c, const Tensor& dy) {
        Passed& now = all.emplace_back(seen);
        now.dy = dy.clone();
        now.gradients = rule(c, dy);
        for (size_t i = 0; i < now.gradients.size(); ++i) {
          if (!c.needs[i]) now.gradients[i] = {};
        }
        return now.gradients;
      };
    }
    backward(loss_);
    page += "\nBackward: every gradient, in the reverse order; += adds to what is there\n";
    const std::string loss = names_.of(loss_);
    for (const Passed& p : all) {
      page += paragraph(margin(cat(p.place)), cat(p.op->name, ": ", p.op->backward));
      put_rows(page, cat("    d", loss, "/d", p.output), rows_of(p.dy));
      for (size_t i = 0; i < p.gradients.size(); ++i) {
        if (p.gradients[i].defined())
          put_rows(page, cat("      d", loss, "/d", p.inputs[i], " +="), rows_of(p.gradients[i]));
      }
    }
  }

  double value_at(bool replays) {
    const NoGrad no_grad;
    const TensorNames unread;  // those of the page stay as they are
    sheet_.replays_ = replays;
    sheet_.next_held_ = 0;
    return forward_().item();
  }

  bool put_check(std::string& page) {
    std::vector<Tensor> leaves;
    for (const auto& leaf : sheet_.leaves_) leaves.push_back(leaf.tensor);
    const auto numeric = ops::differences(leaves, [this] { return value_at(true); });
    page += cat("\nCheck: d", names_.of(loss_), "/dleaf by the tape and by central differences\n");
    size_t wrong = 0, total = 0;
    for (size_t i = 0; i < leaves.size(); ++i) {
      const Tensor grad = leaves[i].grad();
      for (size_t e = 0; e < numeric[i].size(); ++e) {
        const double tape = grad.defined() ? grad.data<double>()[e] : 0.0;
        const bool agrees = ops::deviation_of(tape, numeric[i][e]) <= ops::kGradientTolerance;
        ++total;
        wrong += !agrees;
        put(page, cat("    ", sheet_.leaves_[i].name, element(leaves[i].shape(), static_cast<int64_t>(e))), kValues,
            cat(right(number(tape)), right(number(numeric[i][e])),
                agrees ? "  ok" : cat("  WRONG by ", number(std::abs(tape - numeric[i][e])))));
      }
    }
    page += wrong == 0 ? cat("    all ", total, " agree\n") : cat("    ", wrong, " of ", total, " are wrong\n");
    return wrong == 0;
  }

  static std::string right(const std::string& text) {
    return std::string(text.size() < 11 ? 11 - text.size() : 1, ' ') + text;
  }

  // "[1,0]", empty for a scalar.
  static std::string element(const Shape& shape, int64_t e) {
    std::string text;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      text = cat(e % shape[axis], text.empty() ? "" : ",", text);
      e /= shape[axis];
    }
    return text.empty() ? "" : cat("[", text, "]");
  }

  void put_step(std::string& page) {
    const std::string loss = names_.of(loss_);
    page += cat("\nOne step of gradient descent: leaf - ", kRate, " d", loss, "/dleaf\n");
    for (const auto& leaf : sheet_.leaves_) {
      const Tensor grad = leaf.tensor.grad();
      for (int64_t e = 0; grad.defined() && e < grad.numel(); ++e) {
        leaf.tensor.data<double>()[e] -= kRate * grad.data<double>()[e];
      }
      leaf.tensor.changed();
      put_rows(page, cat("    ", leaf.name), rows_of(leaf.tensor));
    }
    const double before = loss_.item(), after = value_at(false);
    put(page, cat("    ", loss, " before and after"), kValues, right(number(before)).substr(1) + right(number(after)));
  }

  void put_spectra(std::string& page) const {
    for (const auto& [name, matrix] : sheet_.measured_) {
      const Spectrum s = spectrum(matrix);
      Tensor singular = Tensor::from(singular_values(matrix), {static_cast<int64_t>(singular_values(matrix).size())});
      page += "\n";
      put_rows(page, cat(name, ", ", s.rows, " rows"), rows_of(matrix));
      put_rows(page, "    singular values s_1, s_2, ..", rows_of(singular));
      const auto measure = [&page](const char* what, double value) {
        put(page, cat("    ", what), kValues, rows_of(Tensor::from<double>({value}, {1}))[0]);
      };
      measure("information abundance", s.information_abundance);
      measure("effective rank", s.effective_rank);
      measure("stable rank", s.stable_rank);
      measure("participation ratio, centred", s.participation_ratio);
    }
  }

  const Example& example_;
  TensorNames names_;
  Worksheet sheet_;
  Forward forward_;
  std::vector<Call> calls_;
  Tensor loss_;
};

WorkedExample worked(const Example& example, const std::optional<ops::BrokenOp>& broken) {
  return Workings(example).page(broken);
}
namespace {
// What `fn` makes of the tape of an example.
std::string of_tape(const Example& example, std::string (*fn)(const Tensor&)) {
  const Workings workings(example);
  if (!workings.loss().defined()) {
    throw InputError(cat("example ", example.name, " has no tape; see it by --example ", example.name, " alone"));
  }
  return fn(workings.loss());
}
}  // namespace

std::string tape_text(const Example& example) { return of_tape(example, explain); }
std::string tape_dot(const Example& example) { return of_tape(example, to_dot); }

}  // namespace kdef
