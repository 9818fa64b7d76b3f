"""Samples of every kind: how they are given, what belongs to them, and how to spoil them.

What a kind is, is said here anew and not taken from the rest of the library.
"""

import copy
from collections.abc import Mapping

import numpy as np
import torch

KINDS = ("tabular", "image", "series", "ragged", "tokens")
_SHAPES = {"tabular": (48, 6), "image": (36, 2, 6, 6), "series": (36, 8, 3), "ragged": (36, 8, 3)}
_SHORTEST = {"ragged": 4, "tokens": 3}
_N_TOKENS, _WIDTH = 20, 8
_SEED = 0
_GARBAGE = 97.0


class Samples:
    """Samples of one shape: tables, images, series of equal length.

    Parameters
    ----------
    array : ndarray of shape (n_samples, ...)
        The samples.
    lengths : ndarray of int, shape (n_samples,), default=None
        Number of steps (axis 1) that are no padding; None where there is no padding.
    """

    padded = False
    fill = "sample_uniform"  # one that draws

    def __init__(self, array, lengths=None):
        self.array, self.lengths = array, lengths
        self.X = self.build(array, lengths)

    def __len__(self):
        return len(self.array)

    def build(self, array, lengths):
        """Samples as they are passed to the estimator, copies."""
        return array.copy()

    def copy(self):
        """X anew."""
        return self.build(self.array, self.lengths)

    def subset(self, rows, array=None):
        """Some of the samples, or others of their lengths."""
        part = copy.copy(self)
        part.array = self.array[rows] if array is None else array
        part.lengths = None if self.lengths is None else self.lengths[rows]
        part.X = part.copy()
        return part

    def take(self, rows):
        """X of some samples."""
        return self.subset(rows).X

    def alone(self, row):
        """X of one sample without padding."""
        n_steps = None if self.lengths is None else self.lengths[row]
        return self.subset([row], self.array[[row]][:, :n_steps]).X

    def is_unchanged(self, X):
        """Whether an X that was made by `copy` is bitwise as it was."""
        return _same(X, self.copy())

    def is_list(self):
        """Whether X is a list, so that attributions are one, too."""
        return isinstance(self.X, list)

    @property
    def valid(self):
        """Cells that are no padding, bool of the shape of the array."""
        return self.valid_in(self.array, self.lengths)

    def valid_in(self, x, lengths):
        """The same of a batch that a module gets, with its lengths or None."""
        if lengths is None:
            return np.ones(x.shape, dtype=bool)
        inside = np.arange(x.shape[1]) < lengths[:, None]
        return np.broadcast_to(inside.reshape(*inside.shape, *(1,) * (x.ndim - 2)), x.shape)

    def parts(self, values, time=0):
        """Attributions of each sample without padding; `time` is the axis of steps of a sample."""
        if self.lengths is None or isinstance(values, list):
            return [np.asarray(value) for value in values]
        before = (slice(None),) * time
        return [
            np.asarray(v)[(*before, slice(n))] for v, n in zip(values, self.lengths, strict=True)
        ]

    @property
    def cells(self):
        """Numbers to make targets from, shape (n_samples, at least 3)."""
        return self.array.reshape(len(self), -1)

    def other_rows(self, rows):
        """X with other values in some samples."""
        array = self.array.copy()
        array[rows] = 1 + 3 * array[rows]
        return self.build(array, self.lengths)

    # what replaces hidden cells so that they are recognised

    def replaced(self, x):
        """What a callable `mask_fill` returns for a batch: other values than those of X."""
        # beyond all values of X, and exact in any floating-point type
        mark = float(np.ceil(np.abs(self.array[self.valid]).max())) + 1
        return torch.full_like(x, mark)

    def bad_to_fit(self):
        """What `fit` must refuse in X, by name."""
        return self.bad_to_predict("fit") | {
            "one axis": self.array.reshape(-1)[: len(self)].copy(),
        }

    def bad_to_predict(self, method="predict"):
        """What `predict` and `attribute` must refuse, by name."""
        nan, infinite = self.array.copy(), self.array.copy()
        nan.flat[0], infinite.flat[-1] = np.nan, -np.inf
        bad = {"NaN": nan, "infinity": infinite, "no rows": self.array[:0]}
        return bad if method == "fit" else bad | {"fewer features": self.array[..., :-1]}


