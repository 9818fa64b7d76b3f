"""Training and test data of each seed."""

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sgt_sklearn.model_selection._relevance_masks import OneMask, read_masks

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
    relevance : list, ndarray, OneMask or None
        Masks, one for each row of X, or of X_test where that is given; or one for all.
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
        mask = self.relevance
        return Split(
            rows_of(self.X, train),
            rows_of(self.y, train),
            rows_of(self.X, test),
            rows_of(self.y, test),
            mask if mask is None or isinstance(mask, OneMask) else rows_of(mask, test),
        )


def read_data(X, y, test, relevance, classifies, transforms):
    """Check what the caller passed and return it as `Data`.

    `transforms` tells that steps before the net may change the axes of X.
    """
    X, y = _read_pair(X, y, classifies, "")
    if test is None:
        test = TEST_SIZE
    if isinstance(test, (tuple, list)):
        if len(test) != 2:
            raise ValueError(
                "test must be None, a share of X in (0, 1), or a pair (X_test, y_test), got "
                f"{len(test)} values."
            )
        test = _read_pair(*test, classifies, "_test")
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
        relevance = read_masks(relevance, of, n_rows(of), name, transforms)
    return Data(X, y, test, relevance, classifies)


def split_rows(y, test_size, classifies, seed):
    """Return rows to train and to test, as `train_test_split` gives them."""
    return train_test_split(
        np.arange(len(y)),
        test_size=test_size,
        stratify=y if classifies and _can_stratify(y, test_size) else None,
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
    """Number of samples of an array, sparse matrix, frame, list, or dict of arrays."""
    if isinstance(X, Mapping):
        X = next(iter(X.values()))
    return X.shape[0] if issparse(X) else len(X)


def _read_pair(X, y, classifies, suffix):
    """Return X and y checked, a column of labels as one axis."""
    if y is None:
        raise ValueError(f"y{suffix} must hold the targets of X{suffix}, got None.")
    if issparse(y):
        raise TypeError(
            f"y{suffix} must be dense, got a sparse {type(y).__name__}, with which no net can be "
            f"trained. Pass y{suffix}.toarray()."
        )
    if classifies and np.ndim(y) == 2 and np.shape(y)[1] == 1:
        y = column_or_1d(y, warn=True)
    check_consistent_length(np.empty(n_rows(X)), y)
    # other sparse formats have no rows to take
    return X.tocsr() if issparse(X) else X, y


def _can_stratify(y, test_size):
    """Whether each class fits into both parts."""
    if np.ndim(y) != 1:
        return False
    counts = np.unique(y, return_counts=True)[1]
    n_test = math.ceil(test_size * len(y))
    return counts.min() > 1 and len(counts) <= min(n_test, len(y) - n_test)
