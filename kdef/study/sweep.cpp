#include "kdef/study/sweep.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/text.h"
#include "core/io/file.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

template <class T>
std::vector<T> distinct(const std::vector<T>& values) {
  std::vector<T> once;
  for (const T& v : values) {
    if (std::find(once.begin(), once.end(), v) == once.end()) once.push_back(v);
  }
  return once;
}

// The override that gives the experiment this number of students; nothing if the configuration already has it.
std::vector<std::string> students_override(const SweepConfig& config, const std::vector<std::string>& overrides,
                                           size_t as_written, int64_t students) {
  if (static_cast<int64_t>(as_written) == students) return {};
  std::vector<std::string> once = overrides;
  once.push_back("num_student=1");
  const auto unit =
      static_cast<int64_t>(load_experiment(config.config_dir, config.experiment, once).model.students.size());
  if (students % unit != 0) {
    throw InputError(cat("--students: experiment ", config.experiment, " lists ", unit,
                         " students; expected multiples of ", unit, ", found ", students));
  }
  return {cat("num_student=", students / unit)};
}

// Empty for an undefined value.
std::string exact(double value) { return std::isfinite(value) ? shortest(value) : ""; }
std::string rounded(double value, int decimals) { return std::isfinite(value) ? fixed_point(value, decimals) : ""; }
std::string rounded(const Statistic& s, int decimals) {
  return rounded(s.mean, decimals) + (std::isfinite(s.deviation) ? " ± " + rounded(s.deviation, decimals) : "");
}

}  // namespace

std::vector<SweepRun> plan_sweep(const SweepConfig& config) {
  for (const std::string& text : config.overrides) {
    for (const auto& [key, option] :
         {std::pair{"num_student", "--students"}, std::pair{"ensemble", "--ensembles"},
          std::pair{"objective", "--ensembles"}, std::pair{"seed", "--seeds or --seed-list"}}) {
      if (text.starts_with(cat(key, "="))) throw InputError(cat(text, ": the sweep sets ", key, "; give ", option));
    }
  }
  KDEF_CHECK(!config.students.empty() && !config.ensembles.empty(), "sweep: nothing to train");
  // The kind is the list's, since the task may refuse that of the file.
  std::vector<std::string> common = config.overrides;
  for (const std::string& text : overrides_for(config.ensembles[0])) common.push_back(text);
  const ExperimentConfig written = load_experiment(config.config_dir, config.experiment, common);
  std::vector<uint64_t> seeds = distinct(config.seeds);
  for (int64_t i = 0; config.seeds.empty() && i < config.seed_count; ++i) {
    seeds.push_back(written.training.seed + static_cast<uint64_t>(i));
  }
  std::vector<int64_t> students = distinct(config.students);
  std::sort(students.begin(), students.end());

  std::vector<SweepRun> plan;
  for (const int64_t m : students) {
    const std::vector<std::string> number = students_override(config, common, written.model.students.size(), m);
    for (const EnsembleKind ensemble : distinct(config.ensembles)) {
      const EnsembleKind kind = trained_as(ensemble, static_cast<size_t>(m));
      for (const uint64_t seed : seeds) {
        const std::string name = cat(name_of(kind), "-M", m, "-seed", seed);
        const auto known = std::find_if(plan.begin(), plan.end(), [&](const SweepRun& r) { return r.name == name; });
        if (known != plan.end()) {
          known->ensembles.push_back(ensemble);
          continue;
        }
        std::vector<std::string> overrides = common;
        overrides.insert(overrides.end(), number.begin(), number.end());
        for (const std::string& text : overrides_for(kind)) overrides.push_back(text);
        overrides.push_back(cat("seed=", seed));
        plan.push_back({name, {ensemble}, load_experiment(config.config_dir, config.experiment, overrides)});
      }
    }
  }
  return plan;
}

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

SweepTable sweep_table(const std::vector<SweepRun>& plan, const std::vector<std::optional<RunRecord>>& records) {
  SweepTable table;
  table.planned = plan.size();
  if (!plan.empty()) {
    table.experiment = plan[0].config.id;
    table.dataset = plan[0].config.dataset_id;
  }
  // The finished runs of each row. A run of one student belongs to several rows.
  std::map<std::pair<EnsembleKind, int64_t>, std::vector<const RunRecord*>> rows;
  std::vector<const RunRecord*> finished;
  for (size_t i = 0; i < plan.size(); ++i) {
    if (!records[i]) continue;
    finished.push_back(&*records[i]);
    for (const EnsembleKind e : plan[i].ensembles) {
      rows[{e, static_cast<int64_t>(plan[i].config.model.students.size())}].push_back(&*records[i]);
    }
  }
  table.finished = finished.size();
  table.on_test = all_have_test(finished);
  for (const auto& [key, runs] : rows) {
    table.rows.push_back({key.first, key.second, summarize(runs, table.on_test)});
  }
  std::vector<const Summary*> summaries;
  for (const SweepRow& row : table.rows) summaries.push_back(&row.summary);
  table.metrics = measured_by(summaries);
  return table;
}

