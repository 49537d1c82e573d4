#!/usr/bin/env python3
"""Exchanges weights between kdef and FuxiCTR's classes, in both directions, and compares the predictions.

For each network, on the same small CSV files and the same two configuration files:
  FuxiCTR trains its class; `kdef import` reads its state_dict; both predict the test rows.
  kdef trains the network; `kdef export --out FILE.safetensors`; the class loads the file; both predict the test rows.
Needs Python with torch, safetensors, fuxictr, keras_preprocessing and polars below 1.0, and a checkout of FuxiCTR's
repository, since the package fuxictr has no model classes:

    python bench/pytorch/exchange.py --fuxictr FuxiCTR --kdef build/bin/kdef

The exit status is 0 only if every network agrees. --record DIR writes what tests/kdef/run/import_test.cpp reads: the
files, the weights that FuxiCTR trained, and its predictions.
"""
import argparse
import importlib
import logging
import math
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import load_file, save_file

from fuxictr_classes import load_class, use_checkout

# The package keras_preprocessing, which FuxiCTR pads sequences with, names a type that NumPy 2 does not have.
numpy.unicode_ = numpy.str_

# Predictions are fp32 on both sides.
TOLERANCE = 2e-6

MLP = "hidden_units: [8, 6], hidden_activations: relu, net_dropout: 0.1, batch_norm: True"
NETWORKS = {
    "DeepFM": MLP,
    "WideDeep": MLP,
    "PNN": MLP,
    "DCN": "dnn_hidden_units: [8, 6], dnn_activations: relu, num_cross_layers: 2, batch_norm: True",
    "DCNv2": "model_structure: stacked_parallel, stacked_dnn_hidden_units: [8, 6], parallel_dnn_hidden_units: [8, 5], "
             "dnn_activations: relu, num_cross_layers: 2, batch_norm: True",
    "xDeepFM": "dnn_hidden_units: [8, 6], dnn_activations: relu, cin_hidden_units: [5, 4], batch_norm: True",
    "FinalNet": "block_type: 2B, block1_hidden_units: [8, 6], block2_hidden_units: [8], use_feature_gating: True, "
                "batch_norm: True, block1_hidden_activations: relu, block2_hidden_activations: relu",
    "FinalMLP": "mlp1_hidden_units: [8, 6], mlp2_hidden_units: [7, 4], mlp1_hidden_activations: relu, "
                "mlp2_hidden_activations: relu, mlp1_batch_norm: True, use_fs: True, fs_hidden_units: [5], "
                "fs1_context: [user], fs2_context: [], num_heads: 2",
    "AutoInt": "use_wide: True, dnn_hidden_units: [8, 6], dnn_activations: relu, attention_layers: 2, num_heads: 2, "
               "attention_dim: 6, layer_norm: True",
    "FLEN": "dnn_hidden_units: [8, 6], dnn_activations: relu, batch_norm: True",
    "CCPM": "channels: [3, 2], kernel_heights: [4, 3], activation: Tanh",
    "EulerNet": "shape: [3], layer_norm: True",
    "APG_DeepFM": "hidden_units: [8, 6], hidden_activations: relu, batch_norm: True, rank_k: 3, overparam_p: 5, "
                  "hypernet_config: {hidden_units: [4]}, condition_features: [user, item], condition_mode: group-wise, "
                  "new_condition_emb: True",
}

DATASET = """exchange:
    data_format: csv
    data_root: {root}
    train_data: {folder}train.csv
    valid_data: {folder}valid.csv
    test_data: {folder}test.csv
    min_categr_count: 1
    feature_cols:
        - {{name: user, active: True, dtype: str, type: categorical, source: user}}
        - {{name: item, active: True, dtype: str, type: categorical, source: item}}
        - {{name: tags, active: True, dtype: str, type: sequence, splitter: ^, max_len: 3, source: item}}
        - {{name: hour, active: True, dtype: str, type: categorical, source: context}}
        - {{name: price, active: True, dtype: float, type: numeric, source: context}}
    label_col: {{name: click, dtype: float}}
"""
BASE = """Base:
    model_root: {root}
    num_workers: 0
    verbose: 0
    early_stop_patience: 9
    pickle_feature_encoder: True
    save_best_only: True
    eval_steps: null
    debug_mode: False
    group_id: null
    use_features: null
    feature_specs: null
    feature_config: null
"""


