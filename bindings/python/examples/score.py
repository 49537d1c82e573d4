"""Prints the score of every row of a CSV file: python3 score.py RUN FILE"""

import csv
import sys

import kdef

model = kdef.load(sys.argv[1])
with open(sys.argv[2], newline="") as file:
    rows = list(csv.DictReader(file))
for score in model.predict({name: [row[name] for row in rows] for name in model.columns}):
    print(f"{score:.9g}")
