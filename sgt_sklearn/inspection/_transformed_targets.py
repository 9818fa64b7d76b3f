"""Explanations of regressors of a transformed target, in units of the target itself."""

import warnings

import numpy as np

from sgt_sklearn.estimators._attribute import Attributed
from sgt_sklearn.inspection._ensembles import explain_members, members_of
from sgt_sklearn.inspection._predictions import explain_predictions

# where the inverse of the transformer is looked at, in widths of what is predicted
_GRID = np.linspace(-2, 2, 9)
_TOLERANCE = 1e-5


def explain_transformed(estimator, X, request, explain):
    """Explain a TransformedTargetRegressor by its regressor.

    Parameters
    ----------
    estimator : fitted TransformedTargetRegressor
        The regressor.
    X : array-like of shape (n_samples, ...)
        Samples.
    request : Request
        What is asked.
    explain : callable
        `explain_final`.

    Returns
    -------
    Attributed
        The attributions, in units of y.

    Raises
    ------
    TypeError
        If the transformer is not affine, so that gradients of the regressor are not those of y.
    ValueError
        If there are several outputs and the target names none.
    """
    found = _affine(estimator, X)
    if found is None and request.facts.family == "perturbation":
        return explain_predictions(estimator, X, request)
    if found is None:
        raise TypeError(
            "estimator must have a transformer that scales and shifts each output, such as "
            f"StandardScaler, for method={request.method!r}, which needs gradients, got "
            f"{estimator.transformer_!r:.80}. Use method='feature_ablation', which explains what "
            "`predict` returns."
        )
    slope, intercept = found
    target = request.target
    named = isinstance(target, str)
    if named and target == "predicted" and len(slope) > 1:
        raise ValueError(
            f"target must be the index of one of the {len(slope)} outputs, or 'all', for a "
            "TransformedTargetRegressor that predicts several, got 'predicted'."
        )
    found = explain_members(estimator, members_of(estimator), X, request, explain)
    if named and target == "all":
        slope, intercept = slope[None], intercept[None]
    else:
        index = np.zeros(1, dtype=int) if named else np.atleast_1d(target).astype(int)
        slope, intercept = slope[index], intercept[index]
    factor = slope**2 if request.facts.units == "variance" else slope
    values = np.asarray(found.values)
    factor = factor.reshape(*factor.shape, *(1,) * (values.ndim - factor.ndim))
    outputs = {
        name: None if getattr(found, name) is None else getattr(found, name) * slope + intercept
        for name in ("outputs", "baseline_outputs")
    }
    return Attributed(**{**vars(found), **outputs, "values": values * factor})


def _affine(estimator, X):
    """Slope and intercept of y in each output of the regressor, or None where y is no line."""
    predicted = np.asarray(estimator.regressor_.predict(X), dtype=np.float64)
    predicted = predicted.reshape(len(predicted), -1)
    middle = predicted.mean(axis=0)
    width = np.maximum(np.abs(predicted).max(axis=0), 1.0)
    alone = middle + np.diag(width)
    points = np.concatenate([middle[None], alone, middle + _GRID[:, None] * width])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of points where an inverse is not defined
        y = np.asarray(estimator.transformer_.inverse_transform(points), dtype=np.float64)
    y = y.reshape(len(points), -1)
    if y.shape == points.shape and np.isfinite(y).all():
        slope = (np.diag(y[1 : len(width) + 1]) - y[0]) / width
        intercept = y[0] - slope * middle
        allowed = _TOLERANCE * np.abs(slope * width) + 1e-9 * np.abs(y)
        if (np.abs(points * slope + intercept - y) <= allowed).all():
            return slope, intercept
    return None
