#!/usr/bin/env bash
# usage: no_weak_symbols.sh OBJECT...
# The kernels for one instruction set (kernels_v*.cpp) define no weak symbol, such as an inline function: a linker keeps
# one copy of it, which might be the one for a processor that is not there.
set -euo pipefail
checked=0
for object in "$@"; do
  [[ $object == */serve/kernels_v* ]] || continue
  symbols=$(nm -C "$object")
  grep -q ' D\| R\| B' <<<"$symbols" || { echo "$object: nm shows no table of kernels"; exit 1; }
  if weak=$(grep -E '^[0-9a-f]+ [WVu] ' <<<"$symbols"); then
    echo "$object defines weak symbols:"
    echo "$weak"
    exit 1
  fi
  checked=$((checked + 1))
done
((checked == 4)) || { echo "$checked objects of kernels were found among: $*"; exit 1; }
