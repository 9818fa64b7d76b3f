"""Series of unequal length: lists of arrays, padded arrays with lengths, trailing NaN."""

import contextlib
from collections.abc import Mapping

import numpy as np

_FORMS = (
    "an array of shape (n_samples, n_timesteps, n_features), padded with steps of NaN where "
    "series end early; a list of arrays of shape (n_timesteps_i, n_features); or a dict "
    '{"X": array, "lengths": integers}'
)


def padded(X, name="X", dtype=np.float32):
    """Bring series into one array, and tell how long each is.

    Parameters
    ----------
    X : ndarray, list of ndarray, or dict
        - array of shape (n_samples, n_timesteps, n_features); trailing steps that are NaN in all
          features are padding;
        - list (or array of objects) of arrays of shape (n_timesteps_i, n_features);
        - dict of "X", such an array, and "lengths" of shape (n_samples,): what lies behind the end
          of a series is padding, whatever it holds.
    name : str, default="X"
        Name in error messages.
    dtype : numpy dtype, default=numpy.float32
        Floating-point type of the result.

    Returns
    -------
    array : ndarray of shape (n_samples, n_timesteps, n_features)
        The series; padding is 0. The input itself where it needs no change.
    lengths : ndarray of int64, shape (n_samples,), or None
        Number of steps of each series; None where there is no padding.

    Raises
    ------
    ValueError, TypeError
        For any other form, series without steps, NaN or infinity inside a series, lengths beyond
        the array, and series of different numbers of features.

    Examples
    --------
    >>> array, lengths = padded([np.ones((1, 2)), np.ones((3, 2))])
    >>> array.shape, lengths
    ((2, 3, 2), array([1, 3]))
    """
    if isinstance(X, Mapping):
        array, lengths = _from_dict(X, name, dtype)
    elif isinstance(X, (list, tuple)) or is_ragged(X):
        array, lengths = _from_list(list(X), name, dtype)
    else:
        array = _numbers(X, name, dtype)
        _check_axes(array, name)
        lengths = _lengths_before_nan(array)
    if (lengths == 0).any():
        raise ValueError(
            f"{name} must hold series of at least one step, got length 0 at position "
            f"{int(np.flatnonzero(lengths == 0)[0])}: leave such series out."
        )
    inside = np.arange(array.shape[1]) < lengths[:, None]
    finite = np.isfinite(array).all(axis=2)
    if not finite[inside].all():
        row = int(np.flatnonzero((inside & ~finite).any(axis=1))[0])
        raise ValueError(
            f"{name} must be finite inside each series, got NaN or infinity in series {row}: "
            "impute missing values first. (Steps of NaN in all features at the end of a series "
            "are padding.)"
        )
    if inside.all():
        return array, None
    return np.where(inside[:, :, None], array, array.dtype.type(0)), lengths


def unpadded(array, lengths):
    """Cut padded series into a list.

    Parameters
    ----------
    array : ndarray of shape (n_samples, n_timesteps, ...)
        Padded values.
    lengths : ndarray of int, shape (n_samples,)
        Number of steps of each.

    Returns
    -------
    list of ndarray of shape (lengths[i], ...)
        Copies.

    Examples
    --------
    >>> [part.tolist() for part in unpadded(np.array([[1, 0], [2, 3]]), [1, 2])]
    [[1], [2, 3]]
    """
    return [row[:length].copy() for row, length in zip(array, lengths, strict=True)]


def is_ragged(X):
    """Whether X is a list, object array or dict of series, and not one array.

    Examples
    --------
    >>> is_ragged([np.ones((1, 2)), np.ones((3, 2))]), is_ragged(np.ones((2, 3, 2)))
    (True, False)
    """
    if isinstance(X, Mapping):
        return X.keys() == {"X", "lengths"}  # a sparse dict iterates over rows, not keys
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(np.ndim(x) == 2 for x in X)


def _from_dict(X, name, dtype):
    if set(X) != {"X", "lengths"}:
        raise ValueError(
            f'{name} must have the keys "X" and "lengths", got {sorted(map(str, X))}.'
        )
    array = _numbers(X["X"], f'{name}["X"]', dtype)
    _check_axes(array, name)
    lengths = np.asarray(X["lengths"])
    must_be = f'{name}["lengths"] must be one integer a series, 1 to {array.shape[1]}'
    if lengths.dtype.kind not in "iu" or lengths.shape != (len(array),):
        raise ValueError(f"{must_be}, got shape {lengths.shape} of {lengths.dtype}.")
    if len(lengths) and not 0 <= lengths.min() <= lengths.max() <= array.shape[1]:
        raise ValueError(f"{must_be}, got {lengths.min()} to {lengths.max()}.")
    return array, lengths.astype(np.int64)


def _from_list(series, name, dtype):
    if not series:
        raise ValueError(f"{name} must hold at least one series, got an empty list.")
    arrays = [_numbers(x, f"{name}[{i}]", dtype) for i, x in enumerate(series)]
    for i, x in enumerate(arrays):
        if x.ndim != 2 or x.shape[1] != arrays[0].shape[-1] or x.shape[1] == 0:
            raise ValueError(
                f"{name} must hold series of shape (n_timesteps_i, n_features) with the same "
                f"number of features, got shape {arrays[0].shape} at position 0 and {x.shape} at "
                f"position {i}. Series of one feature need x[:, None]."
            )
    if any(hasattr(x, "columns") for x in series):
        raise TypeError(
            f"{name} must hold arrays, got frames, whose columns would not be compared: use "
            'sgt_sklearn.preprocessing.from_channels_first(X, frame_rows="time").'
        )
    lengths = np.array([len(x) for x in arrays], dtype=np.int64)
    array = np.zeros((len(arrays), lengths.max(), arrays[0].shape[1]), dtype=dtype)
    for row, x in zip(array, arrays, strict=True):
        row[: len(x)] = x
    return array, lengths


def _numbers(X, name, dtype):
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise ValueError(f"{name} must be {_FORMS}. {error}") from error
    if array.dtype == object and array.ndim:  # numbers as Python objects
        with contextlib.suppress(TypeError, ValueError):
            array = array.astype(dtype)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, in {_FORMS}, got {array.dtype}.")
    return array.astype(dtype, copy=False)


def _check_axes(array, name):
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{name} must be {_FORMS}, got shape {array.shape}. A single feature needs "
            f"{name}[:, :, None], one series alone {name}[None]."
        )


def _lengths_before_nan(array):
    known = ~np.isnan(array).all(axis=2)
    # from the end, the first step that is known
    return np.where(known.any(1), array.shape[1] - known[:, ::-1].argmax(1), 0).astype(np.int64)
