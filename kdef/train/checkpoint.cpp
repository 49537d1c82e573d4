#include "kdef/train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace kdef {
namespace {

// A tensor of a file as this process holds it: of a divided table, its own rows.
struct Named {
  std::string name;
  Tensor tensor;
  std::shared_ptr<const nn::TableRows> table = nullptr;

  bool is_divided() const { return table != nullptr && table->members > 1; }
  // Of the whole tensor.
  Shape shape() const { return is_divided() ? Shape{table->rows, tensor.shape()[1]} : tensor.shape(); }
};
using NamedTensors = std::vector<Named>;

NamedTensors model_tensors(const Ensemble& model, const std::string& prefix) {
  NamedTensors all;
  for (const nn::Parameter& p : model.owned_parameters()) all.push_back({prefix + p.name, p.tensor, p.table});
  for (const nn::Buffer& b : model.buffers()) all.push_back({prefix + b.name, b.tensor});
  return all;
}

// Writes the file in the first member, to which the others give their rows. `divided`: null where all is whole.
void write(const std::string& path, const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
           const nn::DividedTables* divided) {
  std::vector<SafetensorsPart> parts;
  for (const Named& t : tensors) {
    const Tensor host = t.tensor.to(kCpu);
    parts.push_back({t.name, host.dtype(), t.shape(), [=](const SafetensorsPart::Take& take) {
                       if (t.is_divided())
                         divided->collect(*t.table, host, take);
                       else
                         take(host.raw(), host.bytes());
                     }});
  }
  if (divided == nullptr || divided->group().is_first()) return write_safetensors(path, parts, metadata);
  give_parts(parts);
}

NamedTensors optimizer_tensors(const nn::Optimizer& optimizer) {
  NamedTensors all;
  for (const nn::Buffer& b : optimizer.state()) all.push_back({"optimizer." + b.name, b.tensor, b.table});
  return all;
}

NamedTensors checkpoint_tensors(const Ensemble& model, const nn::Optimizer& optimizer) {
  NamedTensors all = model_tensors(model, "model.");
  for (Named& tensor : optimizer_tensors(optimizer)) all.push_back(std::move(tensor));
  return all;
}

// Whether the tensor is a grown table, which has the file's rows in front.
bool has_grown(const SafetensorsFile& file, const std::string& name, const Shape& shape, const GrownTables& grown) {
  constexpr std::string_view kTables = ".embedding_layers.";
  const size_t at = name.rfind(kTables);
  const Shape& before = file.shape(name);
  if (at == std::string::npos || shape.rank() != 2 || before.rank() != 2 || before[1] != shape[1]) return false;
  return std::any_of(grown.begin(), grown.end(), [&](const auto& table) {
    const auto& [field, rows] = table;
    return std::string_view(name).substr(at + kTables.size()).starts_with(field + ".") &&
           rows == std::pair(before[0], shape[0]);
  });
}

void check_that_all_fit(const SafetensorsFile& file, const NamedTensors& tensors, const GrownTables& grown) {
  for (const Named& t : tensors) {
    const std::string& name = t.name;
    const Shape shape = t.shape();
    if (!file.has(name)) {
      throw InputError(cat(file.path(), ": has no tensor '", name, "'; it was made with another configuration"));
    }
    const bool fits = file.shape(name) == shape || has_grown(file, name, shape, grown);
    if (!fits || file.dtype(name) != t.tensor.dtype()) {
      throw InputError(cat(file.path(), ": tensor '", name, "' is ", name_of(file.dtype(name)), " ", file.shape(name),
                           ", this configuration needs ", name_of(t.tensor.dtype()), " ", shape,
                           "; use the configuration and the data it was made with"));
    }
  }
}

// Checks that all tensors fit, then overwrites them from the file.
void load(const SafetensorsFile& file, const NamedTensors& tensors, const GrownTables& grown = {}) {
  check_that_all_fit(file, tensors, grown);
  for (const Named& t : tensors) {
    const Tensor read = file.view(t.name);
    const auto copy_rows = [&](int64_t row, int64_t place, int64_t rows) {
      const int64_t known = std::min(rows, read.shape()[0] - row);
      if (known > 0) t.tensor.rows(place, known).copy_from(read.rows(row, known));
    };
    if (t.is_divided())
      t.table->for_held(copy_rows);
    else if (read.shape() == t.tensor.shape())
      Tensor(t.tensor).copy_from(read);
    else
      copy_rows(0, 0, t.tensor.shape()[0]);
  }
}

}  // namespace

void save_model(const std::string& path, const Ensemble& model, const std::map<std::string, std::string>& metadata) {
  write(path, model_tensors(model, ""), metadata, model.divided());
}

void save_model(const std::function<void(const void* data, size_t bytes)>& write, const Ensemble& model,
                const std::map<std::string, std::string>& metadata, size_t alignment) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const Named& t : model_tensors(model, "")) tensors.emplace_back(t.name, t.tensor);
  write_safetensors(write, tensors, metadata, alignment);
}

void load_model(const std::string& path, Ensemble& model) { load_model(SafetensorsFile(path), model); }

void load_model(const SafetensorsFile& file, Ensemble& model) { load_model(file, model, {}); }

// The tensors of a model. The file has no others.
static NamedTensors tensors_for(const SafetensorsFile& file, const Ensemble& model) {
  NamedTensors tensors = model_tensors(model, "");
  std::set<std::string> known;
  for (const Named& t : tensors) known.insert(t.name);
  for (const std::string& name : file.names()) {
    if (known.count(name) == 0) {
      throw InputError(cat(file.path(), ": tensor '", name, "' is not part of this configuration's model"));
    }
  }
  return tensors;
}

