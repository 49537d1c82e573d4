#include "kdef/study/plot.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/base/csv.h"
#include "core/base/error.h"

namespace kdef::plot {
namespace {

// In units of the SVG, which scales with its column.
constexpr double kWidth = 400, kHeight = 270, kRight = 12, kTop = 12, kBottom = 44;
constexpr double kLabel = 26, kDigit = 7;  // width of the label of the y axis, and of a digit of its marks
constexpr int kMarks = 6;                  // on the y axis, at most
constexpr int kMarkers = 5, kDashes = 4;
constexpr size_t kMaxMarkers = 40;  // per line; with more points, only every second, third, ... has a marker
constexpr size_t kMaxNumberedCells = 12;

std::string at(double v) { return fixed_point(v, 1); }

std::string true_minus(std::string text) {
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') text.erase(0, 1);  // -0.000
  for (size_t i = 0; (i = text.find('-', i)) != std::string::npos; i += 3) text.replace(i, 1, "\u2212");
  return text;
}

// Markers of about the same area around (x, y).
std::string marker(int style, double x, double y, double r) {
  const auto path = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string d;
    for (const auto& [dx, dy] : corners) d += cat(d.empty() ? "M" : "L", at(x + dx * r), " ", at(y + dy * r));
    return cat("<path class=\"dot\" d=\"", d, "Z\"/>");
  };
  switch (style % kMarkers) {
    case 1:
      return path({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}});
    case 2:
      return path({{0, -1.2}, {1.15, 0.85}, {-1.15, 0.85}});
    case 3:
      return path({{0, -1.3}, {1.2, 0}, {0, 1.3}, {-1.2, 0}});
    case 4:
      return path({{0, 1.2}, {1.15, -0.85}, {-1.15, -0.85}});
    default:
      return cat("<circle class=\"dot\" cx=\"", at(x), "\" cy=\"", at(y), "\" r=\"", at(r), "\"/>");
  }
}

std::string classes(const Series& s) {
  if (s.reference) return "series reference";
  // An emphasized line has no dashes.
  return cat("series c", s.style % kColours, s.emphasized ? " strong" : cat(" d", s.style % kDashes));
}

// Maps the values of a linear or logarithmic axis to positions.
class Scale {
 public:
  Scale(const Axis& axis, const std::vector<double>& values, double from, double to)
      : axis_(axis), from_(from), to_(to) {
    low_ = std::numeric_limits<double>::infinity();
    high_ = -low_;
    for (const double v : values) {
      if (!shows(v)) continue;
      low_ = std::min(low_, map(v));
      high_ = std::max(high_, map(v));
    }
    if (low_ > high_) low_ = 0, high_ = 1;
    double pad = (high_ - low_) * 0.06;
    if (pad == 0) pad = axis.whole || axis.log ? 0.5 : std::max(std::abs(low_) * 1e-3, 1e-6);
    low_ -= pad;
    high_ += pad;
  }
  bool shows(double v) const { return std::isfinite(v) && v >= axis_.min && (!axis_.log || v > 0); }
  double operator()(double v) const { return from_ + (map(v) - low_) / (high_ - low_) * (to_ - from_); }
  double clamped(double v) const {
    return shows(v) ? std::clamp((*this)(v), std::min(from_, to_), std::max(from_, to_)) : from_;
  }
  // Ticks with their text.
  std::vector<std::pair<double, std::string>> marks(int max_count) const {
    std::vector<std::pair<double, std::string>> all;
    if (axis_.log) {
      const double low = std::pow(10, low_), high = std::pow(10, high_);
      const std::vector<double> at = log_ticks(low, high, max_count);
      if (at.size() < 2) return linear_marks(ticks(low, high, max_count, axis_.whole));
      for (const double v : at) {
        const int power = static_cast<int>(std::floor(std::log10(v) + 1e-9));
        const std::string raised = cat("10<tspan class=\"power\" dy=\"-5\">", true_minus(cat(power)), "</tspan>");
        all.emplace_back(v, power < -3 || power > 3 ? raised : significant(v, 3));
      }
    } else {
      all = linear_marks(ticks(low_, high_, max_count, axis_.whole));
    }
    return all;
  }
  double longest_mark() const {
    size_t longest = 0;
    for (const auto& mark : marks(kMarks)) {
      const size_t power = mark.second.find('<');  // two digits, raised
      longest = std::max(longest, power == std::string::npos ? mark.second.size() : power + 2);
    }
    return static_cast<double>(longest);
  }

