#!/usr/bin/env bash
# No function is longer than 60 lines. A table that is written as a function is named below. Usage: lengths.sh SOURCE_DIR
set -euo pipefail

max=60
tables="op_cases experiment_keys dataset_keys field_keys foreign_keys audit_cases"

# Prints every function in tree $1 that is too long; succeeds if there is none. It relies on the format of
# .clang-format: a function's head is indented as its closing brace is, and no other line between them is.
check() {
  local files
  mapfile -t files < <(find "$1" -type f \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -not -path '*/build*')
  awk -v max="$max" -v tables=" $tables " '
    FNR == 1 { open = 0 }
    {
      match($0, /^ */)
      indent = RLENGTH
    }
    open && indent == at && /^ *}/ {
      if (FNR - start + 1 > max && index(tables, " " name " ") == 0) {
        printf "%s:%d: %s has %d lines; at most %d are allowed\n", FILENAME, start, name, FNR - start + 1, max
        bad = 1
      }
      open = 0
    }
    # A head may take several lines: it starts where a line of this indentation opens a parenthesis.
    !open && indent <= 4 && (candidate == "" || indent <= candidate_at) && /[A-Za-z_0-9~>]\(/ && !/^ *(if|for|while|switch|return|else|do|#|\/\/|namespace|case|static_assert|\}|[A-Z_]+\()/ && !/;[[:space:]]*(\/\/.*)?$/ {
      head = $0
      sub(/\(.*/, "", head)
      sub(/.*[ *&:]/, "", head)
      candidate = head
      candidate_at = indent
      candidate_line = FNR
    }
    !open && candidate != "" && /\{[[:space:]]*(\/\/.*)?$/ && FNR - candidate_line < 12 {
      open = 1
      name = candidate
      at = candidate_at
      start = candidate_line
      candidate = ""
    }
    !open && /;[[:space:]]*(\/\/.*)?$/ { candidate = "" }
    END { exit bad }
  ' "${files[@]}" /dev/null
}

# That the check can fail, and that it does not where it should not.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
lines() { for ((i = 0; i < $1; ++i)); do echo "  x += $i;"; done; }
{ echo "int long_one(int x) {"; lines 60; echo "}"; } > "$tree/a.cpp"
if check "$tree" >/dev/null; then
  echo "self-test: a function of 62 lines was not noticed"
  exit 1
fi
{ echo "class A {"; echo "  int long_member(int x,"; echo "                  int y) const {"; lines 60 | sed 's/^/  /'; echo "  }"; echo "};"; } > "$tree/a.cpp"
if check "$tree" >/dev/null; then
  echo "self-test: a long member function was not noticed"
  exit 1
fi
{ echo "int f(int x) {"; lines 57; echo "}"; echo "int g(int x) {"; lines 57; echo "}"; } > "$tree/a.cpp"
check "$tree" || { echo "self-test: two functions of 59 lines were taken for a long one"; exit 1; }

[[ -f $1/core/base/error.h ]] || { echo "$1: not the source directory"; exit 1; }
bad=0
for folder in core ops nn data kdef apps bindings; do
  check "$1/$folder" || bad=1
done
exit $bad
