#!/usr/bin/env bash
# Everything that needs a GPU, on a machine that may have nothing but CMake, nvcc and (for the comparison) PyTorch.
#
#   bench/gpu.sh pack            where the Debian packages are installed: collects what the build needs of them into
#                                build-gpu/deps, to be carried to the GPU machine with the source
#   bench/gpu.sh build           on the GPU machine: builds into build-gpu/build, for its card alone
#   bench/gpu.sh check           gradients, fixtures, the CPU against the GPU, the GPU tests
#   bench/gpu.sh sanitize        compute-sanitizer (memcheck, racecheck) on a short training
#   bench/gpu.sh bench           Criteo's shape, batch 10,000, M = 1, 3, 10, 24; f32, tf32, bf16; beside PyTorch
#   bench/gpu.sh all             the last four, one after the other
#
# Logs and results go to $OUT (default build-gpu/out). The exit status is 0 only if every check passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=build-gpu
deps=$PWD/$root/deps
out=${OUT:-$root/out}
kdef=$root/build/bin/kdef
export LD_LIBRARY_PATH=$deps/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
failed=0

# step NAME COMMAND...: runs it, keeps its output in $out/NAME.log, and says how it ended.
step() {
  local name=$1 start=$SECONDS
  shift
  mkdir -p "$out"
  if "$@" >"$out/$name.log" 2>&1; then
    printf 'ok      %-34s %4d s\n' "$name" $((SECONDS - start))
  else
    failed=1
    printf 'FAILED  %-34s %4d s, the end of %s:\n' "$name" $((SECONDS - start)) "$out/$name.log"
    tail -n 15 "$out/$name.log" | sed 's/^/        /'
  fi
}

# The files of the installed development packages; of Boost, whose headers are many, those that the program includes.
pack() {
  local list
  list=$(mktemp)
  trap 'rm -f "$list"' RETURN
  for package in libyaml-cpp-dev libyaml-cpp0.7 nlohmann-json3-dev libeigen3-dev zlib1g-dev zlib1g libzstd-dev libzstd1 \
    libzip-dev libzip4 libbz2-1.0 libgtest-dev libgmock-dev libboost-program-options1.74-dev \
    libboost-program-options1.74.0 libboost1.74-dev; do
    dpkg -L "$package" | grep -E '^/(usr/)?(include|lib)/' | grep -v '^/usr/include/boost/' || true
  done >"$list"
  for source in apps/*.cpp; do
    g++ -std=c++20 -I. -DKDEF_VERSION='""' -M "$source" | tr ' \\' '\n\n' | grep '^/usr/include/boost/' || true
  done | sort -u >>"$list"
  rm -rf "$deps"
  mkdir -p "$deps"
  # /lib is /usr/lib on Debian.
  while IFS= read -r path; do
    [[ -f $path || -L $path ]] || continue
    local to=$deps/${path#/}
    [[ $path == /usr/* ]] || to=$deps/usr$path
    mkdir -p "$(dirname "$to")"
    cp -P "$path" "$to"
  done <"$list"
  printf 'packed %s, %s\n' "$deps" "$(du -sh "$deps" | cut -f1)"
}

build() {
  command -v nvidia-smi >/dev/null || {
    echo "bench/gpu.sh build: no nvidia-smi, so no driver: this belongs on the machine with the GPU" >&2
    exit 2
  }
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  step configure cmake -S . -B $root/build -DCMAKE_BUILD_TYPE=Release -DKDEF_CUDA=ON -DKDEF_ONEDNN=OFF -DKDEF_TESTS=ON \
    -DKDEF_CUDA_ARCHITECTURES="$capability-real" -DCMAKE_PREFIX_PATH="$deps/usr" \
    -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu
  step build cmake --build $root/build -j "$(nproc)" --target kdef_app test_gpu
}

check() {
  step gpu nvidia-smi
  step audit-ops "$kdef" audit --ops --device cuda
  for fixture in tests/fixtures/*.safetensors; do
    step "fixture-$(basename "$fixture" .safetensors)" "$kdef" audit --device cuda --fixture "$fixture"
  done
  step gpu-tests $root/build/bin/test_gpu
}

synth() {
  [[ -d $root/data ]] || "$kdef" synth --rows 20000 --seed 1 --out $root/data
}

sanitize() {
  step sanitize-data synth
  local tool
  for tool in memcheck racecheck; do
    step "sanitize-$tool" compute-sanitizer --tool $tool --error-exitcode 1 "$kdef" train --config $root/data \
      --expid KDEF --device cuda --run $root/run-$tool --overwrite epochs=1 'hidden_units=[64,64]' batch_size=1024
  done
}

# A training from the cache: the seconds after each epoch are in metrics.jsonl.
train_from_cache() {
  local map=tests/fixtures/feature_maps/Criteo_x4_10_h5.json
  [[ -d $root/clicks ]] || "$kdef" synth --shape $map --rows 1200000 --seed 3 --out $root/clicks
  "$kdef" train --config $root/clicks --expid KDEF --device cuda --run $root/run-cache --overwrite num_student="$1" \
    'hidden_units=[400,400,400]' batch_size=10000 epochs=3 precision=bf16
  cut -c 1-60 $root/run-cache/metrics.jsonl
}

bench() {
  step versions sh -c 'nvidia-smi --query-gpu=name,driver_version --format=csv,noheader; nvcc --version | tail -n 2
    python3 -c "import torch; print(\"PyTorch\", torch.__version__)"'
  local students precision
  local map=tests/fixtures/feature_maps/Criteo_x4_10_h5.json
  for students in 1 3 10 24; do
    for precision in f32 tf32 bf16; do
      step "kdef-M$students-$precision" "$kdef" bench step --shape criteo --device cuda --students $students \
        --batch 10000 --precision $precision --seconds 5
      step "pytorch-user-M$students-$precision" python3 bench/pytorch/step.py --feature-map $map --device cuda \
        --students $students --batch 10000 --precision $precision
    done
    step "pytorch-tuned-M$students-bf16" python3 bench/pytorch/step.py --feature-map $map --device cuda \
      --students $students --batch 10000 --precision bf16 --version tuned --compile
  done
  for students in 1 10; do step "train-from-cache-M$students" train_from_cache $students; done
  tail -qn 1 "$out"/versions.log "$out"/kdef-M*.log "$out"/pytorch-*.log | tee "$out/bench.jsonl"
}

case ${1:-} in
  pack | build | check | sanitize | bench) "$1" ;;
  all)
    build
    check
    sanitize
    bench
    ;;
  *)
    sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
exit $failed