 private:
  static std::vector<std::pair<double, std::string>> linear_marks(const Ticks& t) {
    std::vector<std::pair<double, std::string>> all;
    for (const double v : t.at) all.emplace_back(v, fixed(v, t.decimals));
    return all;
  }
  double map(double v) const { return axis_.log ? std::log10(v) : v; }
  Axis axis_;
  double from_, to_, low_ = 0, high_ = 1;
};

// At most `most` letters of UTF-8.
std::string first_letters(const std::string& text, size_t most) {
  size_t letters = 0, end = 0, cut = 0;  // cut: behind most - 1 letters
  for (; end < text.size(); ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) continue;
    if (letters == most - 1) cut = end;
    if (letters == most) return text.substr(0, cut) + "\u2026";
    ++letters;
  }
  return text;
}

std::string value_text(const Axis& axis, double v) {
  return axis.log ? significant(v, 4) : fixed(v, axis.whole ? 0 : axis.decimals);
}

std::string value_text(const Axis& axis, const Point& p, bool band) {
  std::string text = value_text(axis, p.y);
  if (std::isfinite(p.low) && std::isfinite(p.high)) {
    text += band ? cat(" (", value_text(axis, p.low), " to ", value_text(axis, p.high), ")")
                 : cat(" \u00b1 ", value_text(axis, (p.high - p.low) / 2));
  }
  return text;
}

std::string axes(const Chart& chart, const Scale& x, const Scale& y, double left) {
  std::string svg;
  for (const auto& [v, text] : y.marks(kMarks)) {
    svg += cat("<line class=\"grid\" x1=\"", at(left), "\" x2=\"", at(kWidth - kRight), "\" y1=\"", at(y(v)),
               "\" y2=\"", at(y(v)), "\"/><text x=\"", at(left - 6), "\" y=\"", at(y(v) + 4), "\" text-anchor=\"end\">",
               text, "</text>");
  }
  const double bottom = kHeight - kBottom;
  svg += cat("<line class=\"axis\" x1=\"", at(left), "\" x2=\"", at(kWidth - kRight), "\" y1=\"", at(bottom),
             "\" y2=\"", at(bottom), "\"/>");
  auto below = x.marks(8);
  if (!below.empty() && below.back().second.size() > 4) below = x.marks(5);
  for (const auto& [v, text] : below) {
    svg += cat("<line class=\"axis\" x1=\"", at(x(v)), "\" x2=\"", at(x(v)), "\" y1=\"", at(bottom), "\" y2=\"",
               at(bottom + 4), "\"/><text x=\"", at(x(v)), "\" y=\"", at(bottom + 17), "\" text-anchor=\"middle\">",
               text, "</text>");
  }
  svg += cat("<text class=\"label\" x=\"", at((left + kWidth - kRight) / 2), "\" y=\"", at(kHeight - 8),
             "\" text-anchor=\"middle\">", escape(chart.x.label), "</text>");
  const double middle = (kTop + bottom) / 2;
  svg += cat("<text class=\"label\" transform=\"translate(12 ", at(middle), ") rotate(-90)\" text-anchor=\"middle\">",
             escape(chart.y.label), "</text>");
  return svg;
}

std::string draw(const Series& s, const Scale& x, const Scale& y, double shift) {
  std::string line, dots, bars, above, below;
  bool gap = true;
  const size_t stride = s.points.size() / kMaxMarkers + 1;
  for (size_t i = 0; i < s.points.size(); ++i) {
    const Point& p = s.points[i];
    if (!x.shows(p.x) || !y.shows(p.y)) {
      gap = true;
      continue;
    }
    const double px = x(p.x) + shift, py = y(p.y);
    line += cat(gap ? "M" : "L", at(px), " ", at(py));
    gap = false;
    if (s.markers && i % stride == 0) dots += marker(s.style, px, py, s.emphasized ? 3.4 : 3);
    if (!s.singles.empty() || !std::isfinite(p.low) || !std::isfinite(p.high)) continue;
    const double low = y.clamped(p.low), high = y.clamped(p.high);
    if (s.band) {
      above += cat(above.empty() ? "M" : "L", at(px), " ", at(high));
      below = cat("L", at(px), " ", at(low), below);
    } else if (p.high > p.low) {
      bars += cat("<path class=\"bar\" d=\"M", at(px), " ", at(low), "V", at(high), "M", at(px - 3), " ", at(low),
                  "h6M", at(px - 3), " ", at(high), "h6\"/>");
    }
  }
  for (const Point& p : s.singles) {
    if (!x.shows(p.x) || !y.shows(p.y)) continue;
    bars += cat("<g class=\"single\">", marker(s.style, x(p.x) + shift, y(p.y), 2.2), "</g>");
  }
  std::string svg = cat("<g class=\"", classes(s), "\">");
  if (!above.empty()) svg += cat("<path class=\"band\" d=\"", above, below, "Z\"/>");
  if (s.line && !line.empty()) svg += cat("<path class=\"line\" d=\"", line, "\"/>");
  return svg + bars + dots + "</g>";
}

