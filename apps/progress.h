// Progress on standard output: a bar that is redrawn on a terminal, plain lines elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "apps/terminal.h"
#include "data/encode/prepare.h"
#include "kdef/train/trainer.h"

namespace kdef::apps {

/// True if standard output is a terminal.
bool on_terminal();

/// "1:02:03" or "2:03".
std::string clock_time(double seconds);

/// Shows preparation and training on standard output.
class ProgressDisplay {
 public:
  /// `epochs` is the maximum; early stopping usually comes first.
  explicit ProgressDisplay(int64_t epochs);
  ~ProgressDisplay() { clear(); }

  void preparing(const data::Progress& progress);
  void step(const TrainingListener::Step& step);
  /// Prints a line of the table of evaluations, which begins with a line of titles.
  void evaluated(const TrainingListener::Evaluated& e);
  /// Prints a whole line above the bar.
  void line(const std::string& text);
  /// The same with a part of the line in a colour, where the terminal has some.
  void line(const std::string& before, Colour colour, const std::string& coloured, const std::string& after);
  /// Replaces the bar by a text.
  void status(const std::string& text) { draw(text); }
  /// Another training follows, with this maximum of epochs.
  void begin_training(int64_t epochs);

  /// A listener that shows everything in this display. The caller sets `stop_requested`.
  TrainingListener listener();

 private:
  void draw(const std::string& text);
  // A bar of `fraction` between two texts, as long as the terminal has room for it.
  void draw_with_bar(const std::string& before, double fraction, const std::string& after);
  void clear();

  bool terminal_;
  int64_t epochs_;
  bool drawn_ = false;
  std::string stage_;
  double last_ = 0;                    // when the bar was drawn
  double epoch_start_ = 0, rows_ = 0;  // of the current epoch, for rows/s
  int64_t epoch_ = 0;
  std::string titles_;        // of the table of evaluations, as printed last
  double learning_rate_ = 0;  // of the last evaluation
};

}  // namespace kdef::apps
