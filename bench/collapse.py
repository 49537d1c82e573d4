#!/usr/bin/env python3
"""Which measure of collapse follows the students' loss of quality? Rank correlations over finished trainings.

usage: collapse.py [--kdef PROGRAM] DIR...

Every folder under DIR with a config.yaml, a result.json and a collapse.json is a training of kdef (of `kdef train` or
`kdef sweep`). Trainings of one data set and experiment are compared. Those with one student are the reference: a
training's loss is the test AUC of the single network with the same seed, minus the mean test AUC of its students. With
--kdef the program predicts the validation rows of each training, and the gradients that its students receive are
measured, too; without it they are left out.

It prints for each data set a table of means over seeds, and Spearman's rank correlation of every measure with the loss:
over the lines of that table; over the trainings of one seed, the mean over the seeds (they have the same reference, so its
noise does not count); over all trainings; and over those of each objective. A positive sign says that the measure is
larger where the students have lost more. A measure that is the same in all trainings has no correlation.

Measures of a matrix are means over the students, or over the embedding tables:
  abundance, effective rank, stable rank     of the matrix as it is
  participation ratio                        of the matrix, centred
Measures of predictions (p of a student, q of the ensemble, validation rows):
  mean (p_i - p_j)^2, mean abs(p - q)
  AUC of q minus students' AUC               mean over the students; the labels are needed
Measures of the gradient G[b,m] = dL/dz[b,m] that student m receives, by the formulas of docs/method.md:
  cosine with the own gradient               between G[:,m] and p_m - y, the gradient of its own cross-entropy
  stable rank of G                           1: every student receives the same gradient; M at most
"""
import argparse, csv, json, math, os, random, re, subprocess, sys, tempfile

KINDS = [("abundance", "information_abundance"), ("effective rank", "effective_rank"), ("stable rank", "stable_rank"),
         ("participation ratio", "participation_ratio_centred")]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


# ---- gradients. z is a list of rows, each the logits of M students; y holds a label for each row.

def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def bce(p, y):
    return -(y * math.log(p) + (1 - y) * math.log(1 - p))


def softmax(x):
    e = [math.exp(v - max(x)) for v in x]
    return [v / sum(e) for v in e]


def examination(p, y):
    """The weights w[m] and v[i][j] of KDEF's objective."""
    students = range(len(p[0]))
    s = [mean(1 - abs(y[b] - row[m]) for b, row in enumerate(p)) for m in students]
    v = []
    for i in students:
        weights = softmax([s[j] - s[i] for j in students if j != i])
        v.append(weights[:i] + [0.0] + weights[i:])
    return softmax([-x for x in s]), v


def apart(p, other):
    """Mean squared difference of column i of p and column j of other."""
    students = range(len(p[0]))
    return [[mean((a[i] - b[j]) ** 2 for a, b in zip(p, other)) for j in students] for i in students]


def loss_of(kind, z, held, y, teach=True, peer=True):
    """The loss of logits z, where `held` = z has no gradient."""
    rows, students = range(len(z)), range(len(z[0]))
    p, p_held = [[[sigmoid(x) for x in row] for row in logits] for logits in (z, held)]
    q, q_held = [[sigmoid(mean(row)) for row in logits] for logits in (z, held)]
    if kind == "mean":
        return mean(bce(q[b], y[b]) for b in rows)
    if kind == "sum":
        return mean(bce(sigmoid(sum(z[b])), y[b]) for b in rows)
    whole, own = mean(bce(q[b], y[b]) for b in rows), [mean(bce(p[b][m], y[b]) for b in rows) for m in students]
    if kind == "final":
        return whole + sum(mean(bce(p[b][m], q_held[b]) for b in rows) for m in students)
    if kind == "tri_bce":
        return whole + sum(max(x - whole, 0) * x for x in own)
    w, v = examination(p, y)
    loss = mean(own)
    if teach:
        loss += sum(w[m] * mean((p[b][m] - q_held[b]) ** 2 for b in rows) for m in students)
    if peer:
        d = apart(p, p_held)
        loss += mean(sum(v[i][j] * d[i][j] for j in students) for i in students)
    return loss


