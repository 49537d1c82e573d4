"""A classifier with the interface of scikit-learn, which it does not need: numpy and scikit-learn are used where they
are installed."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import tempfile
from collections.abc import Mapping
from typing import Any

from . import InputError, Model, _cell, _columns_of, train

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_array, column_or_1d, validate_data
except ImportError:
    validate_data = None
    import inspect

    class NotFittedError(ValueError, AttributeError):
        """The classifier has not been fitted."""

    class ClassifierMixin:
        def score(self, X: Any, y: Any) -> float:
            """The share of the rows whose class predict() names."""
            return sum(a == b for a, b in zip(self.predict(X), y)) / len(y)

    class BaseEstimator:
        def get_params(self, deep: bool = True) -> dict:
            return {name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"}

        def set_params(self, **params: Any):
            for name, value in params.items():
                if name not in self.get_params():
                    raise ValueError(f"KDEFClassifier has no parameter {name!r}; it has {', '.join(self.get_params())}")
                setattr(self, name, value)
            return self


def _is_number(column: list) -> bool:
    """Whether all values that are there are floats, numpy's among them."""
    there = [v for v in column if v is not None and v == v]
    return bool(there) and all(isinstance(v, float) or type(v).__name__ in ("float32", "float16") for v in there)


def _number(name: str, row: int, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"column {name}, row {row}: {value!r} is not a number; correct it, or leave the column out of numeric"
        ) from None


