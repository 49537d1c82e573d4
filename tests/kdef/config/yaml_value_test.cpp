// YAML values are read strictly, and their errors name the place.
#include "kdef/config/yaml_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/base/error.h"

namespace kdef {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Read>
std::string refusal(const std::string& text, Read read) {
  try {
    read(parse_yaml(text, "file.yaml", ""));
  } catch (const InputError& e) {
    return e.what();
  }
  ADD_FAILURE() << "accepted: " << text;
  return "";
}

TEST(YamlValues, NumbersAndBooleansAsWritten) {
  const auto value = [](const char* text) { return parse_yaml(text, "file.yaml", ""); };
  EXPECT_EQ(value("1e-5").real(0, 1), 1e-5);
  EXPECT_EQ(value("+7").integer(0), 7);
  EXPECT_TRUE(value("Yes").boolean());
  EXPECT_FALSE(value("OFF").boolean());
  EXPECT_EQ(value("ADAM").one_of({"sgd", "adam"}), "adam");
  EXPECT_TRUE(value("~").is_null());
  EXPECT_TRUE(value("").is_null());
}

// The right values are those of yaml.safe_load (PyYAML 6.0).
TEST(YamlValues, WholeNumbersAreReadAsPyYamlReadsThem) {
  const auto whole = [](const char* text) {
    return parse_yaml(text, "file.yaml", "").integer(std::numeric_limits<int64_t>::min());
  };
  EXPECT_EQ(whole("0100"), 64);
  EXPECT_EQ(whole("-017"), -15);
  EXPECT_EQ(whole("0x40"), 64);
  EXPECT_EQ(whole("0b101"), 5);
  EXPECT_EQ(whole("1_000"), 1000);
  EXPECT_EQ(whole("190:20:30"), 685230);
  EXPECT_EQ(whole("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(parse_yaml("0100", "", "").real(0, 100), 64);
  EXPECT_EQ(parse_yaml("1_0.5", "", "").real(0, 100), 10.5);
  EXPECT_EQ(parse_yaml("010.5", "", "").real(0, 100), 10.5);
  EXPECT_EQ(parse_yaml("1.e-3", "", "").real(0, 100), 1e-3);
  // Texts for PyYAML.
  for (const char* text : {"08", "0o14", "1:60", "0x", "9223372036854775808", "--1", "0b2"}) {
    EXPECT_THAT(refusal(text, [](const auto& v) { v.integer(-1); }), HasSubstr("expected an integer")) << text;
  }
  EXPECT_THAT(refusal("08", [](const auto& v) { v.real(0, 100); }), HasSubstr("expected a number"));
}

TEST(YamlValues, TextThatYamlReadsAsAnotherNumberIsRefused) {
  const auto text = [](const auto& v) { v.text(); };
  EXPECT_EQ(refusal("0100", text), "file.yaml:1:1: YAML reads 0100 as the number 64; write '0100' in quotes, or 64");
  EXPECT_THAT(refusal("12:30", text), HasSubstr("as the number 750"));
  for (const char* same : {"100", "-3", "'0100'", "08", "1.50", "a_1"}) {
    EXPECT_NO_THROW(parse_yaml(same, "file.yaml", "").text()) << same;
  }
}

TEST(YamlValues, ACommaBehindAValueEndsWithAnError) {
  const auto nothing = [](const auto&) {};
  EXPECT_EQ(refusal("[16,8],", nothing), "file.yaml:1:7: not valid YAML: a ',' stands behind the value; remove it");
  EXPECT_EQ(refusal(",", nothing), "file.yaml:1:1: not valid YAML: a ',' stands behind the value; remove it");
  EXPECT_THAT(refusal("a: 1\n---\nb: 2\n", nothing),
              HasSubstr("file.yaml:2:1: not valid YAML: a second YAML document"));
  EXPECT_THAT(refusal("a: 1\n---\n[\n", nothing), HasSubstr("not valid YAML"));
  EXPECT_NO_THROW(parse_yaml("---\na: 1\n...\n", "file.yaml", ""));
}

TEST(YamlValues, ATabThatIndentsIsNamed) {
  const auto nothing = [](const auto&) {};
  const char* message = "file.yaml:2:1: not valid YAML: the line is indented with a tab; indent it with spaces";
  EXPECT_EQ(refusal("a:\n\tb: 1\n", nothing), message);
  EXPECT_EQ(refusal("a:\n  \tb: 1\n", nothing), message);
  EXPECT_NO_THROW(parse_yaml("a:\t1\n", "file.yaml", ""));
}

TEST(YamlValues, ErrorsNameThePlaceTheKeyAndWhatWasFound) {
  const auto first = [](const auto& map) { map.map().at(0).value.integer(1, 5); };
  EXPECT_EQ(refusal("\na: 7", first), "file.yaml:2:4: key 'a': expected an integer in [1, 5], found '7'");
  EXPECT_EQ(refusal("a: '3'", first), "file.yaml:1:4: key 'a': expected an integer in [1, 5], found the text '3'");
  EXPECT_THAT(refusal("a: [1, 2]", first), HasSubstr("found a list of 2"));
  EXPECT_THAT(refusal("a: tRuE", [](const auto& map) { map.map().at(0).value.boolean(); }), HasSubstr("found 'tRuE'"));
  EXPECT_THAT(refusal("1.0", [](const auto& v) { v.real(0, 1, true); }), HasSubstr("a number in [0, 1)"));
  EXPECT_THAT(refusal("nan", [](const auto& v) { v.real(0, 1); }), HasSubstr("found 'nan'"));
  EXPECT_THAT(refusal("{a: 1, a: 2}", [](const auto& v) { v.map(); }), HasSubstr("file.yaml:1:8: key 'a'"));
  EXPECT_THAT(refusal("[1, 2", [](const auto&) {}), HasSubstr("not valid YAML"));
}

TEST(YamlValues, MergedMapsFillInWhatIsNotSet) {
  std::vector<std::string> entries;
  for (const auto& e : parse_yaml("{<<: [{a: 1, b: 2}, {b: 3, c: 4}], a: 5}", "file.yaml", "").map()) {
    entries.push_back(e.name + e.value.text());
  }
  EXPECT_THAT(entries, ElementsAre("a5", "b2", "c4"));
}

TEST(YamlValues, TextIsReadBackAsItWas) {
  for (const std::string text : {"plain", "", "true", "null", "1e3", "a: b", "\"quoted\" \\ # \t\x01", "ü", "y"}) {
    const std::string written = yaml_text(text);
    EXPECT_EQ(parse_yaml("[" + written + "]", "file.yaml", "").list().at(0).text(), text) << written;
    EXPECT_FALSE(parse_yaml("[" + written + "]", "file.yaml", "").list().at(0).is_null()) << written;
  }
  for (const double x : {0.1, 1e-300, 12345.0, -0.5}) {
    EXPECT_EQ(parse_yaml(yaml_number(x), "file.yaml", "").real(-1e300, 1e300), x);
  }
}

}  // namespace
}  // namespace kdef
