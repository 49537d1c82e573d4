#!/usr/bin/env python3
"""Times a training step of kdef and of PyTorch in turn, and prints the ratios.

Each round runs every program once, one after the other, so that a drift of the machine's speed meets all of them; a
ratio is taken within its round, and the median over rounds is printed. Run it with the Python that has PyTorch:

    python bench/pytorch/compare.py --kdef build/bin/kdef --students 3 --rounds 5
    python bench/pytorch/compare.py --kdef build/bin/kdef --precisions bf16 --pytorch tuned-bf16,compiled-bf16

Ratios are to the first program of the list: kdef in the first of --precisions.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FEATURE_MAP = HERE.parent.parent / "tests/fixtures/feature_maps/Criteo_x4_10_h5.json"


VERSIONS = {"user": ["--version", "user"], "tuned": ["--version", "tuned"], "compiled": ["--version", "tuned", "--compile"]}


def last_line(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"compare: exit {done.returncode} of: {' '.join(command)}")
    lines = done.stdout.strip().splitlines()
    if not lines:
        sys.exit(f"compare: nothing was printed by: {' '.join(command)}")
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kdef", required=True, help="the binary")
    parser.add_argument("--feature-map", default=str(FEATURE_MAP))
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--batch", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="per run of kdef")
    parser.add_argument("--steps", type=int, default=7, help="per run of PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precisions", default="f32,bf16", help="of kdef")
    parser.add_argument("--pytorch", default="user", help=f"of {', '.join(VERSIONS)}, each also with -bf16 or -tf32")
    args = parser.parse_args()

    programs = {}
    for precision in filter(None, args.precisions.split(",")):
        programs[f"kdef {precision}"] = [
            args.kdef, "bench", "step", "--shape", args.feature_map, "--students", str(args.students), "--batch",
            str(args.batch), "--seconds", str(args.seconds), "--threads", str(args.threads), "--device", args.device,
            "--precision", precision]
    for name in filter(None, args.pytorch.split(",")):
        version, _, precision = name.partition("-")
        if version not in VERSIONS:
            sys.exit(f"compare: PyTorch version '{version}' is unknown; known: {', '.join(VERSIONS)}")
        programs[f"pytorch {name}"] = [
            sys.executable, str(HERE / "step.py"), "--feature-map", args.feature_map, "--students", str(args.students),
            "--batch", str(args.batch), "--threads", str(args.threads), "--device", args.device, "--steps",
            str(args.steps), "--precision", precision or "f32"] + VERSIONS[version]

    first = next(iter(programs))
    steps = {name: [] for name in programs}
    ratios = {name: [] for name in programs}
    print(f"{'round':>5}  {'program':<24} {'step':>10} {'rows/s':>10}  times {first}")
    for number in range(1, args.rounds + 1):
        for name, command in programs.items():
            result = last_line(command)
            steps[name].append(result["step_ms"])
            if "ratio" in result:
                ratios[name].append(result["ratio"])
            print(f"{number:>5}  {name:<24} {result['step_ms']:>7.1f} ms {result['rows_per_s']:>10,.0f}  "
                  f"{result['step_ms'] / steps[first][-1]:.2f}", flush=True)
    print()
    summary = []
    for name in programs:
        row = {"program": name, "students": args.students, "batch": args.batch, "threads": args.threads,
               "step_ms": statistics.median(steps[name]),
               "times_first": statistics.median(s / f for s, f in zip(steps[name], steps[first]))}
        if ratios[name]:
            row["ratio"] = statistics.median(ratios[name])
        summary.append(row)
        print(f"{name:<24} median {row['step_ms']:.1f} ms, {row['times_first']:.2f} times {first} (median of the rounds)"
              + (f"; step / products alone {row['ratio']:.2f}" if "ratio" in row else ""))
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
