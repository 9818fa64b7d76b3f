"""Importances of the features for a fitted net."""

import numpy as np

from sgt_sklearn._random import isolated_generators
from sgt_sklearn.estimators._inputs import array_and_lengths, map_arrays

_IMPORTANCE_ROWS = {2: 2048}  # axes of X: rows; any other X has few, dear ones


class ImportancesMixin:
    """Adds ``feature_importances_`` to an estimator."""

    _importances_ = None

    def _note_importances(self, X):
        self._importances_ = None
        if not self._has_arrays(X) or self._statistics_ is None:
            return
        array, _ = array_and_lengths(X)
        limit = _IMPORTANCE_ROWS.get(array.ndim, 64)
        rows = np.linspace(0, len(array) - 1, min(len(array), limit)).astype(int)
        try:
            # a module may draw in evaluation mode; that must not move the stream of the fit
            with isolated_generators(seed=0):
                values = self.attribute(
                    map_arrays(lambda data: data[rows], X), output="margin", standardized=True
                )
        except Exception:
            if self._has_named_module():
                raise
            return  # a module that cannot be explained has no importances, and says so when asked
        weights = None if self._weights_ is None else self._weights_[rows]
        values = np.abs(values).astype(np.float64)
        if np.isnan(values).any():  # padding, which not every row has at the same steps
            values = np.ma.masked_invalid(values)
        values = np.ma.filled(np.ma.average(values, axis=0, weights=weights), 0.0)
        total = values.sum()
        self._importances_ = values / total if total > 0 else values

    @property
    def feature_importances_(self):
        """Mean over training rows of ``abs(g) * sd``, normalised to sum to 1.

        g is the gradient of the predicted class's margin (regression: of the standardised output)
        and sd the feature's standard deviation, over at most 2,048 training rows (64 for series
        and images) spread evenly; shape ``X.shape[1:]``.
        """
        self.check_is_fitted()
        if self._importances_ is None:
            raise AttributeError(
                "feature_importances_ needs training data in one floating-point array and a "
                "module that is differentiable by it; use attribute(X) for data of your choice."
            )
        return self._importances_
