#!/usr/bin/env python3
"""What a practitioner would try before an ensemble of networks: logistic regression, LightGBM, CatBoost.

usage: practitioner.py DATA [--label NAME] [--sequence NAME] [--models LIST] [--defaults] [--rounds N] [--threads T]

    pip install numpy pandas scipy scikit-learn lightgbm catboost
    python bench/practitioner.py FRAPPE
    python bench/practitioner.py ML-1M --label Label --sequence Genres

DATA is a folder with train.csv, valid.csv and test.csv, in which every column but the label is a category; a --sequence
column holds values joined by '^'. Each model is trained on train.csv: once with the library's defaults, and once for each
value of a small grid, of which the best validation AUC is kept. Trees of a grid are stopped early on the validation rows
(50 rounds without a better log loss, at most N rounds). The program prints its libraries' versions and a table in
Markdown; on standard error every value of a grid with its validation AUC.

Inputs. Logistic regression: one column of 0 and 1 for each value. LightGBM: `native`, the columns as its own categories;
`means`, each column's mean label in its place, from the other four fifths of the training rows (out of fold), pulled to
the overall mean by 10 rows. CatBoost: its own categories. A sequence is a column of 0 and 1 for each value in all models.
"""
import argparse, itertools, os, sys
import numpy as np
import pandas as pd

GRIDS = {
    "logistic regression": {"C": [0.03, 0.1, 0.3, 1.0, 3.0]},
    "LightGBM": {"inputs": ["native", "means"], "num_leaves": [31, 127]},
    "CatBoost": {"depth": [6, 8]},
}
DEFAULTS = {"logistic regression": {}, "LightGBM": {"inputs": "native"}, "CatBoost": {}}


class Rows:
    """The rows of the three files: `columns` as categories, `sets` as columns of 0 and 1."""

    def __init__(self, folder, label, sequence):
        raw = {part: pd.read_csv(os.path.join(folder, part + ".csv"), dtype=str, keep_default_na=False)
               for part in ("train", "valid", "test")}
        self.columns = [c for c in raw["train"].columns if c not in (label, sequence)]
        self.y = {part: frame[label].astype(float).to_numpy() for part, frame in raw.items()}
        self.words, self.codes, self.sets = {}, {}, {}
        known = {c: {w: i for i, w in enumerate(sorted(set(raw["train"][c])))} for c in self.columns}
        values = sorted({v for cell in raw["train"][sequence] for v in cell.split("^")}) if sequence else []
        for part, frame in raw.items():
            self.words[part] = frame[self.columns]
            # An unknown value is -1, which LightGBM takes as missing.
            self.codes[part] = np.column_stack([frame[c].map(known[c]).fillna(-1).astype(int) for c in self.columns])
            self.sets[part] = np.zeros((len(frame), len(values)), dtype=np.int8)
            if sequence:
                split = frame[sequence].str.split("^")
                for k, v in enumerate(values):
                    self.sets[part][:, k] = [v in cell for cell in split]

    def one_hot(self, part):
        from scipy import sparse
        from sklearn.preprocessing import OneHotEncoder
        if not hasattr(self, "encoder"):
            self.encoder = OneHotEncoder(handle_unknown="ignore").fit(self.codes["train"])
        return sparse.hstack([self.encoder.transform(self.codes[part]), sparse.csr_matrix(self.sets[part])]).tocsr()

    def means(self, part, folds=5, prior_rows=10):
        """Smoothed mean labels, out of fold for the training rows."""
        y, train = self.y["train"], self.codes["train"]
        rows = self.codes[part]
        fold = np.random.default_rng(1).integers(0, folds, len(train)) if part == "train" else np.zeros(len(rows), int)
        out = np.empty(rows.shape)
        for f in range(folds if part == "train" else 1):
            use = fold != f if part == "train" else np.ones(len(train), bool)
            prior = y[use].mean()
            for c in range(rows.shape[1]):
                n = np.bincount(train[use, c] + 1, minlength=train[:, c].max() + 2)
                s = np.bincount(train[use, c] + 1, weights=y[use], minlength=len(n))
                out[fold == f, c] = ((s + prior_rows * prior) / (n + prior_rows))[rows[fold == f, c] + 1]
        return np.hstack([out, self.sets[part]])


