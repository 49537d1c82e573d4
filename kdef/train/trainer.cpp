#include "kdef/train/trainer.h"

#include <cmath>
#include <optional>
#include <span>

#include "core/base/clock.h"
#include "core/base/first_member.h"
#include "core/base/text.h"
#include "core/io/append_file.h"
#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "kdef/method/batch_feed.h"
#include "kdef/train/monitored.h"
#include "kdef/train/run_files.h"
#include "kdef/train/trainer_json.h"
#include "kdef/train/training_step.h"

namespace kdef {

double monitored(const Quality& q, const std::map<std::string, double>& monitor) {
  double value = 0;
  for (const auto& [name, weight] : monitor) {
    if (weight == 0) continue;
    const std::optional<Metric> metric = find_metric(name);
    if (!metric || !q.has(*metric)) {
      std::string known;
      for (const Metric& m : q.measured()) known += cat(known.empty() ? "" : ", ", m.name());
      throw InputError(cat("monitor: metric '", name, "' is not measured; measured are ", known));
    }
    value += weight * metric->judged(q[*metric]);
  }
  return value;
}

namespace {

constexpr double kImprovement = 1e-6;    // a monitored value that is better by less is no improvement
constexpr int64_t kTrainSample = 20000;  // training rows that an evaluation measures, at most as many as it validates
constexpr size_t kStepsAhead = 32;       // steps that the host gives to a device before it waits for their losses

// Appends a line that is on disk before the checkpoint that counts its bytes.
void append_to_disk(AppendFile& log, const std::string& line) {
  log.append_line(line);
  log.sync();
}

class Loop {
 public:
  Loop(Ensemble& model, const data::EncodedFile& train, const data::EncodedFile& valid, const TrainingConfig& config,
       const std::string& directory, const std::string& identity, bool resume, const TrainingListener& listener,
       const std::function<void(nn::Optimizer&)>& begin)
      : model_(model),
        train_(train),
        valid_(valid),
        config_(config),
        files_(directory),
        identity_(identity),
        listener_(listener),
        loader_(train, config.batch_size, config.shuffle, config.seed, 0, {group_.rank(), group_.size()}),
        optimizer_(model.owned_parameters(), config.optimizer, partial_sums(model, config.shards)),
        feed_(model.device(), config.batch_size, model.embedding().id_columns(), model.embedding().value_columns(),
              train.layout().weights),
        compute_(model, optimizer_, config.precision, config.seed, config.batch_size, config.shards) {
    state_.learning_rate = config.optimizer.learning_rate;
    if (resume) {
      state_ = load_checkpoint(files_.checkpoint(), model_, optimizer_, identity_);
    } else if (begin) {
      begin(optimizer_);
    }
    agree_on_window(resume);
    by_first_member(group_, [&] {
      make_subfolder(files_.checkpoint_folder());
      log_.emplace(files_.metrics(), state_.metrics_bytes);
      if (config.collapse_every > 0) collapse_log_.emplace(files_.collapse_history(), state_.collapse_bytes);
    });
    eval_steps_ = config.eval_steps > 0 ? config.eval_steps : loader_.steps_per_epoch();
  }

  // False: the listener asked to stop.
  bool run() {
    started_ = seconds_now() - state_.seconds;
    if (state_.step == 0) save();  // from here on a killed training can be resumed
    while (!state_.finished && state_.epoch < config_.epochs) {
      loader_.start_epoch(state_.epoch, state_.batch);
      while (!state_.finished && state_.batch < loader_.steps_per_epoch()) {
        if (!loader_.next(batch_)) throw Error("trainer: the loader ended before the epoch");
        step();
        const bool last = state_.batch == loader_.steps_per_epoch();
        const int64_t epoch = state_.epoch;
        if (last) {
          state_.batch = 0;
          ++state_.epoch;
        }
        if (state_.step % eval_steps_ == 0) {
          evaluate_model(epoch);
          save();
        } else if (config_.checkpoint_steps > 0 && state_.step % config_.checkpoint_steps == 0) {
          save();
        }
        if (!state_.finished && group_.agree(listener_.stop_requested())) {
          save();
          return false;
        }
        if (last) break;
      }
    }
    if (!state_.has_best) {
      // The training is shorter than the interval between evaluations: its model is evaluated once.
      evaluate_model(std::max<int64_t>(0, state_.epoch - 1));
    }
    state_.finished = true;
    save();
    if (model_.divided() != nullptr && steps_here_ > 0) tell_division();
    return true;
  }

