"""The samples that a metric perturbs, and the container they came in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_array

from sgt_sklearn._series import is_ragged, padded, unpadded
from sgt_sklearn.guidance import PADDING_TOKEN
from sgt_sklearn.metrics._checks import as_numeric_array, check_attributions


@dataclass(frozen=True)
class Samples:
    """Samples as one array that is as long as the longest of them.

    Parameters
    ----------
    array : ndarray of shape (n_samples, ...)
        The samples; padding is 0.
    restore : callable
        `restore(values, rows)` puts an array of samples into the container that was passed; each
        is as long as the sample of its row.
    width : int
        Length of the second axis of what was passed, at least that of `array`.
    lengths : ndarray of int, shape (n_samples,), or None
        Position behind the last step or token of each sample; None where nothing is padded.
    valid : ndarray of bool, shape of `array`, or None
        Cells that are not padding; None is all.
    tokens : bool
        Whether `array` holds ids of tokens.
    """

    array: np.ndarray
    restore: Callable
    width: int
    lengths: np.ndarray | None = None
    valid: np.ndarray | None = None
    tokens: bool = False

    def __len__(self):
        return len(self.array)

    @property
    def shape(self):
        """Shape of one sample."""
        return self.array.shape[1:]

    def taken(self, values, rows):
        """Return variants of some of the samples, by row; a row may come more than once."""
        lengths = None if self.lengths is None else self.lengths[rows]
        valid = None if self.valid is None else self.valid[rows]

        def restore(values, places):
            return self.restore(values, rows[places])

        return Samples(values, restore, self.width, lengths, valid, self.tokens)

    def whole(self):
        """Return all samples in their container."""
        return self.restore(self.array, np.arange(len(self)))


def read_samples(X, *, are_tokens):
    """Return `X` as `Samples`.

    `are_tokens()` tells whether an array of integers of two axes holds ids of tokens.
    """
    if isinstance(X, Mapping):
        if set(X) != {"X", "lengths"}:
            raise TypeError(
                "X must be an array-like of shape (n_samples, n_features) or (n_samples, ...), "
                f"got a dict of {sorted(map(str, X))}. Pass the array that the final estimator "
                'sees; a dict is for series of unequal length, {"X": array, "lengths": integers}.'
            )
        return _series(X, "dict")
    if is_ragged(X) and len({len(x) for x in X}) > 1:
        return _series(list(X), "list")
    if _has_nan_steps(X):
        return _series(np.asarray(X), "nan")
    array = check_array(X, dtype="numeric", allow_nd=True, input_name="X")
    if array.dtype.kind in "iu" and array.ndim == 2 and are_tokens():
        return _tokens(array)
    columns = getattr(X, "columns", None)
    if columns is None:
        return Samples(array, lambda values, rows: values, array.shape[1])
    keyword = "columns" if hasattr(X, "iloc") else "schema"
    container = type(X)
    return Samples(
        array,
        lambda values, rows: container(values, **{keyword: list(columns)}),
        array.shape[1],
    )


def read_attributions(attributions, samples, who):
    """Return float64 attributions of the shape of `samples.array`, 0 on padding.

    `who` sees the samples, for error messages.
    """
    shape = samples.array.shape
    longer = (shape[0], samples.width, *shape[2:])
    if samples.lengths is None and longer == shape:
        values = check_attributions(attributions)
        _check_shape(values.shape, (shape,), who)
        return values
    lengths = samples.lengths
    if lengths is None:
        lengths = np.full(len(samples), shape[1])
    if isinstance(attributions, (list, tuple)) or np.ndim(attributions) == 1:
        return _attributions_of_a_list(list(attributions), shape, lengths)
    values = np.asarray(attributions)
    _check_shape(values.shape, (shape, longer), who)
    values = values[:, : shape[1]]
    if samples.valid is not None:
        values = np.where(samples.valid, values, np.zeros((), values.dtype))
    return check_attributions(values)


def _attributions_of_a_list(attributions, shape, lengths):
    if len(attributions) != len(lengths):
        raise ValueError(
            f"attributions must be a list of {len(lengths)} arrays, one for each sample of X, "
            f"got {len(attributions)}."
        )
    values = np.zeros(shape)
    for i, (part, n) in enumerate(zip(attributions, lengths.tolist(), strict=True)):
        part = as_numeric_array(part, f"attributions[{i}]")
        if part.shape != (n, *shape[2:]):
            raise ValueError(
                f"attributions[{i}] must have the shape of sample {i} of X, {(n, *shape[2:])}, "
                f"got {part.shape}."
            )
        values[i, :n] = part
    return values


def _check_shape(got, wanted, who):
    if got not in wanted:
        raise ValueError(
            f"attributions must have the shape of X as the final estimator ({who}) sees it, "
            f"{wanted[-1]}, got {got}. In a pipeline compute them after the transformers."
        )


def _has_nan_steps(X):
    if getattr(X, "ndim", 0) != 3:
        return False
    array = np.asarray(X)
    return array.dtype.kind == "f" and bool(np.isnan(array).any())


def _series(X, form):
    parts = X if form == "list" else [X["X"] if form == "dict" else X]
    dtype = np.result_type(np.float32, *(np.asarray(part).dtype for part in parts))
    array, lengths = padded(X, dtype=dtype)
    width = array.shape[1]
    if lengths is None:
        lengths = np.full(len(array), width)
    return _trimmed(
        array,
        lengths,
        np.broadcast_to((np.arange(width) < lengths[:, None])[:, :, None], array.shape),
        restore=_RESTORE[form](lengths, width),
    )


def _tokens(array):
    valid = array != PADDING_TOKEN
    lengths = (valid * np.arange(1, array.shape[1] + 1)).max(axis=1)
    if array.min() < 0 or lengths.min() == 0:
        row = int(np.flatnonzero((array < 0).any(axis=1) | (lengths == 0))[0])
        got = "no token" if lengths[row] == 0 else f"the negative id {array[row].min()}"
        raise ValueError(
            "X must hold ids of tokens, 1 or more, and 0 for padding, with a token in each row, "
            f"got {got} in row {row}."
        )
    restore = _padded_with(PADDING_TOKEN)(lengths, array.shape[1])
    return _trimmed(array, lengths, valid, restore=restore, tokens=True)


def _trimmed(array, lengths, valid, **fields):
    """Drop what is padding in all samples: the draws of a metric do not depend on it."""
    width, longest = array.shape[1], lengths.max()
    array, valid = array[:, :longest], valid[:, :longest]
    if valid.all():
        lengths = valid = None
    return Samples(array, width=width, lengths=lengths, valid=valid, **fields)


def _padded_with(value):
    def restoring(lengths, width):
        def restore(values, rows):
            full = np.full((len(values), width, *values.shape[2:]), value, dtype=values.dtype)
            behind = np.arange(values.shape[1]) >= lengths[rows][:, None]
            full[:, : values.shape[1]] = values
            full[:, : values.shape[1]][behind] = value
            return full

        return restore

    return restoring


def _listed(lengths, width):
    return lambda values, rows: unpadded(values, lengths[rows])


def _with_lengths(lengths, width):
    restore = _padded_with(0)(lengths, width)
    return lambda values, rows: {"X": restore(values, rows), "lengths": lengths[rows]}


_RESTORE = {"dict": _with_lengths, "list": _listed, "nan": _padded_with(np.nan)}
