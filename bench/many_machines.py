#!/usr/bin/env python3
"""A training step on P machines, on paper: when do the networks' links take as long as the processors?

usage: many_machines.py [--batch B] [--students M] [--rows R] [--tree] [--gbit G] [--latency-us L] [--cores C] [--bandwidth-gb W]

Criteo's shape: 39 fields, embeddings of 16 numbers, students 400-400-400 with batch normalization, Adam. Nothing is
measured here. The formulas are those of docs/many-machines.md; the figures that go into them are options:

  computing      B / P rows, --row-us microseconds of one core each (kdef bench step: cpu_ms / batch), on C cores
  optimizer      24 bytes per number of a table (three are read, three written), of R / P rows, at W GB/s
  sums           2 (P - 1)/P of the weights' bytes and of the moments; 9 M + 4 calls, three for each of a student's three
                 layers, of 2 (P - 1) messages one after the other, as kdef sends them today; --tree: 2 log2(P)
  divided rows   8 (P - 1)/P U (D + 1) bytes, U the distinct ids of B / P rows
  whole rows     4 (P - 1) U (D + 2) bytes

Needs nothing but Python.
"""
import argparse
import math

FIELDS, DIM = 39, 16
WEIGHTS = FIELDS * DIM * 400 + 2 * 400 * 400 + 3 * 3 * 400 + 401  # of one student: products, biases and norms, the logit
MOMENTS = 38_464  # bytes of one student: the moments of its three layers, forward and backward, and the objective's sums


def distinct(rows, table):
    """Expected distinct ids among `rows` draws of 1..table, the i-th with probability log((i + 1)/i) / log(table + 1)."""
    total, first = 0.0, 1
    while first <= table:
        last = min(table, max(first, int(first * 1.02)))
        count = last - first + 1
        p = math.log((last + 1) / first) / math.log(table + 1) / count
        total += count * -math.expm1(rows * math.log1p(-p))
        first = last + 1
    return total


def step(a, processes, rows):
    """Milliseconds by kind of work, and GB of memory for the tables, of one process."""
    share = (processes - 1) / processes
    own = a.batch / processes
    used = FIELDS * distinct(own, rows // FIELDS)
    link = a.gbit * 1e9 / 8
    calls = 9 * a.students + 4
    messages = calls * 2 * (math.log2(processes) if a.tree else processes - 1)
    sums = 2 * share * a.students * (4 * WEIGHTS + MOMENTS) / link + messages * a.latency_us * 1e-6
    return {
        "computing": 1e3 * own * a.row_us * 1e-6 / a.cores,
        "optimizer": 1e3 * 24 * DIM * rows / processes / (a.bandwidth_gb * 1e9),
        "sums": 1e3 * sums,
        "divided rows": 1e3 * 8 * share * used * (DIM + 1) / link,
        "whole rows": 1e3 * 4 * (processes - 1) * used * (DIM + 2) / link,
    }, 12e-9 * DIM * rows / processes


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--batch", type=int, default=100_000, help="rows of a batch, of all processes")
    ap.add_argument("--students", type=int, default=3)
    ap.add_argument("--rows", type=float, default=1e8, help="rows of all tables")
    ap.add_argument("--row-us", type=float, default=0, help="core time of a row; 0: 15 microseconds per student")
    ap.add_argument("--gbit", type=float, default=100, help="of a machine's link")
    ap.add_argument("--latency-us", type=float, default=5)
    ap.add_argument("--cores", type=int, default=32, help="of a machine")
    ap.add_argument("--bandwidth-gb", type=float, default=200, help="of a machine's memory, GB/s")
    ap.add_argument("--tree", action="store_true", help="sums by a tree of messages")
    a = ap.parse_args()
    a.row_us = a.row_us or 15 * a.students
    kinds = ["computing", "optimizer", "sums", "divided rows", "whole rows"]
    print("| P | " + " | ".join(kinds) + " | a step, divided | GB of tables in one |")
    print("|---" * (len(kinds) + 3) + "|")
    meets = None
    for power in range(11):
        processes = 2**power
        times, memory = step(a, processes, int(a.rows))
        sent = times["sums"] + times["divided rows"]
        work = times["computing"] + times["optimizer"]
        if meets is None and sent >= work:
            meets = processes
        print("| %d | %s | %.2f | %.1f |" % (processes, " | ".join("%.2f" % times[k] for k in kinds), work + sent, memory))
    print("\nThe links take as long as the processors from %s processes on." %
          (meets if meets else "more than 1,024"))


if __name__ == "__main__":
    main()