def logistic_regression(rows, values, early, a):
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(max_iter=1000, **values).fit(rows.one_hot("train"), rows.y["train"])
    return {part: model.predict_proba(rows.one_hot(part))[:, 1] for part in ("valid", "test")}


def light_gbm(rows, values, early, a):
    import lightgbm
    values = dict(values)
    native = values.pop("inputs") == "native"
    x = {p: np.hstack([rows.codes[p], rows.sets[p]]) if native else rows.means(p) for p in rows.y}
    options = {"learning_rate": 0.05, "n_estimators": a.rounds} if early else {}
    stop = {"eval_X": x["valid"], "eval_y": rows.y["valid"], "callbacks": [lightgbm.early_stopping(50, verbose=False)]} if early else {}
    model = lightgbm.LGBMClassifier(random_state=1, n_jobs=a.threads, verbose=-1, **options, **values)
    model.fit(x["train"], rows.y["train"], categorical_feature=list(range(len(rows.columns))) if native else "auto",
              **stop)
    return {part: model.predict_proba(x[part])[:, 1] for part in ("valid", "test")}


def cat_boost(rows, values, early, a):
    import catboost
    x = {p: pd.concat([rows.words[p], pd.DataFrame(rows.sets[p], index=rows.words[p].index).add_prefix("set")], axis=1)
         for p in rows.y}
    options = {"iterations": a.rounds, "early_stopping_rounds": 50} if early else {}
    model = catboost.CatBoostClassifier(random_seed=1, thread_count=a.threads, verbose=False, allow_writing_files=False,
                                        cat_features=rows.columns, **options, **values)
    model.fit(x["train"], rows.y["train"], eval_set=(x["valid"], rows.y["valid"]) if early else None)
    return {part: model.predict_proba(x[part])[:, 1] for part in ("valid", "test")}


MODELS = {"logistic regression": logistic_regression, "LightGBM": light_gbm, "CatBoost": cat_boost}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("--label", default="label")
    ap.add_argument("--sequence")
    ap.add_argument("--models", default=",".join(MODELS), help="some of: " + ", ".join(MODELS))
    ap.add_argument("--rounds", type=int, default=1000, help="of early stopping, at most")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--defaults", action="store_true", help="the libraries' defaults alone, without the grids")
    a = ap.parse_args()
    import sklearn
    from sklearn.metrics import log_loss, roc_auc_score
    chosen = a.models.split(",")
    for name in chosen:
        if name not in MODELS:
            ap.error("no model '%s'; there are: %s" % (name, ", ".join(MODELS)))
    versions = ["scikit-learn " + sklearn.__version__]
    for name in chosen[:]:
        if name != "logistic regression":
            module = __import__(name.lower())
            versions.append("%s %s" % (name, module.__version__))
    print("; ".join(versions), flush=True)
    rows = Rows(a.data, a.label, a.sequence)
    print("| model | settings | validation AUC | test AUC | test log loss |\n| --- | --- | --- | --- | --- |")
    for name in chosen:
        keys, grid = list(GRIDS[name]), [] if a.defaults else list(itertools.product(*GRIDS[name].values()))
        scores = MODELS[name](rows, DEFAULTS[name], False, a)
        tried = [("defaults", scores)]
        for point in grid:
            values = dict(zip(keys, point))
            tried.append((", ".join("%s %s" % v for v in values.items()), MODELS[name](rows, values, True, a)))
            print("%s, %s: validation AUC %.4f" % (name, tried[-1][0], roc_auc_score(rows.y["valid"], tried[-1][1]["valid"])),
                  file=sys.stderr)
        by_validation = sorted(tried[1:], key=lambda t: -roc_auc_score(rows.y["valid"], t[1]["valid"]))
        for settings, scores in tried[:1] + by_validation[:1]:
            print("| %s | %s | %.4f | %.4f | %.4f |" % (
                name, settings, roc_auc_score(rows.y["valid"], scores["valid"]),
                roc_auc_score(rows.y["test"], scores["test"]), log_loss(rows.y["test"], scores["test"])), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
