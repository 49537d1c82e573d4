#include "apps/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <streambuf>

#include "core/base/error.h"
#include "core/base/text.h"

namespace kdef::apps {
namespace {

int g_reason = 0;  // errno of the first write to standard output that failed

// Gives escaped text to another buffer, without keeping any back.
class Escaping : public std::streambuf {
 public:
  explicit Escaping(std::streambuf* to) : to_(to) {}

 protected:
  std::streamsize xsputn(const char* text, std::streamsize bytes) override {
    const std::string escaped = escape_controls({text, static_cast<size_t>(bytes)});
    const auto size = static_cast<std::streamsize>(escaped.size());
    if (to_->sputn(escaped.data(), size) == size) return bytes;
    note();
    return 0;
  }
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char text = traits_type::to_char_type(c);
    return xsputn(&text, 1) == 1 ? c : traits_type::eof();
  }
  int sync() override {
    if (to_->pubsync() == 0) return 0;
    note();
    return -1;
  }

 private:
  static void note() {
    if (g_reason == 0) g_reason = errno;
  }

  std::streambuf* to_;
};

}  // namespace

void keep_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one. The direction is the wrong one, so that a use fails.
    [[maybe_unused]] const int opened = ::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
  }
}

void escape_standard_streams() {
  // They stay until the process ends: the streams are flushed after main().
  std::cout.rdbuf(new Escaping(std::cout.rdbuf()));
  std::cerr.rdbuf(new Escaping(std::cerr.rdbuf()));
}

void print(const char* format, ...) {
  std::va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(static_cast<size_t>(size) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, again);
  va_end(again);
  std::cout.write(text.data(), size);
}

namespace {

bool has_colours(int descriptor) {
  const char *no_colour = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
  const bool unwanted = no_colour != nullptr && no_colour[0] != '\0';
  return !unwanted && ::isatty(descriptor) != 0 && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

}  // namespace

void print_coloured(Stream stream, Colour colour, const std::string& text) {
  const bool out = stream == Stream::out;
  std::ostream& to = out ? std::cout : std::cerr;
  if (to.rdbuf() == nullptr || !has_colours(out ? STDOUT_FILENO : STDERR_FILENO)) {
    to << text;
    return;
  }
  // Commands to the terminal go by way of stdio, since the streams escape them.
  std::FILE* file = out ? stdout : stderr;
  std::fputs(colour == Colour::green ? "\033[32m" : "\033[33m", file);
  to << text;
  to.flush();
  std::fputs("\033[0m", file);
}

void finish_standard_output() {
  const bool written = static_cast<bool>(std::cout.flush());
  if (std::fflush(stdout) != 0 && g_reason == 0) g_reason = errno;
  if (written && g_reason == 0 && std::ferror(stdout) == 0) return;
  throw SystemError(cat("standard output cannot be written", g_reason ? cat(": ", std::strerror(g_reason)) : ""));
}

}  // namespace kdef::apps
