"""The part of a module's input that is ranked, masked and explained."""

from collections.abc import Mapping

import numpy as np
import torch
from skorch.utils import is_pandas_ndframe

from sgt_sklearn._series import is_ragged
from sgt_sklearn.estimators._parameters import is_auto


def split_input(inputs, guided_input):
    """Take the guided part out of an input.

    Parameters
    ----------
    inputs : array, tensor, or dict or tuple of them
        What a module gets, or the data of a whole fit.
    guided_input : "auto", str, int or list of them
        Keys of a dict, positions in a tuple. "auto" is "X" of a dict and the first of a tuple.

    Returns
    -------
    part : array or tensor of shape (n_samples, ...)
        The guided part; several entries are joined along axis 1, each flattened to two axes.
    rebuild : callable
        Maps a part of the same shape to the whole input with this part in place.

    Raises
    ------
    TypeError
        If there is no array to be guided.
    ValueError
        If an entry is not there.
    """
    if isinstance(inputs, (np.ndarray, torch.Tensor)):
        if not is_auto(guided_input):
            raise ValueError(
                "guided_input must be 'auto' for X of one array; it names entries of a dict or "
                f"tuple, got {guided_input!r}."
            )
        return inputs, _itself
    if not isinstance(inputs, (Mapping, tuple, list)):
        raise TypeError(
            "Guidance masks a floating-point array, or entries of a dict or tuple of arrays, but "
            f"the module gets {type(inputs).__name__}. Convert X, or set consistency_weight=0 to "
            "train without guidance."
        )
    keys = _keys(inputs, guided_input)
    parts = [inputs[key] for key in keys]
    for key, part in zip(keys, parts, strict=True):
        if not isinstance(part, (np.ndarray, torch.Tensor)):
            raise TypeError(
                f"guided_input must name arrays, but {key!r} is {type(part).__name__}: name "
                "another entry, or set consistency_weight=0 to train without guidance."
            )
    if not isinstance(guided_input, (list, tuple)):
        return parts[0], lambda part: _replaced(inputs, keys, [part])
    for key, part in zip(keys, parts, strict=True):
        if not torch.is_floating_point(torch.as_tensor(part[:1])):
            raise TypeError(
                f"guided_input must name floating-point arrays to differentiate by, but {key!r} "
                f"holds {part.dtype}: leave it out, or convert it (astype('float32'))."
            )
    flat = [part.reshape(len(part), -1) for part in parts]
    join = torch.cat if isinstance(flat[0], torch.Tensor) else np.concatenate
    ends = np.cumsum([part.shape[1] for part in flat]).tolist()

    def rebuild(joined):
        pieces = [joined[:, end - f.shape[1] : end] for end, f in zip(ends, flat, strict=True)]
        shaped = [p.reshape(part.shape) for p, part in zip(pieces, parts, strict=True)]
        return _replaced(inputs, keys, shaped)

    return join(flat, 1), rebuild


def array_and_lengths(inputs):
    """Split series into the array and its lengths, which are None where nothing is padded.

    Parameters
    ----------
    inputs : array, tensor or dict
        Series, or any other input, which is returned as it is.

    Returns
    -------
    array, lengths
        Of a dict of exactly "X" and "lengths" its entries; else the input and None.
    """
    if isinstance(inputs, Mapping) and inputs.keys() == {"X", "lengths"}:
        return inputs["X"], inputs["lengths"]
    return inputs, None


def without_excess(inputs, passed):
    """Padded series as if only those that are left had been passed.

    Parameters
    ----------
    inputs : array or dict
        Series, of which some may have been left out.
    passed : object
        What the user passed; a list is padded to its longest series.

    Returns
    -------
    array or dict
        The same series; an array where nothing is padded.
    """
    array, lengths = array_and_lengths(inputs)
    if lengths is None:
        return inputs
    if is_ragged(passed) and not isinstance(passed, Mapping):
        array = array[:, : lengths.max()]
    return array if lengths.min() == array.shape[1] else {"X": array, "lengths": lengths}


def lengths_of(inputs, part):
    """Lengths of padded series, where an input tells them.

    Parameters
    ----------
    inputs : tensor, dict or tuple
        What a module gets.
    part : tensor of shape (n_samples, ...)
        The guided part of it.

    Returns
    -------
    tensor of int, shape (n_samples,), or None
        The entry "lengths" of a dict, if there is one and the part has an axis of time.

    Raises
    ------
    ValueError
        If the part was joined from entries, so that its axis 1 is no axis of time.
    TypeError
        If the lengths are floating point.
    """
    if not isinstance(inputs, Mapping) or part.ndim not in (2, 3):
        return None
    lengths = inputs.get("lengths")
    if lengths is None or lengths.shape != part.shape[:1]:
        return None
    if lengths.is_floating_point():
        raise TypeError(
            f'X["lengths"] must hold integers, one a series, got {lengths.dtype}: convert them '
            "(astype(int)), or give the entry another name if it is something else."
        )
    if all(getattr(value, "shape", None) != part.shape for value in inputs.values()):
        raise ValueError(
            "guided_input must name one entry, and no list, where X has lengths: padding of "
            f"series cannot be told in a part of shape {tuple(part.shape)}, flattened and joined."
        )
    return lengths


