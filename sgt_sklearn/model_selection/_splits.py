"""Training and test data of each seed."""

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_consistent_length

TEST_SIZE = 0.25


@dataclass(frozen=True)
class Split:
    """Data of one seed; `relevance` has a mask for each test sample, or is None."""

    X_train: Any
    y_train: Any
    X_test: Any
    y_test: Any
    relevance: Any = None


@dataclass(frozen=True)
class Data:
    """What the caller passed, split for a seed.

    Parameters
    ----------
    X, y : array-like
        All data, or the training data where `test` is a pair.
    test : float or tuple of (X_test, y_test)
        Share of X that is held out, or the test data.
    relevance : list or ndarray or None
        Masks, one for each row of X, or of X_test where that is given.
    classifies : bool
        Whether y holds classes, to be split in equal shares.
    """

    X: Any
    y: Any
    test: Any
    relevance: Any
    classifies: bool

    def split(self, seed):
        """Return the `Split` of a seed."""
        if isinstance(self.test, tuple):
            return Split(self.X, self.y, *self.test, self.relevance)
        train, test = split_rows(self.y, self.test, self.classifies, seed)
        return Split(
            rows_of(self.X, train),
            rows_of(self.y, train),
            rows_of(self.X, test),
            rows_of(self.y, test),
            None if self.relevance is None else rows_of(self.relevance, test),
        )


def read_data(X, y, test, relevance, classifies):
    """Check what the caller passed and return it as `Data`."""
    _check_lengths(X, y, "")
    if test is None:
        test = TEST_SIZE
    if isinstance(test, (tuple, list)):
        if len(test) != 2:
            raise ValueError(
                "test must be None, a share of X in (0, 1), or a pair (X_test, y_test), got "
                f"{len(test)} values."
            )
        test = tuple(test)
        _check_lengths(*test, "_test")
    elif isinstance(test, bool) or not isinstance(test, numbers.Real):
        raise TypeError(
            "test must be None, a share of X in (0, 1), or a pair (X_test, y_test), got "
            f"{type(test).__name__}."
        )
    elif not 0 < test < 1:
        raise ValueError(
            f"test must be a share of X in (0, 1), got {test}. The default is {TEST_SIZE}."
        )
    if relevance is not None:
        name, of = ("X_test", test[0]) if isinstance(test, tuple) else ("X", X)
        relevance = _masks(relevance, of, name)
    return Data(X, y, test, relevance, classifies)


def split_rows(y, test_size, classifies, seed):
    """Return rows to train and to test, as `train_test_split` gives them."""
    return train_test_split(
        np.arange(len(y)),
        test_size=test_size,
        stratify=y if classifies and _can_stratify(y) else None,
        random_state=seed,
    )


def read_seeds(n_seeds, random_state):
    """Return the seeds: consecutive from an int, else drawn."""
    if isinstance(n_seeds, bool) or not isinstance(n_seeds, numbers.Integral):
        raise TypeError(f"n_seeds must be an int of at least 1, got {n_seeds!r}.")
    if n_seeds < 1:
        raise ValueError(f"n_seeds must be an int of at least 1, got {n_seeds}.")
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        check_random_state(random_state)
        return [int(random_state) + i for i in range(n_seeds)]
    drawn = check_random_state(random_state).choice(2**31 - 1, size=n_seeds)
    return [int(seed) for seed in drawn]


def rows_of(X, rows):
    """Return rows of an array, frame, list, or dict of arrays."""
    if isinstance(X, Mapping):
        return {key: _safe_indexing(value, rows) for key, value in X.items()}
    return _safe_indexing(X, rows)


def n_rows(X):
    """Number of samples of an array, frame, list, or dict of arrays."""
    return len(next(iter(X.values()))) if isinstance(X, Mapping) else len(X)


def _check_lengths(X, y, suffix):
    if y is None:
        raise ValueError(f"y{suffix} must hold the targets of X{suffix}, got None.")
    check_consistent_length(np.empty(n_rows(X)), y)


def _can_stratify(y):
    if np.ndim(y) != 1:
        return False
    return np.unique(y, return_counts=True)[1].min() > 1


def _masks(relevance, X, name):
    """Return a mask for each row of X."""
    n = n_rows(X)
    listed = isinstance(relevance, (list, tuple)) and len({np.shape(m) for m in relevance}) > 1
    if not listed:
        relevance = np.asarray(relevance)
        inner = X.get("X", X) if isinstance(X, Mapping) else X
        if relevance.ndim == _n_axes(inner) - 1:
            return np.broadcast_to(relevance, (n, *relevance.shape))
    if len(relevance) != n:
        raise ValueError(
            f"relevance must have a mask for each of the {n} rows of {name}, or one of the shape "
            f"of a sample, got {len(relevance)} rows."
        )
    return relevance


def _n_axes(X):
    shape = getattr(X, "shape", None)
    return 1 + np.ndim(X[0]) if shape is None or len(shape) == 1 else len(shape)
