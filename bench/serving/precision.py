#!/usr/bin/env python3
"""What a scorer in bf16 or int8 changes: memory, time, scores and AUC, beside the one in f32, one thread.

usage: precision.py LIBRARY RUN DATA [--label NAME] [--rows N] [--rounds R] [--wall]

LIBRARY is libkdef.so, RUN a run directory or a model file, DATA a CSV file with labels 0 and 1. The first N rows of it (default: all)
are scored in every precision: the largest change of a probability, and the AUC. Times are medians over rounds, each of which
measures all precisions in turn, of the calling thread's processor time, or with --wall of the clock; the call from Python is part
of them.
"""
import argparse
import csv
import ctypes
import itertools
import random
import statistics
import time

PRECISIONS = ("f32", "bf16", "int8")
BATCHES = (1, 256)


class Opening(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("path", ctypes.c_char_p), ("bytes", ctypes.c_void_p),
                ("byte_count", ctypes.c_size_t), ("precision", ctypes.c_char_p)]


class TextRows(ctypes.Structure):
    _fields_ = [("columns", ctypes.POINTER(ctypes.c_char_p)), ("column_count", ctypes.c_size_t),
                ("cells", ctypes.POINTER(ctypes.c_char_p)), ("sizes", ctypes.POINTER(ctypes.c_size_t)),
                ("rows", ctypes.c_size_t)]


class Model:
    """A model by the C interface (bindings/c/kdef.h)."""

    def __init__(self, library, path, precision):
        self.c = library
        opening = Opening()
        self.c.kdef_opening_defaults(ctypes.byref(opening))
        opening.path, opening.precision = str(path).encode(), precision.encode()
        self.handle = ctypes.c_void_p()
        self.check(self.c.kdef_open_as(ctypes.byref(opening), ctypes.byref(self.handle)))
        self.columns = [self.c.kdef_column(self.handle, ctypes.c_size_t(i)) for i in range(self.c.kdef_columns(self.handle))]
        self.memory = self.c.kdef_memory(self.handle)

    def check(self, status):
        if status != 0:
            raise SystemExit(self.c.kdef_last_error().decode())

    def encode(self, rows):
        cells = [row[name.decode()].encode() for row in rows for name in self.columns]
        text = TextRows((ctypes.c_char_p * len(self.columns))(*self.columns), len(self.columns),
                        (ctypes.c_char_p * len(cells))(*cells), None, len(rows))
        ids = (ctypes.c_int32 * (len(rows) * self.c.kdef_id_columns(self.handle)))()
        numbers = (ctypes.c_float * (len(rows) * self.c.kdef_number_columns(self.handle)))()
        self.check(self.c.kdef_encode_text(self.handle, ctypes.byref(text), ids, numbers))
        return ids, numbers

    def scorer(self, rows, ids, numbers):
        """A function that scores these rows, and the scores that it fills."""
        scores = (ctypes.c_float * rows)()
        arguments = (self.handle, ids, numbers, ctypes.c_size_t(rows), scores, None)
        return (lambda: self.check(self.c.kdef_score_encoded(*arguments))), scores


def auc(labels, scores):
    """By ranks; equal scores share theirs."""
    order = sorted(zip(scores, labels))
    sum_of_ranks, before = 0.0, 0
    for _, group in itertools.groupby(order, key=lambda pair: pair[0]):
        of_group = [label for _, label in group]
        sum_of_ranks += sum(of_group) * (before + (len(of_group) + 1) / 2)
        before += len(of_group)
    positives = sum(labels)
    return (sum_of_ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("library")
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--label", default="label")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--wall", action="store_true")
    options = parser.parse_args()
    clock = time.perf_counter if options.wall else time.thread_time

    library = ctypes.CDLL(options.library)
    for name in ("kdef_id_columns", "kdef_number_columns", "kdef_columns", "kdef_memory"):
        getattr(library, name).restype = ctypes.c_size_t
    library.kdef_column.restype = library.kdef_last_error.restype = ctypes.c_char_p
    models = {precision: Model(library, options.run, precision) for precision in PRECISIONS}
    with open(options.data, newline="") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:options.rows] if options.rows else rows
    labels = [float(row[options.label]) for row in rows]
    ids, numbers = models["f32"].encode(rows)

    id_columns, number_columns = len(ids) // len(rows), len(numbers) // len(rows)

    def part(values, columns, first, count):
        part_of = values[first * columns:(first + count) * columns]
        return (values._type_ * len(part_of))(*part_of)

    scores, times = {}, {}
    for precision, model in models.items():
        call, scores[precision] = model.scorer(len(rows), ids, numbers)
        call()
    for _ in range(options.rounds):
        for batch in BATCHES:
            for precision, model in models.items():
                first = random.Random(7).choices(range(len(rows) - batch), k=max(1, 256 // batch))
                calls = [model.scorer(batch, part(ids, id_columns, i, batch), part(numbers, number_columns, i, batch))[0]
                         for i in first]
                start = clock()
                for call in calls:
                    call()
                times.setdefault((precision, batch), []).append((clock() - start) / len(calls))
    print(f"{len(rows)} rows, {'wall' if options.wall else 'processor'} time, median of {options.rounds}")
    print("| precision | weights and tables | 1 row | 256 rows | largest change of a probability | AUC | change of AUC |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    best = auc(labels, scores["f32"])
    for precision, model in models.items():
        one, many = (1e6 * statistics.median(times[precision, batch]) for batch in BATCHES)
        change = max(abs(a - b) for a, b in zip(scores[precision], scores["f32"]))
        value = auc(labels, scores[precision])
        print(f"| {precision} | {model.memory / 2**20:.2f} MiB | {one:.0f} us | {many:.0f} us | {change:.1e} | {value:.6f} | "
              f"{value - best:+.1e} |")


main()
