// Figures as HTML: an SVG with labelled axes, a legend, a table of the values, and the values as a CSV file inside the
// page. Figures have no scripts and no fixed colours; style_sheet() defines their classes for light, dark and printed
// pages.
//
// This unit escapes all text. NaN is a gap in a line and a dash in a table.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kdef::plot {

/// Text as HTML, inside elements and quoted attributes.
std::string escape(std::string_view text);
/// A number with `decimals` decimals and a true minus sign; a dash if it is not finite.
std::string fixed(double value, int decimals);
/// A number with `digits` significant digits: 0.00123, 4.5e-9; a dash if it is not finite.
std::string significant(double value, int digits);

struct Ticks {
  std::vector<double> at;
  int decimals = 0;  // needed to tell them apart
};
/// At most `max_count` multiples of 1, 2 or 5 times a power of ten inside [low, high]; `whole`: integers only.
Ticks ticks(double low, double high, int max_count, bool whole = false);
/// At most `max_count` powers of ten inside [low, high] (0 < low); if there are few, also their multiples by 2 and 5,
/// or by 3.
std::vector<double> log_ticks(double low, double high, int max_count);

struct Axis {
  std::string label;                                      // with its unit
  bool whole = false;                                     // integers only
  bool log = false;                                       // base 10; values that are not above 0 are gaps
  int decimals = 6;                                       // of values in titles and tables, where not `log`
  double min = -std::numeric_limits<double>::infinity();  // values below are gaps
};

struct Point {
  double x = 0, y = 0;
  double low = std::numeric_limits<double>::quiet_NaN(), high = low;  // of the error bar or band, if any
};

struct Series {
  std::string name;
  std::vector<Point> points;
  int style = 0;            // colour, marker and dashes, from 0
  bool emphasized = false;  // drawn on top, with a thicker line
  bool reference = false;   // a thin grey line behind the others
  bool line = true, markers = true;
  bool band = false;           // low and high as an area instead of error bars
  std::vector<Point> singles;  // what the points are means of, as small dots; then error bars are not drawn
};

/// The colours of styles 0, 1, 2, ...; they come again after the last one.
inline constexpr int kColours = 7;

struct Chart {
  std::string title, note;  // note: one or two sentences about what the chart shows
  Axis x, y;
  std::vector<Series> series;
  std::optional<std::pair<double, std::string>> mark = std::nullopt;  // a vertical line at x, and its meaning
};
std::string figure(const Chart& chart);

/// Names with a value each, one below the other, and the deviation of each value as a bar. NaN: no bar.
struct Ranking {
  struct Row {
    std::string name;
    double value = 0, deviation = std::numeric_limits<double>::quiet_NaN();
    int style = 0;                   // its colour
    std::vector<double> parts = {};  // what the value is made of, as small dots on the same line
  };
  std::string title, note;
  Axis axis;
  std::vector<Row> rows;
  bool from_zero = true;  // a line from 0 to each value; otherwise the axis holds the values alone
};
std::string figure(const Ranking& ranking);

/// A square matrix of non-negative values, larger ones darker. Numbers stand in the cells of up to 12 rows.
struct HeatMap {
  std::string title, note, unit;
  std::vector<std::string> names;           // of rows and columns
  std::vector<std::vector<double>> values;  // [names, names]
};
std::string figure(const HeatMap& map);

/// The values of a chart as CSV, every digit of them: series, x, y, low, high; a line per point, and one per single
/// value, with the name of the series and " (single)".
std::string csv(const Chart& chart);

/// A table inside a box that scrolls sideways on narrow pages. The first column is text, the others are aligned as
/// numbers. Cells are HTML: escape() text first.
std::string table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

std::string style_sheet();

}  // namespace kdef::plot
