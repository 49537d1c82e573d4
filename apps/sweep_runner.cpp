#include "apps/sweep_runner.h"

#include <algorithm>
#include <iostream>

#include "apps/progress.h"
#include "apps/report_lines.h"
#include "apps/stop_signals.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/io/file.h"
#include "kdef/run/record.h"
#include "kdef/train/monitored.h"
#include "kdef/train/run_files.h"

namespace kdef::apps {
namespace {

constexpr size_t kColumns = 80;
const std::string kIndent = "    ";
constexpr size_t kShown = 10;  // of the best runs of a tuner file

bool is_in_head(const Sweep& sweep, const Axis& axis) {
  return !sweep.plan().has_named_runs && (axis.key == "num_student" || axis.key == "ensemble");
}

// "KEY=VALUE" for the axes that head() does not tell, on lines of their own of at most kColumns where they fit.
std::string settings_lines(const Sweep& sweep, size_t run) {
  const SweepPlan& plan = sweep.plan();
  std::string lines, line;
  for (size_t a = 0; a < plan.axes.size(); ++a) {
    if (is_in_head(sweep, plan.axes[a])) continue;
    const std::string setting = cat(plan.axes[a].key, "=", plan.axes[a].values[plan.runs[run].rows[0][a]]);
    if (!line.empty() && kIndent.size() + line.size() + 2 + setting.size() > kColumns) {
      lines += cat("\n", kIndent, line);
      line.clear();
    }
    line += (line.empty() ? "" : "  ") + setting;
  }
  return line.empty() ? lines : cat(lines, "\n", kIndent, line);
}

// What a run is, on one line.
std::string head(const Sweep& sweep, size_t i) {
  const SweepRun& run = sweep.runs()[i];
  if (sweep.plan().has_named_runs) return run.name;
  return cat(name_of(run.config.model.kind), ", ", run.config.model.students.size(),
             run.config.model.students.size() == 1 ? " student" : " students", ", seed ", run.config.training.seed);
}

std::string number_of(const Sweep& sweep, size_t run) { return cat("Run ", run + 1, " of ", sweep.runs().size()); }

std::string time_left(const Sweep& sweep, double jobs) {
  const auto left = sweep.seconds_left();
  return left ? cat("; about ", clock_time(*left / jobs), " left of the sweep") : "";
}

void print_plan(const Sweep& sweep, double jobs) {
  size_t open = 0;
  for (size_t i = 0; i < sweep.runs().size(); ++i) {
    std::cout << name_of(sweep.state(i)) << "  " << sweep.run_directory(i);
    if (sweep.plan().has_named_runs) std::cout << settings_lines(sweep, i);
    std::cout << "\n";
    open += sweep.state(i) != SweepState::finished;
  }
  std::cout << sweep.runs().size() << " runs, " << open << " to train";
  if (const auto left = sweep.seconds_left(); left && open > 0) std::cout << ", about " << clock_time(*left / jobs);
  std::cout << "\n";
}

// A larger rank is better: what `monitor` adds up on validation data, as in training.
double rank(const RunRecord& record) {
  const TrainingConfig& training = record.config.training;
  const double value = monitored(record.valid->ensemble, training.monitor);
  return training.monitor_max ? value : -value;
}

// The finished runs that are best by `monitor`, with their figures.
std::string best_runs(const Sweep& sweep) {
  std::vector<size_t> finished;
  for (size_t i = 0; i < sweep.runs().size(); ++i) {
    if (sweep.record(i)) finished.push_back(i);
  }
  std::stable_sort(finished.begin(), finished.end(),
                   [&](size_t a, size_t b) { return rank(*sweep.record(a)) > rank(*sweep.record(b)); });
  const size_t count = std::min(finished.size(), kShown);
  std::string text =
      cat("The best ", count, " of ", finished.size(), " finished runs by `monitor` on validation data:");
  for (size_t i = 0; i < count; ++i) {
    const RunRecord& record = *sweep.record(finished[i]);
    text += cat("\n", i + 1, "  ", head(sweep, finished[i]), settings_lines(sweep, finished[i]));
    text += cat("\n", kIndent, "valid ", quality_text(record.valid->ensemble));
    if (record.test) text += cat("\n", kIndent, "test  ", quality_text(record.test->ensemble));
  }
  return text;
}

int status_of(const Sweep& sweep) {
  int status = sweep.plan().refused.empty() ? kDone : kBadInput;
  for (const RunFailure& f : sweep.failures()) {
    const int own = f.kind == RunFailure::Kind::check   ? kCheckFailed
                    : f.kind == RunFailure::Kind::input ? kBadInput
                                                        : kSystemFailed;
    status = std::max(status, own);
  }
  return status;
}

// Experiments that cannot be loaded, by their reasons.
void say_refused(const SweepPlan& plan) {
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;
  for (const RefusedRun& run : plan.refused) {
    auto known = std::find_if(reasons.begin(), reasons.end(), [&](const auto& r) { return r.first == run.reason; });
    if (known == reasons.end()) known = reasons.insert(known, {run.reason, {}});
    known->second.push_back(run.name);
  }
  for (const auto& [reason, names] : reasons) {
    std::cerr << "kdef: " << reason << "\n  left out: " << names[0];
    if (names.size() > 1) std::cerr << " and " << names.size() - 1 << " more";
    std::cerr << "; " << plan.runs.size() << " other experiments can be trained\n";
  }
}

// The trainings of a sweep in this process.
bool run_here(Sweep& sweep, const Parsed& parsed, const StopSignals& stop, ProgressDisplay& display) {
  RunOptions each;
  each.device = use_device(parsed);
  each.preparing = [&](const data::Progress& p) {
    if (stop.requested()) throw StoppedWhilePreparing{};
    display.preparing(p);
  };
  each.listener = display.listener();
  each.listener.stop_requested = [&] { return stop.requested(); };
  size_t failures = 0;
  const auto say_failures = [&] {
    for (; failures < sweep.failures().size(); ++failures) {
      display.line(cat("Failed: ", sweep.failures()[failures].reason));
    }
  };
  const bool whole = sweep.run(each, [&](size_t i) {
    say_failures();
    display.begin_training(sweep.runs()[i].config.training.epochs);
    display.line(cat("\n", number_of(sweep, i), ": ", head(sweep, i),
                     sweep.state(i) == SweepState::started ? ", resumed" : "", time_left(sweep, 1),
                     settings_lines(sweep, i)));
  });
  say_failures();
  return whole;
}

// What is being trained, on one line: "2 of 12 finished; run 3 epoch 2 of 9, run 4 epoch 1 of 9; about 1:05 left".
class JobsLine {
 public:
  JobsLine(const Sweep& sweep, ProgressDisplay& display, double jobs) : sweep_(sweep), display_(display), jobs_(jobs) {}

