#!/usr/bin/env bash
# JSON of files is parsed by core/base/json.h alone, which bounds its depth. Usage: json.sh SOURCE_DIR
set -euo pipefail

# Prints every other call of the JSON library's parser in tree $1; succeeds if there is none.
check() {
  ! grep -rniE 'json(::|\.)(parse|from_[a-z]+|sax_parse)\(|nlohmann::[a-z_]+::parse\(' "$1"/{core,ops,nn,data,kdef,apps} --include='*.h' --include='*.cpp' |
    grep -vE "^$1/core/base/json\.h:"
}

# That the check can fail.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{core/base,ops,nn,data,kdef,apps}
for bad in 'Json::parse(text)' 'nlohmann::ordered_json::parse(text)' 'Json::from_cbor(text)' 'Json::sax_parse(text, &sax)'; do
  echo "$bad" > "$tree/kdef/a.cpp"
  if check "$tree" >/dev/null; then
    echo "self-test: $bad was not noticed"
    exit 1
  fi
done
echo 'parse_json<Json>(text, path)' > "$tree/kdef/a.cpp"
check "$tree" || { echo "self-test: parse_json was refused"; exit 1; }

check "$1" || { echo "use parse_json of core/base/json.h"; exit 1; }
