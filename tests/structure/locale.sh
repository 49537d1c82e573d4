#!/usr/bin/env bash
# The library writes and reads numbers by core/base/text.h alone, so that no locale of a host program changes a file or a
# message. Usage: locale.sh SOURCE_DIR
set -euo pipefail

# What follows the locale: numbers of C with a decimal point, streams, and the letters of <cctype>.
forbidden='\b(strto(d|f|ld)|atof|std::sto(d|f|ld)|scanf|sscanf|tolower|toupper|setlocale)\(|printf\(.*%[-+ #0-9.*l]*[aAeEfFgG]|std::(o|i)?stringstream|std::to_string\(.*(double|float)|std::(o?fstream|cout|cerr|clog|put_time|v?format\()|\b(strftime|strfmon|wcstod)\('

# Prints every line of tree $1 that follows the locale; succeeds if there is none.
check() {
  ! grep -rnE "$forbidden" "$1"/{core,ops,nn,data,kdef} --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' |
    grep -vE "^$1/core/base/text\.(h|cpp):"
}

# That the check can fail.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{core/base,ops,nn,data,kdef}
for bad in 'strtod(text, nullptr)' 'std::snprintf(text, 9, "%.3f", x)' 'std::ostringstream out' 'std::tolower(c)' 'std::ofstream out' 'std::cout << x' 'strtod(a, 0)' \
  'std::printf("%a", x)' 'std::to_string(double(x))'; do
  echo "$bad" > "$tree/kdef/a.cpp"
  if check "$tree" >/dev/null; then
    echo "self-test: $bad was not noticed"
    exit 1
  fi
done
echo 'std::snprintf(text, 9, "%08x", x)' > "$tree/kdef/a.cpp"
check "$tree" || { echo "self-test: a number that no locale changes was refused"; exit 1; }

check "$1" || { echo "use core/base/text.h"; exit 1; }