// One strip per x, which shows all values there. `rows`: of every x a cell per series.
std::string strips(const Chart& chart, const std::map<double, std::vector<std::string>>& rows, const Scale& x,
                   double left) {
  std::string svg;
  for (auto row = rows.begin(); row != rows.end(); ++row) {
    if (!x.shows(row->first)) continue;
    const double from = row == rows.begin() ? left : (x(std::prev(row)->first) + x(row->first)) / 2;
    const double to = std::next(row) == rows.end() ? kWidth - kRight : (x(row->first) + x(std::next(row)->first)) / 2;
    std::string text = cat(chart.x.label, " ", value_text(chart.x, row->first));
    if (chart.mark && chart.mark->first == row->first) text += cat(" (", chart.mark->second, ")");
    for (size_t k = 0; k < chart.series.size(); ++k) {
      if (!row->second[k].empty()) text += cat("\n", chart.series[k].name, ": ", row->second[k]);
    }
    svg += cat("<rect class=\"hit\" x=\"", at(from), "\" y=\"", at(kTop), "\" width=\"", at(to - from), "\" height=\"",
               at(kHeight - kBottom - kTop), "\"><title>", escape(text), "</title></rect>");
  }
  return svg;
}

std::string legend(const std::vector<Series>& series) {
  std::string html = "<ul class=\"legend\">";
  for (const Series& s : series) {
    html += cat("<li><svg viewBox=\"0 0 30 12\" aria-hidden=\"true\"><g class=\"", classes(s), "\">");
    if (s.line) html += "<path class=\"line\" d=\"M1 6H29\"/>";
    html += cat(s.markers ? marker(s.style, 15, 6, 3.2) : "", "</g></svg>", escape(s.name), "</li>");
  }
  return html + "</ul>";
}

// A link to a file inside the page.
std::string file_link(const std::string& title, const std::string& csv) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string name, data;
  for (const char c : title) {
    const auto lower = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    const bool word = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
    if (word || (!name.empty() && name.back() != '-')) name += word ? lower : '-';
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  for (const char c : csv) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte > ' ' && byte < 0x7f && std::string_view("\"#%&'<>").find(c) == std::string_view::npos;
    data += plain ? std::string(1, c) : cat("%", kHex[byte >> 4], kHex[byte & 15]);
  }
  return cat("<p><a download=\"", name, ".csv\" href=\"data:text/csv;charset=utf-8,", data, "\">CSV file</a></p>");
}

std::string values(const std::string& table, const std::string& title, const std::string& csv) {
  return cat("<details class=\"values\"><summary>Values</summary>", table, file_link(title, csv), "</details>");
}

std::string csv_number(double v) { return std::isfinite(v) ? shortest(v) : ""; }

std::string open_figure(const std::string& title, const std::string& note) {
  return cat("<figure><figcaption><strong>", escape(title), "</strong> ", escape(note), "</figcaption>");
}

}  // namespace

