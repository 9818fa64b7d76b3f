"""Values as tensors and Python primitives, which ``torch.load(weights_only=True)`` can read."""

from collections import Counter, OrderedDict, deque

import numpy as np
import torch

_KIND = "kind of value"
_AS_IS = {type(None), bool, int, float, complex, str, torch.dtype, torch.device}
_KEYS = {type(None), bool, int, float, str}
_COLLECTIONS = {"set": set, "frozenset": frozenset, "deque": deque}


class NotPlainError(TypeError):
    """A value that only pickle could keep; the message says where and what it is."""


def to_plain(value, where):
    """Copy a value to primitives, lists, tuples, dicts, and tensors on the CPU.

    Parameters
    ----------
    value : object
        Primitives, tensors, numpy arrays and scalars, and collections of them.
    where : str
        Where the value belongs, for messages.

    Returns
    -------
    object
        What :func:`from_plain` turns back into the value.

    Raises
    ------
    NotPlainError
        For anything else.
    """
    try:
        return _to_plain(value, where)
    except RecursionError as error:
        raise NotPlainError(f"{where} is nested too deeply, or holds itself") from error


def _to_plain(value, where):
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind in (list, tuple):
        if all(type(item) in _AS_IS for item in value):
            return kind(value)
        return kind([_to_plain(item, f"{where}[{i}]") for i, item in enumerate(value)])
    if kind is dict and _KIND not in value and all(type(key) in _KEYS for key in value):
        return {key: _to_plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        # a copy, as a view would take along all that it is a view of
        tensor = value.detach().to("cpu", copy=True)
        if type(tensor) is not torch.Tensor:
            raise _not_plain(value, where)
        return tensor if value.device.type == "cpu" else {_KIND: "elsewhere", "tensor": tensor}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind not in "OV":
        return _numpy_to_plain(value)
    if kind is torch.Size:
        return {_KIND: "size", "items": list(value)}
    if kind in _COLLECTIONS.values():
        plain = {_KIND: kind.__name__, "items": _to_plain(list(value), where)}
        return plain | ({"maxlen": value.maxlen} if kind is deque else {})
    if kind in (dict, OrderedDict, Counter):
        plain = {_KIND: kind.__name__, "items": _to_plain(list(value.items()), where)}
        # torch keeps the versions of the modules there
        metadata = getattr(value, "_metadata", None)
        return plain if metadata is None else plain | {"metadata": _to_plain(metadata, where)}
    raise _not_plain(value, where)


def _not_plain(value, where):
    kind = type(value)
    return NotPlainError(f"{where} is an instance of {kind.__module__}.{kind.__qualname__}")


def _numpy_to_plain(value):
    data = np.frombuffer(np.ascontiguousarray(value).tobytes(), dtype=np.uint8).copy()
    return {
        _KIND: "array" if isinstance(value, np.ndarray) else "scalar",
        "dtype": value.dtype.str,
        "shape": list(value.shape),
        "data": torch.from_numpy(data),
    }


def from_plain(plain, device="cpu"):
    """Value of what :func:`to_plain` returned.

    Parameters
    ----------
    plain : object
        Plain value.
    device : str or torch.device, default="cpu"
        Where tensors go that were not on the CPU.

    Returns
    -------
    object
        The value.

    Raises
    ------
    KeyError, TypeError, ValueError
        For something that :func:`to_plain` did not return.
    """
    if isinstance(plain, (list, tuple)):
        return type(plain)([from_plain(item, device) for item in plain])
    if not isinstance(plain, dict):
        return plain
    if _KIND not in plain:
        return {key: from_plain(item, device) for key, item in plain.items()}
    kind = plain[_KIND]
    if kind == "elsewhere":
        return plain["tensor"].to(device)
    if kind in ("array", "scalar"):
        array = np.frombuffer(plain["data"].numpy().tobytes(), dtype=np.dtype(plain["dtype"]))
        array = array.reshape(plain["shape"])
        return array.copy() if kind == "array" else array[()]
    items = from_plain(plain["items"], device)
    if kind == "size":
        return torch.Size(items)
    if kind == "deque":
        return deque(items, plain["maxlen"])
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](items)
    value = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}[kind](dict(items))
    if "metadata" in plain:
        value._metadata = from_plain(plain["metadata"], device)
    return value
