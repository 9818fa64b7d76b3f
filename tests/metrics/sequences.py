"""Numpy estimators for series of unequal length and for tokens."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


def as_list(X):
    """Series in any container, as a list of arrays."""
    if isinstance(X, dict):
        return [x[:n] for x, n in zip(X["X"], X["lengths"], strict=True)]
    return [x[~np.isnan(x).all(axis=1)] for x in X]


class _Series(BaseEstimator):
    """Known weights by step and feature; the score of a series is the mean over its steps."""

    def __init__(self, coef, seen=None):
        self.coef = coef
        self.seen = seen

    def fit(self, X, y):
        self.coef_ = np.asarray(self.coef, dtype=float)
        return self

    def _scores(self, X):
        if self.seen is not None:
            self.seen.append(X)
        rows = [np.asarray(x, dtype=float) for x in as_list(X)]
        # einsum: sums in one order, so that a sample's output does not depend on its batch
        return np.stack(
            [np.einsum("tf,ctf->c", x, self.coef_[:, : len(x)]) / len(x) for x in rows]
        )

    def attribute(self, X, *, method="saliency", target="predicted", standardized=False):
        parts = [self._gradient(x) for x in as_list(X)]
        if isinstance(X, list):
            return parts
        array = X["X"] if isinstance(X, dict) else X
        values = np.full(array.shape, np.nan)
        for row, part in zip(values, parts, strict=True):
            row[: len(part)] = part
        return values


class SeriesClassifier(ClassifierMixin, _Series):
    """Softmax of the scores."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return super().fit(X, y)

    def predict_proba(self, X):
        scores = self._scores(X)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _gradient(self, x):
        best = np.einsum("tf,ctf->c", x, self.coef_[:, : len(x)]).argmax()
        return self.coef_[best, : len(x)] / len(x)


class SeriesRegressor(RegressorMixin, _Series):
    """The first score."""

    target_scale_ = 2.0

    def predict(self, X):
        return self._scores(X)[:, 0]

    def _gradient(self, x):
        return self.coef_[0, : len(x)] / len(x)


class TokenClassifier(ClassifierMixin, BaseEstimator):
    """Softmax of the mean of known vectors of the tokens; 0 is padding."""

    def __init__(self, vectors, embedding="vectors", seen=None):
        self.vectors = vectors
        self.embedding = embedding
        self.seen = seen

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.vectors_ = np.asarray(self.vectors, dtype=float)
        self.methods_ = []
        return self

    def predict_proba(self, X):
        if self.seen is not None:
            self.seen.append(X)
        inside = (X != 0)[:, :, None]
        scores = (self.vectors_[X] * inside).sum(axis=1) / inside.sum(axis=1)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def attribute(self, X, *, method="saliency", target="predicted", standardized=False):
        self.methods_.append(method)
        best = self.predict_proba(X).argmax(axis=1)
        values = self.vectors_[X, best[:, None]]
        if method == "saliency":
            values = np.ones_like(values)
        return np.where(X != 0, values, np.nan)
