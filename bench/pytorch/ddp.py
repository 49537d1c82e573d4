#!/usr/bin/env python3
"""The step of step.py under PyTorch's DistributedDataParallel over Gloo, in processes of one thread: speed, and how far its
loss and its gradient lie from those of the whole batch.

DistributedDataParallel averages the gradients of local losses. KDEF's weights follow means over the batch, and batch
normalization has moments of the batch: both are local there, so another loss is trained. `kdef` under mpirun trains the
loss of the whole batch.

The last line printed is one JSON object.
"""
import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from step import UserModel, zipf_batch
from torch import nn

FEATURE_MAP = pathlib.Path(__file__).resolve().parents[2] / "tests/fixtures/feature_maps/Criteo_x4_10_h5.json"


def loss_of(model, forward, batch, regularizer):
    columns, y = batch
    loss = model.objective(forward(columns), y)
    for table in model.embeddings.tables:
        loss = loss + regularizer / 2 * table.weight.norm(2) ** 2
    return loss


def part(batch, rank, processes):
    columns, y = batch
    first, last = len(y) * rank // processes, len(y) * (rank + 1) // processes
    return [c[first:last] for c in columns], y[first:last]


def train(rank, args, fields, meeting, out):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    dist.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=args.processes)
    model = UserModel(fields, args.dim, args.students, [int(u) for u in args.hidden.split(",")], args.dropout)
    forward = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    whole = [zipf_batch(fields, args.batch, torch.Generator().manual_seed(i), torch.device("cpu")) for i in range(3)]
    batches = [part(b, rank, args.processes) for b in whole]
    times = []
    for i in range(2 + args.steps):
        dist.barrier()
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(model, forward, batches[i % 3], args.embedding_regularizer)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - start)
    if rank == 0:
        with open(out, "w") as f:
            json.dump(statistics.median(times[2:]), f)
    dist.destroy_process_group()


def difference(args, fields):
    """Loss and gradient by DistributedDataParallel's average and of the whole batch, at the same weights, without dropout, in fp64.

    The weights are those after --before steps on the whole batch, so that the students have parted.
    """
    torch.manual_seed(1)
    model = UserModel(fields, args.dim, args.students, [int(u) for u in args.hidden.split(",")], 0.0).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = [zipf_batch(fields, args.batch, torch.Generator().manual_seed(i), torch.device("cpu")) for i in range(3)]
    batches = [(columns, y.double()) for columns, y in batches]
    for i in range(args.before):
        optimizer.zero_grad()
        loss_of(model, model, batches[i % 3], args.embedding_regularizer).backward()
        optimizer.step()

    def measured(parts):
        model.zero_grad()
        losses = [loss_of(model, model, p, args.embedding_regularizer) for p in parts]
        mean = sum(losses) / len(losses)
        mean.backward()
        return mean.item(), torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = batches[0]
    loss, gradient = measured([whole])
    local_loss, local = measured([part(whole, r, args.processes) for r in range(args.processes)])
    return {"loss": loss, "loss_by_ddp": local_loss,
            "gradient_difference": ((local - gradient).norm() / gradient.norm()).item()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--feature-map", default=str(FEATURE_MAP))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--batch", type=int, default=10000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--hidden", default="400,400,400")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--embedding-regularizer", type=float, default=1e-5)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--before", type=int, default=10, help="steps before the difference is measured")
    args = parser.parse_args()
    with open(args.feature_map) as f:
        fields = json.load(f)["fields"]
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        mp.spawn(train, (args, fields, os.path.join(folder, "meeting"), out), nprocs=args.processes)
        with open(out) as f:
            median = json.load(f)
    print(json.dumps({"torch": torch.__version__, "processes": args.processes, "students": args.students,
                      "batch": args.batch, "step_ms": 1e3 * median, "rows_per_s": args.batch / median,
                      **difference(args, fields)}))


if __name__ == "__main__":
    main()
