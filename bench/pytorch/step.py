#!/usr/bin/env python3
"""One training step of KDEF in PyTorch, timed: the counterpart of `kdef bench step`.

Two versions. `user`: students in a loop and the objective pair by pair, as a PyTorch user writes it down. `tuned`: the
students' layers as batched products, the objective from one Gram matrix, torch.compile where asked (on a GPU with CUDA
graphs), and there Adam in one kernel. Both follow the
published semantics: dense Adam on everything, L2 over every row of every table in the loss, clipping by global norm.

Only for measuring: nothing else in the project needs Python. The last line printed is one JSON object.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Embeddings(nn.Module):
    """One table per field; sequences averaged over the ids that are not padding."""

    def __init__(self, fields, dim):
        super().__init__()
        self.fields = fields
        self.tables = nn.ModuleList(nn.Embedding(f["vocab_size"], dim, padding_idx=0) for f in fields)
        for table in self.tables:
            nn.init.normal_(table.weight[1:], std=1e-4)

    def forward(self, columns):
        parts = []
        for field, table, ids in zip(self.fields, self.tables, columns):
            e = table(ids)
            if field.get("max_len", 1) > 1:
                count = (ids != 0).sum(1, keepdim=True).clamp(min=1)
                e = e.sum(1) / count
            parts.append(e)
        return torch.cat(parts, 1)


def make_mlp(width, hidden, dropout):
    layers = []
    for units in hidden:
        linear = nn.Linear(width, units)
        nn.init.xavier_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 1))


class UserModel(nn.Module):
    """Students one after the other."""

    def __init__(self, fields, dim, students, hidden, dropout):
        super().__init__()
        self.embeddings = Embeddings(fields, dim)
        self.students = nn.ModuleList(make_mlp(dim * len(fields), hidden, dropout) for _ in range(students))

    def forward(self, columns):
        e = self.embeddings(columns)
        return torch.cat([s(e) for s in self.students], 1)

    def objective(self, z, y):
        m = z.shape[1]
        p = torch.sigmoid(z)
        q = torch.sigmoid(z.mean(1, keepdim=True)).detach()
        label = torch.stack([F.binary_cross_entropy(p[:, k : k + 1], y) for k in range(m)]).mean()
        score = torch.stack([(1 - (y - p[:, k : k + 1]).abs()).mean() for k in range(m)])
        taught = torch.stack([F.mse_loss(p[:, k : k + 1], q) for k in range(m)])
        loss = label + (F.softmin(score, 0) * taught).sum()
        if m == 1:
            return loss
        peers = []
        for i in range(m):
            others = [j for j in range(m) if j != i]
            weight = torch.softmax(torch.stack([score[j] - score[i] for j in others]), 0)
            distance = torch.stack([F.mse_loss(p[:, i], p[:, j].detach()) for j in others])
            peers.append((weight * distance).sum())
        return loss + torch.stack(peers).mean()


class TunedModel(nn.Module):
    """All students' layers as one batched product each; batch norm over [B, M * units] at once."""

    def __init__(self, fields, dim, students, hidden, dropout):
        super().__init__()
        self.embeddings = Embeddings(fields, dim)
        self.m, self.dropout = students, dropout
        width = dim * len(fields)
        self.weights, self.biases, self.norms = nn.ParameterList(), nn.ParameterList(), nn.ModuleList()
        for units in hidden:
            w = torch.empty(students, width, units)
            for k in range(students):
                nn.init.xavier_normal_(w[k])
            self.weights.append(nn.Parameter(w))
            self.biases.append(nn.Parameter(torch.zeros(students, 1, units)))
            self.norms.append(nn.BatchNorm1d(students * units))
            width = units
        self.head = nn.Parameter(torch.randn(students, width, 1) * (2 / (width + 1)) ** 0.5)
        self.head_bias = nn.Parameter(torch.zeros(students, 1, 1))

    def forward(self, columns):
        e = self.embeddings(columns)
        rows = e.shape[0]
        first, units = self.weights[0], self.weights[0].shape[2]
        # The first layer reads the same input: one product with M * units columns.
        h = e @ first.permute(1, 0, 2).reshape(e.shape[1], -1) + self.biases[0].view(1, -1)
        for i, norm in enumerate(self.norms):
            if i > 0:
                units = self.weights[i].shape[2]
                h = torch.baddbmm(self.biases[i], h, self.weights[i]).transpose(0, 1).reshape(rows, -1)
            h = F.dropout(F.relu(norm(h)), self.dropout, self.training)
            h = h.view(rows, self.m, units).transpose(0, 1)
        return torch.baddbmm(self.head_bias, h, self.head).squeeze(2).t()

    def objective(self, z, y):
        m = z.shape[1]
        z = z.float()
        p = torch.sigmoid(z)
        q = torch.sigmoid(z.mean(1, keepdim=True)).detach()
        score = 1 - (y - p).abs().mean(0)
        loss = F.binary_cross_entropy(p, y.expand_as(p)) + (F.softmin(score, 0) * (p - q).square().mean(0)).sum()
        if m == 1:
            return loss
        fixed = p.detach()
        n = p.shape[0]
        distance = ((p * p).sum(0)[:, None] + (fixed * fixed).sum(0)[None, :] - 2 * p.t() @ fixed) / n
        diagonal = torch.eye(m, dtype=torch.bool, device=z.device)
        weight = torch.softmax(score.expand(m, m).masked_fill(diagonal, float("-inf")), 1)
        return loss + (weight * distance.masked_fill(diagonal, 0)).sum(1).mean()