  void show(const std::vector<size_t>& running) {
    const double now = seconds_now();
    if (now - last_ < (on_terminal() ? 1 : 30)) return;
    last_ = now;
    size_t finished = 0;
    for (size_t i = 0; i < sweep_.runs().size(); ++i) finished += sweep_.state(i) == SweepState::finished;
    std::string text = cat(finished, " of ", sweep_.runs().size(), " finished");
    for (const size_t i : running) text += cat(i == running[0] ? "; " : ", ", "run ", i + 1, epoch_of(i));
    display_.status(text + time_left(sweep_, jobs_));
  }

 private:
  // The last evaluated epoch; nothing before it.
  std::string epoch_of(size_t run) const {
    try {
      const std::string metrics = RunFiles(sweep_.run_directory(run)).metrics();
      if (!exists(metrics)) return "";
      const auto evaluations = read_metrics(metrics);
      if (evaluations.empty()) return "";
      return cat(" epoch ", evaluations.back().epoch, " of ", sweep_.runs()[run].config.training.epochs);
    } catch (const Error&) {
      return "";
    }
  }

  const Sweep& sweep_;
  ProgressDisplay& display_;
  double jobs_, last_ = seconds_now();
};

// The trainings as processes: this program's `train`, with a part of the threads each.
bool run_as_processes(Sweep& sweep, const Parsed& parsed, int count, const StopSignals& stop,
                      ProgressDisplay& display) {
  SweepJobs jobs;
  jobs.count = count;
  jobs.program = "/proc/self/exe";
  jobs.command = [&, threads = num_threads()](const std::string& config, const std::string& directory, bool resume,
                                              int job) {
    const int own = std::max(1, threads / count + (job < threads % count));
    std::vector<std::string> argv = {program_name(), "train",     "--config", config,     "--run",
                                     directory,      "--threads", cat(own),   "--device", parsed.text("device")};
    if (resume) argv.emplace_back("--resume");
    return argv;
  };
  jobs.preparing = [&](const data::Progress& p) {
    if (stop.requested()) throw StoppedWhilePreparing{};
    display.preparing(p);
  };
  jobs.stop_requested = [&] { return stop.requested(); };
  jobs.starting = [&](size_t i) {
    display.line(cat(number_of(sweep, i), sweep.state(i) == SweepState::started ? " resumed: " : " started: ",
                     head(sweep, i), settings_lines(sweep, i)));
  };
  jobs.ended = [&](size_t i, RunOutcome outcome) {
    if (outcome == RunOutcome::failed)
      display.line(cat(number_of(sweep, i), " failed: ", sweep.failures().back().reason));
    if (outcome != RunOutcome::finished) return;
    const RunRecord& record = *sweep.record(i);
    display.line(cat(number_of(sweep, i), " finished",
                     record.evaluations.empty() ? "" : cat(" in ", clock_time(record.evaluations.back().seconds)),
                     ":\n", kIndent, record.test ? "test  " : "valid ", quality_text(record.best().ensemble)));
  };
  JobsLine line(sweep, display, count);
  jobs.waiting = [&](const std::vector<size_t>& running) { line.show(running); };
  return sweep.run_jobs(jobs);
}

int run_and_show(Sweep& sweep, const Parsed& parsed, int jobs) {
  const StopSignals stop;
  ProgressDisplay display(sweep.runs()[0].config.training.epochs);
  bool whole = false;
  try {
    whole = jobs > 1 ? run_as_processes(sweep, parsed, jobs, stop, display) : run_here(sweep, parsed, stop, display);
  } catch (const StoppedWhilePreparing&) {
  }
  const SweepTable table = sweep.table();
  if (!whole) {
    display.line(cat("Interrupted with ", table.finished, " of ", table.planned,
                     " runs finished; run the same command again to continue"));
    return kInterrupted;
  }
  const SweepFiles& files = sweep.files();
  const size_t refused = sweep.plan().refused.size();
  const std::string left_out = refused == 0 ? "" : cat(" (", refused, " more cannot be loaded)");
  display.line(cat("\n", sweep.plan().has_named_runs ? best_runs(sweep) : to_markdown(table), "\n", table.finished,
                   " of ", table.planned, " runs", left_out, ": ", files.csv(), " and ", files.markdown(), ". Next: ",
                   program_name(), " report ", files.directory(), " --out ", files.directory(), "/report.html"));
  return status_of(sweep);
}

}  // namespace

void add_sweep_options(po::options_description& options, const std::string& out_default) {
  auto* out = po::value<std::string>()->value_name("DIR");
  const std::string about =
      cat("directory of the sweep", out_default.empty() ? "" : cat(" (default: ", out_default, ")"));
  if (out_default.empty()) out->required();
  options.add_options()("out", out, about.c_str());
  options.add_options()("jobs", po::value<int64_t>()->value_name("N")->default_value(1),
                        "trainings at a time; they divide the threads between them");
  options.add_options()("resume", po::bool_switch(), "refuse a directory that holds no sweep to continue");
  options.add_options()("dry-run", po::bool_switch(), "list the runs and their states, and stop");
  add_device_option(options);
  add_threads_option(options);
}

int run_sweep(Sweep& sweep, const Parsed& parsed) {
  say_refused(sweep.plan());
  constexpr int64_t kMaxJobs = 1024;
  const int64_t jobs = parsed.integer("jobs", 1);
  if (jobs > kMaxJobs) throw InputError(cat("--jobs: expected at most ", kMaxJobs, ", found ", jobs));
  use_device(parsed);
  if (parsed.flag("resume") && !exists(sweep.files().runs())) {
    throw InputError(cat(sweep.files().directory(), ": holds no sweep to resume; start one without --resume"));
  }
  if (parsed.flag("dry-run")) {
    print_plan(sweep, static_cast<double>(jobs));
    return status_of(sweep);
  }
  return run_and_show(sweep, parsed,
                      static_cast<int>(std::min<int64_t>(jobs, static_cast<int64_t>(sweep.runs().size()))));
}

}  // namespace kdef::apps
