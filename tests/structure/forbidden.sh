# shellcheck shell=bash
# Sourced by checks that refuse a pattern in the sources; no check of its own.

# self_test FOLDERS GOOD BAD...: in a tree of these folders the function check accepts the line GOOD in kdef/a.cpp, and
# notices each line BAD there: a check that cannot fail is none.
self_test() {
  local folders=$1 good=$2 bad tree
  shift 2
  tree=$(mktemp -d)
  for bad in $folders; do mkdir -p "$tree/$bad"; done
  for bad in "$@"; do
    echo "$bad" >"$tree/kdef/a.cpp"
    if check "$tree" >/dev/null; then
      echo "self-test: $bad was not noticed"
      rm -rf "$tree"
      exit 1
    fi
  done
  echo "$good" >"$tree/kdef/a.cpp"
  check "$tree" || { echo "self-test: $good was refused"; rm -rf "$tree"; exit 1; }
  rm -rf "$tree"
}