std::string escape(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string fixed(double value, int decimals) {
  return std::isfinite(value) ? true_minus(fixed_point(value, decimals)) : "\u2013";
}

std::string significant(double value, int digits) {
  return std::isfinite(value) ? true_minus(significant_digits(value, digits)) : "\u2013";
}

Ticks ticks(double low, double high, int max_count, bool whole) {
  Ticks result;
  if (!(high > low) || max_count < 1) return result;
  double power = std::pow(10, std::floor(std::log10((high - low) / max_count)));
  if (whole) power = std::max(power, 1.0);
  for (int i = 0;; ++i) {
    const double step = power * std::pow(10, i / 3) * (i % 3 == 0 ? 1 : i % 3 == 1 ? 2 : 5);
    const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
    if (last - first + 1 > max_count) continue;
    if (first + 1 == first) return result;  // the range is below the precision of the numbers
    for (int k = 0; first + k <= last; ++k) result.at.push_back((first + k) * step);
    result.decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
    return result;
  }
}

std::vector<double> log_ticks(double low, double high, int max_count) {
  if (!(low > 0) || !(high > low) || max_count < 1) return {};
  // Tries fewer and fewer ticks: decades with multiples, decades alone, every second decade, ...
  const int first = static_cast<int>(std::floor(std::log10(low) - 1e-9));
  const int last = static_cast<int>(std::ceil(std::log10(high) + 1e-9));
  for (int density = 2, step = 1;; density > 0 ? --density : ++step) {
    const std::vector<double> factors = density == 2   ? std::vector<double>{1, 2, 5}
                                        : density == 1 ? std::vector<double>{1, 3}
                                                       : std::vector<double>{1};
    std::vector<double> all;
    for (int k = first; k <= last; ++k) {
      if (k % step != 0) continue;
      for (const double factor : factors) {
        const double v = k < 0 ? factor / std::pow(10, -k) : factor * std::pow(10, k);
        if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)) all.push_back(v);
      }
    }
    if (all.size() <= static_cast<size_t>(max_count)) return all;
  }
}

std::string table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::string html = "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>";
  for (const std::string& cell : header) html += cat("<th scope=\"col\">", cell, "</th>");
  html += "</tr></thead><tbody>";
  for (const auto& row : rows) {
    html += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      html += i == 0 ? cat("<th scope=\"row\">", row[i], "</th>") : cat("<td>", row[i], "</td>");
    }
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

std::string csv(const Chart& chart) {
  std::string text = cat("series,", csv_cell(chart.x.label), ",", csv_cell(chart.y.label), ",low,high\n");
  for (const Series& s : chart.series) {
    for (const Point& p : s.points) {
      text += cat(csv_cell(s.name), ",", csv_number(p.x), ",", csv_number(p.y), ",", csv_number(p.low), ",",
                  csv_number(p.high), "\n");
    }
    for (const Point& p : s.singles) {
      text += cat(csv_cell(s.name + " (single)"), ",", csv_number(p.x), ",", csv_number(p.y), ",,\n");
    }
  }
  return text;
}

std::string figure(const Chart& chart) {
  std::vector<double> xs, ys;
  std::map<double, std::vector<std::string>> rows;  // x: a cell per series
  size_t barred = 0;
  for (size_t k = 0; k < chart.series.size(); ++k) {
    const Series& s = chart.series[k];
    bool bars = false;
    for (const Point& p : s.points) {
      xs.push_back(p.x);
      ys.push_back(p.y);
      if (s.singles.empty()) ys.insert(ys.end(), {p.low, p.high});
      auto& cells = rows[p.x];
      cells.resize(chart.series.size());
      cells[k] = value_text(chart.y, p, s.band);
      bars = bars || (!s.band && p.high > p.low);
    }
    for (const Point& p : s.singles) ys.push_back(p.y);
    barred += bars;
  }
  const Scale y(chart.y, ys, kHeight - kBottom, kTop);
  const double left = kLabel + kDigit * y.longest_mark();
  const Scale x(chart.x, xs, left, kWidth - kRight);

  std::string html = open_figure(chart.title, chart.note);
  html += cat("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"", escape(chart.title), "\">");
  html += axes(chart, x, y, left);
  if (chart.mark && x.shows(chart.mark->first)) {
    html += cat("<line class=\"mark\" x1=\"", at(x(chart.mark->first)), "\" x2=\"", at(x(chart.mark->first)),
                "\" y1=\"", at(kTop), "\" y2=\"", at(kHeight - kBottom), "\"/>");
  }
  // Error bars of series that share their x stand side by side; the emphasized series lies on top.
  for (const bool emphasized : {false, true}) {
    double place = -(static_cast<double>(barred) - 1) / 2;
    for (const Series& s : chart.series) {
      const double shift = barred > 1 ? 5 * place++ : 0;
      if (s.emphasized == emphasized) html += draw(s, x, y, shift);
    }
  }
  html += strips(chart, rows, x, left);
  html += "</svg>";
  if (chart.series.size() > 1) html += legend(chart.series);
  std::vector<std::string> header = {escape(chart.x.label)};
  for (const Series& s : chart.series) header.push_back(escape(s.name));
  std::vector<std::vector<std::string>> cells;
  for (const auto& [v, row] : rows) {
    cells.push_back({value_text(chart.x, v)});
    cells.back().insert(cells.back().end(), row.begin(), row.end());
  }
  return html + values(table(header, cells), chart.title, csv(chart)) + "</figure>";
}

