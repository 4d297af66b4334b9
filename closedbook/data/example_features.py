"""The features of a SeqIO example as JSON: whole, for the token cache, and plain, for people.

What `encoded` writes `decoded` gives back, so that a task's own functions get the very example that
SeqIO made. `plain` is for files that people and scripts read.
"""

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


def encoded(value: Any) -> object:
    """A feature as JSON from which `decoded` makes the same NumPy value.

    Text stands as it is, so that a file of examples can be read by eye. All else names its type:
    a number, an array, a ragged tensor, bytes that are no text, a dictionary of features.

    >>> encoded(b"who?")
    'who?'
    >>> encoded(np.array([[1, 2]], np.int32))
    {'dtype': 'int32', 'shape': [1, 2], 'values': [1, 2]}
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {"features": {str(name): encoded(each) for name, each in value.items()}}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if hasattr(value, "nested_row_splits"):  # TensorFlow's two kinds of ragged tensors
        splits = [np.asarray(each).tolist() for each in value.nested_row_splits]
        return {"splits": splits, "flat": encoded(np.asarray(value.flat_values))}
    scalar = not isinstance(value, np.ndarray)
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        values = [encoded(each) for each in array.ravel().tolist()]
        return {"dtype": "bytes", "shape": list(array.shape), "values": values}
    described = {"dtype": array.dtype.name, "shape": list(array.shape)}
    return described | {"values": array.ravel().tolist()} | ({"scalar": True} if scalar else {})


def decoded(value: Any) -> Any:
    """The feature of which `encoded` made this.

    >>> decoded(encoded(np.float32(0.1)))
    np.float32(0.1)
    >>> decoded(encoded(np.array([b"a", b"bc"], object)))
    array([b'a', b'bc'], dtype=object)
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if "features" in value:
        return {name: decoded(each) for name, each in value["features"].items()}
    if "str" in value:
        return value["str"]
    if "base64" in value:
        return base64.b64decode(value["base64"])
    if "splits" in value:
        import tensorflow as tf

        splits = [np.asarray(each, np.int64) for each in value["splits"]]
        return tf.RaggedTensor.from_nested_row_splits(decoded(value["flat"]), splits)
    if value["dtype"] == "bytes":
        array: np.ndarray = np.empty(len(value["values"]), object)
        array[:] = [decoded(each) for each in value["values"]]
    else:
        array = np.array(value["values"], np.dtype(value["dtype"]))
    array = array.reshape(value["shape"])
    return array[()] if value.get("scalar") else array


def plain(value: Any) -> Any:
    """A value as JSON has it, as SeqIO's logger writes it, but with long arrays whole.

    Raises:
        TypeError: JSON has nothing of the kind.

    >>> plain({"answers": np.array([b"a"], object), "count": np.int64(3), 7: {2}})
    {'answers': ['a'], 'count': 3, '7': [2]}
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(plain(name)): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if hasattr(value, "to_list"):  # ragged tensors
        return plain(value.to_list())
    if hasattr(value, "tolist"):  # NumPy's, JAX's
        return plain(value.tolist())
    if hasattr(value, "numpy"):  # TensorFlow's
        return plain(value.numpy())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: plain(each) for name, each in fields.items() if each is not None}
    raise TypeError(f"JSON has no {type(value).__name__}")
