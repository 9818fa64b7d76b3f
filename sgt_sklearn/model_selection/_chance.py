"""Scores of a model that knows nothing."""

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from sgt_sklearn.model_selection._splits import n_rows


class _Blind:
    """Looks at nothing of X but its length, whatever its form."""

    def fit(self, X, y):
        return super().fit(_nothing(X), y)

    def predict(self, X):
        return super().predict(_nothing(X))


class _Prior(_Blind, DummyClassifier):
    def predict_proba(self, X):
        return super().predict_proba(_nothing(X))


class _Mean(_Blind, DummyRegressor):
    pass


def chance_score(scorer, classifies, split):
    """Return the score of the prior, or of the mean of y; None where such a model has none."""
    model = _Prior(strategy="prior") if classifies else _Mean()
    try:
        # a scorer of the caller's own may look at X
        return float(scorer(model.fit(split.X_train, split.y_train), split.X_test, split.y_test))
    except Exception:
        # or may need more of a model than this one has
        return None


def _nothing(X):
    return np.zeros((n_rows(X), 1))