def zipf_batch(fields, rows, generator, device):
    columns = []
    for f in fields:
        length = f.get("max_len", 1)
        top = max(1, f["vocab_size"] - 1)
        u = torch.rand(rows, length, generator=generator, dtype=torch.float64)
        ids = torch.clamp((float(top) ** u).long(), max=top)
        columns.append(ids if length > 1 else ids[:, 0])
    y = (torch.rand(rows, 1, generator=generator) < 0.25).float()
    return [c.to(device) for c in columns], y.to(device)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--feature-map", required=True)
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--batch", type=int, default=10000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--hidden", default="400,400,400")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--embedding-regularizer", type=float, default=1e-5)
    parser.add_argument("--version", choices=["user", "tuned"], default="user")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = args.precision == "tf32"
    device, on_gpu = torch.device(args.device), args.device == "cuda"
    with open(args.feature_map) as f:
        fields = json.load(f)["fields"]
    hidden = [int(u) for u in args.hidden.split(",")]
    model = {"user": UserModel, "tuned": TunedModel}[args.version](fields, args.dim, args.students, hidden, args.dropout)
    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=on_gpu and args.version == "tuned")
    batches = [zipf_batch(fields, args.batch, torch.Generator().manual_seed(i), device) for i in range(3)]
    forward = model
    if args.compile:
        forward = torch.compile(model, mode="reduce-overhead" if on_gpu else "default")

    def step(i):
        columns, y = batches[i % 3]
        optimizer.zero_grad()
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            z = forward(columns)
        loss = model.objective(z.float(), y)
        for table in model.embeddings.tables:
            loss = loss + args.embedding_regularizer / 2 * table.weight.norm(2) ** 2
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        # A user reads the loss now and then; on a GPU that would wait for every step.
        return loss if on_gpu else loss.item()

    def wait():
        if on_gpu:
            torch.cuda.synchronize()

    for i in range(5 if on_gpu else 2):
        step(i)
    wait()
    times = []
    for i in range(args.steps):
        start = time.perf_counter()
        # On a GPU ten steps are timed as one, so that the host may go ahead as it does in training.
        for j in range(10 if on_gpu else 1):
            step(i + j)
        wait()
        times.append((time.perf_counter() - start) / (10 if on_gpu else 1))
    median = statistics.median(times)
    print(json.dumps({"version": args.version, "torch": torch.__version__, "students": args.students, "batch": args.batch,
                      "threads": args.threads, "device": torch.cuda.get_device_name() if on_gpu else "cpu",
                      "precision": args.precision, "compiled": args.compile,
                      "step_ms": 1e3 * median, "rows_per_s": args.batch / median}))


if __name__ == "__main__":
    main()
