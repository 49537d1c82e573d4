#!/usr/bin/env python3
"""Times a training step of kdef and of FuxiCTR's own PyTorch classes, network by network, and prints a table.

One student: FuxiCTR's train_step, with its loss, its regularization, clipping and Adam. Several students: the class that
many times over one set of tables, under KDEF's objective, as `kdef bench step` trains them. The two programs take
turns: each round runs both, ratios are taken within a round, and the median over the rounds is printed. Beside the times
stand the processor times of all threads, which other work on the machine disturbs less. Needs Python with torch and
FuxiCTR's requirements, and a checkout of FuxiCTR's repository:

    python bench/pytorch/networks.py --fuxictr FuxiCTR --kdef build/bin/kdef
"""
import argparse
import gc
import importlib
import json
import logging
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from fuxictr_classes import load_class, use_checkout
from step import UserModel

HERE = pathlib.Path(__file__).resolve().parent
FEATURE_MAP = HERE.parent.parent / "tests/fixtures/feature_maps/Criteo_x4_10_h5.json"

UNITS = [400, 400, 400]


def mlp(units, activations, dropout="net_dropout", norm="batch_norm"):
    return {units: UNITS, activations: "relu", dropout: 0.1, norm: True}


DNN = mlp("dnn_hidden_units", "dnn_activations")
HIDDEN = mlp("hidden_units", "hidden_activations")
# Name in the table: the class, and the keys that are not its defaults. Both programs get the same keys.
NETWORKS = {
    "FinalNet": ("FinalNet", {"block_type": "2B", "batch_norm": True, "block1_hidden_units": UNITS, "block1_dropout": 0.1,
                              "block2_hidden_units": UNITS, "block2_dropout": 0.1}),
    "FinalMLP": ("FinalMLP", {**mlp("mlp1_hidden_units", "mlp1_hidden_activations", "mlp1_dropout", "mlp1_batch_norm"),
                              **mlp("mlp2_hidden_units", "mlp2_hidden_activations", "mlp2_dropout", "mlp2_batch_norm")}),
    "DCNv2": ("DCNv2", {**mlp("parallel_dnn_hidden_units", "dnn_activations"), "stacked_dnn_hidden_units": UNITS,
                        "model_structure": "parallel"}),
    "xDeepFM": ("xDeepFM", DNN),
    "DCN": ("DCN", DNN),
    "WideDeep": ("WideDeep", HIDDEN),
    "PNN": ("PNN", HIDDEN),
    "AutoInt+": ("AutoInt", DNN),
    "DeepFM": ("DeepFM", HIDDEN),
    "DNN": ("DNN", HIDDEN),
}


def feature_map_of(fields, dim):
    """FuxiCTR's FeatureMap of the fields of a feature map of kdef."""
    features = importlib.import_module("fuxictr.features")
    result = features.FeatureMap("bench", "bench")
    for field in fields:
        spec = {"source": "", "type": field["type"], "padding_idx": 0, "vocab_size": field.get("vocab_size", 0)}
        if field["type"] == "sequence":
            spec.update(max_len=field["max_len"], feature_encoder="layers.MaskedAveragePooling()")
        result.features[field["name"]] = spec
    result.labels = ["label"]
    result.num_fields = len(fields)
    result.total_features = sum(f.get("vocab_size", 0) for f in fields)
    result.default_emb_dim = dim
    result.set_column_index()
    return result


def zipf_batch(fields, rows, seed):
    generator = torch.Generator().manual_seed(seed)
    batch = {}
    for f in fields:
        if f["type"] == "numeric":
            batch[f["name"]] = torch.rand(rows, generator=generator)
            continue
        length, top = f.get("max_len", 1), max(1, f["vocab_size"] - 1)
        u = torch.rand(rows, length, generator=generator, dtype=torch.float64)
        ids = torch.clamp((float(top) ** u).long(), max=top)
        batch[f["name"]] = ids if f["type"] == "sequence" else ids[:, 0]
    batch["label"] = (torch.rand(rows, generator=generator) < 0.25).float()
    return batch


class Students(nn.Module):
    """Several models of one class over the tables of the first, under KDEF's objective."""

    def __init__(self, models):
        super().__init__()
        self.models = nn.ModuleList(models)
        self.embedded = None
        models[0].embedding_layer.register_forward_hook(lambda module, given, result: self.keep(result))
        for model in models[1:]:
            del model._modules["embedding_layer"]
            object.__setattr__(model, "embedding_layer", lambda *a, **k: self.embedded)
        for model in models:
            model.output_activation = nn.Identity()
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)

    def keep(self, result):
        self.embedded = result

    def train_step(self, batch):
        self.optimizer.zero_grad()
        y = batch["label"].view(-1, 1)
        outputs = [model.forward(batch) for model in self.models]
        loss = UserModel.objective(None, torch.cat([o["y_pred"] for o in outputs], 1), y)
        for output in outputs:
            taught = torch.sigmoid(output["y_pred"].detach())
            for branch in ("y1", "y2"):
                if output.get(branch) is not None:
                    loss = loss + F.binary_cross_entropy_with_logits(output[branch], taught)
        for model in self.models:
            loss = loss + model.regularization_loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 10.0)
        self.optimizer.step()
        return loss


