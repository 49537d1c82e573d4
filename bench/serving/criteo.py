#!/usr/bin/env python3
"""Times predictions of kdef's scorer and of ONNX Runtime in turn, on one thread, with embedding tables of Criteo's full sizes.

compare.py beside this file scores a trained run, whose rows have fewer different values; here the weights are random.

The network is that of `kdef bench predict`: 39 fields of Criteo, embeddings of 16 numbers, M students 400-400-400, the
mean of their logits, probabilities of all. ONNX Runtime gets it with batch normalisation folded into the layers, which is
the faster form for it; its input and outputs are bound to memory beforehand. Both programs read ids that follow the same
law, rows that change from call to call.

Each round times both, one after the other, so that a drift of the machine's speed meets both. A time is the median of a
round's calls in processor time of the one thread, which other programs disturb less than the time on the clock. The ratio
is taken within a round; the median over the rounds is printed, with the least and the largest. Run it with a Python that
has onnxruntime, onnx and numpy:

    python bench/serving/criteo.py --kdef build/bin/kdef --students 1,3 --batches 1,16,256,4096 --rounds 5

--precision f32,bf16,int8 times kdef in each of them; ONNX Runtime computes in fp32 always. --kdef may name several programs, as
builds with and without oneDNN.

The last line is one JSON object: a list of results with kdef, precision, students, batch, kdef_us, onnxruntime_us and ratio.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FEATURE_MAP = pathlib.Path(__file__).resolve().parents[2] / "tests/fixtures/feature_maps/Criteo_x4_10_h5.json"
DIM, UNITS, LAYERS = 16, 400, 3
POOL = 4096  # rows that small batches are taken from in turn


def vocabularies():
    fields = json.loads(FEATURE_MAP.read_text())["fields"]
    return [field["vocab_size"] for field in fields]


def network(students, sizes, random):
    """The network as ONNX: ids [rows, fields] -> scores [rows, 1], students [rows, M]."""
    nodes, weights = [], []

    def constant(name, values):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    columns = [f"id{f}" for f in range(len(sizes))]
    nodes.append(helper.make_node("Split", ["ids"], columns, axis=1, num_outputs=len(sizes)))
    embeddings = []
    for f, size in enumerate(sizes):
        table = constant(f"table{f}", (random.standard_normal((size, DIM)) * 1e-2).astype(np.float32))
        nodes.append(helper.make_node("Gather", [table, columns[f]], [f"e{f}"]))
        embeddings.append(f"e{f}")
    nodes.append(helper.make_node("Concat", embeddings, ["stacked"], axis=1))
    width = DIM * len(sizes)
    nodes.append(helper.make_node("Reshape", ["stacked", constant("flat", np.array([-1, width], np.int64))], ["x"]))

    def layer(x, name, inputs, outputs):
        scale = np.sqrt(2 / (inputs + outputs))
        w = constant(f"w{name}", (random.standard_normal((outputs, inputs)) * scale).astype(np.float32))
        b = constant(f"b{name}", (random.uniform(-1, 1, outputs) / np.sqrt(inputs)).astype(np.float32))
        nodes.append(helper.make_node("Gemm", [x, w, b], [f"z{name}"], transB=1))
        return f"z{name}"

    logits = []
    for m in range(students):
        h, inputs = "x", width
        for l in range(LAYERS):
            nodes.append(helper.make_node("Relu", [layer(h, f"{m}_{l}", inputs, UNITS)], [f"h{m}_{l}"]))
            h, inputs = f"h{m}_{l}", UNITS
        logits.append(layer(h, f"{m}_out", UNITS, 1))
    nodes.append(helper.make_node("Concat", logits, ["logits"], axis=1))
    axis = constant("axis", np.array([1], np.int64))
    nodes.append(helper.make_node("ReduceMean", ["logits", axis], ["mean"], keepdims=1))
    nodes.append(helper.make_node("Sigmoid", ["mean"], ["scores"]))
    nodes.append(helper.make_node("Sigmoid", ["logits"], ["students"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "kdef", [value("ids", TensorProto.INT32, ["rows", len(sizes)])],
                              [value("scores", TensorProto.FLOAT, ["rows", 1]),
                               value("students", TensorProto.FLOAT, ["rows", students])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


class OnnxRuntime:
    def __init__(self, students):
        random = np.random.default_rng(1)
        sizes = vocabularies()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = network(students, sizes, random).SerializeToString()
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.students = students
        # n^u for uniform u, the law of `kdef bench`.
        uniform = random.uniform(size=(POOL, len(sizes)))
        largest = np.array([max(1, size - 1) for size in sizes])
        self.ids = np.minimum(largest, largest**uniform).astype(np.int32)

    def microseconds(self, batch, seconds):
        empty = lambda columns: onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((batch, columns), np.float32))
        bindings = []
        for first in range(0, POOL, batch):
            binding = self.session.io_binding()
            binding.bind_cpu_input("ids", np.ascontiguousarray(self.ids[first:first + batch]))
            binding.bind_ortvalue_output("scores", empty(1))
            binding.bind_ortvalue_output("students", empty(self.students))
            bindings.append(binding)
            if len(bindings) == 256:
                break
        times, until, i = [], time.perf_counter() + seconds, 0
        while len(times) < 5 or time.perf_counter() < until:
            binding = bindings[i % len(bindings)]
            start = time.thread_time()
            self.session.run_with_iobinding(binding)
            times.append(time.thread_time() - start)
            i += 1
        return 1e6 * statistics.median(times)


def kdef_microseconds(program, precision, students, batch, seconds):
    command = [program, "bench", "predict", "--shape", "criteo", "--students", str(students), "--batch", str(batch),
               "--threads", "1", "--latency-rows", "1", "--seconds", str(seconds), "--precision", precision]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"criteo: exit {done.returncode} of: {' '.join(command)}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if not result["compiled"]:
        sys.exit("criteo: the scorer did not compile the network")
    return 1e3 * result["cpu_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("--kdef", required=True, nargs="+", help="the program, or several")
    parser.add_argument("--precision", type=lambda text: text.split(","), default=["f32"])
    parser.add_argument("--students", type=numbers, default=[1, 3])
    parser.add_argument("--batches", type=numbers, default=[1, 16, 256, 4096])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement")
    args = parser.parse_args()
    isa = os.environ.get("KDEF_ISA", "the best that the processor has")
    print(f"ONNX Runtime {onnxruntime.__version__}; kdef's instruction set: {isa}")
    ways = [(program, precision) for program in args.kdef for precision in args.precision]
    print("students  batch      kdef us  ONNX Runtime us   ratio (least, largest)  of")
    results = []
    for students in args.students:
        runtime = OnnxRuntime(students)
        for batch in args.batches:
            rounds = []  # each: ONNX Runtime, and every way
            for _ in range(args.rounds):
                kdef = [kdef_microseconds(*way, students, batch, args.seconds) for way in ways]
                rounds.append([runtime.microseconds(batch, args.seconds), *kdef])
            other = statistics.median(r[0] for r in rounds)
            for i, (program, precision) in enumerate(ways, 1):
                kdef, ratios = statistics.median(r[i] for r in rounds), [r[i] / r[0] for r in rounds]
                ratio = statistics.median(ratios)
                print(f"{students:8} {batch:6} {kdef:12.1f} {other:16.1f}   {ratio:.2f} ({min(ratios):.2f}, {max(ratios):.2f})  "
                      f"{program} {precision}", flush=True)
                results.append({"kdef": program, "precision": precision, "students": students, "batch": batch, "kdef_us": kdef,
                                "onnxruntime_us": other, "ratio": ratio})
    print(json.dumps({"results": results}))


if __name__ == "__main__":
    main()
