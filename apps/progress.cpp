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

// A bar of at most `width` characters with a blank behind it; nothing where a bar would be too short to read.
std::string bar(double fraction, size_t width) {
  constexpr size_t kLongest = 14, kShortest = 4, kFrame = 3;
  if (width < kShortest + kFrame) return "";
  const size_t length = std::min(kLongest, width - kFrame);
  const auto filled = static_cast<size_t>(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(length));
  return "[" + std::string(filled, '#') + std::string(length - filled, '.') + "] ";
}

// Columns of the terminal but one, so that a full line does not move the cursor to the next.
size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
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

// "best", or how many evaluations in a row were no better, and how many stop the training; what fits behind `values`.
std::string mark(const TrainingListener::Evaluated& e, size_t values) {
  constexpr size_t kColumns = 80;
  if (e.improved) return "  best";
  const std::string count = cat(e.without_improvement, "/", e.patience), text = "  no better " + count;
  return values + text.size() <= kColumns ? text : "  " + count;
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
  clear();
  print("%s", escape_controls(text).substr(0, terminal_columns()).c_str());
  std::cout.flush();
  drawn_ = true;
}

void ProgressDisplay::draw_with_bar(const std::string& before, double fraction, const std::string& after) {
  const size_t words = before.size() + after.size(), columns = terminal_columns();
  draw(cat(before, bar(fraction, columns - std::min(columns, words)), after));
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
  if (!terminal_) return draw(format("%s: %.0f %%", p.stage.c_str(), 100 * p.fraction));
  const std::string rows = p.rows > 0 ? cat("  ", grouped(p.rows), " rows") : "";
  draw_with_bar(p.stage + " ", p.fraction, format("%3.0f %%%s", 100 * p.fraction, rows.c_str()));
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
  const std::string epoch = cat("epoch ", s.epoch, "/", epochs_, " ");
  const std::string figures = format("%s rows/s  loss %.4f  %s left, %s in all", grouped(std::llround(rate)).c_str(),
                                     s.loss, left(in_epoch).c_str(), left(in_all).c_str());
  draw_with_bar(epoch, done, figures);
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