class Series(Samples):
    """Series of unequal length.

    Parameters
    ----------
    array : ndarray of shape (n_samples, n_timesteps, n_features)
        The series, and behind the end of each anything.
    lengths : ndarray of int, shape (n_samples,)
        Number of steps of each.
    form : {"list", "dict", "nan"}, default="dict"
        How they are passed to the estimator.
    """

    padded = True

    def __init__(self, array, lengths, form="dict"):
        self.form = form
        super().__init__(array, lengths)

    def build(self, array, lengths, form=None):
        form = form or self.form
        if form == "dict":
            return {"X": array.copy(), "lengths": lengths.copy()}
        if form == "list":
            return [row[:n].copy() for row, n in zip(array, lengths, strict=True)]
        inside = np.arange(array.shape[1]) < lengths[:, None]
        return np.where(inside[:, :, None], array, array.dtype.type(np.nan))

    def other_rows(self, rows):
        array = self.array.copy()
        array[rows] = 1 + 3 * array[rows]
        X = self.build(np.where(self.valid, array, self.array), self.lengths)
        if self.is_list():  # longer ones, too
            X[rows] = [np.concatenate([series, series]) for series in X[rows]]
        return X

    def paddings(self, named, any_width=True):
        """The same series with other padding, by name."""
        garbage = np.where(self.valid, self.array, self.array.dtype.type(_GARBAGE))
        wider = np.pad(self.array, [(0, 0), (0, 3), (0, 0)])
        paddings = {"garbage behind lengths": self.build(garbage, self.lengths, "dict")}
        if any_width:
            paddings["more padding"] = self.build(wider, self.lengths, "dict")
        if named:
            nan = np.where(self.valid, self.array, self.array.dtype.type(np.nan))
            paddings["NaN behind lengths"] = self.build(nan, self.lengths, "dict")
        if named and any_width:
            paddings["steps of NaN as padding"] = self.build(wider, self.lengths, "nan")
            paddings["a list"] = self.build(self.array, self.lengths, "list")
        return paddings

    def bad_to_fit(self):
        beyond = self.lengths + self.array.shape[1]
        return self.bad_to_predict("fit") | {
            "one axis": self.array.reshape(-1)[: len(self)].tolist(),
            "lengths beyond the array": {"X": self.array.copy(), "lengths": beyond},
            "fractional lengths": {"X": self.array.copy(), "lengths": self.lengths - 0.5},
        }

    def bad_to_predict(self, method="predict"):
        nan, infinite = self.array.copy(), self.array.copy()
        nan[0, 0, 0], infinite[-1, 0, -1] = np.nan, -np.inf
        empty = self.lengths.copy()
        empty[1] = 0
        bad = {
            "NaN": self.build(nan, self.lengths),
            "infinity": self.build(infinite, self.lengths),
            "no rows": self.take(slice(0)),
            "a series without steps": self.build(self.array, empty),
        }
        if method == "fit":
            return bad
        return bad | {"fewer features": self.build(self.array[..., :-1], self.lengths)}


class Tokens(Samples):
    """Ids of tokens, 0 for padding at the end of a row.

    Parameters
    ----------
    array : ndarray of int, shape (n_samples, n_tokens)
        The ids.
    lengths : object, default=None
        Not used: the padding tells them.
    """

    padded = True
    fill = "marginal"

    def __init__(self, array, lengths=None):
        super().__init__(array, (array != 0).sum(axis=1))

    def valid_in(self, x, lengths):
        return x != 0

    @property
    def cells(self):
        return self.array / self.array.max()

    def other_rows(self, rows):
        array = self.array.copy()
        array[rows] += np.where(array[rows] != 0, array.max(), 0)  # beyond the vocabulary
        return array

    def replaced(self, x):
        return _rotated(x, int(self.array.max()))

    def paddings(self, named, any_width=True):
        """The same tokens with other padding, by name."""
        if not any_width:
            return {}
        return {
            "more padding": np.pad(self.array, [(0, 0), (0, 3)]),
            "no padding but that of the longest": self.array[:, : self.lengths.max()].copy(),
        }

    def bad_to_fit(self):
        return self.bad_to_predict("fit") | {"one axis": self.array[:, 0].copy()}

    def bad_to_predict(self, method="predict"):
        negative, between, empty, large = (self.array.copy() for _ in range(4))
        negative[0, 0], between[0, 0], empty[1], large[0, 0] = -1, 0, 0, 10**6
        bad = {
            "negative ids": negative,
            "padding before the end": between,
            "a row without tokens": empty,
            "ids that are no integers": self.array + 0.5,
            "no rows": self.array[:0],
        }
        return bad if method == "fit" else bad | {"ids that are too large": large}