def gradient(kind, z, y, teach=True, peer=True):
    """dL/dz, as rows of M numbers."""
    n, m = len(z), len(z[0])
    students = range(m)
    p, q = [[sigmoid(x) for x in row] for row in z], [sigmoid(mean(row)) for row in z]
    if kind == "mean":
        return [[(q[b] - y[b]) / (m * n)] * m for b in range(n)]
    if kind == "sum":
        return [[(sigmoid(sum(z[b])) - y[b]) / n] * m for b in range(n)]
    if kind == "final":
        return [[((q[b] - y[b]) / m + x - q[b]) / n for x in p[b]] for b in range(n)]
    if kind == "tri_bce":
        whole, own = mean(map(bce, q, y)), [mean(bce(p[b][k], y[b]) for b in range(n)) for k in students]
        rest = 1 - sum(x for x in own if x > whole)
        to_label = [2 * x - whole if x > whole else 0.0 for x in own]
        return [[(rest * (q[b] - y[b]) / m + to_label[k] * (p[b][k] - y[b])) / n for k in students] for b in range(n)]
    w, v = examination(p, y)
    ds = [0.0] * m  # of the examination's scores
    if teach:
        l = [mean((p[b][k] - q[b]) ** 2 for b in range(n)) for k in students]
        average = sum(a * b for a, b in zip(w, l))
        ds = [-w[k] * (l[k] - average) for k in students]
    if peer:
        d = apart(p, p)
        average = [sum(v[i][j] * d[i][j] for j in students) for i in students]
        ds = [ds[k] + sum(v[i][k] * (d[i][k] - average[i]) for i in students) / m for k in students]
    g = []
    for b in range(n):
        row = []
        for k in students:
            x = p[b][k]
            dp = (x - y[b]) / (x * (1 - x)) / (n * m) + ds[k] * ((y[b] > x) - (y[b] < x)) / n
            if teach:
                dp += 2 * w[k] * (x - q[b]) / n
            if peer:
                dp += sum(2 * v[k][j] * (x - p[b][j]) for j in students) / (n * m)
            row.append(dp * x * (1 - x))
        g.append(row)
    return g


def check_gradients():
    """Every formula against central differences: the program stops where one is wrong."""
    draw, step = random.Random(1), 1e-6
    z, y = [[draw.gauss(0, 1) for _ in range(3)] for _ in range(7)], [float(draw.random() < 0.5) for _ in range(7)]
    for kind, options in (("mean", {}), ("sum", {}), ("final", {}), ("tri_bce", {}), ("kdef", {}),
                          ("kdef", {"teach": False}), ("kdef", {"peer": False}), ("kdef", {"teach": False, "peer": False})):
        by_formula = gradient(kind, z, y, **options)
        for b in range(7):
            for m in range(3):
                up, down = [list(row) for row in z], [list(row) for row in z]
                up[b][m] += step
                down[b][m] -= step
                slope = (loss_of(kind, up, z, y, **options) - loss_of(kind, down, z, y, **options)) / (2 * step)
                if abs(slope - by_formula[b][m]) > 1e-8:
                    sys.exit("collapse.py: the gradient of %s %s is wrong: %g, by differences %g" % (
                        kind, options, by_formula[b][m], slope))


def stable_rank(g):
    """||G||_F^2 / s_1^2; s_1^2 is the largest eigenvalue of G^T G, by power iteration."""
    students = range(len(g[0]))
    gram = [[sum(row[i] * row[j] for row in g) for j in students] for i in students]
    x = [1.0 + 0.1 * i for i in students]
    for _ in range(1000):
        x = [sum(gram[i][j] * x[j] for j in students) for i in students]
        top = math.sqrt(sum(v * v for v in x))
        x = [v / top for v in x]
    return sum(gram[i][i] for i in students) / top