std::string to_csv(const SweepTable& table) {
  const Metric& main = table.metrics[0];
  std::string text = "ensemble,students,seeds,data";
  for (const Metric& m : table.metrics) text += cat(",", m.key(), ",", m.key(), "_deviation");
  for (const char* what : {"_mean", "_weakest", "_deviation"}) text += cat(",student_", main.key(), what);
  text += ",information_abundance,parameters,seconds\n";
  for (const SweepRow& r : table.rows) {
    const Summary& s = r.summary;
    text += cat(name_of(r.ensemble), ",", r.students, ",", s.runs, ",", table.on_test ? "test" : "valid");
    for (const Metric& m : table.metrics) {
      text += cat(",", exact(s.metrics[m].mean), ",", exact(s.metrics[m].deviation));
    }
    for (const double v : {s.student_mean.mean, s.student_weakest.mean, s.student_deviation.mean, s.abundance.mean}) {
      text += "," + exact(v);
    }
    text += cat(",", s.parameters ? cat(*s.parameters) : "", ",", exact(s.seconds.mean), "\n");
  }
  return text;
}

std::string to_markdown(const SweepTable& table) {
  const Metric& main = table.metrics[0];
  std::string titles, rule;
  for (const Metric& m : table.metrics) titles += cat(" ", m.title(), " |"), rule += " --: |";
  std::string text = cat("# ", table.experiment, " on ", table.dataset, "\n\n", table.finished, " of ", table.planned,
                         " runs are finished. ", table.on_test ? "Test" : "Validation",
                         " data; mean ± standard deviation (of the sample) over seeds.\n\n"
                         "| ensemble | students | seeds |",
                         titles, " students' mean ", main.title(),
                         " | weakest | standard deviation | information abundance | parameters | seconds |\n"
                         "| --- | --: | --: |",
                         rule, " --: | --: | --: | --: | --: | --: |\n");
  for (const SweepRow& r : table.rows) {
    const Summary& s = r.summary;
    text += cat("| ", name_of(r.ensemble), " | ", r.students, " | ", s.runs, " | ");
    for (const Metric& m : table.metrics) text += rounded(s.metrics[m], m.decimals()) + " | ";
    text += cat(rounded(s.student_mean, main.decimals()), " | ", rounded(s.student_weakest, main.decimals()), " | ",
                rounded(s.student_deviation.mean, main.decimals()), " | ", rounded(s.abundance, 2), " | ",
                s.parameters ? cat(*s.parameters) : "", " | ", rounded(s.seconds.mean, 1), " |\n");
  }
  text +=
      cat("\nStudents' ", main.title(),
          " is that of each student alone: mean, weakest and standard deviation within a run, then the mean over\n"
          "seeds. It is empty for concat, whose students' own output layers are not trained. ",
          one_student_note(),
          "\nInformation abundance is that of the students' last hidden layers on validation data, averaged over the\n"
          "students; compare it only between layers of the same width. Seconds are those of training.\n");
  for (const std::string& failure : table.failures) text += cat("\nFailed: ", failure, "\n");
  return text;
}

Sweep::Sweep(const SweepConfig& config) : files_(config.directory), plan_(plan_sweep(config)) {
  if (files_.directory().empty()) throw InputError("the name of the sweep's directory is empty; give --out DIR");
  if (exists(RunFiles(files_.directory()).config())) {
    throw InputError(cat(files_.directory(), ": is the directory of a run; give another --out for the sweep"));
  }
  if (!exists(files_.runs())) {
    refuse_to_replace(files_.directory(), files_.tables(),
                      ", which no sweep with runs there has written; move it, or give another --out");
  }
  states_.assign(plan_.size(), SweepState::open);
  records_.resize(plan_.size());
  for (size_t i = 0; i < plan_.size(); ++i) read(i);
}

void Sweep::read(size_t run) {
  const std::string directory = run_directory(run);
  const RunFiles files(directory);
  if (!exists(files.config()) || (!exists(files.checkpoint()) && !exists(files.result()))) {
    states_[run] = SweepState::open;
    return;
  }
  RunRecord record = read_run(directory);
  const std::string changed = describe(differences(record.config, plan_[run].config));
  if (!changed.empty()) {
    throw InputError(cat(directory, ": was made with other settings: ", changed,
                         "; give the same settings, remove that run, or give another --out"));
  }
  states_[run] = record.finished() ? SweepState::finished : SweepState::started;
  if (record.finished()) records_[run] = std::move(record);
}

std::optional<double> Sweep::seconds_left() const {
  double seconds = 0, trained = 0, left = 0;
  for (size_t i = 0; i < plan_.size(); ++i) {
    const double students = static_cast<double>(plan_[i].config.model.students.size());
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
  table.failures = failures_;
  return table;
}

void Sweep::write_table() const {
  const SweepTable now = table();
  write_file(files_.csv(), to_csv(now));
  write_file(files_.markdown(), to_markdown(now));
}

bool Sweep::run(const RunOptions& each, const std::function<void(size_t)>& starting) {
  failures_.clear();
  make_directories(files_.directory());
  make_subfolder(files_.runs());
  write_table();
  for (size_t i = 0; i < plan_.size(); ++i) {
    if (states_[i] == SweepState::finished) continue;
    if (each.listener.stop_requested()) return false;
    starting(i);
    RunOptions options = each;
    options.directory = run_directory(i);
    options.resume = states_[i] == SweepState::started;
    options.overwrite = false;
    refuse_link(options.directory);
    const bool was_there = exists(options.directory);
    try {
      if (run_experiment(plan_[i].config, options).interrupted) return false;
      read(i);
    } catch (const InputError& e) {
      if (!was_there) throw;
      throw InputError(
          cat(e.what(), "\nIf ", options.directory, " is damaged, delete it: the run is then trained anew"));
    } catch (const CheckError& e) {
      failures_.push_back(cat(plan_[i].name, ": ", e.what()));
    }
    write_table();
  }
  return true;
}

}  // namespace kdef
