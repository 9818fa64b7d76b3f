"""Scores of a model's attributions against known relevance."""

import functools

import numpy as np

from sgt_sklearn._random import generators_apart
from sgt_sklearn.inspection._explain import explain
from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics import _resolve


def of_estimator(metric):
    """Return a function of an estimator for a metric of attributions and relevance."""

    @functools.wraps(metric)
    def score(
        estimator,
        X,
        y=None,
        *,
        relevance=None,
        method="auto",
        target="predicted",
        random_state=None,
    ):
        if relevance is None:
            raise ValueError(
                "relevance must be a mask of the cells that matter, got None. Request it with "
                f'make_interpretability_scorer("{metric.__name__}").set_score_request('
                "relevance=True) and pass params={'relevance': mask} to cross_validate, or "
                "relevance=mask to fit of a search; or give one mask for all samples as keyword "
                "of make_interpretability_scorer."
            )
        if isinstance(method, str) and method == "auto":
            final = unwrap(estimator, X)
            tokens = final.token_encoder is not None or _resolve.takes_tokens(final.estimator)
            method = _resolve.default_method(tokens)
        with generators_apart(random_state):
            explanation = explain(
                estimator,
                X,
                method=method,
                target=target,
                standardized=True,
                random_state=random_state,
            )
        varies = explanation.lengths is not None or getattr(X, "ndim", 1) == 1
        if varies:
            relevance = _without_padding(relevance, explanation)
        return metric(_like(relevance, explanation), relevance)

    # that of `metric` would be found otherwise
    del score.__wrapped__
    return score


def _without_padding(relevance, explanation):
    """Return masks without padding that is longer than that of these samples.

    Those of all samples are padded to the longest of them, which may be in another split.
    """
    values = explanation.values
    if not _is_listed(relevance):
        mask = np.asarray(relevance)
        if mask.ndim == values.ndim:
            return _cut(mask, values.shape[1], 1)
        return _cut(mask, values.shape[1], 0) if mask.ndim == values.ndim - 1 else mask
    if len(relevance) != len(values):
        return relevance
    lengths = explanation.lengths if _differ(explanation) else [values.shape[1]] * len(values)
    return [
        _cut(np.asarray(mask), n, 0) if np.ndim(mask) == values.ndim - 1 else mask
        for mask, n in zip(relevance, lengths, strict=True)
    ]


def _cut(mask, length, axis):
    """Return a mask of this length if there is nothing relevant behind it."""
    kept, behind = np.split(mask, [length], axis=axis)
    # what is marked there is an error, which the metric reports
    return mask if behind.astype(bool).any() else kept


def _is_listed(relevance):
    objects = isinstance(relevance, np.ndarray) and relevance.dtype.kind == "O"
    return objects or isinstance(relevance, (list, tuple))


def _like(relevance, explanation):
    """Return attributions in the form of masks: a list for a list, where samples differ."""
    if not _differ(explanation) or not _is_listed(relevance):
        return explanation.values
    return [row[:n] for row, n in zip(explanation.values, explanation.lengths, strict=True)]


def _differ(explanation):
    lengths = explanation.lengths
    return lengths is not None and len(np.unique(lengths)) > 1
