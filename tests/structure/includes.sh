#!/usr/bin/env bash
# Includes point downward only: apps -> kdef -> {nn, data} -> ops -> core. Usage: includes.sh SOURCE_DIR
set -euo pipefail

declare -A below=(
  [core]="core"
  [ops]="core ops"
  [nn]="core ops nn"
  [data]="core ops data"
  [kdef]="core ops nn data kdef"
  [apps]="core ops nn data kdef apps"
)

# Prints every include in tree $1 that a folder may not have; succeeds if there is none.
check() {
  local folder file line included bad=0
  for folder in "${!below[@]}"; do
    [[ -d $1/$folder ]] || continue
    while IFS=: read -r file line included; do
      [[ $included =~ \"([^/\"]*)/ ]] && [[ " ${below[$folder]} " == *" ${BASH_REMATCH[1]} "* ]] && continue
      echo "$file:$line: $folder/ may include from { ${below[$folder]} } only, by a path from the root: $included"
      bad=1
    done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$1/$folder" \
      --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh')
  done
  return $bad
}

# That the check can fail: upward, sideways, and not from the root.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/core" "$tree/nn"
for bad in core:ops/linear.h nn:data/schema.h nn:linear.h; do
  echo "#include \"${bad#*:}\"" > "$tree/${bad%%:*}/a.cpp"
  if check "$tree" >/dev/null; then
    echo "self-test: $bad was not noticed"
    exit 1
  fi
  echo '#include "core/error.h"' > "$tree/${bad%%:*}/a.cpp"
  check "$tree" || exit 1
done

[[ -f $1/core/error.h ]] || { echo "$1: not the source directory"; exit 1; }
check "$1"
