#!/usr/bin/env python3
"""Rows per second of reading Parquet: kdef, pyarrow, and what FuxiCTR does, in turn, on the same made-up files.

usage: parquet.py KDEF [--rows N] [--threads T] [--runs R] [--work DIR]

It needs numpy, pandas and pyarrow, and a kdef that is built with Arrow C++ (`kdef --version` tells). On a machine without
Arrow's packages, from the folder of the sources:

    ./dev check parquet
    cmake --build build-parquet --target kdef_app
    build-parquet/pyarrow/bin/pip install numpy pandas
    build-parquet/pyarrow/bin/python bench/parquet.py build-parquet/bin/kdef

It prints the load of the machine, which should be near 0 before the runs, and a table in Markdown.

The rows have Criteo's shape: a label, 13 numbers and 26 categories, whose values follow Zipf's law. `raw` has the
numbers as integers with missing cells and the categories as texts; `prepared` has ids and numbers beside a
feature_map.json, as FuxiCTR leaves them. kdef runs `kdef prepare`, which reads and checks all cells and writes its
encoded cache; pyarrow reads a table and does nothing with it; pandas reads a data frame, and numpy stacks its columns to
one matrix: the steps of FuxiCTR's ParquetDataset (commit 0245987) before the first batch. Medians of the runs.
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = ["I%d" % i for i in range(1, 14)]
WORDS = ["C%d" % i for i in range(1, 27)]
SIZES = [1460, 583, 200000, 150000, 305, 24, 12517, 633, 3, 93145, 5683, 200000, 3194, 27, 14992, 180000, 10, 5652, 2173, 4,
         190000, 18, 15, 100000, 105, 80000]  # of vocabularies


def make(folder, rows):
    rng = np.random.default_rng(1)
    drawn = {c: (rng.zipf(1.15, rows) - 1) % n + 1 for c, n in zip(WORDS, SIZES)}
    label = (rng.random(rows) < 0.25).astype("float64")
    numbers = {c: rng.integers(0, 1000, rows) for c in NUMBERS}
    empty = {c: rng.random(rows) < 0.2 for c in NUMBERS}
    raw = {"Label": pa.array(label)}
    raw.update({c: pa.array(v, mask=empty[c]) for c, v in numbers.items()})
    raw.update({c: pa.array(np.char.mod("%08x", v * 2654435761 % 2**32)) for c, v in drawn.items()})
    ids = {"Label": pa.array(label)}
    ids.update({c: pa.array(v.astype("float64")) for c, v in numbers.items()})
    ids.update({c: pa.array(v.astype("int64")) for c, v in drawn.items()})
    for name, columns in (("raw", raw), ("prepared", ids)):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        pq.write_table(pa.table(columns), os.path.join(folder, name, "train.parquet"))
    features = [{c: {"type": "numeric"}} for c in NUMBERS]
    features += [{c: {"type": "categorical", "padding_idx": 0, "vocab_size": n + 2}} for c, n in zip(WORDS, SIZES)]
    with open(os.path.join(folder, "prepared", "feature_map.json"), "w") as f:
        json.dump({"dataset_id": "prepared", "labels": ["Label"], "features": features}, f)
    config = os.path.join(folder, "config")
    os.makedirs(config, exist_ok=True)
    fields = "[{name: [%s], type: numeric, dtype: float, fill_na: 0}, {name: [%s], type: categorical, dtype: str}]" % (
        ", ".join(NUMBERS), ", ".join(WORDS))
    with open(os.path.join(config, "dataset_config.yaml"), "w") as f:
        for name, keys in (("raw", "  label_col: Label\n  feature_cols: %s\n" % fields), ("prepared", "")):
            f.write("%s:\n  data_root: '%s'\n  train_data: '%s/%s/train.parquet'\n%s" % (name, folder, folder, name, keys))
    with open(os.path.join(config, "model_config.yaml"), "w") as f:
        f.write("raw: {model: DNN, dataset_id: raw}\nprepared: {model: DNN, dataset_id: prepared}\n")


def kdef_prepare(program, folder, name, threads):
    shutil.rmtree(os.path.join(folder, name, "kdef"), ignore_errors=True)
    for file in ("prepared.json", "train.kdefbin", "vocabulary.kdefvoc", "kdef_feature_map.json") if name == "raw" else ():
        if os.path.exists(os.path.join(folder, name, file)):
            os.remove(os.path.join(folder, name, file))
    done = subprocess.run([program, "prepare", "--config", os.path.join(folder, "config"), "--expid", name], text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    if done.returncode != 0:
        sys.exit(done.stderr.strip())


def stacked(path):
    frame = pd.read_parquet(path)
    return np.column_stack([frame[c].to_numpy() for c in frame.columns])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("kdef")
    ap.add_argument("--rows", type=int, default=2000000)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--work")
    a = ap.parse_args()
    folder = os.path.abspath(a.work or tempfile.mkdtemp(prefix="kdef_parquet."))
    pa.set_cpu_count(a.threads)
    load = os.getloadavg()[0]
    make(folder, a.rows)
    ways = {}
    for name in ("prepared", "raw"):
        path = os.path.join(folder, name, "train.parquet")
        ways[name, "kdef prepare"] = lambda name=name: kdef_prepare(a.kdef, folder, name, a.threads)
        ways[name, "pyarrow.parquet.read_table"] = lambda path=path: pq.read_table(path)
        ways[name, "pandas.read_parquet"] = lambda path=path: pd.read_parquet(path)
    ways["prepared", "pandas.read_parquet, numpy.column_stack (FuxiCTR)"] = lambda: stacked(os.path.join(folder, "prepared", "train.parquet"))
    seconds = {way: [] for way in ways}
    cpu = {way: [] for way in ways}
    for _ in range(a.runs):
        for way, run in ways.items():
            before, start = os.times(), time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - start)
            cpu[way].append(sum(os.times()[:4]) - sum(before[:4]))
    print("%d rows, %d threads, medians of %d runs in turn; load %.1f before" % (a.rows, a.threads, a.runs, load))
    print("| data | reader | rows/s | rows/s by processor time on %d cores |\n| --- | --- | --- | --- |" % a.threads)
    for way in sorted(ways):
        print("| %s | %s | %d | %d |" % (*way, a.rows / statistics.median(seconds[way]),
                                         a.rows * a.threads / statistics.median(cpu[way])))
    if not a.work:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