  const TrainingState& state() const { return state_; }

 private:
  // Runs what writes files: in the first member; where tables are divided in all, which give it their rows.
  template <class Write>
  void in_writers(Write&& write) {
    if (model_.divided() != nullptr)
      by_all_members(group_, write);
    else
      by_first_member(group_, write);
  }

  int64_t bytes_sent() const { return model_.divided() == nullptr ? 0 : model_.divided()->bytes_sent(); }

  // What this process held of the tables, and what it sent.
  void tell_division() {
    int64_t held = 0, whole = 0;  // bytes
    const auto add = [&](const Tensor& t, const nn::TableRows* table) {
      if (table == nullptr) return;
      held += static_cast<int64_t>(t.bytes());
      whole += table->rows * t.shape()[1] * static_cast<int64_t>(size_of(t.dtype()));
    };
    for (const nn::Parameter& p : model_.owned_parameters()) add(p.tensor, p.table.get());
    for (const nn::Buffer& b : optimizer_.state()) add(b.tensor, b.table.get());
    listener_.note(cat("divided tables: process ", group_.rank(), " of ", group_.size(), " holds ", grouped(held),
                       " of ", grouped(whole), " bytes of rows and optimizer state; for rows and gradients it sent ",
                       grouped(sent_ / steps_here_), " bytes a step"));
  }

  // Takes the window of the checkpoint. Without one, the first member's, since a window depends on the memory there.
  void agree_on_window(bool resume) {
    int64_t window = resume ? state_.window : loader_.window();
    group_.broadcast(std::as_writable_bytes(std::span(&window, 1)), 0);
    if (window != loader_.window()) loader_.set_window(window);
    state_.window = loader_.window();
  }

  void save() {
    collect_steps();
    state_.seconds = seconds_now() - started_;
    state_.learning_rate = optimizer_.learning_rate();
    in_writers([&] {
      if (log_) state_.metrics_bytes = log_->bytes();
      if (collapse_log_) state_.collapse_bytes = collapse_log_->bytes();
      save_checkpoint(files_.checkpoint(), model_, optimizer_, state_, identity_);
    });
  }

  // The host gives steps to a device ahead of time, and receives a step's loss some steps later.
  void step() {
    input_ = feed_.put(batch_);
    first_row_ = loader_.first_row(state_.batch);
    const int64_t rows = loader_.batch_rows(state_.batch);
    const int64_t sent_before = bytes_sent();
    compute_.run(input_, static_cast<uint64_t>(state_.step), first_row_, rows);
    sent_ += bytes_sent() - sent_before;
    ++steps_here_;
    ++state_.step;
    ++state_.batch;
    pending_.push_back({state_.step, state_.epoch + 1, state_.batch, loader_.steps_per_epoch(), rows, 0});
    if (model_.device().is_cpu() || pending_.size() == kStepsAhead) collect_steps();
  }

  // Waits for the pending steps, checks their losses and gradients and reports them.
  void collect_steps() {
    if (pending_.empty()) return;
    const std::vector<nn::StepRecord> records = optimizer_.take_records();
    KDEF_CHECK(records.size() == pending_.size(), "trainer: ", pending_.size(), " steps, ", records.size(), " records");
    for (size_t i = 0; i < records.size(); ++i) {
      TrainingListener::Step& step = pending_[i];
      const nn::StepRecord& r = records[i];
      if (!std::isfinite(r.loss)) report_forward(step.step, r.loss, i + 1 == records.size());
      if (!std::isfinite(r.gradient_norm)) report_gradients(step.step);
      step.loss = r.loss + r.regularization;
      state_.loss_sum += step.loss;
      ++state_.loss_count;
      listener_.step(step);
    }
    pending_.clear();
  }