def is_list_of_series(inputs):
    """Whether an input is a list, or array of objects, of single series."""
    return is_ragged(inputs) and not isinstance(inputs, Mapping)


def check_own_series(inputs):
    """Refuse padded series for a module of the user's own whose lengths are missing or wrong.

    Parameters
    ----------
    inputs : object
        Input, as passed by the user.

    Raises
    ------
    ValueError
        For trailing steps of NaN in an array, and in a dict of "X" and "lengths" for lengths that
        are not one integer a series from 1 to the number of steps.
    """
    array, lengths = array_and_lengths(inputs)
    shape = np.shape(array) if hasattr(array, "shape") else ()
    if lengths is None:
        floats = isinstance(array, np.ndarray) and array.dtype.kind == "f" and len(shape) == 3
        if floats and np.isnan(array[:, -1]).all(axis=1).any():
            raise ValueError(
                "X must not be padded with steps of NaN for a module of your own, which gets X as "
                "it is: use sgt_sklearn.preprocessing.pad_series(X), whose entries the module "
                "gets as forward(X, lengths)."
            )
        return
    lengths = np.asarray(lengths)
    if len(shape) < 2 or lengths.dtype.kind not in "iu":
        return  # of the user's own meaning
    inside = lengths.shape == shape[:1] and 1 <= lengths.min() <= lengths.max() <= shape[1]
    if not inside:
        raise ValueError(
            f'X["lengths"] must be one integer a series, 1 to {shape[1]}, got {lengths.min()} to '
            f"{lengths.max()} in shape {lengths.shape}: leave series without steps out."
        )


def as_columns(inputs):
    """What skorch makes of X: a dict of the columns of a DataFrame, a tuple of listed arrays."""
    if isinstance(inputs, list) and all(isinstance(x, (np.ndarray, torch.Tensor)) for x in inputs):
        return tuple(inputs)
    if not is_pandas_ndframe(inputs) or inputs.ndim != 2:
        return inputs
    return {name: inputs[name].to_numpy().reshape(-1, 1) for name in inputs}


def writable(inputs):
    """The inputs, arrays copied that torch cannot take (read-only or reversed)."""
    if isinstance(inputs, (dict, tuple)):
        return map_arrays(writable, inputs)
    if isinstance(inputs, np.ndarray) and (
        not inputs.flags.writeable or any(stride < 0 for stride in inputs.strides)
    ):
        return inputs.copy()
    return inputs


def map_arrays(function, inputs):
    """Apply a function to each array of an input, keeping dicts and tuples."""
    if isinstance(inputs, Mapping):
        return {key: map_arrays(function, value) for key, value in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return _like(inputs, [map_arrays(function, value) for value in inputs])
    return function(inputs)


def cast_floats(inputs, dtype):
    """Floating-point arrays and tensors of an input as tensors of a dtype, if that is not None."""
    if dtype is None:
        return inputs
    if isinstance(inputs, torch.Tensor):
        floats = inputs.is_floating_point() and inputs.dtype != dtype
        return inputs.to(dtype) if floats else inputs
    if isinstance(inputs, np.ndarray):
        return torch.as_tensor(inputs).to(dtype) if inputs.dtype.kind == "f" else inputs
    if isinstance(inputs, (dict, tuple, list)):
        return map_arrays(lambda part: cast_floats(part, dtype), inputs)
    return inputs


def _itself(part):
    return part


def _keys(inputs, guided_input):
    mapping = isinstance(inputs, Mapping)
    if is_auto(guided_input):
        guided_input = "X" if mapping else 0
    keys = list(guided_input) if isinstance(guided_input, (list, tuple)) else [guided_input]
    known = list(inputs) if mapping else range(len(inputs))
    unknown = [key for key in keys if key not in known]
    if unknown or not keys or len(set(keys)) < len(keys):
        raise ValueError(
            "guided_input must name what is masked and explained, "
            f"each once, {'keys' if mapping else 'positions'} among {list(known)} (a DataFrame "
            f"has one a column), got {guided_input!r}; consistency_weight=0 trains without "
            "guidance."
        )
    return keys


def _replaced(inputs, keys, parts):
    replaced = dict(inputs) if isinstance(inputs, Mapping) else list(inputs)
    for key, part in zip(keys, parts, strict=True):
        replaced[key] = part
    return replaced if isinstance(inputs, Mapping) else _like(inputs, replaced)


def _like(sequence, values):
    kind = type(sequence)
    return kind(*values) if hasattr(kind, "_fields") else kind(values)