std::string figure(const Ranking& ranking) {
  constexpr double kRow = 22, kNames = 130;
  constexpr size_t kName = 19;  // letters that fit
  std::vector<double> xs(ranking.from_zero ? 1 : 0, 0.0);
  for (const Ranking::Row& row : ranking.rows) {
    xs.push_back(row.value);
    xs.insert(xs.end(), row.parts.begin(), row.parts.end());
    if (std::isfinite(row.deviation)) xs.insert(xs.end(), {row.value - row.deviation, row.value + row.deviation});
  }
  const Scale x(ranking.axis, xs, kNames, kWidth - kRight);
  const double bottom = kTop + kRow * static_cast<double>(ranking.rows.size()), height = bottom + kBottom;
  std::string html = open_figure(ranking.title, ranking.note);
  html += cat("<svg viewBox=\"0 0 ", kWidth, " ", at(height), "\" role=\"img\" aria-label=\"", escape(ranking.title),
              "\">");
  for (const auto& [v, text] : x.marks(5)) {
    html +=
        cat("<line class=\"grid\" x1=\"", at(x(v)), "\" x2=\"", at(x(v)), "\" y1=\"", at(kTop), "\" y2=\"", at(bottom),
            "\"/><text x=\"", at(x(v)), "\" y=\"", at(bottom + 17), "\" text-anchor=\"middle\">", text, "</text>");
  }
  const double start = ranking.from_zero ? x(0) : kNames;
  html += cat("<line class=\"axis\" x1=\"", at(start), "\" x2=\"", at(start), "\" y1=\"", at(kTop), "\" y2=\"",
              at(bottom), "\"/><text class=\"label\" x=\"", at((kNames + kWidth - kRight) / 2), "\" y=\"",
              at(height - 8), "\" text-anchor=\"middle\">", escape(ranking.axis.label), "</text>");
  std::vector<std::vector<std::string>> cells;
  std::string file = cat("name,", csv_cell(ranking.axis.label), ",deviation\n");
  for (size_t i = 0; i < ranking.rows.size(); ++i) {
    const Ranking::Row& row = ranking.rows[i];
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    const std::string value =
        cat(value_text(ranking.axis, row.value),
            std::isfinite(row.deviation) ? cat(" \u00b1 ", value_text(ranking.axis, row.deviation)) : "");
    cells.push_back({escape(row.name), value});
    file += cat(csv_cell(row.name), ",", csv_number(row.value), ",", csv_number(row.deviation), "\n");
    for (const double part : row.parts) file += cat(csv_cell(row.name + " (part)"), ",", csv_number(part), ",\n");
    html += cat("<g class=\"series strong c", row.style % kColours, "\"><text class=\"label\" x=\"", at(kNames - 8),
                "\" y=\"", at(y + 4), "\" text-anchor=\"end\">", escape(first_letters(row.name, kName)), "</text>");
    if (!x.shows(row.value)) {
      html += "</g>";
      continue;
    }
    if (ranking.from_zero)
      html += cat("<path class=\"line\" d=\"M", at(x(0)), " ", at(y), "H", at(x(row.value)), "\"/>");
    for (const double part : row.parts) html += cat("<g class=\"single\">", marker(0, x(part), y, 2.2), "</g>");
    if (std::isfinite(row.deviation)) {
      const double low = x(row.value - row.deviation), high = x(row.value + row.deviation);
      html += cat("<path class=\"bar\" d=\"M", at(low), " ", at(y), "H", at(high), "M", at(low), " ", at(y - 3), "v6M",
                  at(high), " ", at(y - 3), "v6\"/>");
    }
    html += marker(0, x(row.value), y, 3.4);
    html += cat("<rect class=\"hit\" x=\"0\" y=\"", at(y - kRow / 2), "\" width=\"", at(kWidth), "\" height=\"",
                at(kRow), "\"><title>", escape(cat(row.name, ": ", value)), "</title></rect></g>");
  }
  html += "</svg>";
  return html + values(table({"", escape(ranking.axis.label)}, cells), ranking.title, file) + "</figure>";
}

