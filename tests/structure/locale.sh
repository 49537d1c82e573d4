#!/usr/bin/env bash
# The library writes and reads numbers by core/base/text.h alone, so that no locale of a host program changes a file or a
# message. Usage: locale.sh SOURCE_DIR
set -euo pipefail
# shellcheck source=tests/structure/forbidden.sh
. "$(dirname "$0")/forbidden.sh"

# What follows the locale: numbers of C with a decimal point, streams, and the letters of <cctype>.
forbidden='\b(strto(d|f|ld)|atof|std::sto(d|f|ld)|scanf|sscanf|tolower|toupper|setlocale)\(|printf\(.*%[-+ #0-9.*l]*[aAeEfFgG]|std::(o|i)?stringstream|std::to_string\(.*(double|float)|std::(o?fstream|cout|cerr|clog|put_time|v?format\()|\b(strftime|strfmon|wcstod)\('

# Prints every line of tree $1 that follows the locale; succeeds if there is none.
check() {
  ! grep -rnE "$forbidden" "$1"/{core,ops,nn,data,kdef} --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' |
    grep -vE "^$1/core/base/text\.(h|cpp):"
}

self_test "core/base ops nn data kdef" 'std::snprintf(text, 9, "%08x", x)' \
  'strtod(text, nullptr)' 'std::snprintf(text, 9, "%.3f", x)' 'std::ostringstream out' 'std::tolower(c)' 'std::ofstream out' 'std::cout << x' 'strtod(a, 0)' \
  'std::printf("%a", x)' 'std::to_string(double(x))'

check "$1" || { echo "use core/base/text.h"; exit 1; }
