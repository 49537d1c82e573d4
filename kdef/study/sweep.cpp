#include "kdef/study/sweep.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <set>
#include <thread>

#include "core/base/shortage.h"
#include "core/base/text.h"
#include "core/io/file.h"
#include "data/encode/feature_map.h"
#include "kdef/study/fuxictr_lines.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

// Exit statuses of the program that a job runs (apps/cli.h).
constexpr int kCheckFailed = 1, kBadInput = 2, kInterrupted = 130;

RunFailure::Kind kind_of(const ProcessEnd& end) {
  if (end.signal == 0 && end.status == kCheckFailed) return RunFailure::Kind::check;
  if (end.signal == 0 && end.status == kBadInput) return RunFailure::Kind::input;
  return RunFailure::Kind::system;
}

// The last message of a program in its log; without one, how it ended.
std::string reason_of(const ProcessEnd& end, const std::string& log) {
  const std::string killed =
      cat("it was ended by signal ", end.signal, " (", ::strsignal(end.signal),
          end.signal == SIGKILL ? "; the system does so where memory is short: take fewer jobs)" : ")");
  if (end.signal != 0) return killed;
  constexpr std::string_view kPrefix = "kdef: ";
  const std::string text = exists(log) ? data::read_text(log) : "";
  const size_t line = text.rfind(cat("\n", kPrefix));
  const size_t begin = line != std::string::npos ? line + 1 : text.starts_with(kPrefix) ? 0 : std::string::npos;
  if (begin == std::string::npos) return cat("it ended with status ", end.status, "; see ", log);
  std::string message = text.substr(begin + kPrefix.size());
  while (message.ends_with('\n')) message.pop_back();
  return message;
}

}  // namespace

const char* name_of(SweepState state) {
  switch (state) {
    case SweepState::open:
      return "open";
    case SweepState::started:
      return "started";
    case SweepState::finished:
      return "finished";
  }
  return "?";
}

Sweep::Sweep(const SweepConfig& config) : Sweep(plan_sweep(config), config.directory) {}

Sweep::Sweep(SweepPlan plan, const std::string& directory) : files_(directory), plan_(std::move(plan)) {
  if (files_.directory().empty()) throw InputError("the name of the sweep's directory is empty; give --out DIR");
  if (exists(RunFiles(files_.directory()).config())) {
    throw InputError(cat(files_.directory(), ": is the directory of a run; give another --out for the sweep"));
  }
  if (!exists(files_.runs())) {
    refuse_to_replace(files_.directory(), files_.tables(),
                      ", which no sweep with runs there has written; move it, or give another --out");
  }
  states_.assign(runs().size(), SweepState::open);
  records_.resize(runs().size());
  for (size_t i = 0; i < runs().size(); ++i) read(i);
}

void Sweep::read(size_t run) {
  const std::string directory = run_directory(run);
  const RunFiles files(directory);
  if (!exists(files.config()) || (!exists(files.checkpoint()) && !exists(files.result()))) {
    states_[run] = SweepState::open;
    return;
  }
  RunRecord record = read_run(directory);
  const std::string changed = describe(differences(record.config, runs()[run].config));
  if (!changed.empty()) {
    throw InputError(cat(directory, ": was made with other settings: ", changed,
                         "; give the same settings, remove that run, or give another --out"));
  }
  states_[run] = record.finished() ? SweepState::finished : SweepState::started;
  if (record.finished()) records_[run] = std::move(record);
}

std::optional<double> Sweep::seconds_left() const {
  double seconds = 0, trained = 0, left = 0;
  for (size_t i = 0; i < runs().size(); ++i) {
    const double students = static_cast<double>(runs()[i].config.model.students.size());
    if (!records_[i]) {
      left += students;
    } else if (!records_[i]->evaluations.empty()) {
      seconds += records_[i]->evaluations.back().seconds;
      trained += students;
    }
  }
  return trained > 0 ? std::optional(left * seconds / trained) : std::nullopt;
}

SweepTable Sweep::table() const {
  SweepTable table = sweep_table(plan_, records_);
  table.failures = plan_.refused;
  for (const RunFailure& f : failures_) table.failures.push_back({runs()[f.run].name, f.reason});
  return table;
}

void Sweep::write_table() const {
  const SweepTable now = table();
  write_file(files_.csv(), to_csv(now));
  write_file(files_.markdown(), to_markdown(now));
  if (plan_.has_named_runs) write_file(files_.fuxictr(), fuxictr_lines(plan_, records_));
}

void Sweep::fail(size_t run, RunFailure::Kind kind, const std::string& reason) {
  failures_.push_back({run, kind, reason});
}

// Prepares the data of what is to be trained, and makes the sweep's folder.
void Sweep::begin(const std::function<void(const data::Progress&)>& preparing) {
  failures_.clear();
  std::set<std::string> prepared;
  for (size_t i = 0; i < runs().size(); ++i) {
    if (states_[i] == SweepState::finished) continue;
    const std::string cache = cache_directory(runs()[i].config);
    if (prepared.insert(cache).second) data::prepare(runs()[i].config.dataset, cache, preparing);
  }
  make_directories(files_.directory());
  make_subfolder(files_.runs());
  write_table();
}