void load_model(const SafetensorsFile& file, Ensemble& model, const GrownTables& grown) {
  load(file, tensors_for(file, model), grown);
}

void share_model(const SafetensorsFile& file, Ensemble& model, const std::shared_ptr<const void>& owner) {
  const NamedTensors tensors = tensors_for(file, model);
  check_that_all_fit(file, tensors, {});
  for (const Named& t : tensors) t.tensor.share(file.view(t.name, owner).to(t.tensor.device()));
}

void save_checkpoint(const std::string& path, const Ensemble& model, const nn::Optimizer& optimizer,
                     const TrainingState& state, const std::string& identity) {
  write(path, checkpoint_tensors(model, optimizer),
        {{"format", "kdef checkpoint 1"},
         {"identity", identity},
         {"step", std::to_string(state.step)},
         {"epoch", std::to_string(state.epoch)},
         {"batch", std::to_string(state.batch)},
         {"learning_rate", hexadecimal(state.learning_rate)},
         {"loss_sum", hexadecimal(state.loss_sum)},
         {"loss_count", std::to_string(state.loss_count)},
         {"best", hexadecimal(state.best)},
         {"has_best", std::to_string(state.has_best)},
         {"without_improvement", std::to_string(state.without_improvement)},
         {"finished", std::to_string(state.finished)},
         {"window", std::to_string(state.window)},
         {"seconds", hexadecimal(state.seconds)},
         {"metrics_bytes", std::to_string(state.metrics_bytes)},
         {"collapse_bytes", std::to_string(state.collapse_bytes)},
         {"optimizer_steps", std::to_string(optimizer.steps())}},
        model.divided());
}

namespace {

// The metadata of a checkpoint, read strictly: a file that was changed by hand is refused, not half understood.
class Metadata {
 public:
  explicit Metadata(const SafetensorsFile& file) : file_(file) {}

  const std::string& text(const char* key) const {
    const auto it = file_.metadata().find(key);
    if (it == file_.metadata().end()) {
      throw InputError(cat(file_.path(), ": is not a checkpoint of kdef: its metadata has no '", key, "'"));
    }
    return it->second;
  }
  int64_t count(const char* key, int64_t max = std::numeric_limits<int64_t>::max()) const {
    int64_t value = 0;
    if (!read_number(text(key), value)) throw refusal(key, "no whole number");
    if (value < 0 || value > max) throw refusal(key, max == 1 ? "not 0 or 1" : "out of its range");
    return value;
  }
  double number(const char* key) const {
    double value = 0;
    if (!read_hexadecimal(text(key), value)) throw refusal(key, "no hexadecimal number");
    return value;
  }
  double finite(const char* key) const {
    const double value = number(key);
    if (!std::isfinite(value) || value < 0) throw refusal(key, "not a finite number of at least 0");
    return value;
  }

 private:
  InputError refusal(const char* key, const char* why) const {
    return InputError(cat(file_.path(), ": its metadata '", key, "' is '", text(key), "', which is ", why));
  }

  const SafetensorsFile& file_;
};

TrainingState state_in(const Metadata& metadata) {
  TrainingState state;
  state.step = metadata.count("step");
  state.epoch = metadata.count("epoch");
  state.batch = metadata.count("batch");
  state.learning_rate = metadata.finite("learning_rate");
  state.loss_sum = metadata.number("loss_sum");
  state.loss_count = metadata.count("loss_count");
  state.best = metadata.number("best");
  state.has_best = metadata.count("has_best", 1) != 0;
  state.without_improvement = metadata.count("without_improvement");
  state.finished = metadata.count("finished", 1) != 0;
  state.window = metadata.count("window");
  state.seconds = metadata.finite("seconds");
  state.metrics_bytes = metadata.count("metrics_bytes");
  state.collapse_bytes = metadata.count("collapse_bytes");
  return state;
}

void check_format(const SafetensorsFile& file, const Metadata& metadata) {
  if (metadata.text("format") != "kdef checkpoint 1") {
    throw InputError(cat(file.path(), ": is not a checkpoint that this version of kdef reads: its format is '",
                         metadata.text("format"), "'; train again, or choose another run directory"));
  }
  if (!file.checked()) {
    throw InputError(
        cat(file.path(), ": has no checksum, which every checkpoint of kdef has; it was changed, and is not used"));
  }
}

}  // namespace

void load_optimizer(const std::string& checkpoint, nn::Optimizer& optimizer, const GrownTables& grown) {
  const SafetensorsFile file(checkpoint);
  const Metadata metadata(file);
  check_format(file, metadata);
  const int64_t steps = metadata.count("optimizer_steps");
  load(file, optimizer_tensors(optimizer), grown);
  optimizer.set_steps(steps);
}

TrainingState load_checkpoint(const std::string& path, Ensemble& model, nn::Optimizer& optimizer,
                              const std::string& identity) {
  const SafetensorsFile file(path);
  const Metadata metadata(file);
  check_format(file, metadata);
  if (metadata.text("identity") != identity) {
    throw InputError(
        cat(path,
            ": was made with another configuration, with other data or by another version of kdef; resume with the "
            "same ones, or choose another run directory to start anew"));
  }
  // Everything is read before anything is taken.
  const TrainingState state = state_in(metadata);
  const int64_t steps = metadata.count("optimizer_steps");
  load(file, checkpoint_tensors(model, optimizer));
  optimizer.set_steps(steps);
  optimizer.set_learning_rate(state.learning_rate);
  return state;
}

}  // namespace kdef
