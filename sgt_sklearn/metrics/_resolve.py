"""From what a caller passes to the final net, its input space, groups and attributions."""

import inspect

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sgt_sklearn.metrics._checks import check_attributions, describe


def resolve_estimator(estimator, X):
    """Return the final estimator and X as that estimator sees it.

    A fitted search stands for its `best_estimator_`; a pipeline for its last step, with X
    transformed by all steps before. Both nest.
    """
    check_is_fitted(estimator)
    if hasattr(estimator, "best_estimator_"):
        return resolve_estimator(estimator.best_estimator_, X)
    if hasattr(estimator, "best_index_"):
        raise ValueError(
            "estimator must be a search that kept its best estimator, got one fitted with "
            f"refit={getattr(estimator, 'refit', False)!r}. Use refit=True, or pass an estimator "
            "fitted with `best_params_`."
        )
    if not isinstance(estimator, Pipeline):
        return estimator, X
    for _, step in estimator.steps[:-1]:
        if step is not None and step != "passthrough":
            X = step.transform(X)
    final = estimator.steps[-1][1]
    if final is None or final == "passthrough":
        raise TypeError(
            f"estimator must end in a classifier or regressor, got a pipeline that ends in "
            f"{final!r}. Pass a pipeline with a predictor as its last step."
        )
    return resolve_estimator(final, X)


def check_input(X):
    """Return X as an array of shape (n_samples, ...) and a function that restores its container.

    The second value turns an array of such samples into what X was, so that an estimator fitted
    on a data frame is asked with the column names it knows.
    """
    if isinstance(X, dict):
        raise TypeError(
            "X must be an array-like of shape (n_samples, n_features) or (n_samples, ...), got "
            "a dict. Pass the array that the final estimator sees."
        )
    array = check_array(X, dtype="numeric", allow_nd=True, input_name="X")
    columns = getattr(X, "columns", None)
    if columns is None:
        return array, lambda values: values
    keyword = "columns" if hasattr(X, "iloc") else "schema"
    return array, lambda values: type(X)(values, **{keyword: list(columns)})


def has_classes(net):
    """Return whether `net` predicts classes."""
    return is_classifier(net) or hasattr(net, "classes_")


def compute_attributions(net, X, wrap, attributions, method, target, random_state):
    """Return float64 attributions of the shape of X, asking `net` where none are given.

    `random_state` goes to an `attribute` that takes one, for methods that draw noise.
    """
    if attributions is None:
        if not hasattr(net, "attribute"):
            raise TypeError(
                "estimator must have a method `attribute` to compute attributions, got "
                f"{type(net).__name__}. Pass `attributions=` of shape {X.shape} instead."
            )
        options = {"method": method, "target": target, "standardized": True}
        if "random_state" in inspect.signature(net.attribute).parameters:
            options["random_state"] = random_state
        attributions = net.attribute(wrap(X), **options)
    values = check_attributions(attributions)
    if values.shape != X.shape:
        raise ValueError(
            f"attributions must have the shape of X as the final estimator "
            f"({type(net).__name__}) sees it, {X.shape}, got {values.shape}. In a pipeline "
            "compute them after the transformers."
        )
    return values


def resolve_groups(net, shape, groups):
    """Return group labels 0 .. n_groups - 1 of all cells of a sample, flat, and n_groups."""
    origin = "groups"
    if groups is None:
        groups, origin = getattr(net, "feature_groups_", None), "estimator.feature_groups_"
    n_cells = int(np.prod(shape))
    if groups is None:
        return np.arange(n_cells), n_cells
    labels = np.asarray(groups)
    if labels.shape != shape:
        raise ValueError(
            f"{origin} must hold one label a cell, shape X.shape[1:] = {shape} as the final "
            f"estimator sees it, got shape {labels.shape}. Pass `groups=` with an integer or a "
            "string for each cell; cells with the same label are replaced together."
        )
    if labels.dtype.kind not in "biuUST" and not _all_strings(labels):
        raise TypeError(
            f"{origin} must hold integer or string labels, got dtype {labels.dtype}. Convert "
            "the labels with `.astype(int)`."
        )
    values, labels = np.unique(labels, return_inverse=True)
    return labels.ravel(), len(values)


def _all_strings(labels):
    return labels.dtype == object and all(isinstance(label, str) for label in labels.flat)


def target_columns(net, target, n_samples, n_outputs):
    """Return the output column that `target` names for each sample, None for "predicted"."""
    if isinstance(target, str) and target == "predicted":
        return None
    if has_classes(net):
        known = np.asarray(getattr(net, "classes_", np.arange(n_outputs)))
        what = "label"
    else:
        known, what = np.arange(n_outputs), "output index"
    asked = np.asarray(target)
    if asked.ndim > 1 or (asked.ndim == 1 and len(asked) != n_samples):
        raise ValueError(
            f'target must be "predicted", one {what}, or one for each of the {n_samples} '
            f"samples of X, got {describe(asked)}. Pass for example target=y."
        )
    asked = np.broadcast_to(asked, (n_samples,))
    matches = asked[:, None] == known[None, :]
    missing = ~matches.any(axis=1)
    if missing.any():
        values = list(dict.fromkeys(asked[missing].tolist()))
        raise ValueError(
            f'target must be "predicted" or a known {what}, one of {known.tolist()}, got '
            f"{describe(values[0])}. Labels are those of the y given to fit."
        )
    return matches.argmax(axis=1)