std::optional<size_t> Sweep::next_open(size_t from) const {
  while (from < runs().size() && states_[from] == SweepState::finished) ++from;
  return from < runs().size() ? std::optional(from) : std::nullopt;
}

// Returns false if it was interrupted.
bool Sweep::train_here(size_t run, const RunOptions& each) {
  RunOptions options = each;
  options.directory = run_directory(run);
  options.resume = states_[run] == SweepState::started;
  options.overwrite = false;
  const bool was_there = exists(options.directory);
  try {
    refuse_link(options.directory);
    if (run_experiment(runs()[run].config, options).interrupted) return false;
    read(run);
  } catch (const InputError& e) {
    fail(run, RunFailure::Kind::input,
         was_there ? cat(e.what(), "\nIf ", options.directory, " is damaged, delete it: the run is then trained anew")
                   : e.what());
  } catch (const CheckError& e) {
    fail(run, RunFailure::Kind::check, e.what());
  } catch (const std::bad_alloc&) {
    fail(run, RunFailure::Kind::system, cat("not enough memory", kMemoryAdvice));
  }
  return true;
}

bool Sweep::run(const RunOptions& each, const std::function<void(size_t)>& starting) {
  begin(each.preparing);
  for (std::optional<size_t> i = next_open(0); i; i = next_open(*i + 1)) {
    if (each.listener.stop_requested()) return false;
    starting(*i);
    if (!train_here(*i, each)) return false;
    write_table();
  }
  return true;
}

struct Sweep::Job {
  size_t run;
  std::string log;
  ChildProcess process;
};

// Starts the training of a run. Nothing if its directory holds something else, which is then a failure of the run.
std::unique_ptr<Sweep::Job> Sweep::start(size_t run, int place, const SweepJobs& jobs) {
  const std::string directory = run_directory(run), log = files_.log(runs()[run].name);
  const std::string config = RunFiles(directory).config(), text = to_yaml(runs()[run].config);
  const bool resume = states_[run] == SweepState::started;
  // A directory with nothing but the configuration is the beginning of this training (RunOptions::overwrite).
  make_subfolder(directory);
  if (!exists(config)) write_file(config, text);
  if (!resume && data::read_text(config) != text) {
    fail(run, RunFailure::Kind::input,
         cat(directory, ": holds the beginning of a run with other settings; delete it, or give another --out"));
    return nullptr;
  }
  remove_file(log);
  return std::unique_ptr<Job>(new Job{run, log, {jobs.program, jobs.command(config, directory, resume, place), log}});
}

// Takes note of how a job ended.
RunOutcome Sweep::finish(const Job& job, const ProcessEnd& end) {
  if (end.status == kInterrupted || end.signal == SIGTERM || end.signal == SIGINT) return RunOutcome::interrupted;
  if (end.succeeded()) read(job.run);
  if (states_[job.run] == SweepState::finished) return RunOutcome::finished;
  fail(job.run, kind_of(end), reason_of(end, job.log));
  return RunOutcome::failed;
}

// Takes note of the jobs that have ended. Returns whether none of them was interrupted.
bool Sweep::collect(Places& places, const SweepJobs& jobs) {
  bool whole = true;
  for (std::unique_ptr<Job>& job : places) {
    const std::optional<ProcessEnd> end = job ? job->process.ended() : std::nullopt;
    if (!end) continue;
    const RunOutcome outcome = finish(*job, *end);
    whole = whole && outcome != RunOutcome::interrupted;
    write_table();
    jobs.ended(job->run, outcome);
    job.reset();
  }
  return whole;
}

// Starts open runs from `next` on in places that are free. Returns the run after the last one.
size_t Sweep::fill(Places& places, size_t next, const SweepJobs& jobs) {
  for (size_t place = 0; place < places.size(); ++place) {
    const std::optional<size_t> run = next_open(next);
    if (places[place] || !run) continue;
    next = *run + 1;
    jobs.starting(*run);
    places[place] = start(*run, static_cast<int>(place), jobs);
    if (!places[place]) jobs.ended(*run, RunOutcome::failed);
  }
  return next;
}

bool Sweep::run_jobs(const SweepJobs& jobs) {
  begin(jobs.preparing);
  make_subfolder(files_.logs());
  Places places(static_cast<size_t>(jobs.count));
  size_t next = 0;
  bool stopping = false, whole = true;
  for (;;) {
    if (!stopping && jobs.stop_requested()) {
      stopping = true;
      for (const auto& job : places) {
        if (job) job->process.ask_to_end();
      }
    }
    whole = collect(places, jobs) && whole;
    if (!stopping) next = fill(places, next, jobs);
    std::vector<size_t> running;
    for (const auto& job : places) {
      if (job) running.push_back(job->run);
    }
    std::sort(running.begin(), running.end());
    const bool more = next_open(next).has_value();
    if (running.empty() && (stopping || !more)) return whole && !more;
    jobs.waiting(running);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace kdef