def write_rows(path, rows, rng):
    with open(path, "w") as out:
        out.write("click,user,item,tags,hour,price\n")
        for _ in range(rows):
            user, item, hour = rng.randrange(9), rng.randrange(12), rng.randrange(24)
            tags = sorted(rng.sample(range(6), rng.randrange(1, 4)))
            price = round(rng.random() * 2, 3)
            score = math.sin(user) + math.cos(item * 1.7) + 0.5 * (hour > 12) - price + 0.3 * len(tags)
            click = int(rng.random() < 1 / (1 + math.exp(-score)))
            out.write(f"{click},u{user},i{item},{'^'.join(f't{t}' for t in tags)},h{hour},{price}\n")


def write_files(folder, root, data):
    rng = random.Random(18)
    for name, rows in (("train", 400), ("valid", 100), ("test", 100)):
        write_rows(folder / f"{name}.csv", rows, rng)
    (folder / "dataset_config.yaml").write_text(DATASET.format(root=root, folder=data))
    text = BASE.format(root=root)
    for name, keys in NETWORKS.items():
        text += (f"{name}:\n    model: {name}\n    dataset_id: exchange\n    loss: binary_crossentropy\n"
                 "    metrics: [logloss, AUC]\n    task: binary_classification\n    optimizer: adam\n"
                 "    monitor: AUC\n    monitor_mode: max\n    learning_rate: 0.02\n    batch_size: 50\n    epochs: 3\n"
                 "    shuffle: True\n    seed: 2024\n    embedding_dim: 4\n    embedding_regularizer: 1.e-5\n"
                 "    net_regularizer: 0\n")
        for entry in split_keys(keys):
            text += f"    {entry}\n"
    (folder / "model_config.yaml").write_text(text)


def split_keys(keys):
    """"a: [1, 2], b: 3" -> "a: [1, 2]", "b: 3"."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(keys):
        depth += (c in "[{") - (c in "]}")
        if c == "," and depth == 0:
            parts.append(keys[start:i].strip())
            start = i + 1
    return parts + [keys[start:].strip()]


class Theirs:
    """FuxiCTR's class of one experiment, with its own preparation of the data."""

    def __init__(self, checkout, config, name):
        utils = importlib.import_module("fuxictr.utils")
        features = importlib.import_module("fuxictr.features")
        preprocess = importlib.import_module("fuxictr.preprocess")
        loaders = importlib.import_module("fuxictr.pytorch.dataloaders")
        torch_utils = importlib.import_module("fuxictr.pytorch.torch_utils")
        self.params = utils.load_config(str(config), name)
        self.params["gpu"] = -1
        torch_utils.seed_everything(seed=self.params["seed"])
        encoder = preprocess.FeatureProcessor(**self.params)
        paths = preprocess.build_dataset(encoder, **self.params)
        self.params["train_data"], self.params["valid_data"], self.params["test_data"] = paths
        folder = pathlib.Path(self.params["data_root"]) / self.params["dataset_id"]
        self.vocabulary = folder / "feature_vocab.json"
        feature_map = features.FeatureMap(self.params["dataset_id"], str(folder))
        feature_map.load(str(folder / "feature_map.json"), self.params)
        self.model = load_class(checkout, name)(feature_map, **self.params)
        self.loader = lambda stage: loaders.RankDataLoader(feature_map, stage=stage, **self.params).make_iterator()

    def train(self):
        train, valid = self.loader("train")
        self.model.fit(train, validation_data=valid, **self.params)

    def predictions(self):
        return [float(p) for p in self.model.predict(self.loader("test")).reshape(-1)]

    def save(self, path):
        # safetensors takes no tensors that share memory, as the tables of fields that share one do.
        save_file({k: v.detach().clone().contiguous() for k, v in self.model.state_dict().items()}, str(path))

    def load(self, path):
        missing, unexpected = self.model.load_state_dict(load_file(str(path)), strict=False)
        trained = {k for k, p in self.model.named_parameters() if p.requires_grad} | {k for k, _ in self.model.named_buffers()}
        lost = [k for k in missing if k in trained]
        if lost or unexpected:
            sys.exit(f"exchange: {path}: missing {lost}, unexpected {unexpected}")