  // Names the first tensor that is not finite: a parameter, or the result of an op of the repeated step.
  [[noreturn]] void report_forward(int64_t step, double loss, bool input_is_there) {
    std::string culprit = first_bad_tensor(model_);
    if (input_is_there) {
      const bool bad_values = input_.values.defined() && !is_finite(input_.values);
      if (group_.agree(bad_values) && culprit.empty()) culprit = "the batch's numeric values";
      if (culprit.empty()) {
        const RecordObserver observer([&](const Recorded& r) {
          if (culprit.empty() && !is_finite(r.output)) {
            culprit = cat("the result of ", r.op.name, " ", r.output.shape());
          }
        });
        compute_.loss(input_, static_cast<uint64_t>(step - 1), first_row_);
        if (model_.divided() != nullptr) culprit = first_text(group_, culprit);
      }
    }
    throw CheckError(cat(
        "step ", step, ": the loss is ", loss, "; first bad tensor: ", culprit.empty() ? "the loss itself" : culprit,
        "; check how large the numbers of the data are (numeric fields, labels, weights), or lower learning_rate"));
  }

  [[noreturn]] void report_gradients(int64_t step) {
    std::string culprit = model_.device().is_cpu() ? "the regularizer of a parameter"
                                                   : cat("a gradient, which ", name_of(model_.device()),
                                                         " does not keep (--device cpu names it)");
    std::string bad;
    for (const nn::Parameter& p : model_.owned_parameters()) {
      const Tensor g = p.tensor.grad();
      if (g.defined() && !is_finite(g)) {
        bad = cat("the gradient of ", p.name);
        break;
      }
    }
    if (model_.divided() != nullptr) bad = first_text(group_, bad);
    if (!bad.empty()) culprit = bad;
    throw CheckError(cat(
        "step ", step, ": the norm of the gradient is not finite; first bad tensor: ", culprit,
        "; the step was not applied; check how large the numbers of the data are (numeric fields, labels, weights), or "
        "lower learning_rate"));
  }

  void evaluate_model(int64_t epoch) {
    collect_steps();
    TrainingListener::Evaluated e{};
    e.step = state_.step;
    e.epoch = epoch + 1;
    e.learning_rate = optimizer_.learning_rate();
    e.train_loss = state_.loss_count > 0 ? state_.loss_sum / static_cast<double>(state_.loss_count) : 0;
    try {
      e.valid = evaluate(model_, valid_, config_.batch_size, {config_.metrics});
      e.train = evaluate_sample(model_, train_, std::min(kTrainSample, valid_.rows()), config_.batch_size,
                                {{label_loss(model_.task())}})
                    .ensemble;
    } catch (const CheckError& error) {
      throw CheckError(cat("validation after step ", state_.step, ": ", error.what()));
    }
    state_.loss_sum = 0;
    state_.loss_count = 0;
    const double value = monitored(e.valid.ensemble, config_.monitor);
    // An undefined AUC is no improvement; the first model is kept even so.
    const bool better = config_.monitor_max ? value >= state_.best + kImprovement : value <= state_.best - kImprovement;
    e.improved = !state_.has_best || better;
    if (std::isnan(value) && !state_.has_best) {
      listener_.note(
          "warning: what monitor names is undefined for valid_data (rows of one label, groups of one label, or weights "
          "of 0), so the model of the first evaluation is kept; monitor another metric, as logloss");
    }
    if (e.improved) {
      state_.best = value;
      state_.has_best = true;
      state_.without_improvement = 0;
    } else {
      ++state_.without_improvement;
      if (config_.reduce_lr_on_plateau) {
        optimizer_.set_learning_rate(std::max(0.1 * optimizer_.learning_rate(), 1e-6));
      }
      if (state_.without_improvement >= config_.early_stop_patience) state_.finished = true;
    }
    e.stopped = state_.finished;
    e.without_improvement = state_.without_improvement;
    e.patience = config_.early_stop_patience;
    e.seconds = seconds_now() - started_;
    in_writers([&] { write_evaluation(e); });
    listener_.evaluated(e);
  }

