"""From what a caller passes to the last predictor and the space that it sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from sgt_sklearn.inspection._explanation_checks import check_distinct, check_no_row
from sgt_sklearn.preprocessing import TokenEncoder, feature_groups
from sgt_sklearn.preprocessing._sources import fitted_input


@dataclass(frozen=True)
class Final:
    """The last predictor of a pipeline or search, and its input.

    Parameters
    ----------
    estimator : fitted estimator
        The predictor: no pipeline, search or frozen estimator, but maybe an ensemble.
    X : object
        The input as that estimator sees it.
    originals : object
        The input as the caller passed it.
    original_names : list of str or None
        A name for each column of `originals`, where they are known or the steps tell groups.
    feature_names : list of str or None
        A name for each column (last axis of tables and series) of X, where they are known.
    groups : ndarray of str objects, shape (n_columns,), or None
        Original column of each column of X; None where there are no steps, or they do not tell.
    token_encoder : TokenEncoder or None
        The step that turned texts into ids.
    steps : list of transformers
        All steps before the estimator, in their order.
    """

    estimator: Any
    X: Any
    originals: Any
    original_names: list | None
    feature_names: list | None
    groups: np.ndarray | None
    token_encoder: TokenEncoder | None
    steps: list


def unwrap(estimator, X, feature_names=None):
    """Find the last predictor, and transform X into what that predictor sees.

    A fitted search stands for its `best_estimator_`, a frozen estimator for what it holds, a
    pipeline for its last step, with X transformed by all steps before. They nest.

    Parameters
    ----------
    estimator : fitted estimator
        A predictor, pipeline, search or frozen estimator.
    X : array-like
        Input of `estimator`.
    feature_names : list of str, default=None
        Names of the columns of X; None takes those of a data frame, or of training.

    Returns
    -------
    Final
        The predictor, its input, and what the steps tell of its columns.

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    ValueError
        If a search did not keep its best estimator, or names do not fit the columns of X.
    TypeError
        If `estimator` is no estimator, or a pipeline does not end in a predictor.
    """
    steps = []
    check_no_row(estimator, X)
    final, seen = _descend(estimator, X, steps)
    transformers = [step for step, _ in steps]
    encoders = [step for step in transformers if isinstance(step, TokenEncoder)]
    encoder = encoders[-1] if encoders else None
    originals = names = groups = None
    if encoder is None:
        fitted = _names_of(X, [estimator, *transformers, final])
        originals = fitted if feature_names is None else _check_names(feature_names, X)
        names = _names_after(fitted, originals, steps, seen)
        groups = _groups(transformers, seen)
    if groups is not None:
        known = fitted_input(make_pipeline(*transformers), "feature_names_in_")
        known = [f"x{i}" for i in range(n_columns(X) or 0)] if known is None else list(known)
        originals = known if originals is None else originals
        renamed = _new_names(known, _column_names(X), originals)
        groups = np.array([renamed.get(label, label) for label in groups], dtype=object)
    return Final(final, seen, X, originals, names, groups, encoder, transformers)


def _descend(estimator, X, steps):
    check_fitted(estimator)
    if isinstance(estimator, FrozenEstimator):
        return _descend(estimator.estimator, X, steps)
    if hasattr(estimator, "best_estimator_"):
        return _descend(estimator.best_estimator_, X, steps)
    if hasattr(estimator, "best_index_"):
        raise ValueError(
            "estimator must be a search that kept its best estimator, got one fitted with "
            f"refit={getattr(estimator, 'refit', False)!r}. Use refit=True, or pass an estimator "
            "fitted with `best_params_`."
        )
    if not isinstance(estimator, Pipeline):
        return estimator, X
    for _, step in estimator.steps[:-1]:
        X = _transform(step, X, steps)
    last = estimator.steps[-1][1]
    if passes(last):
        raise TypeError(
            "estimator must end in a classifier or regressor, got a pipeline that ends in "
            f"{last!r}. Pass a pipeline with a predictor as its last step."
        )
    return _descend(last, X, steps)


def _transform(step, X, steps):
    """What a step makes of X; of a pipeline each of its own steps is one."""
    if passes(step):
        return X
    if isinstance(step, FrozenEstimator):
        return _transform(step.estimator, X, steps)
    if isinstance(step, Pipeline):
        for _, part in step.steps:
            X = _transform(part, X, steps)
        return X
    X = step.transform(X)
    steps.append((step, X))
    return X


def check_fitted(estimator):
    """Raise NotFittedError for what is not fitted, a net of skorch that knows no data included."""
    if isinstance(estimator, NeuralNet) and not getattr(estimator, "initialized_", False):
        raise NotFittedError(
            f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit' with "
            "appropriate arguments before using this estimator."
        )
    check_is_fitted(estimator)


def passes(step):
    """Whether a step of a pipeline does nothing."""
    return step is None or (isinstance(step, str) and step == "passthrough")


def n_columns(X):
    """Length of the last axis of a table or of series in an array, or None for other input."""
    shape = getattr(X, "shape", None)
    if isinstance(X, Mapping):
        shape = getattr(X.get("X"), "shape", None)
    elif shape is None and isinstance(X, (list, tuple)) and len(X):
        shape = (len(X), *np.shape(X[0]))
    elif shape is not None and len(shape) == 1 and len(X):
        shape = (len(X), *np.shape(X[0]))  # an array of series of unequal length
    return shape[-1] if shape is not None and len(shape) in (2, 3) else None


def _column_names(X):
    columns = getattr(X, "columns", None)
    return None if columns is None else [str(column) for column in columns]


def _names_of(X, estimators):
    """Names of the columns that the caller passed, or that the first step was fitted with."""
    names = _column_names(X)
    if names is None:
        known = (getattr(part, "feature_names_in_", None) for part in estimators[:2])
        names = next((list(map(str, part)) for part in known if part is not None), None)
    return names if names is not None and len(names) == n_columns(X) else None


def _check_names(names, X):
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"feature_names must be a list of str, got {names!r:.80}.")
    names, n = list(names), n_columns(X)
    if n is not None and len(names) != n:
        raise ValueError(
            f"feature_names must name the {n} columns of X, got {len(names)} names: {names[:5]}."
        )
    check_distinct(names)
    return names


def _new_names(known, given, originals):
    """The caller's name of each column that the first step was fitted with, by its name then."""
    if given is not None and not set(known).isdisjoint(given):
        # of a frame, steps find columns by name: others may be there, in any order
        return dict(zip(given, originals, strict=True))
    return dict(zip(known, originals, strict=False))


def _names_after(fitted, originals, steps, X):
    if not steps:
        return originals
    names = fitted
    for step, transformed in steps:
        given = _column_names(transformed)
        names = _names_out(step, names) if given is None else given
    return names if names is not None and len(names) == n_columns(X) else None


def _names_out(step, names):
    # names are a help: what a step raises, for whatever reason, must not stop an explanation
    for inputs in (names, None):
        try:
            return [str(name) for name in step.get_feature_names_out(inputs)]
        except Exception:
            continue
    return None


def groups_of(transformers):
    """Original column of each column that fitted steps return; None where they do not tell."""
    try:
        return feature_groups(make_pipeline(*transformers))
    except Exception:  # the steps leave it open, as they may
        return None


def _groups(transformers, X):
    if not transformers or getattr(X, "ndim", 0) != 2:
        return None
    groups = groups_of(transformers)
    return groups if groups is not None and len(groups) == X.shape[1] else None
