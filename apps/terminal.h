// The standard streams of the program: open, and without control characters that come from files.
#pragma once

#include <string>

namespace kdef::apps {

/// Opens those of descriptors 0 to 2 that the caller closed, so that no file of this program gets such a number and
/// with it the text that is meant for the user. Reading and writing them fails, as it does where they are closed. Must
/// come before any file is opened.
void keep_standard_descriptors();

/// From here on std::cout and std::cerr write control characters as escapes (escape_controls), since names in a file of
/// a stranger may hold commands to the terminal.
void escape_standard_streams();

/// printf() to standard output, by way of std::cout: control characters are escaped.
[[gnu::format(printf, 1, 2)]] void print(const char* format, ...);

enum class Colour { green, yellow };
enum class Stream { out, error };
/// Writes text to standard output, or to standard error, in a colour where that is a terminal that may have colours:
/// not with a NO_COLOR that is not empty (no-color.org), nor where TERM is "dumb". Elsewhere as print() does.
void print_coloured(Stream stream, Colour colour, const std::string& text);

/// Flushes standard output. Throws SystemError with the system's reason where something could not be written, now or
/// earlier.
void finish_standard_output();

}  // namespace kdef::apps