  void write_evaluation(const TrainingListener::Evaluated& e) {
    if (e.improved || !config_.save_best_only) {
      save_model(files_.model(), model_, {{"format", "kdef model 1"}, {"step", std::to_string(state_.step)}});
    }
    if (!log_) return;
    append_to_disk(*log_, metrics_line(e));
    // Evaluations come at multiples of eval_steps_; a training that is shorter has one evaluation.
    const int64_t evaluation = std::max<int64_t>(1, e.step / eval_steps_);
    if (!collapse_log_ || evaluation % config_.collapse_every != 0) return;
    append_to_disk(*collapse_log_, collapse_line({e.step, e.epoch, collapse_report(model_, valid_, kCollapseRows)}));
  }

  // All members have the same model and metrics, and so come to the same decisions; the first one writes.
  Group& group_ = Group::current();
  Ensemble& model_;
  const data::EncodedFile &train_, &valid_;
  const TrainingConfig& config_;
  const RunFiles files_;
  const std::string identity_;
  const TrainingListener& listener_;
  data::Loader loader_;
  nn::Optimizer optimizer_;
  BatchFeed feed_;
  TrainingStep compute_;
  ModelInput input_;                             // of the last step: this member's part of the batch
  int64_t first_row_ = 0;                        // rows of that batch before input_
  std::vector<TrainingListener::Step> pending_;  // given to the device; their losses are not collected yet
  TrainingState state_;
  std::optional<AppendFile> log_, collapse_log_;
  data::Batch batch_;
  int64_t eval_steps_ = 0;
  int64_t steps_here_ = 0, sent_ = 0;  // of this process: steps, and bytes for rows and gradients of divided tables
  double started_ = 0;
};

}  // namespace

void check_shards(int64_t shards, int64_t smallest_batch, Device device) {
  const int64_t processes = Group::current().size(), parts = std::max(processes, shards);
  if (shards > 1 && shards % processes != 0) {
    throw InputError(cat("shards ", shards, " cannot be divided among ", processes,
                         " processes; start 1, 2, 4, .. of them, at most ", shards));
  }
  if (shards > 1 && !device.is_cpu()) {
    throw InputError(cat("shards ", shards, " needs --device cpu; on ", name_of(device), " it must be 1"));
  }
  if (parts > 1 && smallest_batch < parts) {
    throw InputError(cat("the smallest batch has ", smallest_batch, " rows, too few for ", parts,
                         shards > 1 ? " shards" : " processes",
                         "; choose another batch_size, whose last batch of an epoch has more rows"));
  }
}

int64_t batch_rows(const TrainingConfig& config, int64_t train_rows) {
  return std::min(config.batch_size, std::max<int64_t>(1, train_rows));
}

void check_division(const TrainingConfig& config, Device device) {
  if (!config.divide_tables) return;
  if (!device.is_cpu())
    throw InputError(cat("divide_tables needs --device cpu; on ", name_of(device), " it must be false"));
  if (config.collapse_every > 0) {
    throw InputError(
        "collapse_every measures whole tables during the training, and divide_tables divides them; set one of both "
        "to its default (collapse.json is written at the end in any case)");
  }
}

static void check_weights(const data::EncodedFile& train) {
  if (!train.layout().weights) return;
  for (int64_t row = 0; row < train.rows(); ++row) {
    if (train.weight(row) != 0) return;
  }
  throw InputError("every row of train_data has the weight 0, so no row would be learnt from; check weight_col");
}

void check_trainable(const Ensemble& model, const data::EncodedFile& train, const data::EncodedFile& valid,
                     const TrainingConfig& config) {
  check_division(config, model.device());
  KDEF_CHECK(config.divide_tables == (model.divided() != nullptr),
             "divide_tables is set where the tables of the model are divided, and only there");
  if (train.rows() == 0) throw InputError("train_data has no rows");
  if (valid.rows() == 0) throw InputError("valid_data has no rows; training needs some to tell the best model");
  const auto leaves_one_row = [&](int64_t size) { return size == 1 || train.rows() % size == 1; };
  if (!model.buffers().empty() && leaves_one_row(config.batch_size)) {
    int64_t other = config.batch_size;
    while (other < train.rows() && leaves_one_row(other)) ++other;
    throw InputError(cat(
        "batch_size ", config.batch_size, " makes a batch of one row of the ", train.rows(),
        ", and batch normalisation (", model.buffers()[0].name, ") cannot take one row; ",
        leaves_one_row(other) ? "add rows, or use a network without batch normalisation" : cat("set it to ", other)));
  }
  if (train.id_columns() != model.embedding().id_columns() ||
      train.numeric_columns() != model.embedding().value_columns()) {
    throw InputError(cat("the model does not fit the data: it reads ", model.embedding().id_columns(),
                         " id columns, the encoded data has ", train.id_columns(), "; prepare the data again"));
  }
  check_weights(train);
  const int64_t last_batch = (train.rows() - 1) % config.batch_size + 1;
  check_shards(config.shards, last_batch, model.device());
}

TrainingResult train(Ensemble& model, const data::EncodedFile& train, const data::EncodedFile& valid,
                     const data::EncodedFile* test, const TrainingConfig& given, const std::string& directory,
                     const std::string& identity, bool resume, const TrainingListener& listener,
                     const std::function<void(nn::Optimizer&)>& begin) {
  TrainingConfig config = given;
  config.batch_size = batch_rows(config, train.rows());
  check_trainable(model, train, valid, config);
  Loop loop(model, train, valid, config, directory, identity, resume, listener, begin);
  TrainingResult result;
  result.interrupted = !loop.run();
  result.steps = loop.state().step;
  result.seconds = loop.state().seconds;
  if (result.interrupted) return result;
  const RunFiles files(directory);
  Group& group = Group::current();
  load_model(files.model(), model);  // which the first member has written
  const Measures what{config.metrics, true};
  result.valid = evaluate(model, valid, config.batch_size, what);
  if (test != nullptr && test->rows() > 0) {
    result.has_test = true;
    result.test = evaluate(model, *test, config.batch_size, what);
  }
  std::optional<CollapseReport> collapse;
  std::string failure;
  const bool divided = model.divided() != nullptr;
  if (divided) {
    try {
      collapse = collapse_report(model, valid, kCollapseRows);
    } catch (const CheckError& e) {  // a layer that is not finite, which all members see; the predictions are
      failure = e.what();
    }
  }
  by_first_member(group, [&] {
    try {
      if (divided && collapse) {
        const SafetensorsFile stored(files.model());
        measure_tables(
            model, [&](const std::string& name) { return stored.view(name); }, *collapse);
      } else if (!divided) {
        collapse = collapse_report(model, valid, kCollapseRows);
      }
    } catch (const CheckError& e) {  // as above; after a failure of the system --resume writes both files
      failure = e.what();
    }
    if (failure.empty())
      write_file(files.collapse(), to_json(*collapse) + "\n");
    else
      listener.note(cat("collapse.json was not written: ", failure));
    // This file is written last: a run that has it is finished.
    write_file(files.result(), result_json(result.valid, result.has_test ? &result.test : nullptr));
  });
  return result;
}

void to_json(Json& json, const TrainingListener::Evaluated& e) {
  json = Json{{"step", e.step},        {"epoch", e.epoch},           {"seconds", e.seconds},
              {"lr", e.learning_rate}, {"train_loss", e.train_loss}, {"train", e.train},
              {"valid", e.valid}};
}

void from_json(const Json& json, TrainingListener::Evaluated& e) {
  e = {};
  e.step = count_from_json(json.at("step"), "step");
  e.epoch = count_from_json(json.at("epoch"), "epoch");
  e.seconds = number_from_json(json.at("seconds"));
  e.learning_rate = number_from_json(json.at("lr"));
  e.train_loss = number_from_json(json.at("train_loss"));
  if (json.contains("train")) json.at("train").get_to(e.train);
  json.at("valid").get_to(e.valid);
}

std::string metrics_line(const TrainingListener::Evaluated& e) { return Json(e).dump(); }

void to_json(Json& json, const CollapseRecord& record) {
  json = Json{{"step", record.step}, {"epoch", record.epoch}};
  json.update(Json(record.report));
}

void from_json(const Json& json, CollapseRecord& record) {
  record.step = count_from_json(json.at("step"), "step");
  record.epoch = count_from_json(json.at("epoch"), "epoch");
  json.get_to(record.report);
}

std::string collapse_line(const CollapseRecord& record) { return Json(record).dump(); }

}  // namespace kdef
