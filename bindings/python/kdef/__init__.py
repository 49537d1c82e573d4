"""Score and train click-through-rate models with kdef.

    model = kdef.load("demo/KDEF")
    model.predict({"user": ["u7", "u8"], "item": ["i2", "i9"]})

    kdef.train("demo/data", "KDEF", run="runs/1", epochs=3)

The package calls the shared library libkdef.so by ctypes; nothing is compiled. The environment variable KDEF_LIBRARY
names its file; otherwise the system's search path has it.
"""

from __future__ import annotations

import array
import ctypes
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "CheckFailed",
    "Error",
    "InputError",
    "Interrupted",
    "KDEFClassifier",
    "Model",
    "SystemFailure",
    "load",
    "set_threads",
    "train",
]

_ABI = 1


class Error(Exception):
    """What kdef found wrong: the message says where, and what to do."""


class InputError(Error, ValueError):
    """A file, a row, a key or an argument is wrong."""


class CheckFailed(Error):
    """A loss or a gradient is not finite."""


class SystemFailure(Error, OSError):
    """Memory, disk or permissions."""


class Interrupted(Error):
    """The progress function stopped the training; resume=True continues it."""


_ERRORS = {1: CheckFailed, 2: InputError, 3: SystemFailure, 130: Interrupted}


class _TextRows(ctypes.Structure):
    _fields_ = [
        ("columns", ctypes.POINTER(ctypes.c_char_p)),
        ("column_count", ctypes.c_size_t),
        ("cells", ctypes.POINTER(ctypes.c_char_p)),
        ("sizes", ctypes.POINTER(ctypes.c_size_t)),
        ("rows", ctypes.c_size_t),
    ]


class _Opening(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("path", ctypes.c_char_p),
        ("bytes", ctypes.c_char_p),
        ("byte_count", ctypes.c_size_t),
        ("precision", ctypes.c_char_p),
    ]


class _Step(ctypes.Structure):
    _fields_ = [
        ("step", ctypes.c_int64),
        ("epoch", ctypes.c_int64),
        ("batch", ctypes.c_int64),
        ("batches", ctypes.c_int64),
        ("loss", ctypes.c_double),
    ]


_STEP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Step))
_TEXT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)


