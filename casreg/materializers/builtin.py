"""casreg's own materializers: which type goes to which, without importing any of them."""

from __future__ import annotations

from typing import Final

_HERE: Final = "casreg.materializers."
_JSON: Final = _HERE + "python_json.PythonJson"
FALLBACK: Final = "python.json/1"
"""Saves the values whose classes are not known by name: dataclasses, enums, namedtuples, models, trusted ones."""
PICKLE: Final = "python.pickle/1"
PATH_FILE: Final = "path.file/1"
PATH_FOLDER: Final = "path.folder/1"
SKLEARN_ESTIMATOR: Final = "sklearn.estimator/1"
TORCH_STATE_DICT: Final = "torch.state_dict/1"
TORCH_MODULE: Final = "torch.module/1"

BY_ID: Final = {
    "python.bytes/1": _HERE + "python_bytes.PythonBytes",
    "python.bytearray/1": _HERE + "python_bytes.PythonBytearray",
    "python.str/1": _HERE + "python_str.PythonStr",
    FALLBACK: _JSON,
    PICKLE: _HERE + "python_pickle.PythonPickle",
    "numpy.ndarray/1": _HERE + "numpy_array.NumpyArray",
    PATH_FILE: _HERE + "path_file.PathFile",
    PATH_FOLDER: _HERE + "path_folder.PathFolder",
    SKLEARN_ESTIMATOR: _HERE + "sklearn_estimator.SklearnEstimator",
    "pil.image/1": _HERE + "pil_image.PilImage",
    "safetensors.dict/1": _HERE + "safetensors_dict.SafetensorsDict",
    "torch.tensor/1": _HERE + "torch_tensor.TorchTensor",
    TORCH_STATE_DICT: _HERE + "torch_state_dict.TorchStateDict",
    TORCH_MODULE: _HERE + "torch_module.TorchModule",
    "arrow.table/1": _HERE + "arrow_table.ArrowTable",
    "pandas.frame/1": _HERE + "pandas_frame.PandasFrame",
    "polars.frame/1": _HERE + "polars_frame.PolarsFrame",
}

_JSON_TYPES: Final = (
    *(f"builtins.{name}" for name in ("NoneType", "bool", "int", "float", "complex", "range")),
    *(f"builtins.{name}" for name in ("list", "tuple", "dict", "set", "frozenset")),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *(f"collections.{name}" for name in ("OrderedDict", "defaultdict", "Counter", "deque")),
    "array.array",
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
    "numpy.generic",
    "numpy.dtype",
    "numpy.str_",
    "numpy.bytes_",
)

_PANDAS_VALUES: Final = (
    # The public names since pandas 3, and those of pandas 2.
    *(f"pandas.{name}" for name in ("Timestamp", "Timedelta", "Period", "Interval")),
    *(f"pandas.api.typing.{name}" for name in ("NaTType", "NAType")),
    *(f"pandas._libs.tslibs.{name}" for name in ("timestamps.Timestamp", "timedeltas.Timedelta")),
    *(f"pandas._libs.tslibs.{name}" for name in ("period.Period", "nattype.NaTType")),
    *(f"pandas._libs.{name}" for name in ("interval.Interval", "missing.NAType")),
)

BY_TYPE: Final = {
    "builtins.bytes": BY_ID["python.bytes/1"],
    "builtins.bytearray": BY_ID["python.bytearray/1"],
    "builtins.str": BY_ID["python.str/1"],
    **dict.fromkeys(_JSON_TYPES, _JSON),
    **dict.fromkeys(_PANDAS_VALUES, _JSON),
    "numpy.ndarray": BY_ID["numpy.ndarray/1"],
    # pathlib became a package in 3.13; the class is the same.
    "pathlib.Path": BY_ID[PATH_FILE],
    "pathlib._local.Path": BY_ID[PATH_FILE],
    **{
        f"scipy.sparse._{kind}.{kind}_{name}": _JSON
        for kind in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
        for name in ("matrix", "array")
    },
    "sklearn.neighbors._kd_tree.KDTree": _JSON,
    "sklearn.neighbors._ball_tree.BallTree": _JSON,
    "numpy.random.mtrand.RandomState": _JSON,
    "numpy.random._generator.Generator": _JSON,
    "sklearn.base.BaseEstimator": BY_ID[SKLEARN_ESTIMATOR],
    "PIL.Image.Image": BY_ID["pil.image/1"],
    "torch.Tensor": BY_ID["torch.tensor/1"],
    "torch.nn.modules.module.Module": BY_ID[TORCH_MODULE],
    **dict.fromkeys(
        (f"pyarrow.lib.{name}" for name in ("Table", "RecordBatch", "Array", "ChunkedArray", "Schema")),
        BY_ID["arrow.table/1"],
    ),
    # The public names since pandas 3, and those of pandas 2.
    **dict.fromkeys((f"pandas.{name}" for name in ("DataFrame", "Series", "Index")), BY_ID["pandas.frame/1"]),
    "pandas.core.frame.DataFrame": BY_ID["pandas.frame/1"],
    "pandas.core.series.Series": BY_ID["pandas.frame/1"],
    "pandas.core.indexes.base.Index": BY_ID["pandas.frame/1"],
    "polars.dataframe.frame.DataFrame": BY_ID["polars.frame/1"],
    "polars.series.series.Series": BY_ID["polars.frame/1"],
    "polars.lazyframe.frame.LazyFrame": BY_ID["polars.frame/1"],  # to say what to do
}

BUILTIN: Final = {**BY_ID, **BY_TYPE}