std::string figure(const HeatMap& map) {
  const size_t n = map.names.size();
  double largest = 0;
  for (const auto& row : map.values) {
    for (const double v : row) {
      if (std::isfinite(v)) largest = std::max(largest, v);
    }
  }
  // Numbers in cells are multiples of a power of ten, so that they are short.
  const int power = largest > 0 ? static_cast<int>(std::floor(std::log10(largest))) : 0;
  const double unit = std::pow(10, power);
  const double left = 44, top = 26,
               cell = std::min(62.0, (kWidth - left - 4) / static_cast<double>(std::max<size_t>(n, 1)));
  const double height = top + cell * static_cast<double>(n) + 4;
  std::string html = open_figure(map.title, map.note);
  html +=
      cat("<svg viewBox=\"0 0 ", kWidth, " ", at(height), "\" role=\"img\" aria-label=\"", escape(map.title), "\">");
  std::vector<std::vector<std::string>> rows;
  std::string file = "row,column,value\n";
  for (size_t i = 0; i < n; ++i) {
    const double middle = cell * (static_cast<double>(i) + 0.5);
    // With many small cells, only some have their number; the names are in the table.
    if (n <= kMaxNumberedCells || i % 5 == 0) {
      html += cat("<text x=\"", at(left + middle), "\" y=\"", at(top - 8), "\" text-anchor=\"middle\">", i + 1,
                  "</text><text x=\"", at(left - 8), "\" y=\"", at(top + middle + 4), "\" text-anchor=\"end\">", i + 1,
                  "</text>");
    }
    rows.push_back({escape(map.names[i])});
    for (size_t j = 0; j < n; ++j) {
      const double v = map.values[i][j];
      const double x = left + cell * static_cast<double>(j), y = top + cell * static_cast<double>(i);
      rows.back().push_back(significant(v, 4));
      file += cat(csv_cell(map.names[i]), ",", csv_cell(map.names[j]), ",", csv_number(v), "\n");
      html += cat("<g><rect class=\"cell\" x=\"", at(x), "\" y=\"", at(y), "\" width=\"", at(cell - 2), "\" height=\"",
                  at(cell - 2), "\" fill-opacity=\"",
                  fixed(largest > 0 && std::isfinite(v) ? 0.04 + 0.56 * v / largest : 0.04, 3), "\"/>");
      if (n <= kMaxNumberedCells) {
        html += cat("<text x=\"", at(left + cell * (static_cast<double>(j) + 0.5) - 1), "\" y=\"", at(top + middle + 3),
                    "\" text-anchor=\"middle\">", i == j ? "0" : fixed(v / unit, n > 8 ? 1 : 2), "</text>");
      }
      html += cat("<title>", escape(cat(map.names[i], " and ", map.names[j], ": ", significant(v, 4))), "</title></g>");
    }
  }
  html += "</svg>";
  html += cat("<p class=\"unit\">", escape(map.unit));
  if (n <= kMaxNumberedCells && power != 0)
    html += cat("; numbers in units of 10<sup>", true_minus(cat(power)), "</sup>");
  html += "</p>";
  std::vector<std::string> header = {""};
  for (const std::string& name : map.names) header.push_back(escape(name));
  return html + values(table(header, rows), map.title, file) + "</figure>";
}

std::string style_sheet() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1b1b; --soft: #5c5c5c; --rule: #dcdcdc; --wash: #f5f5f3; --link: #004f8a;
  --c0: #0069b4; --c1: #c2470a; --c2: #00785a; --c3: #a23f7e; --c4: #8a6100; --c5: #2b83ad; --c6: #6d6d6d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16181a; --ink: #ececea; --soft: #a9abad; --rule: #3a3d40; --wash: #1f2225; --link: #8cc6f5;
    --c0: #62b5ee; --c1: #f39160; --c2: #45c9a0; --c3: #e59ccb; --c4: #e2b94e; --c5: #a4dcf5; --c6: #b0b0b0;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 66rem; background: var(--page); color: var(--ink);
  font: 1rem/1.6 system-ui, sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
