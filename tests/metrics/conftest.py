from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted


class LinearSoftmax(ClassifierMixin, BaseEstimator):
    """Softmax of a linear map of the flattened input, with known weights or those of a fit."""

    def __init__(self, coef=None, penalty=1e-2):
        self.coef = coef
        self.penalty = penalty

    def fit(self, X, y):
        X = np.asarray(X, dtype=float)
        flat = X.reshape(len(X), -1)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.sd_ = flat.std(axis=0)
        if self.coef is None:
            onehot = np.eye(len(self.classes_))[codes] - 1 / len(self.classes_)
            gram = flat.T @ flat + self.penalty * len(X) * np.eye(flat.shape[1])
            self.coef_ = 4 * np.linalg.solve(gram, flat.T @ onehot).T
        else:
            self.coef_ = np.asarray(self.coef, dtype=float)
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        X = np.asarray(X, dtype=float)
        # einsum: sums in one order, so that a sample's output does not depend on its batch
        logits = np.einsum("nd,cd->nc", X.reshape(len(X), -1), self.coef_)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def attribute(
        self, X, *, method="saliency", target="predicted", output="logit", standardized=False
    ):
        labels = self.predict(X) if isinstance(target, str) else np.broadcast_to(target, len(X))
        gradient = self.coef_[np.searchsorted(self.classes_, labels)]
        if output == "log_proba":
            gradient = gradient - self.predict_proba(X) @ self.coef_
        if standardized:
            gradient = gradient * self.sd_
        return gradient.reshape(np.shape(X))


class LinearRegressor(RegressorMixin, BaseEstimator):
    """Linear map of the flattened input to one or more outputs."""

    def __init__(self, coef, keep_scale=True):
        self.coef = coef
        self.keep_scale = keep_scale

    def fit(self, X, y):
        self.coef_ = np.asarray(self.coef, dtype=float)
        if self.keep_scale:
            self.target_scale_ = np.std(np.reshape(y, (len(y), -1)), axis=0)
        self.fitted_ = True
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = np.asarray(X, dtype=float)
        return np.einsum("nd,...d->n...", X.reshape(len(X), -1), self.coef_)

    def attribute(self, X, *, method="saliency", target="predicted", standardized=False):
        gradient = np.atleast_2d(self.coef_).sum(axis=0)
        return np.broadcast_to(gradient, (len(X), gradient.size)).reshape(np.shape(X))


class NoisyAttributions(LinearSoftmax):
    """A model that predicts well and explains at random."""

    def __init__(self, coef=None, penalty=1e-2, seed=0):
        super().__init__(coef, penalty)
        self.seed = seed

    def attribute(self, X, **options):
        return np.random.default_rng([self.seed, 1]).standard_normal(np.shape(X))


@pytest.fixture
def doubles():
    """Small numpy estimators that stand in for networks."""
    return SimpleNamespace(
        LinearSoftmax=LinearSoftmax,
        LinearRegressor=LinearRegressor,
        NoisyAttributions=NoisyAttributions,
    )


@pytest.fixture
def table():
    """Three classes that depend on the first two of six columns."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 6))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
    return X, y


@pytest.fixture
def softmax(doubles, table):
    """A classifier fitted on the table."""
    return doubles.LinearSoftmax().fit(*table)