class _Training(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("config", ctypes.c_char_p),
        ("experiment", ctypes.c_char_p),
        ("run", ctypes.c_char_p),
        ("values", ctypes.POINTER(ctypes.c_char_p)),
        ("value_count", ctypes.c_size_t),
        ("resume", ctypes.c_int),
        ("overwrite", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("context", ctypes.c_void_p),
        ("step", _STEP),
        ("evaluated", _TEXT),
        ("note", _TEXT),
    ]


def _open_library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(os.environ.get("KDEF_LIBRARY", "libkdef.so.1"))
    except OSError as e:
        raise ImportError(
            f"{e}; build and install kdef (docs/embedding-the-library.md), and name PREFIX/lib/libkdef.so.1 in the "
            "environment variable KDEF_LIBRARY"
        ) from e
    if library.kdef_abi() != _ABI:
        raise ImportError(f"libkdef.so has ABI {library.kdef_abi()}, this package needs {_ABI}")
    pointer, size, status = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    floats = ctypes.POINTER(ctypes.c_float)
    for name, result, arguments in [
        ("kdef_version", ctypes.c_char_p, []),
        ("kdef_last_error", ctypes.c_char_p, []),
        ("kdef_set_threads", status, [ctypes.c_int]),
        ("kdef_opening_defaults", None, [ctypes.POINTER(_Opening)]),
        ("kdef_open_as", status, [ctypes.POINTER(_Opening), ctypes.POINTER(pointer)]),
        ("kdef_memory", size, [pointer]),
        ("kdef_close", None, [pointer]),
        ("kdef_students", size, [pointer]),
        ("kdef_columns", size, [pointer]),
        ("kdef_column", ctypes.c_char_p, [pointer, size]),
        ("kdef_score_text", status, [pointer, ctypes.POINTER(_TextRows), floats, floats]),
        ("kdef_score_arrow", status, [pointer, pointer, pointer, floats, floats]),
        ("kdef_training_defaults", None, [ctypes.POINTER(_Training)]),
        ("kdef_train", status, [ctypes.POINTER(_Training)]),
    ]:
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


_library = _open_library()
__version__ = _library.kdef_version().decode()


def _text(text: bytes) -> str:
    """A text of the library. A path in it may have any bytes."""
    return text.decode(errors="backslashreplace")


def _check(status: int) -> None:
    if status != 0:
        raise _ERRORS.get(status, Error)(_text(_library.kdef_last_error()))


def _argument(what: str, text: bytes) -> bytes:
    """A text for the library, which takes bytes up to the first zero byte."""
    if b"\0" in text:
        raise InputError(f"{what} {_text(text)!r} has a zero byte in it")
    return text


def set_threads(threads: int) -> None:
    """The threads that each later predict() of the calling thread may use. The default is 1."""
    _check(_library.kdef_set_threads(threads))


def _cell(value: Any) -> bytes:
    """The text of a value, as a CSV file has it; a missing value (None, NaN, pandas' NA) is empty."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, (list, tuple, set, dict)) or getattr(value, "ndim", 0):
        raise TypeError(f"a cell is a {type(value).__name__}; predict() takes texts and numbers: join the tokens of a "
                        "sequence by the splitter of its column, or give an Arrow table, whose lists are read")
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return b""
    if isinstance(value, float) and value.is_integer() and math.fabs(value) < 2**53:
        return str(int(value)).encode()  # pandas makes floats of integers beside missing values
    return str(value).encode()


def _columns_of(rows: Any) -> dict[str, list]:
    """The columns of a mapping, of a pandas or polars data frame, or of a pyarrow table."""
    if isinstance(rows, Mapping):
        return {str(name): list(values) for name, values in rows.items()}
    if hasattr(rows, "to_pydict"):  # pyarrow
        return rows.to_pydict()
    names = getattr(rows, "columns", None)
    if names is None:
        raise TypeError(f"predict() takes columns: a mapping, a data frame or an Arrow table, not {type(rows).__name__}")
    return {str(name): rows[name].to_list() for name in names}


class Model:
    """A trained model, which any number of threads may use. load() makes one."""

    def __init__(self, source: str | os.PathLike | bytes | bytearray | memoryview, precision: str = "f32"):
        self._handle = ctypes.c_void_p()
        # The library reads bytes where they lie, and until the end; what may change meanwhile is copied.
        self._bytes = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else None
        opening = _Opening()
        _library.kdef_opening_defaults(ctypes.byref(opening))
        if self._bytes is not None:
            opening.bytes, opening.byte_count = self._bytes, len(self._bytes)
        else:
            opening.path = _argument("path", os.fsencode(source))
        opening.precision = _argument("precision", precision.encode())
        _check(_library.kdef_open_as(ctypes.byref(opening), ctypes.byref(self._handle)))
        #: The columns that predict() needs; other columns are not read.
        self.columns = [
            _text(_library.kdef_column(self._handle, i)) for i in range(_library.kdef_columns(self._handle))
        ]
        #: The number of sub-networks.
        self.students = _library.kdef_students(self._handle)
        #: The bytes that its packed weights and tables take.
        self.memory = _library.kdef_memory(self._handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            _library.kdef_close(self._handle)

    def predict(self, rows: Any) -> array.array:
        """The score of every row, as float32: array('f'), which numpy.asarray() takes without a copy.

        rows: a mapping of columns, a pandas or polars data frame, or a pyarrow table or record batch. The library reads
        the buffers of the latter, whose values mean what they mean in a Parquet file.
        """
        return self._score(rows, False)[0]

    def predict_students(self, rows: Any) -> list[array.array]:
        """The scores of every sub-network: one array('f') each."""
        flat = self._score(rows, True)[1]
        return [flat[k :: self.students] for k in range(self.students)]

    def _score(self, rows: Any, with_students: bool) -> tuple[array.array, array.array | None]:
        if hasattr(rows, "__arrow_c_array__"):
            return self._score_batches([rows], with_students)
        if hasattr(rows, "to_batches"):
            return self._score_batches(rows.to_batches(), with_students)
        table = _columns_of(rows)
        missing = [name for name in self.columns if name not in table]
        if missing:
            raise InputError(f"columns are missing: {', '.join(missing)}; there are: {', '.join(table)}")
        columns = [table[name] for name in self.columns]
        count = len(columns[0])
        for name, column in zip(self.columns, columns):
            if len(column) != count:
                raise InputError(f"column {name} has {len(column)} rows, {self.columns[0]} has {count}")
        cells = [_cell(column[row]) for row in range(count) for column in columns]
        text = _TextRows(
            None,
            0,
            (ctypes.c_char_p * len(cells))(*cells),
            (ctypes.c_size_t * len(cells))(*map(len, cells)),
            count,
        )
        scores = (ctypes.c_float * count)()
        students = (ctypes.c_float * (count * self.students))() if with_students else None
        _check(_library.kdef_score_text(self._handle, ctypes.byref(text), scores, students))
        return array.array("f", bytes(scores)), array.array("f", bytes(students)) if with_students else None


    def _score_batches(self, batches: list, with_students: bool) -> tuple[array.array, array.array | None]:
        """Scores Arrow record batches where they lie: https://arrow.apache.org/docs/format/CDataInterface.html."""
        address = ctypes.pythonapi.PyCapsule_GetPointer
        address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        all_scores, all_students = array.array("f"), array.array("f")
        for batch in batches:
            schema, content = batch.__arrow_c_array__()  # the capsules release what they own when they are gone
            scores = (ctypes.c_float * len(batch))()
            students = (ctypes.c_float * (len(batch) * self.students))() if with_students else None
            _check(
                _library.kdef_score_arrow(
                    self._handle, address(schema, b"arrow_schema"), address(content, b"arrow_array"), scores, students
                )
            )
            all_scores.frombytes(bytes(scores))
            all_students.frombytes(bytes(students) if with_students else b"")
        return all_scores, all_students if with_students else None


def load(source: str | os.PathLike | bytes | bytearray | memoryview, precision: str = "f32") -> Model:
    """Opens a directory that `kdef train` or `kdef export` left, a model file, or the bytes of a model file.

    bytes are used where they lie; a bytearray or a memoryview is copied.
    precision: how weights and tables are kept: "f32", "bf16" (half the memory) or "int8" (a quarter).
    """
    return Model(source, precision)


def train(
    config: str | os.PathLike,
    experiment: str,
    run: str | os.PathLike | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    threads: int = 0,
    progress: Callable[[dict], Any] | None = None,
    evaluated: Callable[[dict], Any] | None = None,
    note: Callable[[str], Any] | None = None,
    **values: Any,
) -> None:
    """Trains an experiment of the configuration folder `config`, as `kdef train` does, and leaves its run directory.

    values: keys of the configuration, as epochs=3 or hidden_units=[64, 64]; they win over the files.
    progress: called after every step with step, epoch, batch, batches and loss; False ends the training (Interrupted).
    evaluated: called after every evaluation with its record of metrics.jsonl. note: called with what kdef has to say.
    An exception of a function ends the training, and is raised again.
    """
    failure: list[BaseException] = []

    def call(function: Callable | None, argument: Any) -> bool:
        """Whether the training goes on."""
        if function is None or failure:
            return not failure
        try:
            return function(argument) is not False
        except BaseException as e:  # it cannot pass through the library
            failure.append(e)
            return False

    def step(_, s):
        return 0 if call(progress, {name: getattr(s.contents, name) for name, _ in _Step._fields_}) else 1

    texts = [
        _argument("value", f"{key}={value if isinstance(value, str) else json.dumps(value)}".encode())
        for key, value in values.items()
    ]
    training = _Training()
    _library.kdef_training_defaults(ctypes.byref(training))
    training.config = _argument("config", os.fsencode(config))
    training.experiment = _argument("experiment", experiment.encode())
    training.run = None if run is None else _argument("run", os.fsencode(run))
    training.values = (ctypes.c_char_p * len(texts))(*texts)
    training.value_count = len(texts)
    training.resume, training.overwrite, training.threads = int(resume), int(overwrite), threads
    training.step = _STEP(step)
    training.evaluated = _TEXT(lambda _, line: call(evaluated, json.loads(line)) and None)
    training.note = _TEXT(lambda _, text: call(note, _text(text)) and None)
    status = _library.kdef_train(ctypes.byref(training))
    if failure:
        raise failure[0]
    _check(status)


def __getattr__(name: str) -> Any:
    if name != "KDEFClassifier":
        raise AttributeError(f"module 'kdef' has no attribute {name!r}")
    from .classifier import KDEFClassifier  # it imports scikit-learn where that is installed, which takes a second

    return KDEFClassifier
