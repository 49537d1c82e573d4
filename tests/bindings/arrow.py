"""Compares the scores of Arrow tables with those of their rows as text: python3 arrow.py RUN"""

import sys

import kdef
import pyarrow as pa

model = kdef.load(sys.argv[1])
rows = 6000
columns = {
    "x": [None if i % 11 == 0 else i % 17 + 0.5 for i in range(rows)],
    "word": [None if i % 13 == 0 else f"w{i % 7}" for i in range(rows)],
    "id": [None if i % 19 == 0 else 1000 + i % 9 for i in range(rows)],
    "tags": [None if i % 5 == 0 else [f"t{i % 3}", f"t{i % 4}"][: i % 3] for i in range(rows)],
    "other": list(range(rows)),
}
as_text = dict(columns, tags=["^".join(tags or []) for tags in columns["tags"]])
expected = model.predict(as_text)
table = pa.table(columns)
types = {
    "plain": table,
    "large": table.cast(
        pa.schema(
            [
                ("x", pa.float64()),
                ("word", pa.large_string()),
                ("id", pa.int16()),
                ("tags", pa.large_list(pa.large_string())),
                ("other", pa.int32()),
            ]
        )
    ),
    "dictionary": table.set_column(1, "word", table["word"].dictionary_encode()),
    "several batches": pa.concat_tables([table.slice(0, 1000), table.slice(1000, 10), table.slice(1010)]),
}
for name, variant in types.items():
    assert model.predict(variant) == expected, name
sliced = table.slice(123, 456)
assert model.predict(sliced) == expected[123:579]
assert model.predict(sliced.to_batches()[0]) == expected[123:579]
assert model.predict_students(table) == model.predict_students(as_text)
assert len(model.predict(table.slice(0, 0))) == 0
try:
    model.predict(table.set_column(1, "word", pa.array([0] * rows, pa.date32())))
except kdef.InputError as e:
    assert "word" in str(e) and "tdD" in str(e), e
else:
    raise AssertionError("a date was read")
print("the same scores")
