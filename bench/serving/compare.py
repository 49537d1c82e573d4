#!/usr/bin/env python3
"""Time to score rows in memory: ONNX Runtime on an exported model, and kdef by its C interface, one thread each.

usage: compare.py KDEF LIBRARY [--also LIBRARY] [--precision f32,bf16,int8] [--student best|N|ensemble] [--rounds R] [--wall]
                  [--work DIR]   (needs numpy and onnxruntime)

KDEF is the program, LIBRARY libkdef.so of the same build. --also names that of another build, as the one without oneDNN, which is
measured in f32 beside. ONNX Runtime computes in fp32 always. The data are synthetic rows of Criteo's shape (39 fields), the model is
M = 3 networks 400-400-400 over shared embeddings of dimension 16, trained for one epoch; where the work folder has them they are
kept. Both score the same encoded rows: ids and numbers as matrices. Every round measures both, one after the other, for each batch
size; the table has the medians over the rounds. Times are of the calling thread's processor time, which does not see other programs
on the machine; with --wall of the clock. Both include the call from Python: some microseconds, of ONNX Runtime more than of ctypes.
"""
import argparse
import ctypes
import csv
import pathlib
import subprocess
import sys
import time

import numpy
import onnxruntime

BATCHES = (1, 16, 256, 4096)


def prepared(work, kdef, student):
    """Data, run and model in the work folder; those that are there are kept."""
    def call(*arguments):
        subprocess.run([kdef, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    work.mkdir(parents=True, exist_ok=True)
    data, run = work / "data", work / "run"
    model = work / f"{student}.onnx"
    if not data.exists():
        call("synth", "--shape", "criteo", "--rows", 20000, "--seed", 1, "--out", data)
    if not run.exists():
        call("train", "--config", data, "--expid", "KDEF", "--run", run, "epochs=1", "num_student=3",
             "hidden_units=[400, 400, 400]", "embedding_dim=16", "batch_norm=true")
    if not model.exists():
        call("export", "--run", run, "--student", student, "--inputs", "matrix", "--out", model)
    served = run
    if student != "ensemble":
        served = work / f"student-{student}"
        if not served.exists():
            call("export", "--run", run, "--student", student, "--out", served)
    return data, served, model


class TextRows(ctypes.Structure):
    _fields_ = [("columns", ctypes.POINTER(ctypes.c_char_p)), ("column_count", ctypes.c_size_t),
                ("cells", ctypes.POINTER(ctypes.c_char_p)), ("sizes", ctypes.POINTER(ctypes.c_size_t)),
                ("rows", ctypes.c_size_t)]


class Opening(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("path", ctypes.c_char_p), ("bytes", ctypes.c_void_p),
                ("byte_count", ctypes.c_size_t), ("precision", ctypes.c_char_p)]


class Library:
    """A model by the C interface (bindings/c/kdef.h)."""

    def __init__(self, path, run, precision):
        self.c = ctypes.CDLL(str(path.resolve()))
        for name in ("kdef_id_columns", "kdef_number_columns", "kdef_columns"):
            getattr(self.c, name).restype = ctypes.c_size_t
        self.c.kdef_column.restype = ctypes.c_char_p
        self.c.kdef_last_error.restype = ctypes.c_char_p
        self.model = ctypes.c_void_p()
        opening = Opening()
        self.c.kdef_opening_defaults(ctypes.byref(opening))
        opening.path, opening.precision = str(run).encode(), precision.encode()
        self.check(self.c.kdef_open_as(ctypes.byref(opening), ctypes.byref(self.model)))
        self.columns = [self.c.kdef_column(self.model, ctypes.c_size_t(i)) for i in range(self.c.kdef_columns(self.model))]

    def check(self, status):
        if status != 0:
            sys.exit(self.c.kdef_last_error().decode())

    def encode(self, rows):
        """ids int32 [rows, C] and numbers float [rows, N] of rows of text."""
        cells = [row[name.decode()].encode() for row in rows for name in self.columns]
        text = TextRows((ctypes.c_char_p * len(self.columns))(*self.columns), len(self.columns),
                        (ctypes.c_char_p * len(cells))(*cells), None, len(rows))
        ids = numpy.zeros((len(rows), self.c.kdef_id_columns(self.model)), numpy.int32)
        numbers = numpy.zeros((len(rows), self.c.kdef_number_columns(self.model)), numpy.float32)
        self.check(self.c.kdef_encode_text(self.model, ctypes.byref(text), ids.ctypes.data_as(ctypes.c_void_p),
                                           numbers.ctypes.data_as(ctypes.c_void_p)))
        return ids, numbers

    def scorer(self, ids, numbers):
        """A function that scores these rows, and the scores that it fills."""
        scores = numpy.zeros(len(ids), numpy.float32)
        arguments = (self.model, ids.ctypes.data_as(ctypes.c_void_p), numbers.ctypes.data_as(ctypes.c_void_p),
                     ctypes.c_size_t(len(ids)), scores.ctypes.data_as(ctypes.c_void_p), None)
        return (lambda: self.check(self.c.kdef_score_encoded(*arguments))), scores


def seconds(clock, function, calls):
    start = clock()
    for _ in range(calls):
        function()
    return (clock() - start) / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("kdef")
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--also", type=pathlib.Path)
    parser.add_argument("--precision", type=lambda text: text.split(","), default=["f32"])
    parser.add_argument("--student", default="ensemble")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/serving"))
    options = parser.parse_args()
    clock = time.perf_counter if options.wall else time.thread_time
    data, run, model = prepared(options.work, options.kdef, options.student)

    ways = {precision: Library(options.library, run, precision) for precision in options.precision}
    if options.also:
        ways[str(options.also)] = Library(options.also, run, "f32")
    library = next(iter(ways.values()))
    with open(data / "test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    ids, numbers = library.encode([rows[i % len(rows)] for i in range(max(BATCHES))])
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
    names = {x.name for x in session.get_inputs()}

    print(f"ONNX Runtime {onnxruntime.__version__}, {'wall' if options.wall else 'processor'} time, median of {options.rounds}, "
          f"microseconds per call")
    print("| rows | ONNX Runtime | kdef | its time | / ONNX Runtime | least and largest | largest difference |")
    print("|--:|--:|---|--:|--:|---|--:|")
    for batch in BATCHES:
        feeds = {"ids": ids[:batch].astype(numpy.int64), "numbers": numbers[:batch].copy()}
        feeds = {name: value for name, value in feeds.items() if name in names}
        theirs = lambda: session.run(["prediction"], feeds)
        expected = theirs()[0][:, 0]
        calls, differences = {"ONNX Runtime": theirs}, {}
        for way, model in ways.items():
            calls[way], scores = model.scorer(ids[:batch].copy(), numbers[:batch].copy())
            calls[way]()
            differences[way] = abs(expected - scores).max()
        count = max(1, 256 // batch)
        rounds = [{way: seconds(clock, call, count) for way, call in calls.items()} for _ in range(options.rounds)]
        times = {way: 1e6 * float(numpy.median([one[way] for one in rounds])) for way in calls}
        for way in ways:
            ratios = [one[way] / one["ONNX Runtime"] for one in rounds]
            print(f"| {batch} | {times['ONNX Runtime']:.0f} | {way} | {times[way]:.0f} | {numpy.median(ratios):.2f} | "
                  f"{min(ratios):.2f} to {max(ratios):.2f} | {differences[way]:.1e} |", flush=True)


main()
