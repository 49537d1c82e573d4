#include "apps/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "apps/report_lines.h"
#include "apps/terminal.h"
#include "core/base/clock.h"
#include "core/base/error.h"

namespace kdef::apps {
namespace {

constexpr double kRedraw = 0.1;  // seconds between bars on a terminal
constexpr double kPlain = 30.0;  // seconds between progress lines elsewhere

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

std::string bar(double fraction) {
  constexpr int kWidth = 14;
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  return "[" + std::string(static_cast<size_t>(filled), '#') + std::string(static_cast<size_t>(kWidth - filled), '.') +
         "]";
}

// A column of the table of evaluations, with its value in one line. Columns of one group stand below its title.
struct Cell {
  std::string title, value, group = "";
};

// The label loss of training and of validation rows stand side by side; the other metrics are those of validation rows.
std::vector<Cell> cells(const TrainingListener::Evaluated& e) {
  std::vector<Cell> row{
      {"epoch", std::to_string(e.epoch)}, {"  step", std::to_string(e.step)}, {"   time", clock_time(e.seconds)}};
  const auto add = [&](const std::string& title, const Metric& m, const Quality& q, const std::string& group = "") {
    row.push_back({"  " + title, short_text(m, q[m]), group});
  };
  const MetricList loss = e.train.measured();
  for (const Metric& m : loss) {
    add("train", m, e.train, m.title());
    add("valid", m, e.valid.ensemble, m.title());
  }
  for (const Metric& m : e.valid.ensemble.measured()) {
    if (std::find(loss.begin(), loss.end(), m) == loss.end()) add(column_title(m), m, e.valid.ensemble);
  }
  if (e.valid.students.size() > 1) {
    row.push_back({cat("  students' ", column_title(main_metric(e.valid))), students_range(e.valid)});
  }
  return row;
}

// "best", or how many evaluations in a row were no better, of those that stop the training; what fits behind `values`.
std::string mark(const TrainingListener::Evaluated& e, size_t values) {
  constexpr size_t kColumns = 80;
  if (e.improved) return "  best";
  const auto text = [&](const char* words, const char* of) {
    return cat(words, e.without_improvement, of, e.patience);
  };
  for (const std::string& t : {text("  no better ", " of "), text("  no better ", "/")}) {
    if (values + t.size() <= kColumns) return t;
  }
  return text("  ", "/");
}

}  // namespace

bool on_terminal() { return ::isatty(STDOUT_FILENO) != 0; }

std::string clock_time(double seconds) {
  const long s = std::lround(std::max(0.0, seconds));
  return s >= 3600 ? format("%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60) : format("%ld:%02ld", s / 60, s % 60);
}

ProgressDisplay::ProgressDisplay(int64_t epochs) : terminal_(on_terminal()), epochs_(epochs) {}

void ProgressDisplay::begin_training(int64_t epochs) {
  epochs_ = epochs;
  titles_.clear();
}

void ProgressDisplay::draw(const std::string& text) {
  if (std::cout.rdbuf() == nullptr) return;  // a member of a group that prints nothing
  if (!terminal_) {
    print("%s\n", text.c_str());
    std::cout.flush();
    return;
  }
  winsize size{};
  const size_t columns = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
  clear();
  print("%s", escape_controls(text).substr(0, columns).c_str());
  std::cout.flush();
  drawn_ = true;
}

void ProgressDisplay::clear() {
  if (drawn_) std::fputs("\r\033[K", stdout);  // a command to the terminal, not by std::cout, which escapes it
  drawn_ = false;
}

void ProgressDisplay::line(const std::string& text) {
  clear();
  print("%s\n", text.c_str());
  std::cout.flush();
}

void ProgressDisplay::line(const std::string& before, Colour colour, const std::string& coloured,
                           const std::string& after) {
  clear();
  print("%s", before.c_str());
  print_coloured(Stream::out, colour, coloured);
  print("%s\n", after.c_str());
  std::cout.flush();
}

void ProgressDisplay::preparing(const data::Progress& p) {
  const bool fresh = p.stage != stage_;
  if (!fresh && seconds_now() - last_ < (terminal_ ? kRedraw : kPlain)) return;
  stage_ = p.stage;
  last_ = seconds_now();
  if (p.fraction < 0) return draw(p.stage);
  draw(terminal_ ? format("%s %s %3.0f %%  %s rows", p.stage.c_str(), bar(p.fraction).c_str(), 100 * p.fraction,
                          grouped(p.rows).c_str())
                 : format("%s: %.0f %%", p.stage.c_str(), 100 * p.fraction));
}

void ProgressDisplay::step(const TrainingListener::Step& s) {
  const double t = seconds_now();
  if (s.epoch != epoch_) {
    epoch_ = s.epoch;
    epoch_start_ = t;
    rows_ = 0;
    if (!terminal_) last_ = t;
    return;  // the clock of an epoch starts with its first step
  }
  rows_ += static_cast<double>(s.rows);
  if (t - last_ < (terminal_ ? kRedraw : kPlain)) return;
  last_ = t;
  const double elapsed = t - epoch_start_;
  const double rate = elapsed > 0 ? rows_ / elapsed : 0;
  const double done = static_cast<double>(s.batch) / static_cast<double>(s.batches);
  const auto left = [&](int64_t steps) {
    return clock_time(rate > 0 ? static_cast<double>(steps) * static_cast<double>(s.rows) / rate : 0);
  };
  const int64_t in_epoch = s.batches - s.batch, in_all = in_epoch + (epochs_ - s.epoch) * s.batches;
  draw(format("epoch %lld/%lld %s %s rows/s  loss %.4f  %s left, %s in all", static_cast<long long>(s.epoch),
              static_cast<long long>(epochs_), bar(done).c_str(), grouped(std::llround(rate)).c_str(), s.loss,
              left(in_epoch).c_str(), left(in_all).c_str()));
}

void ProgressDisplay::evaluated(const TrainingListener::Evaluated& e) {
  std::string groups, titles, values, group;
  for (const Cell& cell : cells(e)) {
    const int width = static_cast<int>(std::max(cell.title.size(), cell.value.size() + 2));
    titles += format("%*s", width, cell.title.c_str());
    values += format("%*s", width, cell.value.c_str());
    if (!cell.group.empty() && cell.group != group) {  // in the middle above this column and the next
      groups += std::string(titles.size() + 1 - cell.group.size() / 2 - groups.size(), ' ') + cell.group;
    }
    group = cell.group;
  }
  if (titles != titles_) {
    if (!groups.empty()) line(groups);
    line(titles_ = titles);
  }
  if (e.learning_rate != learning_rate_ && learning_rate_ > 0) line(format("learning rate %.0e", e.learning_rate));
  learning_rate_ = e.learning_rate;
  line(values, e.improved ? Colour::green : Colour::yellow, mark(e, values.size()), "");
  if (e.stopped) line("Stopped early: validation got no better.");
  epoch_ = -1;  // evaluation time does not count as training
}

TrainingListener ProgressDisplay::listener() {
  TrainingListener l;
  l.step = [this](const TrainingListener::Step& s) { step(s); };
  l.evaluated = [this](const TrainingListener::Evaluated& e) { evaluated(e); };
  l.note = [this](const std::string& text) {
    const std::string warning = "warning:";
    if (!text.starts_with(warning)) return line(text);
    line("", Colour::yellow, warning, text.substr(warning.size()));
  };
  return l;
}

}  // namespace kdef::apps
