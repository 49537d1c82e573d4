#!/usr/bin/env bash
# Writes the inputs of corpus/model_file. Usage: model_file.sh KDEF (the program)
set -euo pipefail

kdef=$(realpath "$1")
corpus=$(realpath "$(dirname "$0")")/corpus/model_file
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p config "$corpus"

# A few rows, whose columns are of every kind.
cat > rows.csv <<'ROWS'
click,user,item,tags,price,age
1,a,1,x^y,0.5,20
0,b,2,x,1.5,30
1,a,3,,2,
0,,1,z,3,40
ROWS
cat > config/dataset_config.yaml <<'YAML'
rows:
  data_root: cache
  train_data: rows.csv
  valid_data: rows.csv
  label_col: {name: click, dtype: float}
  feature_cols:
  - {name: user, type: categorical, dtype: str, fill_na: none}
  - {name: item, type: categorical, dtype: int, remap: false}
  - {name: tags, type: sequence, splitter: ^, max_len: 2}
  - {name: price, type: categorical, dtype: float, preprocess: convert_to_bucket}
  - {name: age, type: numeric, dtype: float, fill_na: 0, normalizer: MinMaxScaler}
YAML
cat > config/model_config.yaml <<'YAML'
tiny: {dataset_id: rows, model: EKTF, num_student: 2, hidden_units: [2], embedding_dim: 1, epochs: 1, batch_size: 4, baseline: none}
YAML
"$kdef" train --config config --expid tiny --run run --threads 1 > /dev/null 2>&1
"$kdef" export --run run --out words.kdef > /dev/null
"$kdef" export --run run --out hashes.kdef --private > /dev/null
"$kdef" export --run run --student 1 --out student.kdef > /dev/null
for name in words hashes student; do cp $name.kdef "$corpus/$name"; done
head -c 3000 words.kdef > "$corpus/truncated"
{ head -c 8 words.kdef; printf '\002'; tail -c +10 words.kdef; } > "$corpus/newer"
