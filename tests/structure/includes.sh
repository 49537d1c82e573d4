#!/usr/bin/env bash
# Every include points downward, from folder to folder and from room to room. Usage: includes.sh SOURCE_DIR
# docs/architecture.md draws the same arrows; a room that is missing below may not hold a source file.
set -euo pipefail

engine="core/base core/tensor core/cuda"
ops="ops ops/device ops/gemm ops/fused ops/serve"
nn="nn nn/networks nn/optimizer"
data="data data/raw data/encode data/profile data/feed data/builtin"

# may[ROOM]: the rooms that its files may include, beside its own.
declare -A may=(
  [core/base]=""
  [core/tensor]="core/base core/cuda"  # an interface and its backend, which knows it
  [core/cuda]="core/base core/tensor"
  [core/io]="core/base core/tensor"
  [core/mpi]="core/base"

  [ops/device]="$engine"
  [ops/gemm]="$engine ops/device"
  [ops]="$engine ops/device ops/gemm"
  [ops/fused]="$engine ops/device ops/gemm ops"
  [ops/serve]="core/base"
  [ops/check]="$engine $ops"

  [nn]="$engine $ops"
  [nn/networks]="$engine $ops nn"
  [nn/optimizer]="$engine $ops nn"

  [data]="core/base core/io"
  [data/raw]="core/base core/io data"
  [data/encode]="core/base core/io data data/raw"
  [data/profile]="core/base core/io data data/raw data/encode"
  [data/feed]="core/base core/io data data/raw data/encode"
  [data/builtin]="core/base core/io data data/raw data/encode data/feed"

  [kdef/method]="$engine $ops $nn $data"
  [kdef/measure]="$engine $ops $nn $data kdef/method"
  [kdef/train]="$engine core/io $ops $nn $data kdef/method kdef/measure"
  [kdef/config]="$engine core/io $ops $nn $data kdef/method kdef/measure kdef/train"
  [kdef/run]="$engine core/io $ops $nn $data kdef/method kdef/measure kdef/train kdef/config"
  [kdef/serve]="$engine core/io $ops $nn $data kdef/method kdef/measure kdef/train kdef/config kdef/run"
  [kdef/study]="$engine core/io $ops $nn $data kdef/method kdef/measure kdef/train kdef/config kdef/run"
  [kdef/audit]="$engine core/io $ops ops/check $nn $data kdef/method kdef/measure kdef/train kdef/config kdef/serve"

  [apps]="$engine core/io core/mpi $ops $nn $data
    kdef/method kdef/measure kdef/train kdef/config kdef/run kdef/serve kdef/study kdef/audit"
  [packaging]="core/base bindings/c"
  [bindings/c]="$engine core/io $ops $nn $data kdef/method kdef/measure kdef/train kdef/config kdef/run kdef/serve"
)

# Prints every include in tree $1 that a room may not have; succeeds if there is none.
check() {
  local tree=$1 folder room file line included allowed bad=0
  for folder in core ops nn data kdef apps bindings packaging; do
    [[ -d $tree/$folder ]] || continue
    while IFS= read -r room; do
      room=${room#"$tree"/}
      [[ -v may[$room] ]] || { echo "$room/: a room that tests/structure/includes.sh does not know"; bad=1; }
    done < <(find "$tree/$folder" -type f \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -printf '%h\n' | sort -u)
    while IFS=: read -r file line included; do
      room=$(dirname "${file#"$tree"/}")
      included=${included#*\"}
      included=${included%\"*}
      read -r -d '' -a allowed <<<"${may[$room]-} $room" || true  # the words of a list may stand on several lines
      [[ " ${allowed[*]} " == *" $(dirname "$included") "* ]] && continue
      echo "$file:$line: $room/ may include from { ${allowed[*]} } only, by a path from the root: $included"
      bad=1
    done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$tree/$folder" \
      --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh')
  done
  return $bad
}

# That the check can fail: to a folder above, sideways, to a room above, and not from the root.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
for bad in core/base:ops/linear.h nn:data/schema.h nn:linear.h ops/gemm:ops/fused/distinct.h kdef/train:kdef/run/run.h; do
  room=${bad%%:*}
  mkdir -p "$tree/$room"
  echo "#include \"${bad#*:}\"" > "$tree/$room/a.cpp"
  if check "$tree" >/dev/null; then
    echo "self-test: $bad was not noticed"
    exit 1
  fi
  echo '#include "core/base/error.h"' > "$tree/$room/a.cpp"
  check "$tree" || exit 1
done
mkdir "$tree/core/attic"
echo > "$tree/core/attic/a.cpp"
if check "$tree" >/dev/null; then
  echo "self-test: an unknown room was not noticed"
  exit 1
fi

[[ -f $1/core/base/error.h ]] || { echo "$1: not the source directory"; exit 1; }
check "$1"
