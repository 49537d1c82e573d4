#include "kdef/study/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

namespace kdef::plot {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pointwise;

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

TEST(Plot, TicksAreRoundNumbersInsideTheRange) {
  const Ticks t = ticks(0.7213, 0.7418, 6);
  EXPECT_THAT(t.at, Pointwise(DoubleNear(1e-12), {0.725, 0.730, 0.735, 0.740}));
  EXPECT_EQ(t.decimals, 3);
  EXPECT_THAT(ticks(0.4, 3.6, 8, true).at, ElementsAre(1, 2, 3));
  EXPECT_THAT(ticks(0, 1000, 6).at, ElementsAre(0, 200, 400, 600, 800, 1000));
  EXPECT_EQ(ticks(0, 1000, 6).decimals, 0);
  EXPECT_THAT(ticks(-1, 1, 3).at, ElementsAre(-1, 0, 1));
  EXPECT_TRUE(ticks(1, 1, 5).at.empty());
  // Ranges no wider than the last digit of their ends.
  EXPECT_LE(ticks(0.8, std::nextafter(0.8, 1), 6).at.size(), 6u);
  EXPECT_LE(ticks(1e17, 1e17 + 64, 6).at.size(), 6u);
}

TEST(Plot, LogarithmicTicksThinOutWithTheRange) {
  EXPECT_THAT(log_ticks(0.04, 1, 8), Pointwise(DoubleNear(1e-12), {0.05, 0.1, 0.2, 0.5, 1.0}));
  EXPECT_THAT(log_ticks(1e-7, 1, 8), Pointwise(DoubleNear(1e-12), {1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0}));
  EXPECT_LE(log_ticks(1e-30, 1e30, 6).size(), 6u);
  EXPECT_FALSE(log_ticks(1e-30, 1e30, 6).empty());
  EXPECT_TRUE(log_ticks(0, 1, 6).empty());
}

TEST(Plot, NumbersAreWrittenForReaders) {
  EXPECT_EQ(fixed(-0.5, 2), "\u22120.50");
  EXPECT_EQ(fixed(-0.0001, 2), "0.00");
  EXPECT_EQ(fixed(std::nan(""), 2), "\u2013");
  EXPECT_EQ(significant(1.23456e-9, 3), "1.23e\u221209");
}

Chart chart() {
  Chart c;
  c.title = "A <b>title</b>";
  c.x = {.label = "epoch", .whole = true};
  c.y = {.label = "AUC", .decimals = 4};
  c.series = {{.name = "one & <two>", .points = {{1, 0.5}, {2, 0.75}, {3, 0.625}}},
              {.name = "ensemble", .points = {{1, 0.6}, {3, 0.7, 0.65, 0.75}}, .emphasized = true}};
  return c;
}

TEST(Plot, AChartHoldsItsLabelsValuesAndTable) {
  const std::string html = figure(chart());
  EXPECT_THAT(html, HasSubstr(">epoch</text>"));
  EXPECT_THAT(html, HasSubstr(">AUC</text>"));
  EXPECT_THAT(html, HasSubstr("epoch 2\none &amp; &lt;two&gt;: 0.7500</title>"));
  EXPECT_THAT(html, HasSubstr("ensemble: 0.7000 \u00b1 0.0500</title>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">2</th><td>0.7500</td><td></td>"));
  EXPECT_EQ(count(html, "class=\"hit\""), 3u);
  EXPECT_EQ(count(html, "class=\"bar\""), 1u);
  EXPECT_THAT(html, Not(HasSubstr("<b>")));
  EXPECT_THAT(html, Not(HasSubstr("<two>")));
}

// The end points of the first line drawn, in the picture's units.
std::vector<double> line_of(const std::string& html) {
  std::smatch found;
  EXPECT_TRUE(std::regex_search(html, found, std::regex("class=\"line\" d=\"([^\"]*)\"")));
  std::vector<double> numbers;
  const std::string d = found[1];
  const std::regex number("[0-9.]+");
  for (std::sregex_iterator it(d.begin(), d.end(), number), end; it != end; ++it) {
    numbers.push_back(std::stod(it->str()));
  }
  return numbers;
}

TEST(Plot, PointsLieWhereTheScalesPutThem) {
  const std::vector<double> p = line_of(figure(chart()));
  ASSERT_EQ(p.size(), 6u);
  EXPECT_NEAR(p[2] - p[0], p[4] - p[2], 0.11);       // x: equal steps
  EXPECT_NEAR(p[1], 226 - 214 * 0.06 / 1.12, 0.11);  // min and max lie 6 % inside the ends
  EXPECT_NEAR(p[3], 12 + 214 * 0.06 / 1.12, 0.11);
  EXPECT_GT(p[1], p[5]);  // up is more
  EXPECT_GT(p[5], p[3]);
  EXPECT_NEAR((p[1] - p[5]) / (p[1] - p[3]), 0.5, 0.002);  // 0.625 is half way from 0.5 to 0.75
}

TEST(Plot, ALogarithmicAxisHasEqualDecadesAndNoPlaceForZero) {
  Chart c;
  c.y = {.label = "relative", .log = true, .min = 1e-7};
  c.series = {{.name = "s", .points = {{1, 1}, {2, 0.1}, {3, 0.01}, {4, 0}, {5, 1e-9}}}};
  const std::string html = figure(c);
  const std::vector<double> p = line_of(html);
  ASSERT_EQ(p.size(), 6u);
  EXPECT_NEAR(p[3] - p[1], p[5] - p[3], 0.11);
  EXPECT_THAT(html, HasSubstr("<td>1e\u221209</td>"));  // the table still says it
}

TEST(Plot, ManyDigitsMakeRoomForThemselves) {
  Chart wide = chart();
  for (Point& p : wide.series[0].points) p.y = 0.6 + p.y * 1e-4;
  wide.series.pop_back();
  EXPECT_GT(line_of(figure(wide))[0], line_of(figure(chart()))[0] + 10);
}

TEST(Plot, GapsAndEmptyChartsAreNoNumbers) {
  Chart c = chart();
  c.series[0].points[1].y = std::nan("");
  EXPECT_EQ(count(figure(c), "M"), count(figure(chart()), "M") + 1);  // the line starts anew behind the gap
  c.series.clear();
  for (const std::string& html : {figure(c), figure(HeatMap{})}) {
    EXPECT_THAT(html, Not(HasSubstr("nan")));
    EXPECT_THAT(html, Not(HasSubstr("inf")));
  }
  c.series = {{.name = "same", .points = {{1, 0.5}, {1, 0.5}}}};
  EXPECT_THAT(figure(c), Not(HasSubstr("nan")));
}

TEST(Plot, AHeatMapNumbersItsCells) {
  HeatMap map;
  map.names = {"student 1", "<student 2>"};
  map.values = {{0, 2.5e-4}, {1.25e-4, 0}};
  map.unit = "mean square";
  const std::string html = figure(map);
  EXPECT_THAT(html, HasSubstr("units of 10<sup>\u22124</sup>"));
  EXPECT_THAT(html, HasSubstr(">2.50</text>"));
  EXPECT_THAT(html, HasSubstr(">1.25</text>"));
  EXPECT_THAT(html, HasSubstr("<td>0.00025</td>"));
  EXPECT_EQ(count(html, "class=\"cell\""), 4u);
  EXPECT_THAT(html, HasSubstr("fill-opacity=\"0.600\""));
  EXPECT_THAT(html, HasSubstr("fill-opacity=\"0.320\""));
  EXPECT_THAT(html, Not(HasSubstr("<student")));
  HeatMap large;
  large.names.assign(13, "s");
  large.values.assign(13, std::vector<double>(13, 1));
  EXPECT_THAT(figure(large), Not(HasSubstr(">1.0</text>")));
}

}  // namespace
}  // namespace kdef::plot
