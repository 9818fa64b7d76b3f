"""What a fit depends on, as texts that can be stored and compared."""

import functools
import hashlib
import inspect
import json
import os
import random
import types

import numpy as np
import torch

_DEPTH = 8
_LONGEST = 100
_MANY = 50


def fingerprint(settings, data):
    """Describe the settings and the data of a fit.

    Parameters
    ----------
    settings, data : dict of str to object
        Anything by name.

    Returns
    -------
    dict of str to str
        A text for each, the same in every process for what is the same.
    """
    return {name: describe(value) for name, value in (settings | data).items()}


def identifier(texts):
    """Short name of a fit, from its fingerprint."""
    return _digest(json.dumps(texts, sort_keys=True).encode())


def differences(there, here):
    """What differs between two fingerprints, for a message.

    Parameters
    ----------
    there, here : dict of str to str
        Fingerprints of the checkpoint and of this fit.

    Returns
    -------
    list of str
        One text for each difference.
    """
    names = [*here, *(name for name in there if name not in here)]
    return [
        f"{name} ({there.get(name, 'absent')} there, {here.get(name, 'absent')} here)"
        for name in names
        if there.get(name) != here.get(name)
    ]


def describe_rows(dataset):
    """Describe which rows a data set consists of.

    Parameters
    ----------
    dataset : Dataset or None
        A part of the training data.

    Returns
    -------
    str
        Their number and, where a ``Subset`` tells, a hash of their positions.
    """
    if dataset is None:
        return "none"
    try:
        text = f"{len(dataset)} rows"
    except TypeError:
        return "a stream"
    while isinstance(dataset, torch.utils.data.Subset):
        text += " " + _digest(np.asarray(dataset.indices, dtype=np.int64).tobytes())
        dataset = dataset.dataset
    return text


def describe(value):
    """Describe a value.

    Numbers and texts stand for themselves, arrays for type, shape and a hash of their content,
    classes and functions for their names, and other objects for their class and attributes.
    Random generators and the weights of module instances are states and no settings.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        The description.
    """
    text = _describe(value, _DEPTH, ())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... {_digest(text.encode())}"


def _describe(value, depth, above):
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, torch.Tensor):
        return _describe_tensor(value, depth, above)
    if isinstance(value, np.ndarray):
        return _describe_array(value, depth, above)
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return f"{value.__module__}.{value.__qualname__}"
    if depth == 0 or any(value is other for other in above):
        return type(value).__qualname__
    inner = functools.partial(_describe, depth=depth - 1, above=(*above, value))
    if isinstance(value, (list, tuple)):
        return _describe_sequence(value, inner)
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(inner, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{inner(k)}: {inner(v)}' for k, v in value.items())}}}"
    if isinstance(value, functools.partial):
        parts = map(inner, (value.func, value.args, value.keywords))
        return f"partial({', '.join(parts)})"
    if inspect.ismethod(value):
        return f"{inner(value.__self__)}.{value.__name__}"
    if isinstance(value, torch.nn.Module):
        return str(value)
    return _describe_object(value, inner)


def _describe_object(value, inner):
    name = type(value).__qualname__
    if isinstance(value, _GENERATORS):
        return name
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):  # a data frame
        return f"{name}({inner(list(value.columns))}, {inner(value.to_numpy())})"
    if hasattr(value, "to_numpy"):
        return f"{name}({inner(value.to_numpy())})"
    if hasattr(value, "__dict__"):
        return f"{name}({', '.join(f'{k}={inner(v)}' for k, v in vars(value).items())})"
    text = repr(value)
    return name if " at 0x" in text else text


_GENERATORS = (torch.Generator, np.random.RandomState, np.random.Generator, random.Random)


def _describe_sequence(value, inner):
    if len(value) > _MANY and isinstance(value[0], (int, float, str, list, tuple)):
        # faster by far than one by one, where it is possible
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.dtype.kind in "biufU":
            return f"{type(value).__name__} of {inner(array)}"
    return f"{type(value).__name__}[{', '.join(map(inner, value))}]"


def _describe_tensor(value, depth, above):
    if value.layout is not torch.strided:
        dense = value.coalesce() if value.layout is torch.sparse_coo else value.to_sparse_coo()
        parts = (_describe(t, depth, above) for t in (dense.indices(), dense.values()))
        return f"sparse {tuple(value.shape)} {' '.join(parts)}"
    data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    kind = str(value.dtype).removeprefix("torch.")
    return f"{kind} tensor of shape {tuple(value.shape)} {_digest(data)}"


def _describe_array(value, depth, above):
    if value.dtype.hasobject:
        items = (_describe(item, depth - 1, above) for item in value.ravel().tolist())
        data = "\n".join(items).encode() if depth > 0 else b""
    else:
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return f"{value.dtype} array of shape {value.shape} {_digest(data)}"


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:16]