h1, h2, h3 { line-height: 1.25; font-weight: 600; margin: 0; }
h1 { font-size: 1.9rem; letter-spacing: -0.01em; }
h2 { font-size: 1.4rem; margin-top: 4rem; padding-top: 1.2rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.1rem; margin-top: 2.8rem; }
p { max-width: 44rem; margin: 0.6rem 0; }
a { color: var(--link); text-underline-offset: 0.15em; }
code, pre { font: 0.86rem/1.55 ui-monospace, monospace; }
pre { margin: 0.8rem 0; padding: 0.9rem 1rem; background: var(--wash); border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere; }
.finding { font-size: 1.12rem; max-width: 50rem; margin-top: 1rem; }
.lead, .unit, figcaption, dt, .legend { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: 1.4rem 1.5rem; margin: 2rem 0 0; }
.facts dt { font-size: 0.86rem; }
.facts dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
.facts dd small { display: block; font-size: 0.86rem; font-weight: 400; color: var(--soft); }
.notes { margin: 1.6rem 0 0; padding: 0.8rem 1rem 0.8rem 2.2rem; border-left: 3px solid var(--c1); background: var(--wash); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 2.4rem 3rem; margin-top: 1.4rem; }
.figures > div { min-width: 0; }
figure { margin: 0; min-width: 0; max-width: 32rem; break-inside: avoid; }
figcaption { font-size: 0.92rem; line-height: 1.5; margin-bottom: 0.7rem; }
figcaption strong { display: block; font-weight: 600; color: var(--ink); }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.label { fill: var(--ink); }
svg .power { font-size: 9px; }
svg g > text { fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; }
.reference { --c: var(--soft); }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); }
.line { fill: none; stroke: var(--c); stroke-width: 1.5; stroke-linejoin: round; }
.d1 .line { stroke-dasharray: 7 3; } .d2 .line { stroke-dasharray: 2 2.5; } .d3 .line { stroke-dasharray: 8 3 2 3; }
.strong .line { stroke-width: 2.8; }
.reference .line { stroke-width: 1; }
.dot { fill: var(--page); stroke: var(--c); stroke-width: 1.5; }
.strong .dot { fill: var(--c); }
.single .dot { fill: var(--c); stroke: none; fill-opacity: 0.7; }
.bar { fill: none; stroke: var(--c); stroke-width: 1.2; }
.band { fill: var(--c); fill-opacity: 0.14; }
.hit { fill: var(--ink); fill-opacity: 0; }
.hit:hover { fill-opacity: 0.07; }
.cell { fill: var(--c0); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; margin: 0.5rem 0 0; padding: 0; font-size: 0.86rem; }
.legend svg { display: inline-block; width: 30px; height: 12px; margin-right: 0.4rem; }
.unit { font-size: 0.86rem; }
details > summary { cursor: pointer; }
.values { margin-top: 0.5rem; font-size: 0.86rem; }
.values > summary { color: var(--link); }
.paper { display: none; }
.run { border-top: 1px solid var(--rule); }
.run > summary { padding: 0.9rem 0; font-weight: 600; }
.run > summary span { font-weight: 400; color: var(--soft); }
.run > div { padding-bottom: 3rem; }
.scroll { overflow-x: auto; margin: 0.6rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; line-height: 1.4; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { font-weight: 400; } thead th { color: var(--soft); vertical-align: bottom; white-space: normal; max-width: 8rem; }
th[scope=row] { white-space: normal; min-width: 7rem; }
.best { font-weight: 700; } td .best small { font-weight: 400; }
td small, th small { display: block; font-size: 0.8rem; color: var(--soft); }
th:first-child { text-align: left; }
@media (max-width: 30rem) { body { padding: 1.6rem 1rem 3rem; } h1 { font-size: 1.5rem; } h2 { margin-top: 3rem; } .facts { grid-template-columns: 1fr 1fr; } }
@media print {
  :root { color-scheme: light; --page: #fff; --ink: #000; --soft: #444; --rule: #ccc; --wash: #f4f4f4; --link: #000;
    --c0: #0069b4; --c1: #c2470a; --c2: #00785a; --c3: #a23f7e; --c4: #8a6100; --c5: #2b83ad; --c6: #6d6d6d; }
  body { padding: 0; max-width: none; font-size: 9.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  .figures { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1.4rem 2rem; }
  table { font-size: 7.5pt; } td small, th small { font-size: 6.5pt; }
  th, td { padding-right: 0.5rem; } th[scope=row] { min-width: 0; }
  h2, h3, .run > summary { break-after: avoid; } tr, .facts { break-inside: avoid; }
  .paper { display: block; }
  .values:not([open]), .hit { display: none; }
  .scroll { overflow: visible; }
}
)css";
}

}  // namespace kdef::plot