def measure_gradients(run, program, folder):
    if run["kind"] not in ("mean", "sum", "final", "tri_bce", "kdef"):
        return {}
    out = os.path.join(folder, "predictions.csv")
    done = subprocess.run([program, "predict", "--run", run["folder"], "--data", run["valid"], "--students", "--out", out,
                           "--keep", run["label"]], text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    with open(out) as lines:  # label, q, p of each student
        table = [[float(cell) for cell in line] for line in csv.reader(lines)]
    y = [line[0] for line in table]
    p = [[min(max(x, 1e-7), 1 - 1e-7) for x in line[2:]] for line in table]
    g = gradient(run["kind"], [[math.log(x / (1 - x)) for x in row] for row in p], y, run["teach"], run["peer"])
    cosines = []
    for m in range(len(p[0])):
        received, own = [row[m] for row in g], [row[m] - label for row, label in zip(p, y)]
        norm = math.sqrt(sum(a * a for a in received) * sum(a * a for a in own))
        cosines.append(sum(a * b for a, b in zip(received, own)) / norm)
    return {"gradient: cosine with the own gradient": mean(cosines), "gradient: stable rank of G": stable_rank(g)}


# ---- trainings

def settings(path):
    """The scalars of a run's config.yaml, which kdef writes with one key a line."""
    values = {}
    for line in open(path):
        match = re.match(r"([a-z_]+): (.*)", line)
        if match:
            values[match[1]] = match[2].strip().strip('"')
    return values


def read_run(folder):
    c = settings(os.path.join(folder, "config.yaml"))
    result = json.load(open(os.path.join(folder, "result.json")))
    report = json.load(open(os.path.join(folder, "collapse.json")))
    evaluation = result.get("test", result["valid"])
    students = [s["auc"] for s in evaluation["students"]]
    kind = c["objective"] if c["objective"] != "none" else c["ensemble"]
    run = {"folder": folder, "group": "%s, %s" % (c["dataset_id"], c["experiment_id"]), "seed": c["seed"], "kind": kind,
           "students": len(students), "auc": evaluation["ensemble"]["auc"], "student_auc": mean(students),
           "teach": c["teach"] == "true", "peer": c["peer"] == "true", "valid": c["valid_data"],
           "label": re.search(r"name: ([^,}]+)", c["label_col"])[1].strip().strip("'\""), "measures": {}}
    alone = kind == "kdef" and not run["teach"] and not run["peer"]
    run["objective"] = "each alone" if alone else kind
    of_layer, last = {}, {}
    for entry in report["layers"]:
        student, layer = re.match(r"(student \d+) hidden (\d+)", entry["name"]).groups()
        of_layer.setdefault("hidden %s" % layer, []).append(entry)
        last[student] = entry
    for name, entries in [("last layer", list(last.values()))] + sorted(of_layer.items()) + [("tables", report["embeddings"])]:
        for title, key in KINDS:
            run["measures"]["%s: %s" % (name, title)] = mean(e[key] for e in entries)
    run["measures"]["predictions: mean (p_i - p_j)^2"] = report["mean_disagreement"]
    run["measures"]["predictions: mean abs(p - q)"] = report["mean_distance_to_ensemble"]
    run["measures"]["predictions: AUC of q minus students' AUC"] = report["ensemble_minus_students"]
    return run


def ranks(values):
    """Ranks from 0; equal values have the mean of their ranks."""
    ordered = sorted(values)
    first = {}
    for i, v in enumerate(ordered):
        first.setdefault(v, i)
    return [first[v] + (ordered.count(v) - 1) / 2 for v in values]


def spearman(x, y):
    """None where it is not defined. Values that differ by rounding alone are equal."""
    a, b = ranks([round(v, 9) for v in x]), ranks(y)
    middle = (len(a) - 1) / 2
    a, b = [v - middle for v in a], [v - middle for v in b]
    norm = math.sqrt(sum(v * v for v in a) * sum(v * v for v in b))
    return sum(v * w for v, w in zip(a, b)) / norm if len(a) > 2 and norm > 0 else None


def correlation(measure, runs):
    return spearman([run["measures"][measure] for run in runs], [run["loss"] for run in runs])


def correlations(measure, runs, lines):
    """Over the lines of the table, within a seed, over all trainings."""
    of_lines = spearman([mean(r["measures"][measure] for r in line) for line in lines],
                        [mean(r["loss"] for r in line) for line in lines])
    seeds = sorted({run["seed"] for run in runs})
    of_seeds = [r for r in (correlation(measure, [run for run in runs if run["seed"] == s]) for s in seeds) if r is not None]
    return [of_lines, mean(of_seeds) if of_seeds else None, correlation(measure, runs)]


def print_tables(group, runs):
    single = {run["seed"]: run["auc"] for run in runs if run["students"] == 1}
    many = [run for run in runs if run["students"] > 1]
    for run in many:
        if run["seed"] not in single:
            sys.exit("%s: no training with one student has its seed, %s" % (run["folder"], run["seed"]))
        run["loss"] = single[run["seed"]] - run["student_auc"]
    if not many:
        return
    names = [n for n in many[0]["measures"] if all(n in run["measures"] for run in many)]
    shown = [n for n in names if n.startswith(("last", "tables: ab", "pred", "grad")) and "effective" not in n]
    kinds = sorted({run["objective"] for run in many})
    print("\n%s: %d trainings with more than one student, seeds %s; one network has test AUC %.4f\n" % (
        group, len(many), ", ".join(sorted(single)), mean(single.values())))
    print("| objective | M | seeds | AUC | students' AUC | loss | %s |" % " | ".join(shown))
    print("| --- | --: | --: | --: | --: | --: |%s" % (" --: |" * len(shown)))
    lines = []
    for kind in kinds:
        for m in sorted({run["students"] for run in many if run["objective"] == kind}):
            some = [run for run in many if run["objective"] == kind and run["students"] == m]
            lines.append(some)
            print("| %s | %d | %d | %.4f | %.4f | %.4f | %s |" % (
                kind, m, len(some), mean(r["auc"] for r in some), mean(r["student_auc"] for r in some),
                mean(r["loss"] for r in some), " | ".join("%.3g" % mean(r["measures"][n] for r in some) for n in shown)))
    print("\n| measure | lines (%d) | within a seed | all (%d) | %s |\n| --- | --: | --: | --: |%s" % (
        len(lines), len(many), " | ".join("%s (%d)" % (k, sum(r["objective"] == k for r in many)) for k in kinds), " --: |" * len(kinds)))
    for n in names:
        found = correlations(n, many, lines)
        found += [correlation(n, [run for run in many if run["objective"] == kind]) for kind in kinds]
        print("| %s | %s |" % (n, " | ".join("" if r is None else "%+.2f" % r for r in found)))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kdef", metavar="PROGRAM")
    ap.add_argument("directory", nargs="+")
    a = ap.parse_args()
    check_gradients()
    groups = {}
    for directory in a.directory:
        for folder, _, files in os.walk(directory):
            if {"config.yaml", "result.json", "collapse.json"} <= set(files):
                run = read_run(folder)
                groups.setdefault(run["group"], []).append(run)
    if not groups:
        sys.exit("no finished training (config.yaml, result.json, collapse.json) under %s" % ", ".join(a.directory))
    with tempfile.TemporaryDirectory() as folder:
        for group, runs in sorted(groups.items()):
            if a.kdef:
                for run in runs:
                    run["measures"].update(measure_gradients(run, a.kdef, folder))
            print_tables(group, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