def run(command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"exchange: exit {done.returncode} of: {' '.join(map(str, command))}\n{done.stdout}")


def predict(kdef, directory, data, out):
    run([kdef, "predict", "--run", directory, "--data", data, "--out", out])
    return [float(line) for line in out.read_text().split()]


def deviation(ours, theirs):
    if len(ours) != len(theirs):
        sys.exit(f"exchange: {len(ours)} predictions here, {len(theirs)} there")
    return max(abs(a - b) for a, b in zip(ours, theirs))


def exchange(args, name, folder, config):
    work = folder / name
    work.mkdir()
    theirs = Theirs(args.fuxictr, config, name)
    theirs.train()
    theirs.save(work / "theirs.safetensors")
    before = theirs.predictions()
    same = ["--config", config, "--expid", name]
    mine = [f"data_root={work / 'cache'}"]
    # Words of equal counts have no fixed order in FuxiCTR's vocabularies.
    words = ["--vocabulary", theirs.vocabulary]
    run([args.kdef, "import"] + same + words + ["--weights", work / "theirs.safetensors", "--out", work / "imported"] + mine)
    to_kdef = deviation(predict(args.kdef, work / "imported", config / "test.csv", work / "p.txt"), before)
    run([args.kdef, "train"] + same + ["--run", work / "run"] + mine)
    run([args.kdef, "export", "--run", work / "run", "--student", "best", "--out", work / "ours.safetensors"] + words)
    theirs.load(work / "ours.safetensors")
    to_fuxictr = deviation(predict(args.kdef, work / "run", config / "test.csv", work / "p.txt"), theirs.predictions())
    if args.record:
        shutil.copy(theirs.vocabulary, args.record)
        shutil.copy(work / "theirs.safetensors", pathlib.Path(args.record) / f"{name}.safetensors")
        (pathlib.Path(args.record) / f"{name}.txt").write_text("".join(f"{p:.9g}\n" for p in before))
    return to_kdef, to_fuxictr


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fuxictr", required=True, help="checkout of FuxiCTR's repository")
    parser.add_argument("--kdef", required=True, help="the binary")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of %(default)s")
    parser.add_argument("--record", help="folder for the files, the weights and the predictions")
    args = parser.parse_args()
    names = args.networks.split(",")
    for name in names:
        if name not in NETWORKS:
            sys.exit(f"exchange: network '{name}' is unknown; known: {', '.join(NETWORKS)}")
    args.fuxictr, args.kdef = use_checkout(args.fuxictr), pathlib.Path(args.kdef).resolve()
    torch.set_num_threads(2)
    logging.disable(logging.INFO)
    failed = False
    print(f"{'network':<12} {'FuxiCTR to kdef':>16} {'kdef to FuxiCTR':>16}")
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        config = folder / "config"
        config.mkdir()
        write_files(config, f"{folder}/theirs/", f"{config}/")
        if args.record:
            pathlib.Path(args.record).mkdir(exist_ok=True)
            write_files(pathlib.Path(args.record), "./", "")
        for name in names:
            to_kdef, to_fuxictr = exchange(args, name, folder, config)
            agrees = max(to_kdef, to_fuxictr) <= TOLERANCE
            failed |= not agrees
            print(f"{name:<12} {to_kdef:>16.2e} {to_fuxictr:>16.2e}  {'ok' if agrees else 'FAILED'}", flush=True)
    print(f"largest difference of a predicted probability; at most {TOLERANCE} is allowed")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
