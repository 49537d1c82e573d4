"""Runs the ONNX models of a folder by ONNX Runtime, and compares their outputs.

usage: check_onnx.py FOLDER   (needs numpy, onnx and onnxruntime)

Every NAME.onnx has a NAME.json: {"inputs": {NAME: [[..], ..]}, "outputs": {NAME: [[..], ..]}, "tolerance": 1e-6}. Prints one
line per model; the exit status is 1 where a model is not valid or an output differs by more than the tolerance.
"""
import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

TYPES = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64, "tensor(string)": object}


def difference(path):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    expected = json.loads(path.with_suffix(".json").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {x.name: numpy.array(expected["inputs"][x.name], TYPES[x.type]) for x in session.get_inputs()}
    assert feeds.keys() == expected["inputs"].keys(), f"inputs {sorted(feeds)}"
    names = [y.name for y in session.get_outputs()]
    assert set(names) == set(expected["outputs"]), f"outputs {names}"
    worst = 0.0
    rows = len(next(iter(feeds.values())))
    for count in (rows, 1):  # any number of rows
        part = {name: x[:count] for name, x in feeds.items()}
        for name, got in zip(names, session.run(names, part)):
            want = numpy.array(expected["outputs"][name], numpy.float64)[:count]
            assert got.shape == want.shape, f"{name}: {got.shape}, expected {want.shape}"
            worst = max(worst, float(numpy.abs(got - want).max()))
    return worst, expected["tolerance"]


failed = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    try:
        worst, tolerance = difference(path)
        good = worst <= tolerance
        print(f"{path.stem}: {worst:.1e}" + ("" if good else f" > {tolerance:.0e}"))
    except Exception as error:  # the other models are checked, too
        good = False
        print(f"{path.stem}: {type(error).__name__}: {error}")
    failed += not good
sys.exit(failed > 0)