def theirs(checkout, name, keys, fields, students, dim):
    features = feature_map_of(fields, dim)
    common = {"gpu": -1, "verbose": 0, "metrics": ["AUC"], "model_root": "bench", "optimizer": "adam",
              "loss": "binary_crossentropy", "task": "binary_classification", "embedding_regularizer": 1e-5,
              "net_regularizer": 0, "learning_rate": 1e-3, "embedding_dim": dim}
    models = [load_class(checkout, name)(features, **{**common, **keys}) for _ in range(students)]
    for model in models:
        model.train()
        model._max_gradient_norm = 10.0
    return models[0] if students == 1 else Students(models)


def steps_of_theirs(model, batches, count):
    """Median seconds of a step, wall clock and processor."""
    walls, processors = [], []
    for i in range(count):
        wall, processor = time.perf_counter(), time.process_time()
        model.train_step(batches[i % len(batches)]).item()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return statistics.median(walls), statistics.median(processors)


def as_yaml(value):
    return json.dumps(value) if not isinstance(value, str) else value


def steps_of_ours(args, name, keys, students):
    command = [args.kdef, "bench", "step", "--network", name, "--shape", args.feature_map, "--students", str(students),
               "--batch", str(args.batch), "--dim", str(args.dim), "--seconds", str(args.seconds), "--threads",
               str(args.threads)] + [f"{key}={as_yaml(value)}" for key, value in keys.items()]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"networks: exit {done.returncode} of: {' '.join(command)}\n{done.stderr}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result["step_ms"] / 1e3, result["cpu_ms"] / 1e3


def compare(args, label, students, fields, batches):
    name, keys = NETWORKS[label]
    torch.manual_seed(1)
    model = theirs(args.fuxictr, name, keys, fields, students, args.dim)
    steps_of_theirs(model, batches, 2)
    rounds = []
    for _ in range(args.rounds):
        rounds.append(steps_of_ours(args, name, keys, students) + steps_of_theirs(model, batches, args.steps))
    del model
    gc.collect()
    ours, _, other, _ = (statistics.median(column) for column in zip(*rounds))
    return ours, other, statistics.median(r[2] / r[0] for r in rounds), statistics.median(r[3] / r[1] for r in rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fuxictr", required=True, help="checkout of FuxiCTR's repository")
    parser.add_argument("--kdef", required=True, help="the binary")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of %(default)s")
    parser.add_argument("--feature-map", default=str(FEATURE_MAP))
    parser.add_argument("--students", default="1,3")
    parser.add_argument("--batch", type=int, default=10000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="per round, of kdef")
    parser.add_argument("--steps", type=int, default=5, help="per round, of FuxiCTR")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    labels = args.networks.split(",")
    for label in labels:
        if label not in NETWORKS:
            sys.exit(f"networks: '{label}' is unknown; known: {', '.join(NETWORKS)}")
    args.fuxictr = use_checkout(args.fuxictr)
    torch.set_num_threads(args.threads)
    logging.disable(logging.INFO)
    with open(args.feature_map) as f:
        fields = json.load(f)["fields"]
    batches = [zipf_batch(fields, args.batch, i) for i in range(3)]
    print(f"PyTorch {torch.__version__}, {args.threads} threads, batch {args.batch}, {len(fields)} fields, dimension "
          f"{args.dim}, {args.rounds} rounds; load of the machine before: "
          f"{', '.join(f'{x:.1f}' for x in os.getloadavg())}\n")
    print("| network | students | FuxiCTR's class | kdef | times faster | by processor time |\n|---|--:|--:|--:|--:|--:|")
    for label in labels:
        for students in (int(m) for m in args.students.split(",")):
            ours, other, ratio, processor = compare(args, label, students, fields, batches)
            print(f"| {label} | {students} | {1e3 * other:,.0f} ms | {1e3 * ours:,.0f} ms | {ratio:.2f} | {processor:.2f} |",
                  flush=True)
    print(f"\nload of the machine after: {', '.join(f'{x:.1f}' for x in os.getloadavg())}")


if __name__ == "__main__":
    main()