def make_samples(kind, named):
    """Samples of a kind; of unequal length as a list for modules given by name."""
    rng = np.random.default_rng(_SEED)
    if kind == "tokens":
        n_samples = 36
        array = rng.integers(1, _N_TOKENS, size=(n_samples, _WIDTH))
        lengths = _lengths(rng, n_samples, _SHORTEST[kind], _WIDTH)
        array[0, 0] = _N_TOKENS - 1
        return Tokens(np.where(np.arange(_WIDTH) < lengths[:, None], array, 0))
    array = rng.normal(size=_SHAPES[kind]).astype(np.float32)
    if kind != "ragged":
        return Samples(array)
    lengths = _lengths(rng, len(array), _SHORTEST[kind], array.shape[1])
    array[np.arange(array.shape[1]) >= lengths[:, None]] = 0
    return Series(array, lengths, "list" if named else "dict")


def read_samples(X, *, named, tokens):
    """Samples that the user gives.

    Parameters
    ----------
    X : array-like, list of ndarray, or dict
        The samples, in any form that the estimator takes.
    named : bool
        Whether the module is given by name, so that the estimator takes series in every form.
    tokens : bool
        Whether the estimator takes integers as tokens.

    Returns
    -------
    Samples

    Raises
    ------
    ValueError
        If they cannot be checked.
    """
    must_be = (
        "X must be one floating-point array of at least 12 samples, a list of series of shape "
        '(n_timesteps_i, n_features), a dict of "X" and "lengths", or (for modules of tokens, '
        "which name their embedding) one array of integers with 0 for padding at the end"
    )
    if isinstance(X, Mapping):
        if set(X) != {"X", "lengths"}:
            raise ValueError(f"{must_be}, got a dict of {sorted(map(str, X))}.")
        samples = Series(np.asarray(X["X"]), np.asarray(X["lengths"]))
        fits = samples.array.ndim == 3 and samples.lengths.shape == (len(samples.array),)
        fits = fits and samples.lengths.dtype.kind in "iu"
    elif _is_list_of_series(X, named):
        if not named:
            raise ValueError(
                "X must be a dict of arrays for a module of your own, which gets its entries as "
                "forward(X, lengths): use sgt_sklearn.preprocessing.pad_series(X)."
            )
        samples, fits = _from_list(X), True
    else:
        array = np.asarray(X)
        samples, fits = Samples(array), array.ndim >= 2
        if tokens and array.dtype.kind in "iu" and array.ndim == 2:
            samples = Tokens(array.astype(np.int64))
        elif named and array.ndim == 3 and array.dtype.kind == "f":
            lengths = _lengths_before_nan(array)
            if lengths.min(initial=1) < array.shape[1]:
                samples = Series(array, lengths, "nan")
    array = samples.array
    fits = fits and array.dtype.kind == ("i" if tokens else "f") and len(array) >= 12
    if not fits or isinstance(samples, Tokens) != tokens:
        raise ValueError(f"{must_be}, got shape {array.shape} and dtype {array.dtype}.")
    if samples.padded and not 0 < samples.lengths.min() <= samples.lengths.max() <= array.shape[1]:
        raise ValueError(
            f"X must hold samples of 1 to {array.shape[1]} steps, the length of the array, got "
            f"{samples.lengths.min()} to {samples.lengths.max()}."
        )
    return samples


def _is_list_of_series(X, named):
    is_list = isinstance(X, (list, tuple))
    is_list |= isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    if not is_list or not len(X) or any(np.ndim(x) != 2 for x in X):
        return False
    # for modules of the user's own, series of equal length are one array
    return named or len({len(x) for x in X}) > 1


def _from_list(X):
    lengths = np.array([len(x) for x in X])
    dtype = np.result_type(*X)
    array = np.zeros((len(X), lengths.max(), np.shape(X[0])[1]), dtype=dtype)
    for row, x in zip(array, X, strict=True):
        row[: len(x)] = x
    return Series(array, lengths, "list")


def _lengths(rng, n_samples, shortest, longest):
    lengths = rng.integers(shortest, longest + 1, size=n_samples)
    lengths[:2] = longest, shortest
    return lengths


def _lengths_before_nan(array):
    known = ~np.isnan(array).all(axis=2)
    steps = np.arange(1, array.shape[1] + 1)
    return (known * steps).max(axis=1, initial=0)


def _rotated(ids, largest):
    """Another token for each: the next id, 1 for the last."""
    return ids % largest + 1


def _same(one, other):
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return same_array(one, other)


def same_array(one, other):
    """Whether two arrays are bitwise the same."""
    return (
        one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    )
