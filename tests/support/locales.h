// Locales with a decimal comma, for what must not depend on a locale.
#pragma once

#include <clocale>
#include <cstdlib>
#include <locale>
#include <string>

#include "tests/support/files.h"

namespace kdef::test {

// A decimal comma, and points between groups of three digits, as in German.
class Comma : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

class CppLocale {
 public:
  CppLocale() : before_(std::locale::global(std::locale(std::locale::classic(), new Comma))) {}
  ~CppLocale() { std::locale::global(before_); }

 private:
  std::locale before_;
};

// The process's locale, of those with a decimal comma that are installed, or compiled into a folder of its own.
class CLocale {
 public:
  CLocale() {
    for (const char* known : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "ru_RU.UTF-8"}) {
      if (try_set(known)) return;
    }
    const std::string make = "localedef -i de_DE -f UTF-8 " + (folder_ / "de_DE.UTF-8") + " >/dev/null 2>&1";
    if (std::system(make.c_str()) != 0) return;
    ::setenv("LOCPATH", folder_.path().c_str(), 1);
    try_set("de_DE.UTF-8");
  }
  ~CLocale() {
    ::setlocale(LC_ALL, "C");
    ::unsetenv("LOCPATH");
  }
  bool has_comma() const { return has_comma_; }

 private:
  bool try_set(const char* name) {
    return has_comma_ = ::setlocale(LC_ALL, name) != nullptr && ::localeconv()->decimal_point == std::string(",");
  }
  TemporaryDirectory folder_;
  bool has_comma_ = false;
};

}  // namespace kdef::test
