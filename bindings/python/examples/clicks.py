# %% [markdown]
# # A classifier for clicks
# Rows of categories and numbers, and a label: `python3 clicks.py FOLDER`, where FOLDER has train.csv and test.csv, as
# `kdef synth --out FOLDER` writes them, or as `kdef demo PATH` makes them of MovieLens-1M (in demo/data).

# %%
import csv
import sys

import kdef


def read(path):
    """The columns of a CSV file, the label apart."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    label = columns.pop("label" if "label" in columns else "Label")
    return columns, [int(float(value)) for value in label]


folder = sys.argv[1]
X, y = read(f"{folder}/train.csv")
X_test, y_test = read(f"{folder}/test.csv")
print(len(y), "training rows,", sum(y), "clicks; columns:", ", ".join(X))

# %% [markdown]
# Every cell of a CSV file is a text, so that all columns would be categories: `numeric` names the numbers.

# %%
numbers = [name for name in ("price", "age") if name in X]
model = kdef.KDEFClassifier(students=3, epochs=5, batch_size=512, learning_rate=2e-3, numeric=numbers)
model.fit(X, y)
print("epochs:", model.n_iter_)

# %% [markdown]
# The area under the ROC curve: the share of pairs of a click and no click that the model orders rightly.

# %%
def auc(scores, labels):
    order = sorted(range(len(scores)), key=scores.__getitem__)
    ranks, i = [0.0] * len(scores), 0
    while i < len(order):
        j = i
        while j < len(order) and scores[order[j]] == scores[order[i]]:
            j += 1
        for k in range(i, j):
            ranks[order[k]] = (i + j + 1) / 2  # equal scores share their ranks
        i = j
    clicks = sum(labels)
    above = sum(rank for rank, label in zip(ranks, labels) if label) - clicks * (clicks + 1) / 2
    return above / (clicks * (len(labels) - clicks))


scores = [row[1] for row in model.predict_proba(X_test)]
print(f"test AUC {auc(scores, y_test):.4f}, accuracy {model.score(X_test, y_test):.4f}")
