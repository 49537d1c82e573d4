#!/usr/bin/env python3
"""Splits a CSV file at random, and measures LightGBM's defaults on the split: columns of numbers as numbers, texts as its
categories.

usage: beside_lightgbm.py FILE OUT --label COLUMN --click VALUE [--separator S] [--leave-out COLUMN..]

    pip install lightgbm pandas scikit-learn
    python bench/beside_lightgbm.py bank.csv bank --separator ';' --label y --click 1

OUT gets train.csv, valid.csv and test.csv with eight, one and one tenths of the rows (seed 1). LightGBM is trained on
train.csv and measured on test.csv.
"""
import argparse, os
import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("file")
    ap.add_argument("out")
    ap.add_argument("--label", required=True)
    ap.add_argument("--click", required=True, help="the label's value that is a click")
    ap.add_argument("--separator", default=",")
    ap.add_argument("--leave-out", nargs="*", default=[], metavar="COLUMN")
    a = ap.parse_args()
    rows = pd.read_csv(a.file, sep=a.separator).drop(columns=a.leave_out)
    order = np.random.default_rng(1).permutation(len(rows))
    tenth = len(rows) // 10
    os.makedirs(a.out, exist_ok=True)
    parts = {"train": order[:-2 * tenth], "valid": order[-2 * tenth:-tenth], "test": order[-tenth:]}
    for part, places in parts.items():
        rows.iloc[places].to_csv(os.path.join(a.out, part + ".csv"), sep=a.separator, index=False)
    y = (rows.pop(a.label).astype(str) == a.click).to_numpy()
    for column in rows.columns:
        if not pd.api.types.is_numeric_dtype(rows[column]):
            rows[column] = rows[column].astype("category")
    model = lightgbm.LGBMClassifier(n_jobs=1, verbose=-1).fit(rows.iloc[parts["train"]], y[parts["train"]])
    p = model.predict_proba(rows.iloc[parts["test"]])[:, 1]
    print("LightGBM %s, defaults: test AUC %.4f, log loss %.4f"
          % (lightgbm.__version__, roc_auc_score(y[parts["test"]], p), log_loss(y[parts["test"]], p)))


if __name__ == "__main__":
    main()
