#!/usr/bin/env bash
# No file of the project names an absolute path of somebody's machine. Usage: paths.sh SOURCE_DIR
set -euo pipefail

pattern='(^|[^A-Za-z0-9_.-])/(work|home|Users)/[A-Za-z0-9_]'

# The project's files: those that git tracks, or, in an unpacked archive, all but build folders.
files() {
  git -C "$1" ls-files -z 2>/dev/null || (cd "$1" && find . -type f -not -path './build*' -not -path './.git/*' -print0)
}

# Prints every match in tree $1; succeeds if there is none.
check() {
  local matches
  matches=$(cd "$1" || exit; files . | xargs -0 grep -nIE "$pattern" -- /dev/null 2>/dev/null) || true
  [[ -z $matches ]] || { echo "$matches"; return 1; }
}

# That the check can fail.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
echo "see docs/work/notes" > "$tree/a"
check "$tree" || exit 1
printf 'data_root: /%s/me\n' home > "$tree/a"
if check "$tree" >/dev/null; then
  echo "self-test: an absolute path was not noticed"
  exit 1
fi

[[ -f $1/core/base/error.h ]] || { echo "$1: not the source directory"; exit 1; }
check "$1"
