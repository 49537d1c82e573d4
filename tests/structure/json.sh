#!/usr/bin/env bash
# JSON of files is parsed by core/base/json.h alone, which bounds its depth. Usage: json.sh SOURCE_DIR
set -euo pipefail
# shellcheck source=tests/structure/forbidden.sh
. "$(dirname "$0")/forbidden.sh"

# Prints every other call of the JSON library's parser in tree $1; succeeds if there is none.
check() {
  ! grep -rniE 'json(::|\.)(parse|from_[a-z]+|sax_parse)\(|nlohmann::[a-z_]+::parse\(' "$1"/{core,ops,nn,data,kdef,apps} --include='*.h' --include='*.cpp' |
    grep -vE "^$1/core/base/json\.h:"
}

self_test "core/base ops nn data kdef apps" 'parse_json<Json>(text, path)' \
  'Json::parse(text)' 'nlohmann::ordered_json::parse(text)' 'Json::from_cbor(text)' 'Json::sax_parse(text, &sax)'

check "$1" || { echo "use parse_json of core/base/json.h"; exit 1; }