class KDEFClassifier(ClassifierMixin, BaseEstimator):
    """Predicts one of two classes from rows of categorical and numeric columns.

    X: a mapping of columns, a pandas or polars data frame, a pyarrow table, or rows (a list of lists, a numpy array).
    Columns whose values are all floats are numbers, all others are categories; `numeric` lists the numbers instead, by
    name or by place. None and NaN are missing values: a number gets the column's mean, a category is an unknown one.

    model: a network of docs/networks.md by its name, or KDEF, an ensemble of `students` networks.
    validation_fraction: the share of the rows of each class that choose the best epoch; they are not trained on.
    patience: epochs in a row without improvement that end the training.
    settings: further keys of docs/configuration.md, as {"objective": "final"}.
    """

    def __init__(
        self,
        model="KDEF",
        students=3,
        embedding_dim=8,
        hidden_units=(64, 32),
        epochs=20,
        batch_size=256,
        learning_rate=5e-3,
        patience=3,
        validation_fraction=0.1,
        numeric=None,
        settings=None,
        random_state=2024,
    ):
        self.model = model
        self.students = students
        self.embedding_dim = embedding_dim
        self.hidden_units = hidden_units
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.numeric = numeric
        self.settings = settings
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def fit(self, X: Any, y: Any) -> KDEFClassifier:
        """Trains on the rows X and their classes y. The same rows, parameters and random_state give the same model."""
        table = self._table(X, reset=True)
        rows = len(next(iter(table.values())))
        labels = self._labels(y, rows)
        seed = self._seed()
        numbers = self._numbers(table)
        learnt, judged = self._split(labels, random.Random(seed))
        batch = min(self.batch_size, len(learnt))
        while batch < len(learnt) and len(learnt) % batch == 1:  # batch normalisation cannot take one row
            batch += 1
        with tempfile.TemporaryDirectory(prefix="kdef-") as folder:
            for name, chosen in (("train", learnt), ("valid", judged)):
                self._write(os.path.join(folder, name + ".csv"), table, labels, chosen)
            self._write_config(folder, table, numbers, learnt)
            run = os.path.join(folder, "run")
            train(
                folder,
                "fit",
                run,
                **{
                    "model": self.model,
                    "num_student": self.students,
                    "embedding_dim": self.embedding_dim,
                    "hidden_units": list(self.hidden_units),
                    "epochs": self.epochs,
                    "batch_size": batch,
                    "learning_rate": self.learning_rate,
                    "early_stop_patience": self.patience,
                    "baseline": "none",
                    **(self.settings or {}),
                    "seed": seed,
                },
            )
            self.files_ = {}
            for name in ("config.yaml", "vocabulary.kdefvoc", "model.safetensors"):
                with open(os.path.join(run, name), "rb") as file:
                    self.files_[name] = file.read()
            with open(os.path.join(run, "metrics.jsonl")) as file:
                self.n_iter_ = sum(1 for _ in file)
            self._opened = Model(run)
        return self

    def predict_proba(self, X: Any):
        """The probabilities of the two classes, in the order of classes_: an array [rows, 2] of numpy, or a list."""
        model = self._model()
        table = self._table(X, reset=False)
        scores = model.predict({f"x{i}": column for i, column in enumerate(table.values())})
        return _array([[1.0 - p, p] for p in scores], (len(scores), 2))

    def predict(self, X: Any):
        """The more probable class of every row."""
        chosen = [self.classes_[int(row[1] > row[0])] for row in self.predict_proba(X)]
        return _array(chosen, (len(chosen),), getattr(self.classes_, "dtype", None))

    # The model is not part of a pickle; files_ has all of it.
    def __getstate__(self):
        state = BaseEstimator.__getstate__(self) if hasattr(BaseEstimator, "__getstate__") else self.__dict__
        return {name: value for name, value in state.items() if name != "_opened"}

    def _model(self) -> Model:
        if not hasattr(self, "files_"):
            raise NotFittedError("this KDEFClassifier is not fitted yet; call fit() first")
        if getattr(self, "_opened", None) is None:
            with tempfile.TemporaryDirectory(prefix="kdef-") as folder:
                for name, content in self.files_.items():
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(content)
                self._opened = Model(folder)
        return self._opened

    def _table(self, X: Any, reset: bool) -> dict:
        """The columns of X; what scikit-learn refuses is refused in its words."""
        named = isinstance(X, Mapping) or hasattr(X, "columns") or hasattr(X, "to_pydict")
        named = named and not hasattr(X, "toarray")  # a sparse matrix, which may be a mapping of its elements
        if named and not isinstance(X, Mapping) and validate_data is not None:
            validate_data(self, X, reset=reset, skip_check_array=True)
        if named:
            table = _columns_of(X)
        else:
            table = self._rows(X, reset)
        names = list(table)
        if reset:
            self.n_features_in_ = len(names)
            self._names = names
        elif len(names) != self.n_features_in_ or (named and names != self._names):
            missing = [name for name in self._names if name not in table]
            if missing:
                raise ValueError(f"columns are missing: {', '.join(missing)}; there are: {', '.join(names)}")
            table = {name: table[name] for name in self._names}
        lengths = {len(column) for column in table.values()}
        if len(lengths) != 1:
            raise ValueError(f"the columns of X must be some, of one length; there are {len(table)}, of {sorted(lengths)} rows")
        for name, column in table.items():
            for value in column:
                if isinstance(value, float) and math.isinf(value):
                    raise ValueError(f"column {name} of X has infinity")
        return table

    def _rows(self, X: Any, reset: bool) -> dict:
        if validate_data is not None:
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
        rows = X.tolist() if hasattr(X, "tolist") else [list(row) for row in X]
        width = len(rows[0]) if rows else 0
        for i, row in enumerate(rows):
            if len(row) != width:
                raise ValueError(f"row {i} of X has {len(row)} values, row 0 has {width}")
        if not reset and width != self.n_features_in_:
            raise ValueError(f"X has {width} columns, but the classifier was fitted on {self.n_features_in_}")
        return {f"x{i}": [row[i] for row in rows] for i in range(width)}

    def _labels(self, y: Any, rows: int) -> list:
        """0 or 1 for every row; sets classes_."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        if validate_data is not None:
            y = column_or_1d(y, warn=True)
            check_array(y.reshape(-1, 1), dtype=None)  # refuses NaN and infinity
            check_classification_targets(y)
            kind = type_of_target(y, input_name="y")
            if kind not in ("binary", "multiclass"):
                raise ValueError(f"Unknown label type: {kind}")
        y = y.tolist() if hasattr(y, "tolist") else list(y)
        if len(y) != rows:
            raise ValueError(f"X has {rows} rows, y has {len(y)}: inconsistent numbers of samples")
        classes = sorted(set(y))
        if rows < 2 or len(classes) < 2:
            raise ValueError(f"there are {rows} samples (n_samples={rows}) of {len(classes)} class; two classes are needed")
        if len(classes) > 2:
            raise ValueError(f"Only binary classification is supported. The type of the target is multiclass, {len(classes)} classes")
        self.classes_ = _array(classes, (2,))
        return [int(value == classes[1]) for value in y]

    def _seed(self) -> int:
        state = self.random_state
        if state is None:
            return random.randrange(2**31)
        return int(state.randint(2**31)) if hasattr(state, "randint") else int(state)

    def _numbers(self, table: dict) -> set:
        """The places of the columns of numbers."""
        if self.numeric is None:
            return {i for i, column in enumerate(table.values()) if _is_number(column)}
        names = list(table)
        unknown = [n for n in self.numeric if n not in names and not (isinstance(n, int) and 0 <= n < len(names))]
        if unknown:
            raise ValueError(f"numeric: X has no column {unknown[0]!r}; it has {', '.join(names)}")
        return {names.index(n) if n in names else n for n in self.numeric}

    def _split(self, labels: list, shuffler: random.Random) -> tuple:
        """Rows to train on and rows to choose the best epoch by; both have both classes."""
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction is {self.validation_fraction!r}; give a share between 0 and 1")
        learnt, judged = [], []
        for label in (0, 1):
            rows = [i for i, value in enumerate(labels) if value == label]
            shuffler.shuffle(rows)
            held = min(max(1, round(self.validation_fraction * len(rows))), max(1, len(rows) - 1))
            judged += rows[:held]
            learnt += rows[held:] or rows  # the only row of a class is both
        return sorted(learnt), sorted(judged)

    @staticmethod
    def _write(path: str, table: dict, labels: list, rows: list) -> None:
        cells = [[_cell(column[i]).decode() for i in rows] for column in table.values()]
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["y"] + [f"x{i}" for i in range(len(cells))])
            out.writerows(zip((labels[i] for i in rows), *cells))

    @staticmethod
    def _write_config(folder: str, table: dict, numbers: set, learnt: list) -> None:
        """The two files of a configuration; JSON is YAML, too."""
        columns = []
        for i, (name, column) in enumerate(table.items()):
            if i not in numbers:
                columns.append({"name": f"x{i}", "type": "categorical", "dtype": "str"})
                continue
            there = [_number(name, row, column[row]) for row in learnt if _cell(column[row])]
            mean = math.fsum(there) / len(there) if there else 0.0
            columns.append(
                {"name": f"x{i}", "type": "numeric", "dtype": "float", "normalizer": "StandardScaler", "fill_na": repr(mean)}
            )
        data = {
            "data_root": folder,
            "train_data": os.path.join(folder, "train.csv"),
            "valid_data": os.path.join(folder, "valid.csv"),
            "label_col": {"name": "y", "dtype": "float"},
            "feature_cols": columns,
        }
        with open(os.path.join(folder, "dataset_config.yaml"), "w", encoding="utf-8") as file:
            json.dump({"rows": data}, file)
        with open(os.path.join(folder, "model_config.yaml"), "w", encoding="utf-8") as file:
            json.dump({"fit": {"dataset_id": "rows", "metrics": ["AUC", "logloss"], "monitor": {"logloss": -1}}}, file)


def _array(values: list, shape: tuple, dtype: Any = None):
    """A numpy array where there is numpy."""
    try:
        import numpy
    except ImportError:
        return values
    return numpy.array(values, dtype=dtype).reshape(shape)
