#!/usr/bin/env bash
# Runs one fuzz target for some seconds. Usage: fuzz/run.sh BUILD_FOLDER NAME SECONDS
# New inputs are kept in BUILD_FOLDER/found/NAME/corpus, and begin the next run. A finding is in BUILD_FOLDER/found/NAME.
set -euo pipefail

build=$1 name=$2 seconds=$3
source=$(dirname "${BASH_SOURCE[0]}")
found=$build/found/$name
malloc_limit=1024
[[ $name != compressed ]] || malloc_limit=2100  # a Zstandard file may ask for a window of 2 GiB

mkdir -p "$found/corpus"
if ! "$build/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=$malloc_limit \
  -artifact_prefix="$found/" -print_final_stats=1 "$found/corpus" "$source/corpus/$name" >"$found/log" 2>&1; then
  tail -n 40 "$found/log"
  echo "fuzz/run.sh: $name: a finding; its input is in $found, the output above in $found/log"
  exit 1
fi
printf '%-12s %10s inputs in %s s, no finding\n' "$name" \
  "$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/log")" "$seconds"
